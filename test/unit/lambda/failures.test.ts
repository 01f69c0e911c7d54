/** What becomes of records that fail, on the local broker: the failure policies of the event source. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClient, createProducer } from '../../../src/index.ts'
import {
  eventSource,
  type RecordHandler,
  type RocketMQEvent,
  type RocketMQRecord,
} from '../../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../../src/testing/index.ts'
import { consuming, sendUndecodable } from '../../support/consuming.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'

const QUEUE = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
const RETRY = { topic: '%RETRY%billing', brokerName: 'broker-a', queueId: 0 }

const flat = (event: RocketMQEvent): RocketMQRecord[] => Object.values(event.records).flat()
const bodies = (event: RocketMQEvent): string[] => flat(event).map(({ body }) => body.toString())

/** Fails the records whose body is one of these. */
const failing =
  (...wrong: string[]): RecordHandler =>
  async (event) => ({
    batchItemFailures: flat(event)
      .filter(({ body }) => wrong.includes(body.toString()))
      .map(({ recordId }) => ({ itemIdentifier: recordId })),
  })

describe('with onFailure retry', () => {
  it('a record that failed comes again after 10 s, and the queue goes on', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c')

    const first = await own.run(failing('b'))
    await own.broker.clock.advance(9_000)
    const early = await own.run(async () => assert.fail('it is too early'))
    await own.broker.clock.advance(1_500)
    const seen: [string, string, string, number][] = []
    await own.run(async (event) => {
      for (const each of flat(event))
        seen.push([each.body.toString(), each.topic, each.sourceTopic, each.reconsumeTimes])
    })

    assert.deepStrictEqual([first.handled, first.failed, first.sentBack, own.committed()], [2, 1, 1, 3n])
    assert.deepStrictEqual([early.handled, early.remainingLag], [0, 0])
    assert.deepStrictEqual(seen, [['b', 'orders', '%RETRY%billing', 1]])
  })

  it('a record becomes a dead letter when its attempts are used up', async () => {
    await using own = await consuming()
    await own.publish('a')
    const results: number[][] = []

    for (let run = 0; run < 4; run++) {
      const { failed, sentBack, deadLettered } = await own.run(failing('a'), { maximumRetryAttempts: 2 })
      results.push([failed, sentBack, deadLettered])
      await own.broker.clock.advance(60_000)
    }

    assert.deepStrictEqual(results, [
      [1, 1, 0],
      [1, 1, 0],
      [1, 0, 1],
      [0, 0, 0],
    ])
    assert.deepStrictEqual(own.stored('%DLQ%billing'), ['a'])
  })

  it('with no attempts left to make a record is a dead letter at once', async () => {
    await using own = await consuming()
    await own.publish('a', 'b')

    const { handled, deadLettered } = await own.run(failing('a'), { maximumRetryAttempts: 0 })

    assert.deepStrictEqual([handled, deadLettered, own.stored('%DLQ%billing')], [1, 1, ['a']])
  })

  it('the delay before each attempt is that of its level, and the last level goes on', async () => {
    await using own = await consuming()
    await own.publish('a')
    const options = { retryLevels: [1, 2] } // 1 s, then 5 s
    const attempts: number[] = []

    for (const ms of [0, 1_100, 5_100, 5_100]) {
      await own.broker.clock.advance(ms)
      await own.run(async (event, ...rest) => {
        attempts.push(...flat(event).map(({ reconsumeTimes }) => reconsumeTimes))
        return await failing('a')(event, ...rest)
      }, options)
    }

    assert.deepStrictEqual(attempts, [0, 1, 2, 3])
  })

  it('a record that is too old becomes a dead letter without being handled', async () => {
    await using own = await consuming()
    const producer = createProducer(own.client, { producerGroup: 'shop' })
    const realNow = Date.now
    Date.now = () => realNow() - 61_000
    try {
      await producer.send({ topic: 'orders', body: 'old' })
    } finally {
      Date.now = realNow
    }
    await own.publish('new')
    const handled: string[] = []

    const result = await own.run(async (event) => void handled.push(...bodies(event)), {
      maximumRecordAgeInSeconds: 60,
    })

    assert.deepStrictEqual([handled, result.deadLettered, own.committed()], [['new'], 1, 2n])
    assert.deepStrictEqual(own.stored('%DLQ%billing'), ['old'])
  })

  it('a handler that throws has one batch sent back; the rest stays where it is', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c', 'd', 'e')
    const failure = new RangeError('the database is down')
    let calls = 0

    const running = own.run(
      () => {
        calls += 1
        return Promise.reject(failure)
      },
      { batchSize: 2 },
    )

    await assert.rejects(running, failure)
    await own.broker.clock.advance(10_500)
    assert.deepStrictEqual([calls, own.committed(), own.stored('%RETRY%billing')], [1, 2n, ['a', 'b']])
  })

  it('the offset stops before a record that could not be sent back, and the invocation fails', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c', 'd')
    const fault = own.broker.faults.add({
      fault: 'refuse',
      code: 36,
      responseCode: 1,
      remark: 'disk full',
      times: 1,
    })

    await assert.rejects(own.run(failing('b')), /disk full/)
    const committed = own.committed()
    const again: string[] = []
    await own.run(async (event) => void again.push(...bodies(event)))

    assert.deepStrictEqual([fault.hits, committed, again], [1, 1n, ['b', 'c', 'd']])
  })

  it('the records of a cut-off handler stay where they are', async () => {
    await using own = await consuming()
    await own.publish('a')

    await assert.rejects(
      own.run(() => new Promise(() => undefined), {}, 3_500),
      { code: 'RMQ_DEADLINE' },
    )
    await own.broker.clock.advance(10_500)

    assert.deepStrictEqual([own.committed(), own.stored('%RETRY%billing')], [0n, []])
  })

  it('what nobody can handle is sent away once, however often what stands before it comes again', async (t) => {
    await using own = await consuming()
    await own.publish('a')
    await sendUndecodable(own.client)
    await own.publish('c')

    const clock = stoppedClock(t)
    for (let run = 0; run < 3; run++) {
      const began = Promise.withResolvers<void>()
      const hanging: RecordHandler = () => {
        began.resolve()
        return new Promise(() => undefined)
      }
      const cutOff = assert.rejects(own.run(hanging, { batchSize: 1 }, 3_500), { code: 'RMQ_DEADLINE' })
      await began.promise
      await clock.pass(2_450) // the rest is kept back
      await cutOff
    }
    await own.broker.clock.advance(60_000)
    const copies = own.broker.messages(RETRY.topic).length
    const { handled, deadLettered } = await clock.until(
      own.run(async () => undefined, { maximumRetryAttempts: 0 }),
    )

    assert.deepStrictEqual([copies, deadLettered, handled, own.committed()], [0, 1, 2, 3n])
  })

  it('what was sent back is read on every broker', async () => {
    await using broker = await startBroker({ brokers: 2, topics: { orders: { queues: 1 } } })
    const client = createClient({ nameServers: broker.nameServers })
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (const brokerName of ['broker-a', 'broker-b'])
      await producer.send({ topic: 'orders', body: brokerName, queue: { ...QUEUE, brokerName } })
    const options = { topic: 'orders', consumerGroup: 'billing', client }

    await eventSource(options, failing('broker-a', 'broker-b'))(scheduledEvent(), lambdaContext())
    await broker.clock.advance(10_500)
    const again: string[] = []
    const handler = eventSource(options, async (event) => void again.push(...bodies(event)))
    await handler(scheduledEvent(), lambdaContext())
    await client.close()

    assert.deepStrictEqual(again.toSorted(), ['broker-a', 'broker-b'])
  })

  it('a body that cannot be decompressed goes the same way, with its reason', async () => {
    await using own = await consuming()
    await own.publish('a')
    await sendUndecodable(own.client)
    await own.publish('c')
    const handled: string[] = []

    const result = await own.run(async (event) => void handled.push(...bodies(event)), {
      maximumRetryAttempts: 0,
    })

    assert.deepStrictEqual(
      [handled, result.failed, result.deadLettered, own.committed()],
      [['a', 'c'], 1, 1, 3n],
    )
  })
})

describe('with onFailure block', () => {
  it('a record that failed holds up its queue until it is handled', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c')

    const first = await own.run(failing('b'), { onFailure: 'block' })
    const again: string[] = []
    await own.run(async (event) => void again.push(...bodies(event)), { onFailure: 'block' })

    assert.deepStrictEqual([first.handled, first.failed, first.queues[0]?.committedOffset], [1, 1, '1'])
    assert.match(first.queues[0]?.stopped ?? '', /^record orders\/broker-a\/0\/1 failed$/)
    assert.deepStrictEqual([again, own.broker.messages(RETRY.topic)], [['b', 'c'], []])
  })

  it('its attempts are made at once, one after the other, and then it is a dead letter', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c')
    const calls: string[][] = []

    const result = await own.run(
      async (event, ...rest) => {
        calls.push(bodies(event))
        return await failing('b')(event, ...rest)
      },
      { onFailure: 'block', maximumRetryAttempts: 1 },
    )

    assert.deepStrictEqual(calls, [['a', 'b', 'c'], ['b']])
    assert.deepStrictEqual([result.handled, result.deadLettered, own.committed()], [2, 1, 3n])
    assert.deepStrictEqual(own.stored('%DLQ%billing'), ['b'])
  })

  it('what is reported behind a record that failed uses up no attempts of its own', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c', 'd')
    const done: string[] = []
    const inOrder: RecordHandler = async (event) => {
      const records = flat(event)
      const first = records.findIndex(({ body }) => body.toString() === 'b')
      const until = first === -1 ? records.length : first
      done.push(...records.slice(0, until).map(({ body }) => body.toString()))
      return { batchItemFailures: records.slice(until).map(({ recordId }) => ({ itemIdentifier: recordId })) }
    }

    const result = await own.run(inOrder, { onFailure: 'block', maximumRetryAttempts: 0 })

    assert.deepStrictEqual([done, own.stored('%DLQ%billing')], [['a', 'c', 'd'], ['b']])
    assert.deepStrictEqual([result.handled, result.deadLettered, own.committed()], [3, 1, 4n])
  })

  it('what is behind a record that could not become a dead letter is not tried again before it', async () => {
    await using own = await consuming()
    await own.publish('a', 'b', 'c')
    own.broker.faults.add({ fault: 'refuse', code: 36, responseCode: 1 })
    const calls: string[][] = []

    const failed = own.run(
      async (event, ...rest) => {
        calls.push(bodies(event))
        return await failing('a', 'c')(event, ...rest)
      },
      { onFailure: 'block', maximumRetryAttempts: 0 },
    )

    await assert.rejects(failed, { responseCode: 1 })
    assert.deepStrictEqual([calls, own.committed()], [[['a', 'b', 'c']], 0n])
  })

  it('a handler that throws leaves everything where it is, whatever attempts there are', async () => {
    await using own = await consuming()
    await own.publish('a')

    await assert.rejects(
      own.run(() => Promise.reject(new RangeError('down')), { onFailure: 'block', maximumRetryAttempts: 0 }),
      /down/,
    )

    assert.deepStrictEqual([own.committed(), own.stored('%DLQ%billing')], [0n, []])
  })

  it('a body that cannot be decoded holds up its queue, unless attempts are limited', async () => {
    await using own = await consuming()
    await own.publish('a')
    await sendUndecodable(own.client)

    const blocked = await own.run(async () => undefined, { onFailure: 'block' })
    const limited = await own.run(async () => undefined, { onFailure: 'block', maximumRetryAttempts: 3 })

    assert.match(blocked.queues[0]?.stopped ?? '', /^offset 1 cannot be decoded/)
    assert.deepStrictEqual([blocked.handled, limited.deadLettered, own.committed()], [1, 1, 2n])
  })
})

describe('records that failed together', () => {
  it('come again in smaller batches, so that one of them does not take the others to the dead-letter topic', async () => {
    await using own = await consuming()
    await own.publish(...'abcdefgh'.split(''))
    const sizes: number[] = []
    const done: string[] = []
    const throwing: RecordHandler = async (event) => {
      sizes.push(flat(event).length)
      if (bodies(event).includes('d')) throw new RangeError('d is wrong')
      done.push(...bodies(event))
    }

    for (let run = 0; run < 12; run++) {
      await own.run(throwing, { maximumRetryAttempts: 3, batchSize: 8 }).catch(() => undefined)
      await own.broker.clock.advance(3_600_000)
    }

    assert.deepStrictEqual(done.toSorted(), 'abcefgh'.split(''))
    assert.deepStrictEqual(own.stored('%DLQ%billing'), ['d'])
    assert.deepStrictEqual(sizes.slice(0, 2), [8, 2])
  })
})
