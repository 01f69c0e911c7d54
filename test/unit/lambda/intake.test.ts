/** How batches are made: sizes, windows, several at once. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { ReadAheadOptions } from '../../../src/client/puller.ts'
import { type Client, createClient, createProducer } from '../../../src/index.ts'
import {
  type EventSourceResult,
  eventSource,
  type RecordHandler,
  type RocketMQEvent,
  type RocketMQRecord,
} from '../../../src/lambda/index.ts'
import { Intake } from '../../../src/lambda/intake.ts'
import type { QueueProgress } from '../../../src/lambda/queue-progress.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../../src/testing/index.ts'

const flat = (event: RocketMQEvent): RocketMQRecord[] => Object.values(event.records).flat()

async function run(
  client: Client,
  handle: RecordHandler,
  options: object = {},
  remainingMs = 6_000,
): Promise<EventSourceResult> {
  const handler = eventSource({ topic: 'orders', consumerGroup: 'billing', client, ...options }, handle)
  return await handler(scheduledEvent(), lambdaContext({ remainingMs }))
}

const INTAKE = {
  batchSize: 1_000,
  windowMs: 0,
  parallelizationFactor: 1,
  mostAttempts: 16,
  onUndecodable: () => undefined,
}

/** A queue that has as much as is asked of it. */
const endlessQueue = (queueId: number): QueueProgress => {
  const waiting: object[] = []
  const queue = {
    queue: { topic: 'orders', brokerName: 'broker-a', queueId },
    waiting,
    bytes: 0,
    lookedAt: 0,
    isPulling: false,
    take: (count: number) => waiting.splice(0, count),
    async pull() {
      queue.isPulling = true
      await setImmediate()
      waiting.push(...Array.from({ length: 32 }, () => ({ systemProperties: {} })))
      queue.isPulling = false
      return []
    },
  }
  return queue as unknown as QueueProgress
}

describe('batches', () => {
  it('are no reason to read on while 32 MiB wait, whatever their number', async () => {
    const read: number[] = []
    const queue = (queueId: number, bytes: number): QueueProgress =>
      ({
        queue: { topic: 'orders', brokerName: 'broker-a', queueId },
        waiting: [],
        bytes,
        lookedAt: 0,
        pull: async () => {
          read.push(queueId)
          return []
        },
      }) as unknown as QueueProgress
    const options = { ...INTAKE, end: Date.now() + 100 }

    await new Intake([queue(0, 32 << 20)], options).next()
    const full = read.length
    await new Intake([queue(1, (32 << 20) - 1)], options).next()

    assert.deepStrictEqual([full, read.includes(1)], [0, true])
  })

  it('are read ahead while there is room, and what was asked for ahead is taken in any case', async () => {
    const read: unknown[] = []
    const queue = (bytes: number, isAhead: boolean): QueueProgress => {
      const own = {
        queue: { topic: 'orders', brokerName: 'broker-a', queueId: 0 },
        waiting: [],
        bytes,
        lookedAt: 0,
        isAhead,
        isDrained: false,
        async pull({ readAhead }: ReadAheadOptions) {
          read.push(readAhead?.())
          own.isAhead = false
          own.isDrained = true
          own.lookedAt = Date.now()
          return []
        },
      }
      return own as unknown as QueueProgress
    }
    const options = { ...INTAKE, end: Date.now() + 100 }

    await new Intake([queue(0, false)], options).next()
    await new Intake([queue(32 << 20, true)], options).next()
    await new Intake([queue(32 << 20, false)], options).next()

    assert.deepStrictEqual(read, [true, false])
  })

  it('are full while there is enough, whatever a single pull gives', async () => {
    await using broker = await startBroker({ topics: { orders: { queues: 4 } } })
    await using closing = closed(createClient({ nameServers: broker.nameServers }))
    const { client } = closing
    const messages = Array.from({ length: 250 }, (_, n) => ({ body: String(n) }))
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (let queueId = 0; queueId < 4; queueId++)
      await producer.sendBatch(
        'orders',
        messages.map((each) => ({ ...each, queue: { topic: 'orders', brokerName: 'broker-a', queueId } })),
      )
    const sizes: number[] = []

    const { handled } = await run(client, async (event) => void sizes.push(flat(event).length), {
      batchSize: 400,
      maximumBatchingWindowInSeconds: 1,
    })

    assert.deepStrictEqual(
      [handled, sizes.slice(0, 2), sizes.reduce((a, b) => a + b)],
      [1_000, [400, 400], 1_000],
    )
  })

  it('are full also when one of many queues has it all', async () => {
    await using broker = await startBroker({ topics: { orders: { queues: 8 } } })
    await using closing = closed(createClient({ nameServers: broker.nameServers }))
    const { client } = closing
    const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 3 }
    const messages = Array.from({ length: 300 }, (_, n) => ({ body: String(n), queue }))
    await createProducer(client, { producerGroup: 'shop' }).sendBatch('orders', messages)
    const sizes: number[] = []

    await run(client, async (event) => void sizes.push(flat(event).length), {
      batchSize: 100,
      maximumBatchingWindowInSeconds: 2,
    })

    assert.deepStrictEqual(sizes, [100, 100, 100])
  })

  it('take from half of the queues while these have enough, and from the others next', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() }) // a batch waits for pulls, however slow the machine
    const options = { ...INTAKE, batchSize: 200, end: Date.now() + 60_000 }
    const intake = new Intake([0, 1, 2, 3].map(endlessQueue), options)
    const batches: [number, number][][] = []

    for (let n = 0; n < 6; n++) {
      const batch = await intake.next()
      if (batch) batches.push(Array.from(batch.parts, ([{ queue }, { length }]) => [queue.queueId, length]))
    }
    await intake.close()

    const [first = [], second = []] = batches
    assert.deepStrictEqual(
      [new Map([...first, ...second]), batches],
      [new Map([0, 1, 2, 3].map((queueId) => [queueId, 100])), [first, second, first, second, first, second]],
    )
  })

  it('are kept open for the window, and closed when they are full', async () => {
    await using broker = await startBroker({ topics: { orders: { queues: 2 } } })
    await using closing = closed(createClient({ nameServers: broker.nameServers }))
    const { client } = closing
    const producer = createProducer(client, { producerGroup: 'shop' })
    await producer.send({ topic: 'orders', body: 'a' })
    const later = setTimeout(() => void producer.send({ topic: 'orders', body: 'b' }), 300)
    const batches: string[][] = []

    await run(
      client,
      async (event) => void batches.push(flat(event).map(({ body }) => body.toString())),
      { maximumBatchingWindowInSeconds: 5, batchSize: 2 },
      20_000,
    )

    clearTimeout(later)
    assert.deepStrictEqual(
      batches.map((each) => each.toSorted()),
      [['a', 'b']],
    )
  })

  it('need a window that is shorter than the invocation', async () => {
    const client = createClient({ nameServers: '127.0.0.1:1' })

    await assert.rejects(
      run(client, async () => undefined, { maximumBatchingWindowInSeconds: 10 }),
      {
        code: 'RMQ_CONFIG',
        message: /^maximumBatchingWindowInSeconds: must be shorter than the invocation.*, got 10; raise/,
      },
    )
  })

  it('are closed in time to be handled when the window is nearly as long as the invocation', async () => {
    await using broker = await startBroker({ topics: { orders: { queues: 2 } } })
    await using closing = closed(createClient({ nameServers: broker.nameServers }))
    const { client } = closing
    await createProducer(client, { producerGroup: 'shop' }).send({ topic: 'orders', body: 'a' })
    const options = { maximumBatchingWindowInSeconds: 5 }

    const [pulled, popped] = await Promise.all([
      run(client, async () => undefined, options, 6_300),
      run(client, async () => undefined, { ...options, mode: 'pop', consumerGroup: 'p' }, 6_300),
    ])

    assert.deepStrictEqual([pulled.handled, popped.handled], [1, 1])
  })
})

describe('with parallelizationFactor', () => {
  it('batches are handled at once, and the messages of a sharding key one after the other', async () => {
    await using broker = await startBroker({ topics: { orders: { queues: 1 } } })
    await using closing = closed(createClient({ nameServers: broker.nameServers }))
    const { client } = closing
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (let n = 0; n < 40; n++)
      await producer.send({ topic: 'orders', body: String(n), shardingKey: `customer-${n % 8}` })
    let running = 0
    let most = 0
    const busy = new Set<string>()
    const seen = new Map<string, number[]>()
    const handle: RecordHandler = async (event) => {
      most = Math.max(most, ++running)
      const keys = new Set(flat(event).map(({ body }) => `customer-${Number(body.toString()) % 8}`))
      for (const key of keys) assert.ok(!busy.has(key), `${key} is in two batches`)
      for (const key of keys) busy.add(key)
      await new Promise((resolve) => setTimeout(resolve, 5))
      for (const { body } of flat(event)) {
        const number = Number(body.toString())
        const key = `customer-${number % 8}`
        seen.set(key, [...(seen.get(key) ?? []), number])
      }
      for (const key of keys) busy.delete(key)
      running -= 1
    }

    const { handled } = await run(client, handle, { parallelizationFactor: 4, batchSize: 2 })

    assert.deepStrictEqual([handled, most], [40, 4])
    for (const numbers of seen.values())
      assert.deepStrictEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      )
  })

  it('one batch is sent back when the handler throws for all of them, the others stay where they are', async () => {
    await using broker = await startBroker({ topics: { orders: { queues: 1 } } })
    await using closing = closed(createClient({ nameServers: broker.nameServers }))
    const { client } = closing
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (const body of ['a', 'b', 'c']) await producer.send({ topic: 'orders', body })
    const all = Promise.withResolvers<void>()
    let calls = 0
    const down: RecordHandler = async () => {
      calls += 1
      if (calls === 3) all.resolve()
      await all.promise
      throw new RangeError('down')
    }

    await assert.rejects(run(client, down, { parallelizationFactor: 3, batchSize: 1 }), /down/)
    await broker.clock.advance(11_000)

    assert.deepStrictEqual([calls, broker.messages('%RETRY%billing').length], [3, 1])
  })

  it('the offset stays before the lowest message that is not handled', async () => {
    await using broker = await startBroker({ topics: { orders: { queues: 1 } } })
    await using closing = closed(createClient({ nameServers: broker.nameServers }))
    const { client } = closing
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (let n = 0; n < 6; n++)
      await producer.send({ topic: 'orders', body: String(n), shardingKey: `key-${n}` })
    const others = Promise.withResolvers<void>()
    let calls = 0
    const handle: RecordHandler = async (event) => {
      const [record] = flat(event)
      if (++calls === 6) others.resolve()
      if (record?.offset !== '1') return
      await others.promise // the other five were handed over meanwhile
      return { batchItemFailures: [{ itemIdentifier: record.recordId }] }
    }

    const result = await run(client, handle, { parallelizationFactor: 3, batchSize: 1, onFailure: 'block' })

    const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
    assert.deepStrictEqual(
      [broker.committedOffset('billing', queue), result.handled, result.failed],
      [1n, 1, 1],
    )
  })
})

const closed = (client: Client): { client: Client } & AsyncDisposable => ({
  client,
  [Symbol.asyncDispose]: () => client.close(),
})
