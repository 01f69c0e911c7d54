/** Invocations that overlap, and what else may move a group's offset meanwhile: the leases and commits of the event source. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { InvokeBrokerToResetOffset } from '../../../src/commands/consumer-requests.ts'
import { TimeoutError } from '../../../src/errors.ts'
import {
  type Client,
  createClient,
  createProducer,
  createPullConsumer,
  type MessageQueue,
  type PullConsumer,
} from '../../../src/index.ts'
import {
  type EventSourceResult,
  eventSource,
  type RecordHandler,
  type RocketMQEvent,
} from '../../../src/lambda/index.ts'
import { type Leases, takeLeases } from '../../../src/lambda/leases.ts'
import { type LocalBroker, lambdaContext, scheduledEvent, startBroker } from '../../../src/testing/index.ts'
import { sendUndecodable } from '../../support/consuming.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'

const QUEUE = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

async function setting(
  t: TestContext,
  queues = 1,
  timeoutMs = 2_000,
): Promise<{ broker: LocalBroker; client: Client }> {
  const broker = await startBroker({ topics: { orders: { queues } } })
  const client = createClient({ nameServers: broker.nameServers, timeoutMs })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  return { broker, client }
}

async function publish(client: Client, count: number, queueId = 0): Promise<void> {
  const producer = createProducer(client, { producerGroup: 'shop' })
  for (let n = 0; n < count; n++)
    await producer.send({ topic: 'orders', body: String(n), queue: { ...QUEUE, queueId } })
}

async function run(
  client: Client,
  handle: RecordHandler,
  options: object = {},
  event: object = scheduledEvent(),
  remainingMs = 6_000,
): Promise<EventSourceResult> {
  const handler = eventSource({ topic: 'orders', consumerGroup: 'billing', client, ...options }, handle)
  return await handler(event, lambdaContext({ remainingMs }))
}

const bodies = (event: RocketMQEvent): string[] =>
  Object.values(event.records)
    .flat()
    .map(({ body }) => body.toString())

describe('invocations at once', () => {
  it('handle no record twice: what one holds the other leaves', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 10)
    const began = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const handled: string[] = []

    const first = run(client, async (event) => {
      began.resolve()
      await go.promise
      handled.push(...bodies(event))
    })
    await began.promise
    const second = await run(client, async () => assert.fail('it is held by the first'))
    go.resolve()
    const { handled: count } = await first

    assert.deepStrictEqual([second.handled, second.leftToOthers, second.queues], [0, 1, []])
    assert.deepStrictEqual([count, handled.length, broker.committedOffset('billing', QUEUE)], [10, 10, 10n])
  })

  it('follow each other at once after a normal end, and after 60 s when one was killed', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 1)
    const killed = createPullConsumer(client, { consumerGroup: 'billing' })

    await run(client, async () => undefined)
    await killed.lock([QUEUE])
    const within = await run(client, async () => undefined)
    await broker.clock.advance(60_500)
    const after = await run(client, async () => undefined)

    assert.deepStrictEqual([within.leftToOthers, after.leftToOthers], [1, 0])
  })

  it('give the queues back also when the handler has thrown', async (t) => {
    const { client } = await setting(t)
    await publish(client, 1)

    await assert.rejects(
      run(client, () => Promise.reject(new RangeError('down'))),
      /down/,
    )
    const next = await run(client, async () => undefined)

    assert.deepStrictEqual([next.leftToOthers], [0])
  })

  it('share the queues of a group that begins: whoever holds queue 0 sets where each begins', async (t) => {
    const { broker, client } = await setting(t, 2)
    await publish(client, 3, 1)
    const latest = { startingPosition: 'LATEST' }
    const payload = (queueId: number): object => ({
      version: 1,
      eventSource: 'orders',
      queues: [{ ...QUEUE, queueId }],
    })

    const one = await run(client, async () => undefined, latest, payload(1))
    const before = broker.committedOffset('billing', { ...QUEUE, queueId: 1 })
    await run(client, async () => undefined, latest, payload(0))
    const offsets = [0, 1].map((queueId) => broker.committedOffset('billing', { ...QUEUE, queueId }))
    await publish(client, 1, 1)
    const two = await run(client, async () => undefined, latest, payload(1))

    assert.deepStrictEqual([one.leftToOthers, before, offsets, two.handled], [1, undefined, [0n, 3n], 1])
  })
})

describe('a lease before a batch is handed out', () => {
  /** A broker that grants everything, and what it was asked for. */
  async function leased(
    t: TestContext,
  ): Promise<{ leases: Leases; asked: string[][]; limits: { deadlineMs: number } }> {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const asked: string[][] = []
    const consumer = {
      lock: async (queues: readonly MessageQueue[]) => {
        asked.push(queues.map(({ queueId }) => String(queueId)))
        return [...queues]
      },
      unlock: async () => undefined,
    }
    const limits = { deadlineMs: Date.now() + 900_000 }
    const queues = [QUEUE, { ...QUEUE, queueId: 1 }]
    const leases = await takeLeases(consumer as unknown as PullConsumer, queues, limits)
    t.after(async () => await leases.release(limits))
    asked.length = 0
    return { leases, asked, limits }
  }

  it('is asked for again when a moment has passed, and for its own queues only', async (t) => {
    const { leases, asked, limits } = await leased(t)

    await leases.confirm([QUEUE], limits)
    t.mock.timers.tick(600)
    await leases.confirm([QUEUE], limits)
    await leases.confirm([QUEUE], limits)

    assert.deepStrictEqual([asked, leases.holds(QUEUE)], [[['0']], true])
  })

  it('counts as lost when it may have been another’s meanwhile, as after a suspension', async (t) => {
    const { leases, asked, limits } = await leased(t)

    t.mock.timers.tick(50_000)
    await leases.confirm([QUEUE], limits)

    assert.deepStrictEqual([asked, leases.holds(QUEUE)], [[], false])
  })
})

describe('a batch that waits behind another queue’s', () => {
  for (const onFailure of ['block', 'retry']) {
    it(`is not handed over when its queue has become another’s: ${onFailure}`, async (t) => {
      const { broker, client } = await setting(t, 2)
      await publish(client, 1, 0)
      await publish(client, 1, 1)
      const other = createPullConsumer(client, { consumerGroup: 'billing' })
      const handled: number[] = []

      const result = await run(
        client,
        async ({ records }) => {
          const queueIds = Object.values(records).flatMap((some) => some.map(({ queueId }) => queueId))
          handled.push(...queueIds)
          await broker.clock.advance(60_500)
          await other.lock(
            [0, 1].filter((id) => !queueIds.includes(id)).map((id) => ({ ...QUEUE, queueId: id })),
          )
        },
        { onFailure, batchSize: 1 },
      )

      const left = result.queues.filter(({ stopped }) => stopped === 'its lease was lost')
      assert.deepStrictEqual([handled.length, result.handled], [1, 1])
      assert.deepStrictEqual(
        left.map(({ queueId }) => queueId),
        [0, 1].filter((id) => !handled.includes(id)),
      )
    })
  }
})

describe('a commit', () => {
  it('is left out when somebody else has moved the group on, and moves nothing back', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 10)
    const other = createPullConsumer(client, { consumerGroup: 'billing' })

    const result = await run(client, async () => await other.commitOffset(QUEUE, 7n), { batchSize: 5 })

    assert.match(result.queues[0]?.stopped ?? '', /somebody else has moved the group to 7/)
    assert.deepStrictEqual([result.handled, broker.committedOffset('billing', QUEUE)], [0, 7n])
  })

  it('whose answers were lost is no reason to hand anything over again', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 40)
    broker.faults.add({ fault: 'lose-answer', code: 15, after: 1, times: 2 })
    const handled: string[] = []
    const handle: RecordHandler = async (event) => void handled.push(...bodies(event))

    const first = run(client, handle, { batchSize: 10 }, scheduledEvent(), 15_000)
    await assert.rejects(first, { code: 'RMQ_TIMEOUT' })
    const next = await run(client, handle, { batchSize: 10 })

    assert.deepStrictEqual([next.remainingLag, handled], [0, Array.from({ length: 40 }, (_, n) => String(n))])
  })

  it('is left out when the lease is another’s', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 2)
    const other = createPullConsumer(client, { consumerGroup: 'billing' })

    const result = await run(client, async () => {
      await broker.clock.advance(60_500)
      await other.lock([QUEUE])
    })

    assert.match(result.queues[0]?.stopped ?? '', /lease was lost/)
    assert.deepStrictEqual([result.handled, broker.committedOffset('billing', QUEUE)], [0, 0n])
  })

  it('between two attempts that finds the lease lost ends the attempts', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 2)
    const other = createPullConsumer(client, { consumerGroup: 'billing' })
    let calls = 0

    const result = await run(
      client,
      async () => {
        calls += 1
        await broker.clock.advance(61_000)
        await other.lock([QUEUE])
        return { batchItemFailures: [{ itemIdentifier: 'orders/broker-a/0/1' }] }
      },
      { onFailure: 'block', maximumRetryAttempts: 3 },
    )

    assert.deepStrictEqual([calls, result.queues[0]?.stopped], [1, 'its lease was lost'])
    assert.deepStrictEqual(broker.messages('%DLQ%billing'), [])
  })

  it('that is not due, because the first record fails, leaves no attempt to a lease that is lost', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 2)
    const other = createPullConsumer(client, { consumerGroup: 'billing' })
    let calls = 0

    const result = await run(
      client,
      async () => {
        calls += 1
        await broker.clock.advance(61_000)
        await other.lock([QUEUE])
        return { batchItemFailures: [{ itemIdentifier: 'orders/broker-a/0/0' }] }
      },
      { onFailure: 'block', maximumRetryAttempts: 2, batchSize: 1 },
    )

    assert.deepStrictEqual([calls, result.queues[0]?.stopped], [1, 'its lease was lost'])
    assert.deepStrictEqual([result.handled, broker.messages('%DLQ%billing')], [0, []])
  })

  it('about which the broker is silent to the end of the invocation is no reason to call the handler then', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 1)
    let calls = 0

    const result = await run(
      client,
      async () => {
        calls += 1
        broker.faults.add({ fault: 'drop', code: 41 })
        return { batchItemFailures: [{ itemIdentifier: 'orders/broker-a/0/0' }] }
      },
      { onFailure: 'block', maximumRetryAttempts: 3 },
      scheduledEvent(),
      3_000,
    )

    assert.deepStrictEqual([calls, result.handled, result.remainingLag], [1, 0, 1])
    assert.deepStrictEqual(broker.messages('%DLQ%billing'), [])
  })

  it('is written again when a killed broker has lost it, with the leases', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 4)
    let calls = 0

    const result = await run(
      client,
      async () => {
        calls += 1
        if (calls !== 2) return
        await broker.brokers[0]?.kill()
        await broker.brokers[0]?.start()
      },
      { batchSize: 2 },
    )

    assert.deepStrictEqual([result.handled, calls, broker.committedOffset('billing', QUEUE)], [4, 2, 4n])
  })
})

describe('an offset outside of the queue', () => {
  it('beyond its end: the group begins anew where the mapping says, and the result tells it', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 3)
    const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
    await consumer.pull(QUEUE, 0n)
    await consumer.commitOffset(QUEUE, 900n)

    const result = await run(client, async () => undefined)

    assert.deepStrictEqual([result.handled, broker.committedOffset('billing', QUEUE)], [3, 3n])
    assert.deepStrictEqual(
      result.queues[0]?.moved,
      'from 900 to 0: the queue ends at 3; 0 skipped, what it has lost is not known',
    )
  })

  it('beyond its end with LATEST: what is passed over is counted, and told once', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 3)
    const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
    await consumer.pull(QUEUE, 0n)
    await consumer.commitOffset(QUEUE, 900n)
    const latest = { startingPosition: 'LATEST' }

    const result = await run(client, async () => assert.fail('there is nothing after the end'), latest)
    await publish(client, 1)
    const next = await run(client, async () => undefined, latest)

    assert.deepStrictEqual(
      [result.skipped, result.queues[0]?.moved, result.handled, result.remainingLag],
      [3, 'from 900 to 3: the queue ends at 3; 3 skipped, what it has lost is not known', 0, 0],
    )
    assert.deepStrictEqual(
      [next.skipped, next.queues[0]?.moved, next.handled, broker.committedOffset('billing', QUEUE)],
      [0, undefined, 1, 4n],
    )
  })

  it('before its beginning: what has expired is counted as skipped', async (t) => {
    await using broker = await startBroker({ topics: { orders: { queues: 1 } }, retentionBytes: 16 << 20 })
    const client = createClient({ nameServers: broker.nameServers })
    t.after(() => client.close())
    await run(client, async () => undefined)
    const producer = createProducer(client, { producerGroup: 'shop', compression: 'none' })
    const body = Buffer.alloc(1 << 20, 'x')
    for (let n = 0; n < 24; n++) await producer.send({ topic: 'orders', body })
    const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
    const min = Number(await consumer.minOffset(QUEUE))

    // The policy is for groups without an offset, and for one beyond the end: here the group goes on at what is left.
    const result = await run(client, async () => undefined, { startingPosition: 'LATEST' })

    assert.ok(min > 0)
    assert.deepStrictEqual([result.skipped, result.handled], [min, 24 - min])
    assert.deepStrictEqual(result.queues[0]?.moved, `from 0 to ${min}: what came before ${min} has expired`)
  })
})

describe('dryRun', () => {
  it('tells what would be handled, and leaves no trace', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 40)
    const other = createPullConsumer(client, { consumerGroup: 'billing' })
    await other.lock([QUEUE])

    const result = await run(client, async () => assert.fail('nothing is handled'), { dryRun: true })

    assert.deepStrictEqual([result.wouldHandle, result.handled, result.leftToOthers], [40, 0, 0])
    assert.deepStrictEqual(broker.committedOffset('billing', QUEUE), undefined)
  })

  it('counts what cannot be decoded, and does not send it back', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 1)
    await sendUndecodable(client)

    const result = await run(client, async () => assert.fail('nothing is handled'), { dryRun: true })
    await broker.clock.advance(11_000)

    assert.deepStrictEqual([result.wouldHandle, result.failed, result.sentBack], [1, 1, 0])
    assert.deepStrictEqual(broker.messages('%RETRY%billing'), [])
  })
})

describe('a broker that does not answer about leases, or offsets', () => {
  const twoBrokers = async (
    t: TestContext,
    timeoutMs = 1_500,
  ): Promise<{ broker: LocalBroker; client: Client }> => {
    const broker = await startBroker({ brokers: 2, topics: { orders: { queues: 1 } } })
    const client = createClient({ nameServers: broker.nameServers, timeoutMs })
    t.after(async () => {
      await client.close()
      await broker.close()
    })
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (const brokerName of ['broker-a', 'broker-b'])
      for (const body of ['1', '2'])
        await producer.send({ topic: 'orders', body, queue: { ...QUEUE, brokerName } })
    return { broker, client }
  }

  it('does not keep the queues of the others from being read', async (t) => {
    const { broker, client } = await twoBrokers(t)
    broker.faults.add({ fault: 'refuse', code: 41, server: 'broker-b', responseCode: 1 })
    const handled: string[] = []

    const failing = run(client, async (event) => void handled.push(...bodies(event)))
    await assert.rejects(failing, { responseCode: 1 })
    broker.faults.clear()
    const next = await run(client, async () => undefined)

    assert.deepStrictEqual([handled, broker.committedOffset('billing', QUEUE)], [['1', '2'], 2n])
    assert.deepStrictEqual([next.handled, next.leftToOthers], [2, 0])
  })

  it('does not keep the queues of the others from being read when its offsets are not known', async (t) => {
    const { broker, client } = await twoBrokers(t)
    broker.faults.add({ fault: 'refuse', code: 14, server: 'broker-b', responseCode: 1 })
    const handled: string[] = []

    const failing = run(client, async (event) => void handled.push(...bodies(event)))

    await assert.rejects(failing, { responseCode: 1 })
    assert.deepStrictEqual([handled, broker.committedOffset('billing', QUEUE)], [['1', '2'], 2n])
    assert.deepStrictEqual(broker.committedOffset('billing', { ...QUEUE, brokerName: 'broker-b' }), undefined)
  })

  it('is not asked for leases once more, which the others would wait for', async (t) => {
    const { broker, client } = await twoBrokers(t)
    const fault = broker.faults.add({ fault: 'drop', code: 41, server: 'broker-b' })
    const handled: string[] = []

    const failing = run(client, async (event) => void handled.push(...bodies(event)))

    await assert.rejects(failing, { code: 'RMQ_TIMEOUT' })
    assert.deepStrictEqual([handled, fault.hits], [['1', '2'], 2])
  })

  it('is not asked to renew them for the others’ commits', async () => {
    const asked: string[] = []
    const consumer = {
      lock: async (queues: readonly MessageQueue[]) => {
        const name = queues[0]?.brokerName ?? ''
        asked.push(name)
        if (name === 'broker-b' && asked.length > 2) throw new TimeoutError('it took too long')
        return [...queues]
      },
      unlock: async () => undefined,
    }
    const limits = { deadlineMs: Date.now() + 60_000 }
    const other = { ...QUEUE, brokerName: 'broker-b' }
    const leases = await takeLeases(consumer as unknown as PullConsumer, [QUEUE, other], limits)

    await leases.renew([QUEUE], limits)
    await leases.renew([QUEUE], limits)
    await leases.renew([other], limits).catch(() => undefined)
    await leases.release(limits)

    assert.deepStrictEqual(asked, [...['broker-a', 'broker-b'], 'broker-a', 'broker-a', 'broker-b'])
    assert.deepStrictEqual(
      [QUEUE, other].map((queue) => leases.holds(queue)),
      [true, true],
    )
  })

  it('has not taken a lease away: what was handled is committed, and its failure told', async (t) => {
    const { broker, client } = await twoBrokers(t)

    const failing = run(client, async () => {
      broker.faults.add({ fault: 'refuse', code: 41, server: 'broker-b', responseCode: 1 })
    })

    await assert.rejects(failing, { responseCode: 1 })
    const committed = ['broker-a', 'broker-b'].map((brokerName) =>
      broker.committedOffset('billing', { ...QUEUE, brokerName }),
    )
    assert.deepStrictEqual(committed, [2n, 2n])
  })

  it('nor takes commits is asked for one at the end only, and nothing more is handed out of its queues', async (t) => {
    const { broker, client } = await twoBrokers(t)
    await run(client, async () => undefined)
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (const brokerName of ['broker-a', 'broker-b'])
      for (const n of [3, 4, 5])
        await producer.send({ topic: 'orders', body: `${brokerName} ${n}`, queue: { ...QUEUE, brokerName } })
    const fault = broker.faults.add({ fault: 'refuse', code: 15, server: 'broker-b', responseCode: 1 })
    const handled: string[] = []

    const failing = run(client, async (event) => void handled.push(...bodies(event)), { batchSize: 1 })

    await assert.rejects(failing, { responseCode: 1 })
    assert.deepStrictEqual(
      [handled.toSorted(), fault.hits, broker.committedOffset('billing', QUEUE)],
      [['broker-a 3', 'broker-a 4', 'broker-a 5', 'broker-b 3'], 2, 5n],
    )
  })

  it('is waited for until 600 ms before the end of the invocation at most', async (t) => {
    const { broker, client } = await twoBrokers(t, 20_000)
    const ends: number[] = []
    const callQueue: Client['callQueue'] = async (queue, command, request, body, limits) => {
      ends.push(limits.deadline.at)
      return await client.callQueue(queue, command, request, body, limits)
    }
    const limit = Date.now() + 3_500
    const getRemainingTimeInMillis = (): number => limit - Date.now()
    const handler = eventSource(
      { topic: 'orders', consumerGroup: 'billing', client: { ...client, callQueue } },
      async () => void broker.faults.add({ fault: 'drop' }),
    )

    await assert.rejects(handler(scheduledEvent(), { getRemainingTimeInMillis }), { code: 'RMQ_DEADLINE' })

    // The clock may go on by a millisecond while the end is worked out.
    assert.deepStrictEqual(
      ends.filter((end) => limit - end < 595),
      [],
    )
  })

  it('is told of the end, also when it has granted a lease without a word', async (t) => {
    const { broker, client } = await twoBrokers(t)
    broker.faults.add({ fault: 'lose-answer', code: 41, server: 'broker-b' })

    await assert.rejects(
      run(client, async () => undefined),
      { code: 'RMQ_TIMEOUT' },
    )
    broker.faults.clear()
    const next = await run(client, async () => undefined)

    assert.deepStrictEqual([next.handled, next.leftToOthers], [2, 0])
  })
})

describe('an invocation whose time is over before it knows its leases', () => {
  it('gives them back', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 2)
    await run(client, async () => undefined, { consumerGroup: 'other' }) // routes and connections are there
    broker.faults.add({ fault: 'lose-answer', code: 41, times: 1 })

    await assert.rejects(
      run(client, async () => undefined, {}, scheduledEvent(), 2_900),
      { code: 'RMQ_DEADLINE' },
    )
    const next = await run(client, async () => undefined)

    assert.deepStrictEqual([next.handled, next.leftToOthers], [2, 0])
  })
})

describe('a reset back that a pull learns of while records are handled and others wait', () => {
  it('is followed at once, and no commit goes over it', async (t) => {
    const { broker, client } = await setting(t, 1, 20_000)
    await publish(client, 200)
    const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
    const request = { group: 'billing', topic: 'orders', timestamp: 0n, isForce: true }
    const reset = async (): Promise<void> => {
      const address = broker.brokers[0]?.address ?? ''
      const deadline = client.deadline()
      await client.network.call(address, InvokeBrokerToResetOffset, request, undefined, { deadline })
    }
    const batches: string[][] = []

    const invocation = run(
      client,
      async (event) => {
        batches.push(bodies(event))
        if (batches.length === 1) {
          await reset()
          await broker.clock.advance(2_500) // the pull that is under way comes after it
          await consumer.maxOffset(QUEUE)
        } else throw new RangeError('down')
      },
      // Without a delay all pulls would be over before the handler begins.
      { batchSize: 50, onFailure: 'block' },
    )
    broker.faults.add({ fault: 'delay', code: 11, after: 3, ms: 2_000 })
    await assert.rejects(invocation, /down/)

    assert.deepStrictEqual(
      [batches.map(([first]) => first), broker.committedOffset('billing', QUEUE)],
      [['0', '0'], 0n],
    )
  })
})

describe('a broker that is busy', () => {
  it('is asked once more to commit, and the invocation goes on', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 2)
    await run(client, async () => undefined)
    await publish(client, 1)
    const fault = broker.faults.add({ fault: 'busy', code: 15, times: 1 })

    const { handled } = await run(client, async () => undefined)

    assert.deepStrictEqual([fault.hits, handled, broker.committedOffset('billing', QUEUE)], [1, 1, 3n])
  })
})

describe('the signal of a handler', () => {
  it('comes early enough to say what was done', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 3)
    const clock = stoppedClock(t)
    const began = Promise.withResolvers<void>()
    const handler = eventSource(
      { topic: 'orders', consumerGroup: 'billing', client, onFailure: 'block' },
      async (event, _context, { signal }) => {
        began.resolve()
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        const [, ...rest] = Object.values(event.records).flat()
        return { batchItemFailures: rest.map(({ recordId }) => ({ itemIdentifier: recordId })) }
      },
    )

    const running = handler(scheduledEvent(), lambdaContext({ remainingMs: 2_050 }))
    await began.promise
    await clock.pass(900) // of the second that is left to it
    const { handled } = await running

    assert.deepStrictEqual([handled, broker.committedOffset('billing', QUEUE)], [1, 1n])
  })

  for (const mode of ['pull', 'pop'])
    it(`is never aborted already when the handler is called: ${mode}`, async (t) => {
      const { client } = await setting(t)
      const producer = createProducer(client, { producerGroup: 'shop' })
      await producer.sendBatch(
        'orders',
        Array.from({ length: 5_000 }, (_, n) => ({ body: String(n) })),
      )
      const calls = { early: 0, late: 0 }
      const handler = eventSource(
        { topic: 'orders', consumerGroup: 'billing', client, mode: mode as 'pull' | 'pop', batchSize: 1 },
        async (_event, _context, { signal }) => void calls[signal.aborted ? 'late' : 'early']++,
      )

      await handler(scheduledEvent(), lambdaContext({ remainingMs: 3_500 }))

      assert.deepStrictEqual([calls.early > 0, calls.late], [true, 0])
    })

  it('makes what a handler throws because of it a RMQ_DEADLINE, with the handler’s own error as cause', async (t) => {
    const { broker, client } = await setting(t)
    await publish(client, 1)
    const handler = eventSource(
      { topic: 'orders', consumerGroup: 'billing', client },
      async (_event, _context, { signal }) => {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        throw new RangeError('stopped')
      },
    )

    const running = handler(scheduledEvent(), lambdaContext({ remainingMs: 3_500 }))

    await assert.rejects(running, (error: Error & { code?: string }) => {
      assert.deepStrictEqual([error.code, (error.cause as Error).message], ['RMQ_DEADLINE', 'stopped'])
      return true
    })
    assert.deepStrictEqual(broker.messages('%RETRY%billing'), [])
  })
})
