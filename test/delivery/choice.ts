/** Which messages a mapping hands over at all: what its filter, its schema and its age leave out, and where those go. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createProducer } from '../../src/index.ts'
import { type Context, onceEach, timesDone } from './context.ts'

export function choice(context: (t: TestContext) => Promise<Context>): void {
  describe('a mapping that leaves messages out', { concurrency: 4 }, () => {
    it('hands over what SQL92 chooses, and commits past the rest; a broker without it is no reason to hand over all', async (t) => {
      const c = await context(t)
      await c.createTopic({ readQueueNums: 2, writeQueueNums: 2 })
      const producer = createProducer(c.client, { producerGroup: 'shop' })
      for (let n = 0; n < 20; n++) {
        const properties = { weight: `${n % 10}`, colour: n < 10 ? 'red' : 'blue' }
        await producer.send({ topic: c.topic, body: JSON.stringify({ n }), properties })
      }
      const { invoke, ledger } = await c.func({
        filter: { sql: "weight BETWEEN 7 AND 8 AND colour = 'red'" },
      })

      const { result, error } = await invoke()

      if (!c.hasSql92) return assert.deepStrictEqual([error, ledger], ['ConfigError', []])
      assert.deepStrictEqual([result.handled, result.remainingLag, error], [2, 0, undefined])
      assert.deepStrictEqual(timesDone(ledger), [0, 0, 0, 0, 0, 0, 0, 1, 1])
      await assertAllCommitted(c)
    })

    it('fails with the parser’s words where SQL92 is none, and commits nothing', async (t) => {
      const c = await context(t)
      await c.createTopic()
      await c.order(2)
      const { invoke, ledger } = await c.func({ filter: { sql: 'weight > > 1' } })

      const { error } = await invoke()

      assert.deepStrictEqual([error, ledger], ['ConfigError', []])
    })

    it('makes dead letters of what its schema refuses, and names the field, not what stands in it', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await c.order(3, (n) => (n === 1 ? { n: 'secret' as unknown as number } : {}), c.queue())
      const { invoke, ledger } = await c.func(
        { maximumRetryAttempts: 0 },
        { environment: { SCHEMA: 'order' } },
      )

      const { result, error } = await invoke()

      const { handled, failed, deadLettered, queues } = result
      assert.deepStrictEqual([handled, failed, deadLettered, error], [2, 1, 1, undefined])
      assert.deepStrictEqual(
        queues[0]?.failure,
        `record ${c.topic}/broker-a/0/1 does not fit the schema at n`,
      )
      assert.deepStrictEqual(timesDone(ledger), [1, 0, 1])
      const dead = await c.stored(`%DLQ%${c.group}`)
      assert.deepStrictEqual(
        dead.map(({ body }) => JSON.parse(body.toString())),
        [{ n: 'secret' }],
      )
      await assertAllCommitted(c)
    })

    it('makes dead letters of what is older than it may be, and hands over the rest', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await c.order(3, undefined, c.queue())
      // By the clock of who sends and that of who handles.
      await wait(61_000)
      await c.order(2, undefined, c.queue())
      const { invoke, ledger } = await c.func({ maximumRecordAgeInSeconds: 60 })

      const { result, error } = await invoke()

      assert.deepStrictEqual([result.handled, result.deadLettered, error], [2, 3, undefined])
      assert.deepStrictEqual(timesDone(ledger), [0, 0, 0, ...onceEach(2)])
      assert.deepStrictEqual((await c.stored(`%DLQ%${c.group}`)).length, 3)
      await assertAllCommitted(c)
    })

    it('says what it would hand over with dryRun, and leaves no trace at the broker', async (t) => {
      const c = await context(t)
      await c.createTopic({}, 'broker-a')
      await c.order(7, undefined, c.queue())
      const { invoke, ledger } = await c.func({ dryRun: true })

      const { result, error } = await invoke()

      assert.deepStrictEqual([result.wouldHandle, result.handled, error, ledger], [7, 0, undefined, []])
      const real = await c.func()
      assert.deepStrictEqual((await real.invoke()).result.handled, 7)
      await assertAllCommitted(c)
    })
  })
}

async function assertAllCommitted(c: Context): Promise<void> {
  for (const [end, committed] of Object.values(await c.progress(c.group, c.topic)))
    assert.deepStrictEqual(committed, end)
}
