/**
 * The same promises in mode `pop`: nothing is lost, nothing is handled by two at once within its invisible time, and what was
 * acknowledged stays away. There are no offsets to judge by: a message that should not come again is waited for until
 * it would have come.
 */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createPullConsumer } from '../../src/index.ts'
import type { EventSourceMapping, EventSourceResult } from '../../src/lambda/index.ts'
import { decodeStored } from '../../src/wire/message.ts'
import { sendUndecodable } from '../support/consuming.ts'
import { gate } from '../support/local-lambda.ts'
import { type Context, FROZEN_MS, onceEach, timesDone, untilDone } from './context.ts'
import type { Entry } from './orders.ts'

const POP = { mode: 'pop' } as const satisfies Partial<EventSourceMapping>
/** A broker hides what it gives for a minute, and RocketMQ brings it back up to 4 s later. */
const HIDDEN_MS = 60_000
const BACK_MS = HIDDEN_MS + 5_000

export function pop(context: (t: TestContext) => Promise<Context>): void {
  describe('in mode pop', { concurrency: 5 }, () => {
    it('drains cold, with retries, and goes on warm after 130 s: nothing that was acknowledged comes again', async (t) => {
      const c = await context(t)
      await c.createTopic({ readQueueNums: 2, writeQueueNums: 2 })
      // Of retries a batch is acknowledged, and a single one: each has its own way to name the retry topic.
      await c.order(40, (n) => (n % 4 === 1 ? { failures: n === 1 ? 2 : 1 } : {}))
      const { invoke, ledger } = await c.func({ ...POP, retryLevels: [1] })

      const cold = await invoke()
      const results = [cold, ...(await untilDone(c, { invoke, ledger }, 40))].map(({ result }) => result)
      await c.order(10)
      await wait(FROZEN_MS)
      const warm = await invoke()

      assert.deepStrictEqual(
        [total(results, 'handled'), total(results, 'failed'), total(results, 'sentBack'), cold.isCold],
        [40, 11, 11, true],
      )
      assert.deepStrictEqual([warm.result.handled, warm.error, warm.isCold], [10, undefined, false])
      assert.deepStrictEqual(timesDone(ledger), onceEach(50))
    })

    it('keeps what is being handled hidden for longer than a minute, and its last receipt acknowledges it', async (t) => {
      const c = await context(t)
      const door = await gate(t)
      await c.createTopic()
      await c.order(3, (n) => (n === 0 ? { gate: door.url } : {}))
      const { invoke, ledger } = await c.func(POP, { reservedConcurrency: 2, timeoutSeconds: 300 })

      const running = invoke()
      await door.arrived(1)
      await wait(BACK_MS) // in the function's own time, by which it asks for more
      const meanwhile = await invoke()
      door.open()
      const slow = await running
      await c.pass(BACK_MS)
      const after = await invoke()

      assert.deepStrictEqual(
        [slow, meanwhile, after].map(({ result, error }) => [result.handled, error]),
        [
          [3, undefined],
          [0, undefined],
          [0, undefined],
        ],
      )
      assert.deepStrictEqual(timesDone(ledger), onceEach(3))
    })

    it('hands the batch of a killed environment over again when its time is over, and not before', async (t) => {
      const c = await context(t)
      const door = await gate(t)
      await c.createTopic({}, 'broker-a')
      await c.order(30, (n) => (n === 15 ? { gate: door.url } : {}))
      const { lambda, invoke, ledger } = await c.func({ ...POP, batchSize: 10 })

      const running = invoke()
      await door.arrived(1)
      const [pid = 0] = lambda.pids()['consume'] ?? []
      process.kill(-pid, 'SIGKILL')
      door.open()
      const killed = await running
      const mark = ledger.length
      const within = await invoke()
      const hidden = ledger.slice(mark)
      await c.pass(BACK_MS)
      await untilDone(c, { invoke, ledger }, 30)

      assert.deepStrictEqual(
        [killed.error, within.error, within.result.handled],
        ['Runtime.ExitError', undefined, 10],
      )
      const batch = ledger
        .slice(mark)
        .filter(({ what, reconsumeTimes }) => what === 'end' && reconsumeTimes === 1)
      assert.deepStrictEqual(
        batch.map(({ n }) => n).toSorted((a, b) => a - b),
        range(10, 20),
      )
      assert.deepStrictEqual(
        hidden.filter(({ n }) => n >= 10 && n < 20),
        [],
      )
      assert.deepStrictEqual(timesDone(ledger).toSpliced(10, 5), onceEach(25))
    })

    it('hands a batch over again that was cut off at the end of the time, and no other', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await c.order(10, (n) => (n === 7 ? { hangs: 1 } : {}))
      const { invoke, ledger } = await c.func({ ...POP, batchSize: 5 }, { timeoutSeconds: 10 })

      const cut = await invoke()
      const within = await invoke()
      await c.pass(BACK_MS)
      await untilDone(c, { invoke, ledger }, 10)

      assert.deepStrictEqual(
        [cut.error, within.error, within.result.handled],
        ['DeadlineError', undefined, 0],
      )
      assert.deepStrictEqual(timesDone(ledger), [1, 1, 1, 1, 1, 2, 2, 1, 1, 1])
    })

    it('handles a batch again whose process was suspended for longer than it was hidden: its late acknowledgement says nothing', async (t) => {
      const c = await context(t)
      const door = await gate(t)
      await c.createTopic()
      await c.order(4, (n) => (n === 0 ? { gate: door.url } : {}))
      const { lambda, invoke, ledger } = await c.func(POP, { reservedConcurrency: 2, timeoutSeconds: 300 })

      const running = invoke()
      await door.arrived(1)
      const [pid = 0] = lambda.pids()['consume'] ?? []
      process.kill(-pid, 'SIGSTOP')
      door.open()
      await c.pass(BACK_MS)
      while (ledger.filter(({ what }) => what === 'end').length < 4) {
        await invoke()
        await c.pass(1_000)
      }
      process.kill(-pid, 'SIGCONT')
      const late = await running

      assert.deepStrictEqual([late.error, late.result.handled], [undefined, 4])
      assert.deepStrictEqual(timesDone(ledger), [2, 2, 2, 2])
    })

    it('shares a topic among invocations at once: no message is with two of them, and each is handled once', async (t) => {
      const c = await context(t)
      await c.createTopic({ readQueueNums: 4, writeQueueNums: 4 })
      await c.order(240, () => ({ ms: 5 }))
      const { invoke, ledger } = await c.func({ ...POP, batchSize: 20 }, { reservedConcurrency: 4 })

      const results = (
        await Promise.all(
          Array.from({ length: 4 }, async () => [await invoke(), await invoke(), await invoke()]),
        )
      ).flat()
      results.push(...(await untilDone(c, { invoke, ledger }, 240)))

      assert.deepStrictEqual([...new Set(results.map(({ error }) => error))], [undefined])
      assert.deepStrictEqual(
        results.reduce((sum, { result }) => sum + result.handled, 0),
        240,
      )
      assert.deepStrictEqual(timesDone(ledger), onceEach(240))
      assert.deepStrictEqual(atOnce(ledger), [])
    })

    it('brings a record that failed back, later with each attempt, and makes a dead letter of it in the end', async (t) => {
      const c = await context(t)
      await c.createTopic()
      const failures = [0, 1, 2, 99]
      await c.order(4, (n) => ({ failures: failures[n] ?? 0 }))
      const { invoke, ledger } = await c.func({ ...POP, retryLevels: [1, 2], maximumRetryAttempts: 2 })

      const results = [(await invoke()).result]
      const sum = (of: Count): number => total(results, of)
      // Which of them comes to its end first is the broker's choice.
      while (sum('handled') + sum('deadLettered') < 4) {
        await c.pass(1_100)
        results.push((await invoke()).result)
      }

      assert.deepStrictEqual(
        [sum('handled'), sum('failed'), sum('sentBack'), sum('deadLettered')],
        [3, 6, 5, 1],
      )
      assert.deepStrictEqual(timesDone(ledger), [1, 1, 1])
      assert.deepStrictEqual(
        ledger
          .filter(({ what, n }) => what === 'start' && n === 3)
          .map(({ reconsumeTimes }) => reconsumeTimes),
        [0, 1, 2],
      )
      assert.deepStrictEqual(
        (await c.stored(`%DLQ%${c.group}`)).map(({ body }) => JSON.parse(body.toString())),
        [{ n: 3, failures: 99 }],
      )
    })

    it('makes a dead letter of a body that cannot be decoded, as it was sent, and says why', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await sendUndecodable(c.client, c.queue())
      await c.order(2)
      const { invoke, ledger } = await c.func({ ...POP, retryLevels: [1], maximumRetryAttempts: 1 })

      const first = await invoke()
      let last = first
      while (last.result.deadLettered === 0) {
        await c.pass(1_100)
        last = await invoke()
      }

      assert.deepStrictEqual(
        [first, last].map(({ result, error }) => [result.handled, result.failed, result.sentBack, error]),
        [
          [2, 1, 1, undefined],
          [0, 1, 0, undefined],
        ],
      )
      assert.deepStrictEqual(
        [first, last].map(({ result }) => result.failure),
        [`${c.topic}/broker-a/0/0`, `%RETRY%${c.group}_${c.topic}/broker-a/0/0`].map(
          (recordId) => `record ${recordId} cannot be decoded: body does not decompress`,
        ),
      )
      assert.deepStrictEqual(timesDone(ledger), onceEach(2))
      const consumer = createPullConsumer(c.client, { consumerGroup: 'judge' })
      const { undecodable } = await consumer.pull(
        { topic: `%DLQ%${c.group}`, brokerName: 'broker-a', queueId: 0 },
        0n,
      )
      assert.deepStrictEqual(
        undecodable.map(({ bytes }) => decodeStored(bytes)?.body.toString()),
        ['not zlib'],
      )
    })
  })
}

type Count = 'handled' | 'failed' | 'sentBack' | 'deadLettered'

const total = (results: readonly EventSourceResult[], of: Count): number =>
  results.reduce((sum, result) => sum + result[of], 0)

/** Orders that two invocations had at once. From the first line of one to its last. */
function atOnce(ledger: readonly Entry[]): number[] {
  const open = new Map<number, string>()
  const found: number[] = []
  for (const { what, n, invocation } of ledger.toSorted((a, b) => a.at - b.at)) {
    const other = open.get(n)
    if (other !== undefined && other !== invocation) found.push(n)
    if (what === 'start') open.set(n, invocation)
    else open.delete(n)
  }
  return found
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, at) => from + at)
