/** What the fuzzer has found in the functions. */
import { deepStrictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { type HttpResponse, publisher, transactionEnder } from '../../src/lambda/index.ts'
import { httpEvent, lambdaContext } from '../../src/testing/index.ts'
import { decodeProperties } from '../../src/wire/index.ts'
import { fakeCluster } from '../support/fake-cluster.ts'

/** Has no text: what is to be one throws. */
const NO_TEXT = { toString: false }
const JSON_TYPE = { 'content-type': 'application/json' }
const TRACE = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`

describe('an event whose headers are no texts', () => {
  it('is answered with 415 for its content type, and 500 stood there, with an error in the log', async (t) => {
    const cluster = await fakeCluster(t, { topics: { orders: {} } })
    const publish = publisher({ topics: ['orders'], producerGroup: 'shop', client: cluster.client() })
    const end = transactionEnder({ topics: ['orders'], producerGroup: 'shop', client: cluster.client() })
    const headers = { 'content-type': NO_TEXT }

    const answers = [
      await publish(
        { ...httpEvent('POST', '/topics/orders/messages', { body: 'x' }), headers } as never,
        lambdaContext(),
      ),
      await end({ ...httpEvent('POST', '/transactions/commit', {}), headers } as never, lambdaContext()),
    ]

    deepStrictEqual(
      answers.map((answer) => (answer as HttpResponse).statusCode),
      [415, 415],
    )
  })

  it('is stored without what is no trace, and lists stood among the properties', async (t) => {
    const cluster = await fakeCluster(t, { topics: { orders: {} } })
    const publish = publisher({ topics: ['orders'], producerGroup: 'shop', client: cluster.client() })
    const headers = { ...JSON_TYPE, traceparent: [TRACE], tracestate: NO_TEXT }

    const answer = await publish(
      { ...httpEvent('POST', '/topics/orders/messages', { body: 'x' }), headers } as never,
      lambdaContext(),
    )

    const sent = cluster.broker().frames.filter(({ code }) => code === RequestCode.SEND_MESSAGE_V2)
    const names = sent.map(({ ext }) => Object.keys(decodeProperties(ext['i'] ?? '')).toSorted())
    deepStrictEqual([(answer as HttpResponse).statusCode, names], [200, [['UNIQ_KEY', 'WAIT']]])
  })

  it('is answered with 400 for its idempotency key, by which no retry would be known', async (t) => {
    const cluster = await fakeCluster(t, { topics: { orders: {} } })
    const publish = publisher({ topics: ['orders'], producerGroup: 'shop', client: cluster.client() })
    const headers = { ...JSON_TYPE, 'idempotency-key': ['k'] }

    const answer = await publish(
      { ...httpEvent('POST', '/topics/orders/messages', { body: 'x' }), headers } as never,
      lambdaContext(),
    )

    const { statusCode, body } = answer as HttpResponse
    deepStrictEqual([statusCode, JSON.parse(body).field], [400, 'idempotency-key'])
  })
})
