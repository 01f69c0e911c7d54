import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { RequestCode } from '../../../src/commands/index.ts'
import { RocketMQError } from '../../../src/errors.ts'
import {
  type EventSourceResult,
  eventSource,
  type RecordHandler,
  type RocketMQRecord,
} from '../../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent } from '../../../src/testing/index.ts'
import { type FakeCluster, fakeCluster, type Handlers } from '../../support/fake-cluster.ts'
import { storedMessage } from '../../support/stored-message.ts'

/** What a scripted broker holds of one queue. */
interface Log {
  messages: Buffer[]
  committed: bigint | undefined
  /** Every commit it was sent, in order. */
  commits: bigint[]
}

const filled = (count: number, committed?: bigint): Log => ({
  messages: Array.from({ length: count }, (_, index) =>
    storedMessage({ queueOffset: BigInt(index), body: `${index}` }),
  ),
  committed,
  commits: [],
})

/** Handlers of a broker with one queue of `orders`; `change` replaces some of them. */
function holding(log: Log, change: Handlers = {}): Handlers {
  return {
    [RequestCode.QUERY_CONSUMER_OFFSET]: () =>
      log.committed === undefined ? { code: 22 } : { ext: { offset: String(log.committed) } },
    [RequestCode.UPDATE_CONSUMER_OFFSET]: (frame) => {
      log.committed = BigInt(frame.ext['commitOffset'] ?? '')
      log.commits.push(log.committed)
      return {}
    },
    [RequestCode.GET_MIN_OFFSET]: () => ({ ext: { offset: '0' } }),
    [RequestCode.GET_MAX_OFFSET]: () => ({ ext: { offset: String(log.messages.length) } }),
    [RequestCode.PULL_MESSAGE]: (frame) => {
      const from = Number(frame.ext['queueOffset'])
      const found = log.messages.slice(from, from + 32)
      const ext = pullHeader(from + found.length, log.messages.length)
      return found.length > 0 ? { ext, body: Buffer.concat(found) } : { code: 19, ext }
    },
    ...change,
  }
}

const pullHeader = (next: number, max: number): Record<string, string> => ({
  suggestWhichBrokerId: '0',
  nextBeginOffset: String(next),
  minOffset: '0',
  maxOffset: String(max),
})

async function consuming(t: TestContext, handlers: Handlers): Promise<FakeCluster> {
  const topics = { orders: { readQueueNums: 1, writeQueueNums: 1 } }
  return await fakeCluster(t, { brokers: { 'broker-a': handlers }, topics })
}

async function run(
  cluster: FakeCluster,
  handle: RecordHandler,
  options: object = {},
  remainingMs = 5_000,
): Promise<EventSourceResult> {
  const handler = eventSource(
    { topic: 'orders', consumerGroup: 'billing', client: cluster.client(), ...options },
    handle,
  )
  return await handler(scheduledEvent(), lambdaContext({ remainingMs }))
}

const flat = (event: { records: Record<string, RocketMQRecord[]> }): RocketMQRecord[] =>
  Object.values(event.records).flat()

describe('the event source', () => {
  it('hands over all messages in batches of at most batchSize, and commits behind each', async (t) => {
    const log = filled(70, 0n)
    const cluster = await consuming(t, holding(log))
    const batches: string[][] = []

    const result = await run(
      cluster,
      async (event) => void batches.push(flat(event).map((each) => each.offset)),
      { batchSize: 30 },
    )

    assert.deepStrictEqual(
      batches.flat(),
      log.messages.map((_, index) => String(index)),
    )
    assert.equal(
      batches.every((batch) => batch.length <= 30),
      true,
    )
    assert.equal(log.committed, 70n)
    assert.deepStrictEqual(result, {
      handled: 70,
      failed: 0,
      filtered: 0,
      remainingLag: 0,
      queues: [{ topic: 'orders', brokerName: 'broker-a', queueId: 0, committedOffset: '70', lag: 0 }],
    })
  })

  it('commits nothing new when there is nothing new', async (t) => {
    const log = filled(3, 3n)

    const result = await run(await consuming(t, holding(log)), async () =>
      assert.fail('there is nothing to handle'),
    )

    assert.deepStrictEqual([log.commits, result.handled], [[], 0])
  })

  it('pulls before the first commit of a group, because a commit does not create one', async (t) => {
    const log = filled(0)
    const cluster = await consuming(t, holding(log))

    await run(cluster, async () => undefined, { startingPosition: 'LATEST' })

    const { PULL_MESSAGE, UPDATE_CONSUMER_OFFSET } = RequestCode
    const order = cluster.codes().filter((code) => code === PULL_MESSAGE || code === UPDATE_CONSUMER_OFFSET)
    assert.deepStrictEqual([order, log.commits], [[PULL_MESSAGE, UPDATE_CONSUMER_OFFSET], [0n]])
  })

  it('never moves the offset past a failed record, whatever was handled behind it', async (t) => {
    const log = filled(10, 0n)
    const fifth: RecordHandler = async (event) => ({
      batchItemFailures: flat(event)
        .filter((each) => each.offset === '5')
        .map((each) => ({ itemIdentifier: each.recordId })),
    })

    const result = await run(await consuming(t, holding(log)), fifth)

    assert.deepStrictEqual([log.committed, result.handled, result.failed, result.remainingLag], [5n, 5, 1, 5])
  })

  it('commits nothing of a batch whose handler threw, and rejects with the handler’s error', async (t) => {
    const log = filled(10, 0n)
    const failure = new RangeError('the database is down')

    await assert.rejects(
      run(await consuming(t, holding(log)), () => Promise.reject(failure)),
      failure,
    )

    assert.deepStrictEqual(log.commits, [])
  })

  it('fails the batch when the handler returned something else than its contract has', async (t) => {
    const log = filled(10, 0n)
    const wrong = (async () => 'done') as unknown as RecordHandler

    await assert.rejects(
      run(await consuming(t, holding(log)), wrong),
      (error) => RocketMQError.is(error) && error.code === 'RMQ_RESPONSE',
    )

    assert.deepStrictEqual(log.commits, [])
  })

  it('stops before a message that cannot be decoded, with everything before it handled', async (t) => {
    const log = filled(10, 0n)
    const broken = Buffer.from(log.messages[4] ?? Buffer.alloc(0))
    broken[broken.length - 20] = (broken[broken.length - 20] ?? 0) ^ 0xff
    broken.writeInt32BE(7, 8) // the checksum
    log.messages[4] = broken

    const result = await run(await consuming(t, holding(log)), async () => undefined)

    assert.deepStrictEqual([log.committed, result.handled, result.failed], [4n, 4, 1])
    assert.match(result.queues[0]?.stopped ?? '', /offset 4 cannot be decoded/)
  })

  it('goes on where the broker says when the offset is outside of the queue, and commits that place', async (t) => {
    const log = filled(10, 900n)
    const moved: Handlers = {
      [RequestCode.PULL_MESSAGE]: (frame) =>
        frame.ext['queueOffset'] === '900'
          ? { code: 21, ext: pullHeader(10, 10) }
          : { code: 19, ext: pullHeader(10, 10) },
    }

    await run(await consuming(t, holding(log, moved)), async () => undefined)

    assert.equal(log.committed, 10n)
  })

  it('takes over an administrator’s reset, and reports it', async (t) => {
    const log = filled(10, 0n)
    const reset: Handlers = {
      [RequestCode.UPDATE_CONSUMER_OFFSET]: () => {
        log.committed = 2n
        return { remark: 'Offset has been previously reset' }
      },
    }

    const result = await run(await consuming(t, holding(log, reset)), async () => undefined, { batchSize: 5 })

    assert.deepStrictEqual(
      [result.handled, result.queues[0]?.committedOffset, result.queues[0]?.stopped],
      [0, '2', 'an administrator reset its offset'],
    )
  })

  it('does not end up polling a broker whose answers never move on', async (t) => {
    const log = filled(10, 0n)
    const stuck: Handlers = { [RequestCode.PULL_MESSAGE]: () => ({ code: 20, ext: pullHeader(0, 10) }) }
    const cluster = await consuming(t, holding(log, stuck))

    await run(cluster, async () => undefined)

    assert.equal(cluster.codes().filter((code) => code === RequestCode.PULL_MESSAGE).length, 1)
  })

  it('rejects when an offset cannot be read, instead of guessing one', async (t) => {
    const log = filled(10, 5n)
    const failing: Handlers = { [RequestCode.QUERY_CONSUMER_OFFSET]: () => ({ code: 1, remark: 'broken' }) }

    await assert.rejects(
      run(await consuming(t, holding(log, failing)), async () => undefined),
      (error) => RocketMQError.is(error),
    )

    assert.deepStrictEqual(log.commits, [])
  })

  it('rejects when a commit is not acknowledged', async (t) => {
    const log = filled(10, 0n)
    const failing: Handlers = { [RequestCode.UPDATE_CONSUMER_OFFSET]: () => ({ code: 2, remark: 'busy' }) }

    await assert.rejects(
      run(await consuming(t, holding(log, failing)), async () => undefined),
      (error) => RocketMQError.is(error) && error.responseCode === 2,
    )
  })

  it('aborts the handler’s signal and ends when the invocation is about to', async (t) => {
    const log = filled(10, 0n)
    let aborted = false
    const hanging: RecordHandler = (_event, _context, { signal }) =>
      new Promise(() => {
        signal.addEventListener('abort', () => {
          aborted = true
        })
      })

    const running = run(await consuming(t, holding(log)), hanging, {}, 650)

    await assert.rejects(running, (error) => RocketMQError.is(error) && error.code === 'RMQ_DEADLINE')
    assert.deepStrictEqual([aborted, log.commits], [true, []])
  })

  it('reads only the queues that a dispatcher names', async (t) => {
    const log = filled(4, 0n)
    const cluster = await fakeCluster(t, {
      brokers: { 'broker-a': holding(log) },
      topics: { orders: { readQueueNums: 8 } },
    })
    const handler = eventSource(
      { topic: 'orders', consumerGroup: 'billing', client: cluster.client() },
      async () => undefined,
    )
    const queues = [{ topic: 'orders', brokerName: 'broker-a', queueId: 3 }]

    const result = await handler({ version: 1, eventSource: 'orders', queues }, lambdaContext())

    assert.deepStrictEqual(
      result.queues.map((each) => each.queueId),
      [3],
    )
  })

  it('reads a queue that was added later from its beginning, also for a group that began with LATEST', async (t) => {
    const log = filled(4)
    const known: Handlers = {
      [RequestCode.QUERY_CONSUMER_OFFSET]: (frame) =>
        frame.ext['queueId'] === '0' ? { ext: { offset: '4' } } : { code: 22 },
    }
    const topics = { orders: { readQueueNums: 2 } }
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': holding(log, known) }, topics })

    const result = await run(cluster, async () => undefined, { startingPosition: 'LATEST' })

    assert.deepStrictEqual([result.handled, log.commits], [4, [0n, 4n]])
  })

  it('does nothing while it is not enabled', async (t) => {
    const cluster = await consuming(t, holding(filled(4, 0n)))

    const result = await run(cluster, async () => assert.fail('it is not enabled'), { enabled: false })

    assert.deepStrictEqual(
      [result, cluster.codes()],
      [{ handled: 0, failed: 0, filtered: 0, remainingLag: 0, queues: [] }, []],
    )
  })
})
