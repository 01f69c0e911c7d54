/**
 * 200 invocations for the same 8 queues, judged from a ledger outside of them. They run in this process, each with a client
 * of its own: what they fight for is at the broker, which sees as many clients either way, and so many processes at once would
 * measure this machine's scheduler. Each wants some of the queues, begins at its own moment and has little time, so that
 * queues go from hand to hand while others ask for them. In processes of their own: `npm run figures`.
 */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { consume } from './contender.ts'
import { type Cluster, type Context, createContext, doubleOwners, timesDone } from './context.ts'
import type { Entry } from './orders.ts'

const INVOCATIONS = 200
/** So many messages and so much of its time belong to each invocation. */
const MESSAGES_EACH = 12
const SPREAD_MS_EACH = 40
export const QUEUES_PER_BROKER = 4
/** For what is left behind them, on a machine without time as well. */
const PATIENCE_MS = 240_000
/** Of owners, in 200 invocations: at a load of 20 on two cores there were 29 to 36. */
const LEAST_CHANGES = 8
const SLOWEST_PACE = 4
const [FIRST, LAST] = ['first', 'last']
const ALONE = new Set([FIRST, LAST])

/** What became of invocations for the same 8 queues. */
export interface ContentionFigures {
  /** How often each message was done. */
  times: number[]
  /** What two invocations had at once. */
  doubleOwners: string[]
  /** By queue: where it ends, and where the group stands. */
  progress: [end: string, committed: string][]
  /** How often a queue went from one of them to another. */
  changes: number
  /** One line. */
  told: string
}

/** So many invocations for the same 8 queues. @param pace how many times as long all of it takes */
export async function contend(c: Context, invocations: number, pace = 1): Promise<ContentionFigures> {
  const messages = MESSAGES_EACH * invocations
  await c.createTopic({ readQueueNums: QUEUES_PER_BROKER, writeQueueNums: QUEUES_PER_BROKER })
  await c.order(messages)
  const ledger: Entry[] = []
  await consume(c, ledger, FIRST, { remainingMs: 1_250, workMs: 10 }) // the group begins

  const results = await Promise.all(
    Array.from({ length: invocations }, async (_, index) => {
      await wait(pace * Math.random() * SPREAD_MS_EACH * invocations)
      const remainingMs = pace * (2_250 + Math.random() * 2_000)
      return await consume(c, ledger, `${index}`, { remainingMs, workMs: 10 * pace, event: someQueues(c) })
    }),
  )
  // One that was cut off may have had no time to give its queues back: they are free when their leases end.
  let kept = 0
  const limit = Date.now() + PATIENCE_MS
  for (let isOver = false; !isOver; ) {
    assert.ok(Date.now() < limit, `not all of it was done after ${PATIENCE_MS} ms`)
    const result = await consume(c, ledger, LAST, { remainingMs: 60_000 })
    isOver = result?.leftToOthers === 0 && result.queues.every(({ lag }) => lag === 0)
    kept = Math.max(kept, result?.leftToOthers ?? 0)
    if (!isOver) await c.pass(5_000)
  }

  const times = timesDone(ledger)
  // The one before them and the ones behind them have nobody to contend with.
  const { changes, longest } = handOvers(ledger.filter(({ invocation }) => !ALONE.has(invocation)))
  const owners = results.filter((result) => result === undefined || result.handled > 0).length
  const cut = results.filter((result) => result === undefined).length
  const twice = times.filter((n) => n > 1).length
  return {
    times,
    doubleOwners: doubleOwners(ledger),
    progress: Object.values(await c.progress(c.group, c.topic)),
    changes,
    told: `${invocations} invocations, ${owners} of them got queues, ${cut} were cut off, ${kept} queues not given back; ${changes} changes of owner, ${twice} of ${messages} records twice; ${longest}`,
  }
}

export function contention(open: (t: TestContext) => Promise<Cluster>): void {
  describe('200 invocations for the same 8 queues', () => {
    it('lose no message, and no queue has two owners', async (t) => {
      const cluster = await open(t)

      // Where a machine has no time for any of them nobody has contended: then all of it again, slower.
      let most = 0
      for (let pace = 1; most < LEAST_CHANGES && pace <= SLOWEST_PACE; pace *= 2) {
        const c = await createContext(t, cluster)
        const { times, doubleOwners, progress, changes, told } = await contend(c, INVOCATIONS, pace)

        t.diagnostic(told)
        assert.deepStrictEqual(
          [times.length, times.every((n) => n >= 1)],
          [MESSAGES_EACH * INVOCATIONS, true],
        )
        assert.deepStrictEqual(doubleOwners, [])
        for (const [end, committed] of progress) assert.deepStrictEqual(committed, end)
        most = Math.max(most, changes)
      }
      assert.ok(most >= LEAST_CHANGES, `${most} changes of owner`)
    })

    it('get the queues of one that has ended at once', async (t) => {
      const c = await createContext(t, await open(t))

      const { times, doubleOwners, left, gaps } = await takeTurns(c, 10)

      assert.deepStrictEqual([times.length, doubleOwners, left], [80, [], 0])
      t.diagnostic(`the next owner's handler began ${Math.max(...gaps)} ms after the start at the latest`)
    })
  })
}

/** One invocation after the other for all queues, which each gives back at its end. */
export async function takeTurns(
  c: Context,
  turns: number,
): Promise<{ times: number[]; doubleOwners: string[]; left: number; gaps: number[] }> {
  await c.createTopic({ readQueueNums: QUEUES_PER_BROKER, writeQueueNums: QUEUES_PER_BROKER })
  const ledger: Entry[] = []
  const gaps: number[] = []
  let left = 0
  for (let turn = 0; turn < turns; turn++) {
    await c.order(8)
    const before = ledger.length
    const began = performance.timeOrigin + performance.now()
    const result = await consume(c, ledger, `${turn}`, { remainingMs: 10_000 })
    gaps.push((ledger[before]?.at ?? Number.NaN) - began)
    left += result?.leftToOthers ?? 1
  }
  return { times: timesDone(ledger), doubleOwners: doubleOwners(ledger), left, gaps }
}

/** As a dispatcher would send it: some of the queues. */
export function someQueues(c: Context): object {
  const all = ['broker-a', 'broker-b'].flatMap((brokerName) =>
    Array.from({ length: QUEUES_PER_BROKER }, (_, queueId) => c.queue(queueId, brokerName)),
  )
  const queues = all.filter(() => Math.random() < 0.4)
  return { version: 1, eventSource: c.topic, queues: queues.length > 0 ? queues : all }
}

function handOvers(ledger: readonly Entry[]): { changes: number; longest: string } {
  let changes = 0
  const gaps: number[] = []
  for (const entries of Object.values(Object.groupBy(ledger, ({ queue }) => queue))) {
    let last: Entry | undefined
    for (const entry of entries ?? []) {
      if (last && last.invocation !== entry.invocation) {
        changes += 1
        gaps.push(entry.at - last.at)
      }
      last = entry
    }
  }
  gaps.sort((a, b) => a - b)
  const [middle = 0, most = 0] = [gaps[gaps.length >> 1], gaps.at(-1)]
  return {
    changes,
    longest: `a queue was without owner for ${middle.toFixed(0)} ms (median), ${most.toFixed(0)} ms at most`,
  }
}
