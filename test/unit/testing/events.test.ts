import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { APIGatewayProxyEventV2, Context } from 'aws-lambda'
import { httpEvent, lambdaContext } from '../../../src/testing/index.ts'

describe('the test kit', () => {
  it('makes a context that fits AWS’s type and counts down', (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_000 })
    const context: Context = lambdaContext({ remainingMs: 3_000, functionName: 'consume' })

    t.mock.timers.tick(1_000)

    assert.equal(context.functionName, 'consume')
    assert.equal(context.getRemainingTimeInMillis(), 2_000)
    t.mock.timers.tick(5_000)
    assert.equal(context.getRemainingTimeInMillis(), 0)
  })

  it('makes an HTTP API event that fits AWS’s type', () => {
    const event: APIGatewayProxyEventV2 = httpEvent('POST', '/topics/orders/messages', { body: 'hello' })
    assert.equal(event.requestContext.http.method, 'POST')
    assert.equal(event.rawPath, '/topics/orders/messages')
    assert.equal(event.body, '{"body":"hello"}')
    assert.equal('body' in httpEvent('GET', '/'), false)
    assert.equal(httpEvent('POST', '/', 'text').body, 'text')
  })
})
