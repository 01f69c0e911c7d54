/** Consuming by pops: the event source in mode `pop`, on the local broker. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { deflateSync } from 'node:zlib'
import { type Client, createClient, createProducer, createPullConsumer } from '../../../src/index.ts'
import {
  type EventSourceOptions,
  type EventSourceResult,
  eventSource,
  type RecordHandler,
  type RocketMQEvent,
  type RocketMQRecord,
} from '../../../src/lambda/index.ts'
import { type LocalBroker, lambdaContext, scheduledEvent, startBroker } from '../../../src/testing/index.ts'
import { decodeStored } from '../../../src/wire/message.ts'
import { sendCompressed, sendUndecodable } from '../../support/consuming.ts'

const QUIET = { debug: () => undefined, info: () => undefined, warn: () => undefined }
/** Beyond what a popped message is hidden for. */
const HIDDEN_MS = 65_000

async function setting(t: TestContext, count: number): Promise<{ broker: LocalBroker; client: Client }> {
  const broker = await startBroker({ topics: { orders: { queues: 2 } } })
  const client = createClient({ nameServers: broker.nameServers })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const producer = createProducer(client, { producerGroup: 'shop' })
  for (let n = 0; n < count; n++) await producer.send({ topic: 'orders', body: String(n) })
  return { broker, client }
}

async function run(
  client: Client,
  handle: RecordHandler,
  options: Partial<EventSourceOptions> = {},
  remainingMs = 6_000,
): Promise<EventSourceResult> {
  const handler = eventSource(
    { topic: 'orders', consumerGroup: 'billing', mode: 'pop', client, logger: QUIET, ...options },
    handle,
  )
  return await handler(scheduledEvent(), lambdaContext({ remainingMs }))
}

const flat = (event: RocketMQEvent): RocketMQRecord[] => Object.values(event.records).flat()
const bodies = (event: RocketMQEvent): string[] => flat(event).map(({ body }) => body.toString())
const failing =
  (...wrong: string[]): RecordHandler =>
  async (event) => ({
    batchItemFailures: flat(event)
      .filter(({ body }) => wrong.includes(body.toString()))
      .map(({ recordId }) => ({ itemIdentifier: recordId })),
  })

describe('in mode pop', () => {
  it('records are handled in batches, acknowledged, and do not come again', async (t) => {
    const { broker, client } = await setting(t, 70)
    const batches: string[][] = []

    const result = await run(client, async (event) => void batches.push(bodies(event)), { batchSize: 40 })
    await broker.clock.advance(HIDDEN_MS)
    const again = await run(client, async () => assert.fail('all were acknowledged'))

    assert.deepStrictEqual([result.handled, again.handled, batches.flat().length], [70, 0, 70])
    assert.deepStrictEqual(new Set(batches.flat()).size, 70)
    assert.ok(batches.every(({ length }) => length <= 40))
  })

  it('batches are full while there is enough, whatever a single pop gives', async (t) => {
    const { client } = await setting(t, 70)
    const sizes: number[] = []

    await run(client, async (event) => void sizes.push(flat(event).length), { batchSize: 50 })

    assert.deepStrictEqual(sizes, [50, 20])
  })

  it('what one broker gave is handled when another is away, and the invocation tells and fails', async (t) => {
    const broker = await startBroker({ brokers: 2, topics: { orders: { queues: 1 } } })
    const client = createClient({ nameServers: broker.nameServers })
    t.after(async () => {
      await client.close()
      await broker.close()
    })
    const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
    await createProducer(client, { producerGroup: 'shop' }).send({ topic: 'orders', body: 'a', queue })
    broker.faults.add({ fault: 'refuse', code: 200_050, server: 'broker-b', responseCode: 1 })
    const handled: string[] = []
    const told: unknown[] = []
    const logger = {
      ...QUIET,
      info: (_: string, { handled: count }: Record<string, unknown>) => void told.push(count),
    }

    const failed = run(client, async (event) => void handled.push(...bodies(event)), { logger })

    await assert.rejects(failed, { responseCode: 1 })
    assert.deepStrictEqual([handled, told], [['a'], [1]])
  })

  it('a record that failed comes again after its delay, as a retry, and the others do not', async (t) => {
    const { broker, client } = await setting(t, 3)
    const seen: [string, number, string, string][] = []

    const first = await run(client, failing('1'))
    await broker.clock.advance(9_000)
    const early = await run(client, async () => assert.fail('it is too early'))
    await broker.clock.advance(6_000)
    await run(client, async (event) => {
      for (const each of flat(event))
        seen.push([each.body.toString(), each.reconsumeTimes, each.topic, each.sourceTopic])
    })

    assert.deepStrictEqual([first.handled, first.failed, first.sentBack, early.handled], [2, 1, 1, 0])
    assert.deepStrictEqual(seen, [['1', 1, 'orders', '%RETRY%billing_orders']])
  })

  it('a record whose attempts are used up becomes a dead letter', async (t) => {
    const { broker, client } = await setting(t, 1)
    const results: number[][] = []

    for (let attempt = 0; attempt < 4; attempt++) {
      const result = await run(client, failing('0'), { maximumRetryAttempts: 2, retryLevels: [1] })
      results.push([result.failed, result.sentBack, result.deadLettered])
      await broker.clock.advance(HIDDEN_MS)
    }

    assert.deepStrictEqual(results, [
      [1, 1, 0],
      [1, 1, 0],
      [1, 0, 1],
      [0, 0, 0],
    ])
    assert.deepStrictEqual(
      broker.messages('%DLQ%billing').map(({ body }) => body.toString()),
      ['0'],
    )
  })

  it('a handler that throws fails its batch, and nothing more is popped', async (t) => {
    const { broker, client } = await setting(t, 10)
    let calls = 0

    const running = run(
      client,
      () => {
        calls += 1
        return Promise.reject(new RangeError('down'))
      },
      { batchSize: 4 },
    )
    await assert.rejects(running, /down/)
    const others = await run(client, async () => undefined)
    await broker.clock.advance(HIDDEN_MS)
    const rest = await run(client, async () => undefined)

    assert.deepStrictEqual([calls, others.handled, rest.handled], [1, 6, 4])
  })

  it('what an invocation was killed with comes again when it is no longer hidden', async (t) => {
    const { broker, client } = await setting(t, 2)

    await assert.rejects(
      run(client, () => new Promise(() => undefined), {}, 3_500),
      { code: 'RMQ_DEADLINE' },
    )
    await broker.clock.advance(5_000)
    const within = await run(client, async () => assert.fail('it is hidden'))
    await broker.clock.advance(HIDDEN_MS)
    const after = await run(client, async () => undefined)

    assert.deepStrictEqual([within.handled, after.handled], [0, 2])
  })

  it('what is being handled stays hidden for as long as that takes', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { broker, client } = await setting(t, 1)
    const began = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const handled: string[] = []

    const running = run(
      client,
      async (event) => {
        began.resolve()
        await go.promise
        handled.push(...bodies(event))
      },
      {},
      400_000,
    )
    await began.promise
    for (let n = 0; n < 6; n++) {
      await broker.clock.advance(20_000)
      t.mock.timers.tick(20_000)
      await settled()
    }
    const meanwhile = await run(client, async () => assert.fail('it is being handled'), {}, 400_000)
    go.resolve()
    const { handled: count } = await running
    await broker.clock.advance(HIDDEN_MS)
    const after = await run(client, async () => assert.fail('it was acknowledged'), {}, 400_000)

    assert.deepStrictEqual([meanwhile.handled, count, handled, after.handled], [0, 1, ['0'], 0])
  })

  it('is acknowledged by its last receipt when its handler ends while it is being hidden for longer', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { broker, client } = await setting(t, 1)
    const held = broker.faults.add({ fault: 'delay', code: 200_053, ms: 5_000, times: 1 })
    const began = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()

    const running = run(
      client,
      async () => {
        began.resolve()
        await go.promise
      },
      {},
      400_000,
    )
    await began.promise
    await broker.clock.advance(20_000)
    t.mock.timers.tick(20_000)
    while (held.hits === 0) await settled()
    go.resolve()
    await settled()
    await broker.clock.advance(5_000)
    t.mock.timers.tick(5_000)
    const { handled } = await running
    await broker.clock.advance(HIDDEN_MS)
    const after = await run(client, async () => assert.fail('it was acknowledged'), {}, 400_000)

    assert.deepStrictEqual([handled, after.handled], [1, 0])
  })

  it('a body that cannot be decoded fails with its reason, and is a dead letter as it was sent in the end', async (t) => {
    const { broker, client } = await setting(t, 1)
    await sendUndecodable(client)
    const told: unknown[] = []
    const logger = { ...QUIET, warn: (...line: unknown[]) => void told.push(line) }
    const handled: string[] = []
    const handle: RecordHandler = async (event) => void handled.push(...bodies(event))

    const first = await run(client, handle, { maximumRetryAttempts: 1, retryLevels: [1], logger })
    await broker.clock.advance(2_000)
    const last = await run(client, handle, { maximumRetryAttempts: 1 })
    await broker.clock.advance(HIDDEN_MS)
    const after = await run(client, handle)

    assert.deepStrictEqual(handled, ['0'])
    assert.deepStrictEqual(
      [first, last, after].map(({ failed, sentBack, deadLettered }) => [failed, sentBack, deadLettered]),
      [
        [1, 1, 0],
        [1, 0, 1],
        [0, 0, 0],
      ],
    )
    assert.match(first.failure ?? '', /^record orders\/broker-a\/0\/\d cannot be decoded: /)
    assert.match(last.failure ?? '', /^record %RETRY%billing_orders\/broker-a\/0\/0 cannot be decoded: /)
    const undecodable = first.failure
    assert.deepStrictEqual(told, [
      ['messages cannot be decoded', { consumerGroup: 'billing', topic: 'orders', undecodable }],
    ])
    const dead = { topic: '%DLQ%billing', brokerName: 'broker-a', queueId: 0 }
    const { undecodable: letters } = await createPullConsumer(client, { consumerGroup: 'judge' }).pull(
      dead,
      0n,
    )
    assert.deepStrictEqual(
      letters.map(({ bytes }) => decodeStored(bytes)?.body.toString()),
      ['not zlib'],
    )
  })

  it('a body that its schema refuses fails with a reason that quotes nothing of it', async (t) => {
    const { client } = await setting(t, 1)
    const lines: unknown[] = []
    const tell = (...line: unknown[]): void => void lines.push(line)
    const validate = (): object => ({ issues: [{ message: 'not 0, please' }] })
    const schema = { '~standard': { version: 1, vendor: 'own', validate } }

    const options = { schema, logger: { ...QUIET, info: tell, warn: tell } } as Partial<EventSourceOptions>
    const result = await run(client, async () => assert.fail('it does not fit'), options)

    assert.deepStrictEqual([result.failed, result.sentBack, lines.length], [1, 1, 1])
    assert.match(result.failure ?? '', /^record orders\/broker-a\/\d\/0 does not fit the schema$/)
    assert.ok(!JSON.stringify(lines).includes('please'))
  })

  it('is not handed over when the rest of the time was used up by what does not fit', async (t) => {
    const { broker, client } = await setting(t, 2)
    broker.faults.add({ fault: 'drop', code: 200053 })
    const validate = (value: unknown): object => (value === 0 ? { issues: [{ message: 'is 0' }] } : { value })
    const schema = { '~standard': { version: 1, vendor: 'own', validate } }

    let calls = 0
    const handle: RecordHandler = async () => void calls++

    const running = run(client, handle, { schema } as Partial<EventSourceOptions>, 3_500)

    await assert.rejects(running, { code: 'RMQ_DEADLINE' })
    assert.deepStrictEqual(calls, 0)
  })

  it('a sound body for which there was no memory besides the others is given back, which is no attempt', async (t) => {
    const { broker, client } = await setting(t, 0)
    const body = deflateSync(Buffer.alloc(15 << 20))
    for (let n = 0; n < 5; n++) await sendCompressed(client, body)
    const sizes: number[] = []
    const handle: RecordHandler = async (event) => {
      sizes.push(...flat(event).map((record) => record.body.length + record.reconsumeTimes))
    }

    // 60 MB take a busy machine its time.
    const first = await run(client, handle, {}, 30_000)
    await broker.clock.advance(1_000)
    const next = await run(client, handle, {}, 30_000)

    assert.deepStrictEqual([first.handled, first.failed, first.failure, next.handled], [4, 0, undefined, 1])
    assert.deepStrictEqual(
      sizes,
      Array.from({ length: 5 }, () => 15 << 20),
    )
  })

  it('what no target was given is given back, which is no attempt', async (t) => {
    const { broker, client } = await setting(t, 3)
    const lambda = { send: () => Promise.reject(new Error('no way there')) }
    const attempts: number[] = []

    const options = { topic: 'orders', consumerGroup: 'billing', mode: 'pop', client, logger: QUIET } as const
    const refused = eventSource({ ...options, target: { functionName: 'target' }, lambda })
    await assert.rejects(refused(scheduledEvent(), lambdaContext({ remainingMs: 6_000 })), /no way there/)
    await broker.clock.advance(1_000)
    const next = await run(client, async (event) => {
      attempts.push(...flat(event).map(({ reconsumeTimes }) => reconsumeTimes))
    })

    assert.deepStrictEqual([next.handled, attempts], [3, [0, 0, 0]])
  })

  it('what was popped besides a batch whose handler threw is given back, which is no attempt', async (t) => {
    const { broker, client } = await setting(t, 1)
    await run(client, failing('0'), { retryLevels: [1] })
    await broker.clock.advance(2_000)
    await createProducer(client, { producerGroup: 'shop' }).send({ topic: 'orders', body: 'other' })
    const thrown: [string, number][] = []
    const seen: [string, number][] = []
    const attempts = (event: RocketMQEvent): [string, number][] =>
      flat(event).map(({ body, reconsumeTimes }) => [body.toString(), reconsumeTimes])

    const outage: RecordHandler = async (event) => {
      thrown.push(...attempts(event))
      throw new RangeError('down')
    }
    await assert.rejects(run(client, outage), /down/)
    await broker.clock.advance(1_000)
    await run(client, async (event) => void seen.push(...attempts(event)))

    assert.deepStrictEqual([thrown.length, seen.length], [1, 1])
    assert.deepStrictEqual(
      new Set([...thrown, ...seen].map(([body, times]) => `${body} ${times}`)),
      new Set(['0 1', 'other 0']),
    )
  })

  it('any number of invocations share a topic, and none handles what another does', async (t) => {
    const { client } = await setting(t, 60)
    const handled: string[] = []
    const handle: RecordHandler = async (event) => {
      handled.push(...bodies(event))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }

    await Promise.all([1, 2, 3].map(async () => await run(client, handle, { batchSize: 5 })))

    assert.deepStrictEqual([handled.length, new Set(handled).size], [60, 60])
  })

  it('an acknowledgement that is refused fails the invocation, and the records come again', async (t) => {
    const { broker, client } = await setting(t, 2)
    const fault = broker.faults.add({
      fault: 'refuse',
      code: [200_051, 200_151],
      responseCode: 1,
      remark: 'no',
      times: 1,
    })

    await assert.rejects(
      run(client, async () => undefined),
      /no/,
    )
    await broker.clock.advance(HIDDEN_MS)
    const again = await run(client, async () => undefined)

    assert.deepStrictEqual([fault.hits, again.handled], [1, 2])
  })

  for (const [field, options] of [
    ['onFailure', { onFailure: 'block' }],
    ['startingPosition', { startingPosition: 'LATEST' }],
    ['dryRun', { dryRun: true }],
  ] as const) {
    it(`${field} ${JSON.stringify(options[field as never])} is refused when the handler is made`, () => {
      const mapping = { topic: 'orders', consumerGroup: 'billing', mode: 'pop' as const, ...options }
      assert.throws(() => eventSource(mapping, async () => undefined), { code: 'RMQ_CONFIG', field })
    })
  }
})

/** Some turns of the loop: for what goes over sockets. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
}
