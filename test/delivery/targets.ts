/**
 * A mapping with a target, both functions processes of one local Lambda: what becomes of the records when the target fails in
 * each of its ways, when there is no room for it, and when the function that has invoked it is gone or suspended meanwhile.
 */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { gate } from '../support/local-lambda.ts'
import { type Context, FROZEN_MS, LEASE_MS, onceEach, timesDone, untilDone } from './context.ts'
import type { Entry } from './orders.ts'

export function targets(context: (t: TestContext) => Promise<Context>): void {
  describe('with a target', { concurrency: 4 }, () => {
    it('invokes it cold, and warm after 130 s', async (t) => {
      const c = await context(t)
      await c.createTopic()
      await c.order(6)
      const { invoke, ledger } = await c.func({}, {}, {})

      const cold = await invoke()
      await c.order(6)
      await wait(FROZEN_MS)
      const warm = await invoke()

      assert.deepStrictEqual(
        [cold, warm].map(({ result, error, isCold }) => [result.handled, error, isCold]),
        [
          [6, undefined, true],
          [6, undefined, false],
        ],
      )
      assert.deepStrictEqual(timesDone(ledger), onceEach(12))
    })

    it('splits an event of 6 MB and more, and keeps the order', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      const padding = 'x'.repeat(900_000)
      await c.order(8, () => ({ padding }), c.queue())
      const { invoke, ledger } = await c.func({}, { memorySize: 512 }, { memorySize: 512 })

      const { result, error } = await invoke()

      const done = ledger.filter(({ what }) => what === 'end')
      assert.deepStrictEqual([result.handled, error], [8, undefined])
      assert.deepStrictEqual(
        done.map(({ n }) => n),
        [...onceEach(8).keys()],
      )
      assert.ok(new Set(done.map(({ invocation }) => invocation)).size > 1)
      await assertCommitted(c, '8')
    })

    for (const [what, fault, error] of [
      ['fails', 'throws', 'FunctionError'],
      ['reaches its own time limit', 'hangs', 'FunctionError'],
      ['answers what is in no contract', 'garbage', 'ResponseError'],
    ] as const) {
      it(`sends one batch back when it ${what}, and goes on with the rest`, async (t) => {
        const c = await context(t)
        await c.createTopic({}, 'broker-a')
        await c.order(15, (n) => (n === 7 ? { fault } : {}), c.queue())
        const target = fault === 'hangs' ? { timeoutSeconds: 3 } : {}
        const { invoke, ledger } = await c.func({ batchSize: 5, retryLevels: [1] }, {}, target)

        const failed = await invoke()
        await assertCommitted(c, '10')
        const next = await invoke()
        await untilDone(c, { invoke, ledger }, 15)

        assert.deepStrictEqual([failed.error, next.error], [error, undefined])
        const again = ledger.filter(
          ({ what: each, reconsumeTimes }) => each === 'end' && reconsumeTimes === 1,
        )
        assert.deepStrictEqual(numbers(again), [5, 6, 7, 8, 9])
        await assertCommitted(c, '15')
      })
    }

    for (const mode of ['pull', 'pop'] as const) {
      it(`leaves the records where they are when it has no room, which is no attempt (${mode})`, async (t) => {
        const c = await context(t)
        const door = await gate(t)
        await c.createTopic()
        await c.order(6)
        const mapping = { mode, maximumRetryAttempts: 0 }
        const { lambda, invoke, ledger } = await c.func(mapping, {}, { reservedConcurrency: 1 })

        const other = lambda.invoke('target', { gate: door.url })
        await door.arrived(1)
        const throttled = await invoke()
        door.open()
        await other
        await untilDone(c, { invoke, ledger }, 6)

        assert.deepStrictEqual(throttled.error, 'InvokeError')
        assert.deepStrictEqual(
          ledger.filter(({ what }) => what === 'start').map(({ reconsumeTimes }) => reconsumeTimes),
          [0, 0, 0, 0, 0, 0],
        )
        assert.deepStrictEqual(timesDone(ledger), onceEach(6))
      })

      it(`loses nothing when the function that waits for it is killed (${mode})`, async (t) => {
        const c = await context(t)
        const door = await gate(t)
        await c.createTopic({}, 'broker-a')
        await c.order(12, (n) => (n === 6 ? { gate: door.url } : {}), c.queue())
        const { lambda, invoke, ledger } = await c.func({ mode, batchSize: 5 }, {}, {})

        const running = invoke()
        await door.arrived(1)
        const [pid = 0] = lambda.pids()['consume'] ?? []
        process.kill(-pid, 'SIGKILL')
        const killed = await running
        door.open()
        await c.pass(LEASE_MS + 5_000)
        await untilDone(c, { invoke, ledger }, 12, 17)

        assert.deepStrictEqual(killed.error, 'Runtime.ExitError')
        // The target did not hear of it, and has handled its batch besides.
        assert.deepStrictEqual(timesDone(ledger), [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 1, 1])
        if (mode === 'pull') await assertCommitted(c, '12')
      })
    }

    it('loses nothing, and commits nothing back, when the function that waits for it is suspended beyond its lease', async (t) => {
      const c = await context(t)
      const door = await gate(t)
      await c.createTopic({}, 'broker-a')
      await c.order(12, (n) => (n === 6 ? { gate: door.url } : {}), c.queue())
      const consume = { reservedConcurrency: 2, timeoutSeconds: 300 }
      const { lambda, invoke, ledger } = await c.func({ batchSize: 5 }, consume, {})

      const running = invoke()
      await door.arrived(1)
      const [pid = 0] = lambda.pids()['consume'] ?? []
      process.kill(-pid, 'SIGSTOP')
      door.open()
      await c.pass(LEASE_MS + 5_000)
      await untilDone(c, { invoke, ledger }, 12, 17)
      process.kill(-pid, 'SIGCONT')
      const { result, error } = await running

      assert.deepStrictEqual([result.handled, error], [5, undefined])
      assert.deepStrictEqual(timesDone(ledger), [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 1, 1])
      await assertCommitted(c, '12')
    })

    it('gives it as many batches of a queue at once as parallelizationFactor says', async (t) => {
      const c = await context(t)
      const door = await gate(t)
      await c.createTopic({}, 'broker-a')
      await c.order(40, (n) => (n < 32 && n % 8 === 0 ? { gate: door.url } : {}), c.queue())
      const { invoke, ledger } = await c.func({ batchSize: 8, parallelizationFactor: 4 }, {}, {})

      const running = invoke()
      await door.arrived(4)
      door.open()
      const { result, error } = await running

      assert.deepStrictEqual([result.handled, error], [40, undefined])
      assert.deepStrictEqual(timesDone(ledger), onceEach(40))
      assert.deepStrictEqual(new Set(ledger.map(({ invocation }) => invocation)).size, 5)
      await assertCommitted(c, '40')
    })
  })
}

const numbers = (entries: readonly Entry[]): number[] => entries.map(({ n }) => n).toSorted((a, b) => a - b)

/** Of the one queue of the topic. */
async function assertCommitted(c: Context, offset: string): Promise<void> {
  const { 'broker-a/0': [, committed] = [] } = await c.progress(c.group, c.topic)
  assert.deepStrictEqual(committed, offset)
}
