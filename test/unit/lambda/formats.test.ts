/** The events of other sources: their shapes, what does not fit them, and other people's code that reads them. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import {
  BatchProcessor,
  EventType,
  processPartialResponse,
  SqsFifoPartialProcessorAsync,
} from '@aws-lambda-powertools/batch'
import { kafkaConsumer } from '@aws-lambda-powertools/kafka'
import { KafkaSelfManagedEventSchema, SqsSchema } from '@aws-lambda-powertools/parser/schemas'
import middy from '@middy/core'
import sqsPartialBatchFailure from '@middy/sqs-partial-batch-failure'
import type { SelfManagedKafkaHandler, SQSHandler, SQSRecord } from 'aws-lambda'
import { createProducer } from '../../../src/index.ts'
import { recordIdOf } from '../../../src/lambda/event.ts'
import { loadFormat } from '../../../src/lambda/format.ts'
import type { KafkaEvent, SqsEvent } from '../../../src/lambda/index.ts'
import { readBatchResponse } from '../../../src/lambda/response.ts'
import { lambdaContext } from '../../../src/testing/index.ts'
import { consuming } from '../../support/consuming.ts'
import { message } from '../../support/records.ts'

const ORIGIN = {
  recordIdOf,
  bootstrapServers: ['10.0.0.5:9876', '10.0.0.6:9876'],
  consumerGroup: 'billing',
  context: lambdaContext(),
  parsed: new WeakMap(),
}
const RETRIED = message({
  topic: '%RETRY%billing',
  queueOffset: 41n,
  uniqKey: 'A1',
  body: Buffer.from('größe'),
  properties: {
    RETRY_TOPIC: 'orders',
    TAGS: 'created',
    KEYS: 'order-1 customer-7',
    __SHARDINGKEY: 'customer-7',
    region: 'eu',
  },
})
const text = (header: string): number[] => [...Buffer.from(header)]

describe('a Kafka event', () => {
  it('has the shape of a self-managed cluster, the queue as partition and the rest as headers', async () => {
    const { createEvent } = await loadFormat('kafka')

    const event = createEvent([RETRIED], ORIGIN)

    assert.deepStrictEqual(event, {
      eventSource: 'SelfManagedKafka',
      bootstrapServers: '10.0.0.5:9876,10.0.0.6:9876',
      records: {
        '%RETRY%billing-0': [
          {
            topic: '%RETRY%billing',
            partition: 0,
            offset: 41,
            timestamp: 1_700_000_000_000,
            timestampType: 'CREATE_TIME',
            key: Buffer.from('order-1 customer-7').toString('base64'),
            value: Buffer.from('größe').toString('base64'),
            headers: [
              { UNIQ_KEY: text('A1') },
              { TAGS: text('created') },
              { __SHARDINGKEY: text('customer-7') },
              { RETRY_TOPIC: text('orders') },
              { region: text('eu') },
            ],
          },
        ],
      },
    })
  })

  it('of a message with nothing but a body has an empty key and its id', async () => {
    const { createEvent } = await loadFormat('kafka')

    const { records } = createEvent([message({ uniqKey: 'A1' })], ORIGIN) as KafkaEvent

    assert.deepStrictEqual(
      records['orders-0']?.map(({ key, headers }) => [key, headers]),
      [['', [{ UNIQ_KEY: text('A1') }]]],
    )
  })

  it('is read by Powertools’ parser', async () => {
    const { createEvent } = await loadFormat('kafka')

    const parsed = KafkaSelfManagedEventSchema.parse(createEvent([RETRIED, message()], ORIGIN))

    assert.deepStrictEqual(parsed.bootstrapServers, ORIGIN.bootstrapServers)
    assert.deepStrictEqual(
      Object.values(parsed.records).flatMap((records) => records.map(({ key, value }) => [key, value])),
      [
        ['order-1 customer-7', 'größe'],
        ['', '{"a":1}'],
      ],
    )
  })

  it('cannot hold an offset that is not exact as a number', async () => {
    const { misfit } = await loadFormat('kafka')
    const safe = BigInt(Number.MAX_SAFE_INTEGER)

    const found = [safe, safe + 1n].map((queueOffset) => misfit?.(message({ queueOffset })))

    assert.deepStrictEqual(found, [
      undefined,
      'cannot be in a Kafka event: its offset is not exact as a number',
    ])
  })
})

describe('the response to a Kafka event', () => {
  const [first, second, third] = [
    message({ queueOffset: 1n, uniqKey: 'A' }),
    message({ queueOffset: 2n, uniqKey: 'B' }),
    message({ queueId: 1, queueOffset: 1n, uniqKey: 'A' }),
  ]
  const batch = [first, second, third]
  const failed = async (itemIdentifier: unknown, format: 'kafka' | 'rocketmq' = 'kafka'): Promise<unknown> =>
    readBatchResponse(
      { batchItemFailures: [{ itemIdentifier }] },
      batch,
      (await loadFormat(format)).identifiers,
    )

  it('names a record by partition and offset, as Lambda’s own does', async () => {
    assert.deepStrictEqual(await failed({ partition: 'orders-1', offset: 1 }), new Set([third]))
  })

  it('may also name it by recordId, or all copies by messageId', async () => {
    assert.deepStrictEqual(await failed('orders/broker-a/0/2'), new Set([second]))
    assert.deepStrictEqual(await failed('A'), new Set([first, third]))
  })

  for (const [what, identifier] of [
    ['a partition that is not in the event', { partition: 'orders-7', offset: 1 }],
    ['an offset that is not in the event', { partition: 'orders-0', offset: 7 }],
    ['a partition without its topic', { partition: 0, offset: 1 }],
    ['an offset in a text', { partition: 'orders-0', offset: '1' }],
    ['no offset', { partition: 'orders-0' }],
    ['the form that only a text could have', 'orders-0-1'],
    ['a list', ['orders-0', 1]],
    ['an empty object', {}],
    ['null', null],
  ] as const) {
    it(`fails the whole batch for ${what}`, async () => {
      await assert.rejects(failed(identifier), { code: 'RMQ_RESPONSE' })
    })
  }

  it('is not understood in another format: several brokers have the same partition', async () => {
    await assert.rejects(failed({ partition: 'orders-0', offset: 1 }, 'rocketmq'), { code: 'RMQ_RESPONSE' })
  })
})

describe('an SQS event', () => {
  it('has the shape of a queue’s, with the recordId as messageId and what FIFO queues have', async () => {
    const { createEvent } = await loadFormat('sqs')
    const before = Date.now()

    const event = createEvent([RETRIED], ORIGIN) as SqsEvent

    const received = event.Records[0]?.attributes.ApproximateFirstReceiveTimestamp ?? ''
    assert.ok(Number(received) >= before && Number(received) <= Date.now())
    const attribute = (stringValue: string): object => ({
      stringValue,
      stringListValues: [],
      binaryListValues: [],
      dataType: 'String',
    })
    assert.deepStrictEqual(event, {
      Records: [
        {
          messageId: '%RETRY%billing/broker-a/0/41',
          receiptHandle: '0A00000200002A9F0000000000001000',
          body: 'größe',
          attributes: {
            ApproximateReceiveCount: '1',
            SentTimestamp: '1700000000000',
            SenderId: '10.0.0.1:50000',
            ApproximateFirstReceiveTimestamp: received,
            MessageDeduplicationId: 'A1',
            MessageGroupId: 'customer-7',
            SequenceNumber: '00000000000000000041',
          },
          messageAttributes: {
            region: attribute('eu'),
            TAGS: attribute('created'),
            KEYS: attribute('order-1 customer-7'),
          },
          md5OfBody: createHash('md5').update('größe').digest('hex'),
          eventSource: 'aws:sqs',
          eventSourceARN: 'arn:aws:sqs:eu-central-1:123456789012:orders',
          awsRegion: 'eu-central-1',
        },
      ],
    })
  })

  it('is read by Powertools’ parser, with FIFO’s attributes and without', async () => {
    const { createEvent } = await loadFormat('sqs')

    const { Records } = SqsSchema.parse(createEvent([RETRIED, message()], ORIGIN))

    assert.deepStrictEqual(
      Records.map(({ body, attributes }) => [body, attributes.MessageGroupId]),
      [
        ['größe', 'customer-7'],
        ['{"a":1}', undefined],
      ],
    )
  })

  it('needs no ARN of a function', async () => {
    const { createEvent } = await loadFormat('sqs')
    const context = { getRemainingTimeInMillis: () => 1_000 }

    const { Records } = createEvent([message()], { ...ORIGIN, context }) as SqsEvent

    assert.deepStrictEqual(
      Records.map(({ eventSourceARN, awsRegion }) => [eventSourceARN, awsRegion]),
      [['arn:aws:sqs:us-east-1:000000000000:orders', 'us-east-1']],
    )
  })

  it('cannot hold a body that is not UTF-8', async () => {
    const { misfit } = await loadFormat('sqs')
    const bodies = [
      Buffer.from('größe'),
      Buffer.alloc(0),
      Buffer.from('größe', 'latin1'),
      Buffer.from([0xed, 0xa0, 0x80]),
    ]

    const found = bodies.map((body) => misfit?.(message({ body })))

    const reason = 'cannot be in an SQS event: its body is not UTF-8'
    assert.deepStrictEqual(found, [undefined, undefined, reason, reason])
  })
})

describe('a record that does not fit the format', () => {
  const LATIN = Buffer.from('größe', 'latin1')
  const bodies = ({ Records }: SqsEvent): string[] => Records.map(({ body }) => body)

  it('is sent back before the handler sees it, and the others are handled', async () => {
    await using own = await consuming()
    await own.publish('a', LATIN, 'c')
    const seen: string[] = []

    const result = await own.run(async (event: SqsEvent) => void seen.push(...bodies(event)), {
      eventFormat: 'sqs',
    })

    assert.deepStrictEqual([seen, result.handled, result.failed, result.sentBack], [['a', 'c'], 2, 1, 1])
    assert.equal(own.committed(), 3n)
  })

  it('blocks its queue with its reason, and nothing behind it is handled', async () => {
    await using own = await consuming()
    await own.publish('a', LATIN, 'c')
    const seen: string[] = []

    const result = await own.run(async (event: SqsEvent) => void seen.push(...bodies(event)), {
      eventFormat: 'sqs',
      onFailure: 'block',
    })

    assert.deepStrictEqual([seen, result.handled, result.failed, own.committed()], [['a'], 1, 1, 1n])
    assert.equal(
      result.queues.find(({ topic }) => topic === 'orders')?.stopped,
      'record orders/broker-a/0/1 cannot be in an SQS event: its body is not UTF-8',
    )
  })

  it('is a dead letter at once where attempts are limited, and its queue goes on', async () => {
    await using own = await consuming()
    await own.publish('a', LATIN, 'c')
    const seen: string[] = []

    const result = await own.run(async (event: SqsEvent) => void seen.push(...bodies(event)), {
      eventFormat: 'sqs',
      onFailure: 'block',
      maximumRetryAttempts: 3,
    })

    assert.deepStrictEqual([seen, result.deadLettered, own.committed()], [['a', 'c'], 1, 3n])
  })

  it('that cannot become a dead letter leaves what is behind it where it is', async () => {
    await using own = await consuming()
    await own.publish('a', LATIN, 'c')
    own.broker.faults.add({ fault: 'refuse', code: 36, responseCode: 1, remark: 'disk full', times: 1 })
    const seen: string[] = []

    const running = own.run(async (event: SqsEvent) => void seen.push(...bodies(event)), {
      eventFormat: 'sqs',
      onFailure: 'block',
      maximumRetryAttempts: 3,
    })

    await assert.rejects(running, /disk full/)
    assert.deepStrictEqual([seen, own.committed()], [['a'], 1n])
  })

  it('is not among those that a dry run would handle', async () => {
    await using own = await consuming()
    await own.publish('a', LATIN, 'c')

    const result = await own.run(async () => assert.fail('it is dry'), { eventFormat: 'sqs', dryRun: true })

    assert.deepStrictEqual([result.wouldHandle, result.failed, own.committed()], [2, 1, undefined])
  })
})

describe('one Kafka event', () => {
  it('holds one topic of one broker, retries apart', async () => {
    await using own = await consuming({ brokers: 2 })
    for (const brokerName of ['broker-a', 'broker-b'])
      for (const body of ['1', '2'])
        await own.producer.send({ topic: 'orders', body, queue: { topic: 'orders', brokerName, queueId: 0 } })
    const events: unknown[] = []
    const handle = async ({ records }: KafkaEvent): Promise<object> => {
      const all = Object.values(records).flat()
      events.push(Object.entries(records).map(([key, { length }]) => [key, length]))
      const wrong = all.filter(({ topic, offset }) => topic === 'orders' && offset === 0)
      return {
        batchItemFailures: wrong.map(({ topic, partition, offset }) => ({
          itemIdentifier: { partition: `${topic}-${partition}`, offset },
        })),
      }
    }

    const first = await own.run(handle, { eventFormat: 'kafka' })
    await own.broker.clock.advance(10_500)
    const second = await own.run(handle, { eventFormat: 'kafka' })

    assert.deepStrictEqual([first.handled, first.sentBack, second.handled], [2, 2, 2])
    assert.deepStrictEqual(events, [
      [['orders-0', 2]],
      [['orders-0', 2]],
      [['%RETRY%billing-0', 1]],
      [['%RETRY%billing-0', 1]],
    ])
  })
})

describe('a handler with the types of @types/aws-lambda', () => {
  it('consumes SQS events unchanged: what it reports is sent back, the rest is done', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c')
    const handler: SQSHandler = async ({ Records }) => ({
      batchItemFailures: Records.filter(({ body }) => body === 'b').map(({ messageId }) => ({
        itemIdentifier: messageId,
      })),
    })

    const { handled, sentBack } = await own.run(handler, { eventFormat: 'sqs' })

    assert.deepStrictEqual([handled, sentBack, own.committed()], [2, 1, 3n])
  })

  it('consumes Kafka events unchanged: one that throws has its batch sent back, and the invocation fails', async () => {
    await using own = await consuming()
    await own.publish('a', 'b')
    const seen: string[] = []
    const handler: SelfManagedKafkaHandler = async ({ records }) => {
      seen.push(...Object.values(records).flatMap((all) => all.map(({ value }) => atob(value))))
      throw new RangeError('the database is down')
    }

    await assert.rejects(own.run(handler, { eventFormat: 'kafka' }), /the database is down/)

    await own.broker.clock.advance(10_500)
    assert.deepStrictEqual(
      [seen, own.stored('%RETRY%billing')],
      [
        ['a', 'b'],
        ['a', 'b'],
      ],
    )
  })

  it('with a callback is refused, whether or not it calls it', async () => {
    await using own = await consuming()
    await own.publish('a')
    const silent: SQSHandler = () => undefined
    const calling: SQSHandler = (_event, _context, callback) => callback(null)

    await assert.rejects(own.run(silent, { eventFormat: 'sqs', onFailure: 'block' }), {
      code: 'RMQ_RESPONSE',
    })
    await assert.rejects(own.run(calling, { eventFormat: 'sqs', onFailure: 'block' }), TypeError)

    assert.equal(own.committed(), 0n)
  })
})

describe('Powertools', () => {
  const failing = async ({ body }: SQSRecord): Promise<void> => {
    if (body === 'b') throw new RangeError(body)
  }

  it('its batch processor has the record that failed sent back and the others committed', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c')
    const processor = new BatchProcessor(EventType.SQS)
    const handler: SQSHandler = async (event, context) =>
      await processPartialResponse(event, failing, processor, { context })

    const { handled, sentBack } = await own.run(handler, { eventFormat: 'sqs' })
    await own.broker.clock.advance(10_500)

    assert.deepStrictEqual([handled, sentBack, own.committed()], [2, 1, 3n])
    assert.deepStrictEqual(own.stored('%RETRY%billing'), ['b'])
  })

  it('its batch processor throws when everything failed, which sends the batch back and fails the invocation', async () => {
    await using own = await consuming()
    await own.publish('b', 'b')
    const processor = new BatchProcessor(EventType.SQS)
    const handler: SQSHandler = async (event, context) =>
      await processPartialResponse(event, failing, processor, { context })

    await assert.rejects(own.run(handler, { eventFormat: 'sqs' }), { name: 'FullBatchFailureError' })

    await own.broker.clock.advance(10_500)
    assert.deepStrictEqual(own.stored('%RETRY%billing'), ['b', 'b'])
  })

  it('its FIFO processor blocks the queue at the record that failed', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c')
    const processor = new SqsFifoPartialProcessorAsync()
    const seen: string[] = []
    const handler: SQSHandler = async (event, context) =>
      await processPartialResponse(
        event,
        async (record: SQSRecord) => {
          seen.push(record.body)
          await failing(record)
        },
        processor,
        { context },
      )

    const { handled, queues } = await own.run(handler, { eventFormat: 'sqs', onFailure: 'block' })

    assert.deepStrictEqual([seen, handled, own.committed()], [['a', 'b'], 1, 1n])
    assert.equal(queues.find(({ topic }) => topic === 'orders')?.stopped, 'record orders/broker-a/0/1 failed')
  })

  it('its FIFO processor tells sharding keys apart as message groups', async () => {
    await using own = await consuming()
    const producer = createProducer(own.client, { producerGroup: 'shop' })
    for (const [body, shardingKey] of [
      ['a', 'x'],
      ['b', 'y'],
      ['c', 'y'],
      ['d', 'x'],
    ] as const)
      await producer.send({ topic: 'orders', body, shardingKey })
    const processor = new SqsFifoPartialProcessorAsync()
    const seen: string[] = []
    const handler: SQSHandler = async (event, context) =>
      await processPartialResponse(
        event,
        async (record: SQSRecord) => {
          seen.push(record.body)
          await failing(record)
        },
        processor,
        { context, skipGroupOnError: true },
      )

    const { handled, failed, sentBack } = await own.run(handler, { eventFormat: 'sqs' })

    assert.deepStrictEqual([seen, handled, failed, sentBack], [['a', 'b', 'd'], 2, 2, 2])
  })

  it('its Kafka consumer decodes keys, values and headers', async () => {
    await using own = await consuming()
    await own.producer.send({
      topic: 'orders',
      body: '{"order":1}',
      keys: ['order-1'],
      tag: 'created',
      properties: { region: 'eu' },
    })
    const seen: unknown[] = []
    const handler = kafkaConsumer<string, object>(
      async ({ records }) => {
        for (const { key, value, headers, topic, partition, offset } of records)
          seen.push({ key, value, headers: headers?.slice(1), topic, partition, offset })
      },
      { value: { type: 'json' } },
    )

    const { handled } = await own.run(handler, { eventFormat: 'kafka' })

    assert.equal(handled, 1)
    assert.deepStrictEqual(seen, [
      {
        key: 'order-1',
        value: { order: 1 },
        headers: [{ TAGS: 'created' }, { region: 'eu' }],
        topic: 'orders',
        partition: 0,
        offset: 0,
      },
    ])
  })
})

describe('middy', () => {
  const silent = { logger: () => undefined }
  const settle = async ({ Records }: SqsEvent): Promise<unknown> =>
    await Promise.allSettled(
      Records.map(async ({ body }) => {
        if (body === 'b') throw new RangeError(body)
      }),
    )

  it('its partial batch failure middleware has the record that failed sent back and the others committed', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c')
    const handler = middy(settle).use(sqsPartialBatchFailure(silent))

    const { handled, sentBack } = await own.run(handler, { eventFormat: 'sqs' })
    await own.broker.clock.advance(10_500)

    assert.deepStrictEqual([handled, sentBack, own.committed()], [2, 1, 3n])
    assert.deepStrictEqual(own.stored('%RETRY%billing'), ['b'])
  })

  it('its partial batch failure middleware turns a thrown error into the failure of every record', async () => {
    await using own = await consuming()
    await own.publish('a', 'b')
    const handler = middy(async () => {
      throw new RangeError('the database is down')
    }).use(sqsPartialBatchFailure(silent))

    const { handled, failed, queues } = await own.run(handler, { eventFormat: 'sqs', onFailure: 'block' })

    assert.deepStrictEqual([handled, failed, own.committed()], [0, 2, 0n])
    assert.equal(queues.find(({ topic }) => topic === 'orders')?.stopped, 'record orders/broker-a/0/0 failed')
  })
})
