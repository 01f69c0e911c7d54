import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RequestCode } from '../../../src/commands/index.ts'
import { RocketMQError } from '../../../src/errors.ts'
import { type EventSourceResult, eventSource, type RecordHandler } from '../../../src/lambda/index.ts'
import { lambdaContext } from '../../../src/testing/index.ts'
import { fakeCluster, type Handlers } from '../../support/fake-cluster.ts'
import {
  filled,
  flat,
  holding,
  pullHeader,
  run,
  scripted,
  undecodable,
} from '../../support/scripted-queue.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'
import { storedMessage } from '../../support/stored-message.ts'

const NOTHING: EventSourceResult = {
  handled: 0,
  failed: 0,
  filtered: 0,
  sentBack: 0,
  deadLettered: 0,
  skipped: 0,
  remainingLag: 0,
  leftToOthers: 0,
  queues: [],
}

describe('the event source', () => {
  it('does not hand over an offset that a Kafka event could not hold', async (t) => {
    const unsafe = 2n ** 53n
    const cluster = await scripted(
      t,
      holding(filled(0, unsafe), {
        [RequestCode.PULL_MESSAGE]: () => ({
          ext: {
            suggestWhichBrokerId: '0',
            nextBeginOffset: String(unsafe + 1n),
            minOffset: '0',
            maxOffset: String(unsafe + 1n),
          },
          body: storedMessage({ queueOffset: unsafe }),
        }),
      }),
    )

    const result = await run(cluster, async () => assert.fail('it does not fit'), {
      eventFormat: 'kafka',
      onFailure: 'block',
    })

    const [{ committedOffset, stopped } = {}] = result.queues
    assert.deepStrictEqual(
      [result.failed, committedOffset, stopped],
      [
        1,
        String(unsafe),
        `record orders/broker-a/0/${unsafe} cannot be in a Kafka event: its offset is not exact as a number`,
      ],
    )
  })

  it('hands over all messages in batches of at most batchSize, and commits behind each', async (t) => {
    const log = filled(70, 0n)
    const cluster = await scripted(t, holding(log))
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
      sentBack: 0,
      deadLettered: 0,
      skipped: 0,
      remainingLag: 0,
      leftToOthers: 0,
      queues: [{ topic: 'orders', brokerName: 'broker-a', queueId: 0, committedOffset: '70', lag: 0 }],
    })
  })

  it('commits nothing new when there is nothing new', async (t) => {
    const log = filled(3, 3n)

    const result = await run(await scripted(t, holding(log)), async () =>
      assert.fail('there is nothing to handle'),
    )

    assert.deepStrictEqual([log.commits, result.handled], [[], 0])
  })

  it('pulls before the first commit of a group, because a commit does not create one', async (t) => {
    const log = filled(0)
    const cluster = await scripted(t, holding(log))

    await run(cluster, async () => undefined, { startingPosition: 'LATEST' })

    const { PULL_MESSAGE, UPDATE_CONSUMER_OFFSET } = RequestCode
    const order = cluster.codes().filter((code) => code === PULL_MESSAGE || code === UPDATE_CONSUMER_OFFSET)
    assert.deepStrictEqual([order, log.commits], [[PULL_MESSAGE, UPDATE_CONSUMER_OFFSET, PULL_MESSAGE], [0n]])
  })

  it('never moves the offset past a failed record, whatever was handled behind it', async (t) => {
    const log = filled(10, 0n)
    const fifth: RecordHandler = async (event) => ({
      batchItemFailures: flat(event)
        .filter((each) => each.offset === '5')
        .map((each) => ({ itemIdentifier: each.recordId })),
    })

    const result = await run(await scripted(t, holding(log)), fifth, { onFailure: 'block' })

    assert.deepStrictEqual([log.committed, result.handled, result.failed, result.remainingLag], [5n, 5, 1, 5])
  })

  it('commits nothing of a batch whose handler threw, and rejects with the handler’s error', async (t) => {
    const log = filled(10, 0n)
    const failure = new RangeError('the database is down')

    await assert.rejects(
      run(await scripted(t, holding(log)), () => Promise.reject(failure), { onFailure: 'block' }),
      failure,
    )

    assert.deepStrictEqual(log.commits, [])
  })

  it('fails the batch when the handler returned something else than its contract has', async (t) => {
    const log = filled(10, 0n)
    const wrong = (async () => 'done') as unknown as RecordHandler

    await assert.rejects(
      run(await scripted(t, holding(log)), wrong),
      (error) => RocketMQError.is(error) && error.code === 'RMQ_RESPONSE',
    )

    assert.deepStrictEqual(log.commits, [])
  })

  it('stops before a message that cannot be decoded, with everything before it handled', async (t) => {
    const log = filled(10, 0n)
    log.messages[4] = undecodable(4)

    const result = await run(await scripted(t, holding(log)), async () => undefined, { onFailure: 'block' })

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

    await run(await scripted(t, holding(log, moved)), async () => undefined)

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

    const result = await run(await scripted(t, holding(log, reset)), async () => undefined, { batchSize: 5 })

    assert.deepStrictEqual(
      [result.handled, result.queues[0]?.committedOffset, result.queues[0]?.stopped],
      [0, '2', 'its offset was reset again'],
    )
  })

  it('does not end up polling a broker whose answers never move on', async (t) => {
    const log = filled(10, 0n)
    const stuck: Handlers = { [RequestCode.PULL_MESSAGE]: () => ({ code: 20, ext: pullHeader(0, 10) }) }
    const cluster = await scripted(t, holding(log, stuck))

    await run(cluster, async () => undefined)

    assert.equal(cluster.codes().filter((code) => code === RequestCode.PULL_MESSAGE).length, 1)
  })

  it('rejects when an offset cannot be read, instead of guessing one', async (t) => {
    const log = filled(10, 5n)
    const failing: Handlers = { [RequestCode.QUERY_CONSUMER_OFFSET]: () => ({ code: 1, remark: 'broken' }) }

    await assert.rejects(
      run(await scripted(t, holding(log, failing)), async () => undefined),
      (error) => RocketMQError.is(error),
    )

    assert.deepStrictEqual(log.commits, [])
  })

  it('rejects when a commit is not acknowledged', async (t) => {
    const log = filled(10, 0n)
    const failing: Handlers = { [RequestCode.UPDATE_CONSUMER_OFFSET]: () => ({ code: 2, remark: 'busy' }) }

    await assert.rejects(
      run(await scripted(t, holding(log, failing)), async () => undefined),
      (error) => RocketMQError.is(error) && error.responseCode === 2,
    )
  })

  it('aborts the handler’s signal and ends when the invocation is about to', async (t) => {
    const log = filled(10, 0n)
    const cluster = await scripted(t, holding(log))
    const clock = stoppedClock(t)
    const began = Promise.withResolvers<void>()
    let aborted = false
    const hanging: RecordHandler = (_event, _context, { signal }) =>
      new Promise(() => {
        began.resolve()
        signal.addEventListener('abort', () => {
          aborted = true
        })
      })

    const running = run(cluster, hanging, {}, 5_000)
    const ended = assert.rejects(running, (error) => RocketMQError.is(error) && error.code === 'RMQ_DEADLINE')
    await began.promise
    await clock.pass(5_000)

    await ended
    assert.deepStrictEqual([aborted, log.commits], [true, []])
  })

  it('never moves the offset past a failed record whose identity the handler has overwritten', async (t) => {
    for (const fail of [
      () => Promise.reject(new RangeError('the database is down')),
      (ids: string[]) =>
        Promise.resolve({ batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })) }),
    ]) {
      const log = filled(3, 0n)
      const overwriting: RecordHandler = (event) => {
        const ids = flat(event).map((each) => each.recordId)
        for (const each of flat(event))
          Object.defineProperties(each, { recordId: { value: 'mine' }, offset: { value: '99' } })
        event.records = {}
        return fail(ids)
      }

      await run(await scripted(t, holding(log)), overwriting, { onFailure: 'block' }).catch((error) =>
        assert.ok(error instanceof RangeError),
      )

      assert.deepStrictEqual(log.commits, [])
    }
  })

  it('never moves the offset past a failed record of a topic whose name holds the namespace already', async (t) => {
    const log = filled(3, 0n)
    log.messages = log.messages.map((_, index) =>
      storedMessage({ queueOffset: BigInt(index), topic: 'shop%orders' }),
    )
    const topics = { 'shop%orders': { readQueueNums: 1 } }
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': holding(log) }, topics })
    const failing: RecordHandler = async (event) => ({
      batchItemFailures: flat(event).map((each) => ({ itemIdentifier: each.recordId })),
    })

    const client = cluster.client({ namespace: 'shop' })
    const result = await run(cluster, failing, { topic: 'shop%orders', client, onFailure: 'block' })

    assert.deepStrictEqual([log.commits, result.handled, result.failed], [[], 0, 3])
  })

  it('fails the batch of a handler that is not async, with the reason', async (t) => {
    const log = filled(3, 0n)
    const withCallback = ((_event: unknown, _context: unknown) => undefined) as unknown as RecordHandler

    await assert.rejects(
      run(await scripted(t, holding(log)), withCallback),
      (error) => RocketMQError.is(error) && error.code === 'RMQ_RESPONSE' && /async/.test(error.message),
    )

    assert.deepStrictEqual(log.commits, [])
  })

  it('is refused without a handler', () => {
    assert.throws(
      () => eventSource({ topic: 'orders', consumerGroup: 'billing' }, undefined as never),
      (error) => RocketMQError.is(error) && error.field === 'handler',
    )
  })

  it('commits what the filter passed over when the invocation ends in the middle of a pull', async (t) => {
    const log = filled(10, 0n)
    const filtering: Handlers = {
      [RequestCode.PULL_MESSAGE]: (frame) => {
        const next = Number(frame.ext['queueOffset']) + 1
        return next > 4 ? undefined : { code: 20, ext: pullHeader(next, 10) }
      },
    }

    const cluster = await scripted(t, holding(log, filtering))
    const client = cluster.client({ timeoutMs: 20_000 })

    const result = await run(cluster, async () => undefined, { client }, 3_500)

    assert.deepStrictEqual([log.commits, result.filtered, result.remainingLag], [[4n], 4, 6])
  })

  it('begins no batch that would probably not be over when the invocation ends', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
    const log = filled(10, 0n)
    const slow: RecordHandler = async () => t.mock.timers.tick(1_900)

    const result = await run(await scripted(t, holding(log)), slow, { batchSize: 1 })

    assert.deepStrictEqual([log.committed, result.handled, result.remainingLag], [2n, 2, 8])
  })

  it('turns to every queue, however small the batches are', async (t) => {
    const log = filled(8, 0n)
    const ofQueue: Handlers = {
      [RequestCode.PULL_MESSAGE]: (frame) => {
        const queueId = Number(frame.ext['queueId'])
        const found = log.messages.map((_, at) => storedMessage({ queueId, queueOffset: BigInt(at) }))
        return { ext: pullHeader(8, 8), body: Buffer.concat(found) }
      },
    }
    const topics = { orders: { readQueueNums: 4 } }
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': holding(log, ofQueue) }, topics })
    const order: number[] = []
    const noting: RecordHandler = async (event) => void order.push(...flat(event).map((each) => each.queueId))

    await run(cluster, noting, { batchSize: 1 })

    assert.deepStrictEqual(new Set(order.slice(0, 6)), new Set([0, 1, 2, 3]))
  })

  for (const [what, offsets, expected] of [
    ['beyond the end of the queue', [0n, 1n, 1_000_000n, 3n], 2n],
    ['a second time', [0n, 1n, 0n, 3n], 2n],
    ['before the place that was asked for', [-7n, 1n], 0n],
  ] as const) {
    it(`stops before a message that claims an offset ${what}`, async (t) => {
      const log = filled(0, 0n)
      log.messages = offsets.map((queueOffset) => storedMessage({ queueOffset }))

      const result = await run(await scripted(t, holding(log)), async () => undefined)

      assert.deepStrictEqual([log.committed, result.failed], [expected, 1])
      assert.match(result.queues[0]?.stopped ?? '', new RegExp(`^offset ${expected} cannot be decoded`))
    })
  }

  for (const [what, damage] of [
    ['is not known', (bytes: Buffer) => bytes.writeInt32BE(7, 4)], // the magic
    ['makes no sense', (bytes: Buffer) => bytes.writeBigInt64BE(1n << 60n, 20) && bytes.writeInt32BE(7, 8)],
  ] as const) {
    it(`stops before a message that cannot be decoded and whose offset ${what}`, async (t) => {
      const log = filled(10, 0n)
      const broken = Buffer.from(log.messages[4] ?? Buffer.alloc(0))
      damage(broken)
      log.messages[4] = broken

      const result = await run(await scripted(t, holding(log)), async () => undefined)

      assert.deepStrictEqual([log.committed, result.handled, result.failed], [4n, 4, 1])
    })
  }

  it('begins where the mapping says in every queue, also when the first run failed on the way', async (t) => {
    const log = filled(4)
    const committed = new Map<string, string>()
    let refusing = true
    const first: Handlers = {
      [RequestCode.QUERY_CONSUMER_OFFSET]: (frame) => {
        const offset = committed.get(frame.ext['queueId'] ?? '')
        return offset === undefined ? { code: 22 } : { ext: { offset } }
      },
      [RequestCode.UPDATE_CONSUMER_OFFSET]: (frame) => {
        if (refusing && frame.ext['queueId'] === '2') return { code: 2, remark: 'busy' }
        committed.set(frame.ext['queueId'] ?? '', frame.ext['commitOffset'] ?? '')
        return {}
      },
    }
    const topics = { orders: { readQueueNums: 3 } }
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': holding(log, first) }, topics })
    const nothing: RecordHandler = async () => assert.fail('LATEST: there is nothing to handle')

    await assert.rejects(run(cluster, nothing, { startingPosition: 'LATEST' }), /busy/)
    refusing = false
    const second = await run(cluster, nothing, { startingPosition: 'LATEST' })

    assert.deepStrictEqual([second.handled, Object.fromEntries(committed)], [0, { 0: '4', 1: '4', 2: '4' }])
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
    const cluster = await scripted(t, holding(filled(4, 0n)))

    const result = await run(cluster, async () => assert.fail('it is not enabled'), { enabled: false })

    assert.deepStrictEqual([result, cluster.codes()], [NOTHING, []])
  })
})
