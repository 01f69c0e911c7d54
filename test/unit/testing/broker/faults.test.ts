/** Every fault as this project's client meets it. */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  type Client,
  createClient,
  createProducer,
  createPullConsumer,
  type PullConsumer,
} from '../../../../src/index.ts'
import { createClock, type FaultRule, type LocalBroker, startBroker } from '../../../../src/testing/index.ts'

const SEND = 310
const COMMIT = 15
const QUEUE = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

interface Bench {
  broker: LocalBroker
  client: Client
  readonly send: (signal?: AbortSignal) => Promise<string>
  consumer: PullConsumer
}

async function withBroker(rules: readonly FaultRule[], run: (b: Bench) => Promise<void>) {
  await using broker = await startBroker({ topics: { orders: { queues: 1 } }, clock: createClock() })
  broker.createGroup('billing')
  const client = createClient({ nameServers: broker.nameServers, timeoutMs: 20_000 })
  const producer = createProducer(client, { producerGroup: 'p', retries: 0 })
  const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
  try {
    await consumer.queues('orders')
    for (const rule of rules) broker.faults.add(rule)
    await run({
      broker,
      client,
      consumer,
      send: async (signal) => (await producer.send({ topic: 'orders', body: 'x' }, { signal })).status,
    })
  } finally {
    await client.close()
  }
}

const stored = (broker: LocalBroker): number => broker.messages('orders').length

describe('a fault', () => {
  it('delay answers later, by the clock', () =>
    withBroker([{ fault: 'delay', ms: 60_000, code: SEND, times: 1 }], async ({ broker, send }) => {
      let isAnswered = false
      const sending = send().then((status) => {
        isAnswered = true
        return status
      })
      await send() // on the same connection, behind it
      const before = [isAnswered, stored(broker)]
      await broker.clock.advance(60_000)
      deepStrictEqual([before, await sending, stored(broker)], [[false, 1], 'SEND_OK', 2])
    }))

  it('drop neither does nor answers it: the outcome is unknown', () =>
    withBroker([{ fault: 'drop', code: SEND, times: 1 }], async ({ broker, send, consumer }) => {
      const stop = new AbortController()
      const sending = send(stop.signal)
      await consumer.maxOffset(QUEUE) // answered behind it
      stop.abort()
      await rejects(sending, { code: 'RMQ_ABORTED', outcome: 'unknown' })
      deepStrictEqual([stored(broker), await send(), stored(broker)], [0, 'SEND_OK', 1])
    }))

  it('reset ends the connection before it is done', () =>
    withBroker([{ fault: 'reset', code: SEND, times: 1 }], async ({ broker, send }) => {
      await rejects(send(), { code: 'RMQ_CONNECTION_LOST', outcome: 'unknown' })
      deepStrictEqual([stored(broker), await send()], [0, 'SEND_OK'])
    }))

  it('half-frame ends the connection in the middle of the answer, after it is done', () =>
    withBroker([{ fault: 'half-frame', code: SEND, times: 1 }], async ({ broker, send }) => {
      await rejects(send(), { code: 'RMQ_CONNECTION_LOST', outcome: 'unknown' })
      deepStrictEqual([stored(broker), await send()], [1, 'SEND_OK'])
    }))

  it('lose-answer does it and says nothing', () =>
    withBroker([{ fault: 'lose-answer', code: SEND, times: 1 }], async ({ broker, send, consumer }) => {
      const stop = new AbortController()
      const sending = send(stop.signal)
      await consumer.maxOffset(QUEUE) // answered behind it
      stop.abort()
      await rejects(sending, { code: 'RMQ_ABORTED', outcome: 'unknown' })
      deepStrictEqual(stored(broker), 1)
    }))

  it('busy is SYSTEM_BUSY, and a refusal has the code and the text of the rule', () =>
    withBroker(
      [
        { fault: 'busy', code: SEND, times: 1 },
        { fault: 'refuse', responseCode: 14, remark: 'the disk is full', code: SEND, times: 1 },
      ],
      async ({ broker, send }) => {
        await rejects(send(), { responseCode: 2, retryable: true })
        await rejects(send(), { responseCode: 14, remark: 'the disk is full' })
        deepStrictEqual([stored(broker), await send()], [0, 'SEND_OK'])
      },
    ))

  it('freeze stops one server in its tracks, until its time is over', () =>
    withBroker(
      [{ fault: 'freeze', ms: 30_000, code: SEND, times: 1 }],
      async ({ broker, send, consumer }) => {
        let answers = 0
        const count = <T>(value: T): T => {
          answers++
          return value
        }
        const waiting = [send().then(count), consumer.maxOffset(QUEUE).then(count)]
        await consumer.queues('orders') // the name server goes on
        const before = answers
        while (stored(broker) === 0) await new Promise(setImmediate)
        await broker.clock.advance(30_000)
        deepStrictEqual([before, await Promise.all(waiting)], [0, ['SEND_OK', 1n]])
      },
    ))

  it('kill takes a broker away and loses what was not saved, and brings it back on its address', () =>
    withBroker([], async ({ broker, send, consumer }) => {
      await send()
      await consumer.commitOffset(QUEUE, 5n)
      await broker.clock.advance(15_000) // saved
      await consumer.commitOffset(QUEUE, 9n)
      await consumer.lock([QUEUE])
      broker.faults.add({ fault: 'kill', ms: 1_000, code: SEND, times: 1 })
      await rejects(send())
      await rejects(send(), { outcome: 'not-sent' })
      await broker.clock.advance(1_000)
      while (!broker.brokers[0]?.isRunning) await new Promise(setImmediate)
      // Another client: the first one lets an address rest that has refused it.
      const fresh = createClient({ nameServers: broker.nameServers })
      const other = createPullConsumer(fresh, { consumerGroup: 'billing' })
      deepStrictEqual(
        [await other.committedOffset(QUEUE), await other.lock([QUEUE]), stored(broker)],
        [5n, [QUEUE], 1],
      )
      await fresh.close()
    }))

  it('of a name server leaves the brokers alone', () =>
    withBroker([{ fault: 'refuse', responseCode: 1, server: 'name-server' }], async ({ send, consumer }) => {
      deepStrictEqual(await send(), 'SEND_OK') // by the route that it has
      await rejects(consumer.queues('payments'), { responseCode: 1 })
    }))
})

describe('a rule', () => {
  it('strikes only its codes, its topic and its number of times, after those it lets through', () =>
    withBroker([], async ({ broker, send, consumer }) => {
      const other = broker.faults.add({ fault: 'busy', code: [SEND, COMMIT], topic: 'payments' })
      const rule = broker.faults.add({ fault: 'busy', code: SEND, topic: 'orders', after: 1, times: 1 })
      const outcomes: string[] = []
      for (let n = 0; n < 3; n++) outcomes.push(await send().catch(() => 'busy'))
      await consumer.commitOffset(QUEUE, 1n)
      deepStrictEqual([outcomes, rule.hits, other.hits], [['SEND_OK', 'busy', 'SEND_OK'], 1, 0])
    }))

  it('with a probability strikes the same requests for the same seed', async () => {
    const run = async (seed: number): Promise<string> => {
      let outcomes = ''
      await withBroker([{ fault: 'busy', code: SEND, probability: 0.5, seed }], async ({ send }) => {
        for (let n = 0; n < 20; n++)
          outcomes += await send().then(
            () => '.',
            () => 'x',
          )
      })
      return outcomes
    }
    const [first, second, other] = [await run(1), await run(1), await run(2)]
    ok(first.includes('x') && first.includes('.'))
    deepStrictEqual([first === second, first === other], [true, false])
  })

  it('ends when it is removed', () =>
    withBroker([], async ({ broker, send }) => {
      broker.faults.add({ fault: 'busy', code: SEND }).remove()
      broker.faults.add({ fault: 'busy', code: SEND })
      broker.faults.clear()
      deepStrictEqual(await send(), 'SEND_OK')
    }))

  it('that says too little, or something that there is not, is refused', async () => {
    await using broker = await startBroker()
    const wrong: [FaultRule, string][] = [
      [{ fault: 'delay' }, 'ms'],
      [{ fault: 'refuse' }, 'responseCode'],
      [{ fault: 'busy', probability: 2 }, 'probability'],
      [{ fault: 'explode' as 'drop' }, 'fault'],
      [{ fault: 'busy', codes: 310 } as FaultRule, 'codes'],
      [{ fault: 'busy', code: [310, '320' as unknown as number] }, 'code'],
      [{ fault: 'busy', times: -1 }, 'times'],
      [{ fault: 'busy', after: 0.5 }, 'after'],
      [{ fault: 'delay', ms: -1 }, 'ms'],
      [{ fault: 'busy', server: 'broker-b' }, 'server'],
      [{ fault: 'busy', probability: 0.5, seed: 'x' as unknown as number }, 'seed'],
      [{ fault: 'refuse', responseCode: Number.NaN }, 'responseCode'],
      ['busy' as unknown as FaultRule, 'fault rule'],
    ]
    for (const [rule, field] of wrong)
      await rejects(async () => broker.faults.add(rule), { code: 'RMQ_CONFIG', field })
  })
})
