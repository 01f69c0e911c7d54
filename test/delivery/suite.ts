/**
 * What the event source promises, on any broker: its function is bundled and run as it is deployed, in processes that start
 * cold, stay warm, are frozen, run out of time, overlap and are killed. Who handled what is read from the functions' logs,
 * and where the group stands is asked of the broker, never of the function.
 */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { deflateSync } from 'node:zlib'
import { createPullConsumer } from '../../src/index.ts'
import { queueKey } from '../../src/lambda/event.ts'
import { sendCompressed } from '../support/consuming.ts'
import { gate } from '../support/local-lambda.ts'
import { choice } from './choice.ts'
import {
  type Cluster,
  type Context,
  createContext,
  doubleOwners,
  FROZEN_MS,
  LEASE_MS,
  onceEach,
  timesDone,
  untilDone,
} from './context.ts'
import { pop } from './pop.ts'
import { targets } from './targets.ts'

/** @param open gives each case a cluster: its own, or the one that all share */
export function delivery(open: (t: TestContext) => Promise<Cluster>): void {
  const context = async (t: TestContext): Promise<Context> => await createContext(t, await open(t))

  describe('the event source as it is deployed', { concurrency: 4 }, () => {
    it('goes on warm after it was frozen for 130 s', async (t) => {
      const c = await context(t)
      await c.createTopic()
      await c.order(4)
      const { invoke, ledger } = await c.func()

      const before = await invoke()
      await c.order(4)
      await wait(FROZEN_MS)
      const thawed = await invoke()

      assert.deepStrictEqual(
        [before, thawed].map(({ result, error, isCold }) => [result.handled, error, isCold]),
        [
          [4, undefined, true],
          [4, undefined, false],
        ],
      )
      assert.deepStrictEqual(timesDone(ledger), onceEach(8))
    })

    choice(context)
    pop(context)
    targets(context)

    it('leaves the queues of a killed environment alone until their lease ends, and repeats one batch at most', async (t) => {
      const c = await context(t)
      const door = await gate(t)
      await c.createTopic({ readQueueNums: 2, writeQueueNums: 2 })
      await c.order(80, (n) => (n === 50 ? { gate: door.url } : {}))
      const { lambda, invoke, ledger } = await c.func({ batchSize: 20 })

      const running = invoke()
      await door.arrived(1)
      const [pid = 0] = lambda.pids()['consume'] ?? []
      process.kill(-pid, 'SIGKILL')
      const killedAt = Date.now()
      door.open()
      const killed = await running
      const handledBefore = ledger.length
      const within = await invoke()
      await c.pass(LEASE_MS - 10_000 - (Date.now() - killedAt))
      const late = await invoke()
      let next = late
      // The leases of each broker end by themselves.
      for (await c.pass(8_000); next.result.leftToOthers > 0; await c.pass(500)) next = await invoke()

      assert.deepStrictEqual([killed.error, next.isCold], ['Runtime.ExitError', false])
      for (const { result } of [within, late])
        assert.deepStrictEqual([result.handled, result.leftToOthers], [0, 4])
      const again = ledger.slice(handledBefore).filter(({ what }) => what === 'end')
      const first = ledger.slice(0, handledBefore)
      const repeated = again.filter(({ n }) => first.some((each) => each.what === 'end' && each.n === n))
      assert.deepStrictEqual(new Set(ledger.filter(({ what }) => what === 'end').map(({ n }) => n)).size, 80)
      assert.ok(repeated.length <= 20, `${repeated.length} were repeated`)
      assert.deepStrictEqual(doubleOwners(again), [])
      await assertAllCommitted(c)
      const takeover = Math.min(...again.map(({ at }) => at)) - killedAt
      t.diagnostic(
        `taken over ${takeover} ms of this machine's time after the kill; ${repeated.length} repeated`,
      )
    })

    it('drains cold and then warm, with the offsets of all queues where the messages end', async (t) => {
      const c = await context(t)
      await c.createTopic({ readQueueNums: 4, writeQueueNums: 4 })
      const { invoke, ledger } = await c.func()
      const other = await c.func()

      await c.order(120)
      const cold = await invoke()
      await c.order(40)
      const warm = await invoke()
      const idle = await other.invoke()

      assert.deepStrictEqual(
        [cold, warm, idle].map(({ result, isCold }) => [
          result.handled,
          result.remainingLag,
          result.leftToOthers,
          isCold,
        ]),
        [
          [120, 0, 0, true],
          [40, 0, 0, false],
          [0, 0, 0, true],
        ],
      )
      const started = ledger.filter(({ what }) => what === 'start')
      const handled = Map.groupBy(started, ({ queue }) => queue)
      const stored = Map.groupBy(await c.stored(c.topic), ({ queue }) => queueKey(queue))
      assert.deepStrictEqual(timesDone(ledger), onceEach(160))
      assert.deepStrictEqual(
        placesOf(handled, ({ offset }) => offset),
        placesOf(stored, ({ queueOffset }) => Number(queueOffset)),
      )
      await assertAllCommitted(c, 8)
    })

    it('shares the queues among invocations at once, and no record or queue twice', async (t) => {
      const c = await context(t)
      await c.createTopic({ readQueueNums: 4, writeQueueNums: 4 })
      await c.order(240, () => ({ ms: 5 }))
      const { invoke, ledger } = await c.func({ batchSize: 20 }, { reservedConcurrency: 4 })

      const results = (
        await Promise.all(
          Array.from({ length: 4 }, async () => [await invoke(), await invoke(), await invoke()]),
        )
      ).flat()

      assert.deepStrictEqual([...new Set(results.map(({ error }) => error))], [undefined])
      assert.deepStrictEqual(
        results.reduce((sum, { result }) => sum + result.handled, 0),
        240,
      )
      assert.deepStrictEqual(timesDone(ledger), onceEach(240))
      assert.deepStrictEqual(doubleOwners(ledger), [])
      await assertAllCommitted(c)
    })

    it('hands a batch over again that was cut off at the end of the time, and keeps what was done before', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await c.order(10, (n) => (n === 7 ? { hangs: 1 } : {}), c.queue())
      const { invoke, ledger } = await c.func({ batchSize: 5 }, { timeoutSeconds: 6 })

      const cut = await invoke()
      const [[, between] = []] = Object.values(await c.progress(c.group, c.topic))
      const next = await invoke()

      assert.deepStrictEqual([cut.error, between], ['DeadlineError', '5'])
      assert.deepStrictEqual([next.result.handled, next.isCold, next.error], [5, false, undefined])
      assert.deepStrictEqual(timesDone(ledger), [1, 1, 1, 1, 1, 2, 2, 1, 1, 1])
      await assertAllCommitted(c)
    })

    it('sends a record that failed back, and to the dead-letter topic when its attempts are used up', async (t) => {
      const c = await context(t)
      await c.createTopic()
      const failures = [0, 1, 99]
      await c.order(3, (n) => ({ failures: failures[n] ?? 0 }))
      const { invoke, ledger } = await c.func({ retryLevels: [1], maximumRetryAttempts: 1 })

      const first = await invoke()
      const retries = { handled: 0, failed: 0, deadLettered: 0 }
      while (retries.handled + retries.failed < 2) {
        await c.pass(1_100)
        const { result } = await invoke()
        retries.handled += result.handled
        retries.failed += result.failed
        retries.deadLettered += result.deadLettered
      }

      const { handled, failed, sentBack } = first.result
      assert.deepStrictEqual({ handled, failed, sentBack }, { handled: 1, failed: 2, sentBack: 2 })
      assert.deepStrictEqual(retries, { handled: 1, failed: 1, deadLettered: 1 })
      assert.deepStrictEqual(timesDone(ledger), [1, 1])
      const dead = await c.stored(`%DLQ%${c.group}`)
      assert.deepStrictEqual(
        dead.map(({ body }) => JSON.parse(body.toString())),
        [{ n: 2, failures: 99 }],
      )
      await assertAllCommitted(c)
    })

    it('makes a dead letter of a body that would take 100 MiB of memory, and handles its neighbours', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await c.order(1, undefined, c.queue())
      await sendCompressed(c.client, deflateSync(Buffer.alloc(100 << 20)), c.queue())
      await c.order(1, undefined, c.queue())
      const { invoke, ledger } = await c.func({ maximumRetryAttempts: 0 })

      const { result, error } = await invoke()

      assert.deepStrictEqual(
        [result.handled, result.failed, result.deadLettered, error],
        [2, 1, 1, undefined],
      )
      assert.deepStrictEqual(timesDone(ledger), [1, 1])
      await assertAllCommitted(c)
    })

    it('waits with onFailure block for the record that failed, over invocations, and keeps the order', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await c.order(10, (n) => (n === 5 ? { blocks: 2 } : {}), c.queue())
      const { invoke, ledger } = await c.func({ onFailure: 'block' })

      const results = [await invoke(), await invoke(), await invoke()]

      assert.deepStrictEqual(
        results.map(({ result }) => [result.handled, result.queues[0]?.committedOffset]),
        [
          [5, '5'],
          [0, '5'],
          [5, '10'],
        ],
      )
      const lastTimes = ledger.filter(({ what }) => what === 'end').map(({ n }) => n)
      assert.deepStrictEqual([...new Set(lastTimes.toReversed())].toReversed(), [...onceEach(10).keys()])
      await assertAllCommitted(c)
    })

    it('sends one batch back at the most when the handler throws, and leaves the rest where it is', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await c.order(30, (n) => (n >= 10 ? { throws: true } : {}), c.queue())
      const { invoke } = await c.func({ batchSize: 10 })

      const outage = await invoke()

      assert.deepStrictEqual([outage.error], ['RangeError'])
      assert.deepStrictEqual(Object.values(await c.progress(c.group, c.topic)), [['30', '20']])
    })

    it('follows an administrator’s reset between invocations and during one', async (t) => {
      const c = await context(t)
      const door = await gate(t)
      await c.createTopic({}, 'broker-a')
      await c.order(20, (n) => (n === 25 ? { gate: door.url } : {}), c.queue())
      const { invoke, ledger } = await c.func({ batchSize: 10 })

      await invoke()
      await c.reset(c.group, c.topic, 0)
      const between = await invoke()
      await c.order(20, (n) => (n === 25 ? { gate: door.url } : {}), c.queue())
      const running = invoke()
      await door.arrived(1)
      await c.reset(c.group, c.topic, 0)
      const mark = ledger.length
      door.open()
      const during = await running
      const after = await invoke()

      assert.deepStrictEqual([between.result.handled, between.error], [20, undefined])
      assert.deepStrictEqual([during.error, after.error], [undefined, undefined])
      const again = new Set(ledger.slice(mark).flatMap(({ what, n }) => (what === 'end' ? [n] : [])))
      assert.deepStrictEqual(again.size, 40)
      await assertAllCommitted(c)
    })

    it('reads a queue that is added later from its beginning, and one that is read-only to its end', async (t) => {
      const c = await context(t)
      await c.createTopic({ readQueueNums: 1, writeQueueNums: 1 })
      const { invoke, ledger } = await c.func({
        startingPosition: 'LATEST',
        client: { nameServers: c.nameServers, timeoutMs: 10_000, routeTtlMs: 1 },
      })
      await c.order(2)

      const begun = await invoke()
      await c.createTopic({ readQueueNums: 3, writeQueueNums: 3 })
      for (const queueId of [0, 1, 2]) await c.order(4, undefined, c.queue(queueId, 'broker-b'))
      await c.createTopic({ readQueueNums: 3, writeQueueNums: 3, perm: 4 })
      const raised = await invoke()

      assert.deepStrictEqual([begun.result.handled, raised.result.handled, raised.error], [0, 12, undefined])
      assert.deepStrictEqual(timesDone(ledger), [0, 0, ...onceEach(12)])
      await assertAllCommitted(c, 6)
    })

    it('begins anew in a topic that was deleted and created again, and where its offset is beyond the end', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await c.order(6, undefined, c.queue())
      const { invoke, ledger } = await c.func({
        client: { nameServers: c.nameServers, timeoutMs: 10_000, routeTtlMs: 1 },
      })

      await invoke()
      await c.deleteTopic()
      await c.createTopic({}, 'broker-a')
      await c.order(3, undefined, c.queue())
      const anew = await invoke()
      await createPullConsumer(c.client, { consumerGroup: c.group }).commitOffset(c.queue(), 900n)
      const beyond = await invoke()

      assert.deepStrictEqual([anew.result.handled, anew.error], [3, undefined])
      assert.deepStrictEqual(
        [beyond.result.handled, beyond.result.queues[0]?.moved],
        [3, 'from 900 to 0: the queue ends at 3; 0 skipped, what it has lost is not known'],
      )
      assert.deepStrictEqual(timesDone(ledger), [1, 1, 1, 1, 1, 1, 2, 2, 2])
      await assertAllCommitted(c)
    })
  })

  describe('a broker that is killed in mid-batch', () => {
    it('loses commits and leases, and nothing else: every record is handled, by pulls and by pops', async (t) => {
      const c = await context(t)
      const door = await gate(t)
      await c.createTopic({ readQueueNums: 2, writeQueueNums: 2 })
      await c.order(80, (n) => (n === 50 ? { gate: door.url } : {}))
      const { invoke, ledger } = await c.func({ batchSize: 20 })
      const pops = await c.func({ batchSize: 20, mode: 'pop', consumerGroup: `${c.group}-pop` })

      const running = [invoke(), pops.invoke()]
      await door.arrived(2)
      await c.crash('broker-b')
      door.open()
      await Promise.all(running)
      let last = await invoke()
      while (last.error !== undefined || last.result.remainingLag > 0) last = await invoke()
      await untilDone(c, pops, 80)

      const done = new Set(ledger.filter(({ what }) => what === 'end').map(({ n }) => n))
      assert.deepStrictEqual(done.size, 80)
      await assertAllCommitted(c, 4)
    })
  })
}

async function assertAllCommitted(c: Context, queues?: number): Promise<void> {
  const progress = Object.values(await c.progress(c.group, c.topic))
  if (queues !== undefined) assert.deepStrictEqual(progress.length, queues)
  for (const [end, committed] of progress) assert.deepStrictEqual(committed, end)
}

/** By queue: message ids and offsets, in their order. */
const placesOf = <T extends { messageId: string }>(
  queues: ReadonlyMap<string, readonly T[]>,
  offsetOf: (each: T) => number,
): Map<string, string[]> =>
  new Map(
    [...queues].map(([queue, all]) => [queue, all.map((each) => `${offsetOf(each)} ${each.messageId}`)]),
  )
