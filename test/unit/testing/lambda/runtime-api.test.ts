/** The Runtime API as a runtime sees it: what it may ask, and what it is told. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { MAX_RESPONSE_PAYLOAD } from '../../../../src/testing/lambda/invocation.ts'
import { RuntimeApi } from '../../../../src/testing/lambda/runtime-api.ts'

interface Opened {
  api: RuntimeApi
  /** What the environment was told. */
  told: unknown[]
  call: (method: string, path: string, body?: string) => Promise<Response>
  /** Resolves when the runtime waits. */
  waits: Promise<void>
}

async function open(t: TestContext): Promise<Opened> {
  const told: unknown[] = []
  const waits = Promise.withResolvers<void>()
  const api = await RuntimeApi.open({
    onNext: () => waits.resolve(),
    onInitError: (body) => void told.push(['init', body.toString()]),
    onAnswer: (requestId, kind, body, bytes) => {
      told.push([requestId, kind, bytes > 100 ? body.length : body.toString(), bytes])
      return requestId === 'request-1'
    },
  })
  t.after(() => api.close())
  return {
    api,
    told,
    waits: waits.promise,
    call: async (method, path, body) =>
      await fetch(`http://${api.address}/2018-06-01/runtime/${path}`, {
        method,
        ...(body === undefined ? {} : { body }),
      }),
  }
}

describe('the Runtime API', () => {
  it('lets the runtime wait for an invocation, and hands it over with all that AWS says about it', async (t) => {
    const { api, call, waits } = await open(t)

    const next = call('GET', 'invocation/next')
    await waits
    api.deliver(
      {
        requestId: 'request-1',
        payload: Buffer.from('{"a":"ü"}'),
        invokedFunctionArn: 'arn:aws:lambda:eu-central-1:123456789012:function:f',
        trace: 'Root=1-2-3',
        clientContext: '{}',
        startedBy: 'invoke',
      },
      1_767_225_600_000,
    )

    const response = await next
    const headers = [...response.headers].filter(([name]) => name.startsWith('lambda-runtime-'))
    assert.deepStrictEqual(Object.fromEntries(headers), {
      'lambda-runtime-aws-request-id': 'request-1',
      'lambda-runtime-client-context': '{}',
      'lambda-runtime-deadline-ms': '1767225600000',
      'lambda-runtime-invoked-function-arn': 'arn:aws:lambda:eu-central-1:123456789012:function:f',
      'lambda-runtime-trace-id': 'Root=1-2-3',
    })
    assert.deepStrictEqual([response.status, await response.json()], [200, { a: 'ü' }])
  })

  it('takes answers and errors with 202, and passes them on', async (t) => {
    const { call, told } = await open(t)

    const statuses = [
      await call('POST', 'invocation/request-1/response', '1'),
      await call('POST', 'invocation/request-1/error', '{"errorType":"Error"}'),
      await call('POST', 'init/error', '{"errorType":"SyntaxError"}'),
    ].map(({ status }) => status)

    assert.deepStrictEqual(statuses, [202, 202, 202])
    assert.deepStrictEqual(told, [
      ['request-1', 'response', '1', 1],
      ['request-1', 'error', '{"errorType":"Error"}', 21],
      ['init', '{"errorType":"SyntaxError"}'],
    ])
  })

  it('refuses an answer to another invocation, one that is too large, and calls it does not know', async (t) => {
    const { call } = await open(t)

    const other = await call('POST', 'invocation/request-0/response', '1')
    assert.deepStrictEqual(
      [other.status, await other.json()],
      [400, { errorType: 'InvalidRequestID', errorMessage: 'Invalid request ID' }],
    )
    const large = await call('POST', 'invocation/request-1/response', 'x'.repeat(MAX_RESPONSE_PAYLOAD + 1))
    assert.equal(large.status, 413)
    assert.deepStrictEqual(
      [(await call('GET', 'none')).status, (await call('DELETE', 'init/error')).status],
      [404, 404],
    )
  })
})
