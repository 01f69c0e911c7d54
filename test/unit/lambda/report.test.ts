/** What an invocation tells: log lines, metrics, diagnostics, and the trace that came with a message. */
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import { type Client, createClient, createProducer } from '../../../src/index.ts'
import {
  type BatchDiagnostics,
  type EventSourceLogger,
  type EventSourceOptions,
  eventSource,
  type InvocationDiagnostics,
  publisher,
  type RecordHandler,
} from '../../../src/lambda/index.ts'
import { httpEvent, lambdaContext, scheduledEvent, startBroker } from '../../../src/testing/index.ts'
import { printedJson } from '../../support/printed.ts'

const SECRET = 'nobody-reads-this'

async function setting(t: TestContext): Promise<Client> {
  const broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const producer = createProducer(client, { producerGroup: 'shop' })
  for (const tag of ['a', 'a', 'b', 'a'])
    await producer.send({ topic: 'orders', body: SECRET, keys: SECRET, tag, properties: { note: SECRET } })
  return client
}

type Line = [level: string, message: string, fields: Readonly<Record<string, unknown>>]

function noting(): { logger: EventSourceLogger; lines: Line[] } {
  const lines: Line[] = []
  const at =
    (level: string): EventSourceLogger['info'] =>
    (message, fields) =>
      void lines.push([level, message, fields])
  return { lines, logger: { debug: at('debug'), info: at('info'), warn: at('warn') } }
}

async function consume(
  client: Client,
  handle: RecordHandler,
  options: Partial<EventSourceOptions>,
): Promise<void> {
  const handler = eventSource({ topic: 'orders', consumerGroup: 'billing', client, ...options }, handle)
  await handler(scheduledEvent(), lambdaContext()).catch(() => undefined)
}

const failingFirst: RecordHandler = async ({ records }) => ({
  batchItemFailures: Object.values(records).flatMap(([first]) => [{ itemIdentifier: first?.recordId ?? '' }]),
})

describe('what an invocation is to tell', () => {
  for (const [field, change] of [
    ['logger', { logger: { info: () => undefined } }],
    ['metrics', { metrics: 'orders' }],
    ['nameSpace', { metrics: { nameSpace: 'orders' } }],
  ] as const) {
    it(`is checked before there is work that it could fail: ${JSON.stringify(change)}`, () => {
      const options = { topic: 'orders', consumerGroup: 'billing', client: { nameServers: '127.0.0.1:1' } }
      assert.throws(() => eventSource({ ...options, ...change } as never, async () => undefined), {
        code: 'RMQ_CONFIG',
        field,
      })
    })
  }
})

describe('the log', () => {
  it('has a line for an invocation that did something, and one of level debug for an idle one', async (t) => {
    const client = await setting(t)
    const { logger, lines } = noting()

    await consume(client, async () => undefined, { logger })
    await consume(client, async () => assert.fail('there is nothing'), { logger })

    assert.deepStrictEqual(
      lines.map(([level, message, { handled }]) => [level, message, handled]),
      [
        ['info', 'consumed', 4],
        ['debug', 'consumed', 0],
      ],
    )
  })

  it('warns of a queue that was left, with its place, and holds no body, key or property', async (t) => {
    const client = await setting(t)
    const { logger, lines } = noting()

    await consume(client, failingFirst, { logger, onFailure: 'block' })

    assert.deepStrictEqual(lines[0], [
      'warn',
      'queue left before its end',
      {
        consumerGroup: 'billing',
        topic: 'orders',
        brokerName: 'broker-a',
        queueId: 0,
        stopped: 'record orders/broker-a/0/0 failed',
      },
    ])
    assert.ok(!JSON.stringify(lines).includes(SECRET))
  })

  it('is told of an invocation that fails, too', async (t) => {
    const client = await setting(t)
    const { logger, lines } = noting()

    await consume(client, () => Promise.reject(new RangeError('down')), { logger })

    const [level, message, fields] = lines.at(-1) ?? []
    assert.deepStrictEqual([level, message, fields?.['sentBack']], ['info', 'consumed', 4])
  })
})

describe('the metrics', () => {
  it('are one line in the embedded metric format, under the names of Lambda’s own mappings', async (t) => {
    const client = await setting(t)
    const written = printedJson(t)
    const { logger } = noting()

    await consume(client, failingFirst, {
      logger,
      filter: 'a',
      maximumRetryAttempts: 0,
      metrics: { namespace: 'shop', dimensions: { service: 'billing-api' } },
    })

    const [line, ...more] = written as ReturnType<typeof JSON.parse>[]
    const { _aws, OldestRecordAge, ...values } = line
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(values, {
      ConsumerGroup: 'billing',
      Topic: 'orders',
      service: 'billing-api',
      PolledEventCount: 4,
      FilteredOutEventCount: 1,
      InvokedEventCount: 3,
      FailedInvokeEventCount: 1,
      DroppedEventCount: 1,
      CommittedEventCount: 4,
      OffsetLag: [0],
      MaxOffsetLag: 0,
      SumOffsetLag: 0,
    })
    assert.ok(OldestRecordAge >= 0)
    const [{ Namespace, Dimensions, Metrics }] = _aws.CloudWatchMetrics
    assert.deepStrictEqual([Namespace, Dimensions], ['shop', [['ConsumerGroup', 'Topic', 'service']]])
    assert.deepStrictEqual(
      Metrics.map(({ Name }: { Name: string }) => Name).toSorted(),
      [
        ...Object.keys(values).filter((name) => name.endsWith('Count') || name.endsWith('Lag')),
        'OldestRecordAge',
      ].toSorted(),
    )
  })

  it('are not written unless they are asked for', async (t) => {
    const client = await setting(t)
    const written = printedJson(t)

    await consume(client, async () => undefined, { logger: noting().logger })

    assert.deepStrictEqual(written, [])
  })
})

describe('diagnostics_channel', () => {
  it('is told of each batch and of the end of the invocation', async (t) => {
    const client = await setting(t)
    const batches: BatchDiagnostics[] = []
    const invocations: InvocationDiagnostics[] = []
    const onBatch = (message: unknown): void => void batches.push(message as BatchDiagnostics)
    const onEnd = (message: unknown): void => void invocations.push(message as InvocationDiagnostics)
    subscribe('rocketmq-lambda:batch', onBatch)
    subscribe('rocketmq-lambda:invocation', onEnd)
    t.after(() => {
      unsubscribe('rocketmq-lambda:batch', onBatch)
      unsubscribe('rocketmq-lambda:invocation', onEnd)
    })

    await consume(client, failingFirst, { logger: noting().logger, batchSize: 2 })

    assert.deepStrictEqual(
      batches.map(({ consumerGroup, topic, records, failed }) => [consumerGroup, topic, records, failed]),
      [
        ['billing', 'orders', 2, 1],
        ['billing', 'orders', 2, 1],
      ],
    )
    assert.deepStrictEqual(
      invocations.map(({ result: { handled, sentBack }, error }) => [handled, sentBack, error]),
      [[2, 2, undefined]],
    )
  })
})

describe('a trace', () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const own = '00-00000000000000000000000000000001-0000000000000001-00'

  for (const [what, headers, properties, expected] of [
    ['is carried from the request to the handler', { traceparent }, undefined, { traceparent }],
    [
      'brings its state along',
      { traceparent, tracestate: 'a=1' },
      { x: 'y' },
      { traceparent, tracestate: 'a=1', x: 'y' },
    ],
    ['gives way to the message’s own', { traceparent }, { traceparent: own }, { traceparent: own }],
    ['that is none is left out', { traceparent: 'x'.repeat(9_000) }, undefined, {}],
  ] as const) {
    it(what, async (t) => {
      const client = await setting(t)
      const publish = publisher({ topics: ['orders'], producerGroup: 'shop', client })
      const event = httpEvent('POST', '/topics/orders/messages', {
        body: 'x',
        tag: 'traced',
        ...(properties && { properties }),
      })
      const seen: unknown[] = []

      const answer = await publish({ ...event, headers: { ...event.headers, ...headers } }, lambdaContext())
      await consume(
        client,
        async ({ records }) =>
          void seen.push(
            ...Object.values(records)
              .flat()
              .map((each) => ({ ...each.properties })),
          ),
        { filter: 'traced', logger: noting().logger },
      )

      assert.deepStrictEqual('statusCode' in answer && answer.statusCode, 200)
      assert.deepStrictEqual(seen, [expected])
    })
  }
})
