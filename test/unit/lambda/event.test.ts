import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import * as z from 'zod/mini'
import { ProtocolError } from '../../../src/errors.ts'
import { createEvent } from '../../../src/lambda/event.ts'
import { record } from '../../support/records.ts'

describe('a native event', () => {
  it('holds the records by queue, in their order', () => {
    const records = [
      record({ queueId: 1, queueOffset: 7n }),
      record({ queueOffset: 1n }),
      record({ queueId: 1, queueOffset: 8n }),
    ]

    const event = createEvent(records, '10.0.0.5:9876', 'billing')

    assert.deepStrictEqual(
      {
        ...event,
        records: Object.entries(event.records).map(([key, list]) => [key, list.map((each) => each.offset)]),
      },
      {
        eventSource: 'rocketmq',
        bootstrapServers: '10.0.0.5:9876',
        consumerGroup: 'billing',
        records: [
          ['orders/broker-a/1', ['7', '8']],
          ['orders/broker-a/0', ['1']],
        ],
      },
    )
  })

  it('serialises a record with its body in base64 and offsets as decimal text', () => {
    const huge = record({
      queueOffset: 9_007_199_254_740_993n,
      properties: { TAGS: 'a', KEYS: 'k1 k2', color: 'red' },
    })

    assert.deepStrictEqual(JSON.parse(JSON.stringify(huge)), {
      recordId: 'orders/broker-a/0/9007199254740993',
      topic: 'orders',
      sourceTopic: 'orders',
      brokerName: 'broker-a',
      queueId: 0,
      offset: '9007199254740993',
      messageId: 'ID',
      offsetMessageId: '0A00000200002A9F0000000000001000',
      timestamp: 1_700_000_000_007,
      bornTimestamp: 1_700_000_000_000,
      bornHost: '10.0.0.1:50000',
      tag: 'a',
      keys: ['k1', 'k2'],
      properties: { color: 'red' },
      reconsumeTimes: 0,
      value: 'eyJhIjoxfQ==',
    })
  })

  it('shows the console what a record has, but no body', () => {
    const shown = inspect(record({ properties: { TAGS: 'a' }, body: Buffer.from('secret') }), { depth: 9 })

    assert.deepStrictEqual(
      ["messageId: 'ID'", "tag: 'a'", 'body', 'secret', 'c2VjcmV0'].map((each) => shown.includes(each)),
      [true, true, false, false, false],
    )
  })

  it('is read by a schema as it is, and cloned by toJSON()', () => {
    const one = record({ properties: { TAGS: 'a', color: 'red' }, body: Buffer.from('1') })
    const Schema = z.object({
      tag: z.string(),
      properties: z.record(z.string(), z.string()),
      value: z.string(),
    })

    const parsed = z.object({ records: z.array(Schema) }).parse({ records: [one] })
    const clone = structuredClone(one.toJSON()) as typeof one

    assert.deepStrictEqual(parsed, { records: [{ tag: 'a', properties: { color: 'red' }, value: 'MQ==' }] })
    assert.deepStrictEqual(
      [clone.recordId, clone.tag, { ...clone.properties }, clone.value],
      [one.recordId, 'a', { color: 'red' }, 'MQ=='],
    )
  })

  it('gives the topic that a retry message was published to, and where it is stored', () => {
    const retried = record({ topic: '%RETRY%billing', properties: { RETRY_TOPIC: 'orders' } })

    assert.deepStrictEqual(
      { topic: retried.topic, sourceTopic: retried.sourceTopic, recordId: retried.recordId },
      { topic: 'orders', sourceTopic: '%RETRY%billing', recordId: '%RETRY%billing/broker-a/0/0' },
    )
  })

  it('gives the body as it was received, without copying it', () => {
    const body = Buffer.from('{"order":1}')
    const received = record({ body })
    assert.equal(received.body, body)
    assert.deepStrictEqual(received.json(), { order: 1 })
  })

  it('names the record, and not its body, when the body is not JSON', () => {
    const broken = record({ body: Buffer.from('secret{') })
    assert.throws(
      () => broken.json(),
      (error) =>
        error instanceof ProtocolError &&
        error.message.includes('orders/broker-a/0/0') &&
        !error.message.includes('secret'),
    )
  })
})
