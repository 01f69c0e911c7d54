/** What the client makes of transactions: begin and end in any process, checks for a while, sweeps (docs/transactions.md). */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import {
  createTransactionProducer,
  type SweepResult,
  type Transaction,
  type TransactionProducer,
} from '../../../src/index.ts'
import { type Cases, type Context, failure, until } from '../context.ts'
import { beginHalf, checksOf, untilChecked } from '../halves.ts'

const BEGINNER = join(import.meta.dirname, '../../support/begin-transaction.ts')
const SECRET = 'a secret of at least 32 characters'

const producerOf = (c: Context, producerGroup: string): TransactionProducer =>
  createTransactionProducer(c.connect(), { producerGroup })

const idsOf = async (c: Context, topic: string, count: number): Promise<string[]> =>
  (await c.read(topic, count)).map((message) => message.messageId)

/** What was delivered when the sentinel, which is sent now, can be read: nothing comes later that was committed before. */
async function bodiesBefore(c: Context, topic: string): Promise<string[]> {
  await c.producer.send({ topic, body: 'sentinel' })
  const bodies = await until('the sentinel', async () => {
    const all = (await c.read(topic, 1)).map((message) => message.body.toString())
    return all.includes('sentinel') && all
  })
  return bodies.filter((body) => body !== 'sentinel')
}

export const transactionProducer: Cases = {
  'a transaction is begun by one client and ended by another, with JSON in between': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('shop')
    const message = { topic, body: 'order', tag: 'a', keys: 'k', properties: { mine: 'ü' }, flag: 7 }
    const begun = await producerOf(c, producerGroup).begin(message)
    const value = JSON.parse(JSON.stringify(begun)) as Transaction
    await producerOf(c, producerGroup).end(value, 'commit')
    const [delivered] = await c.read(topic, 1, { filter: 'a' })
    deepStrictEqual(
      [delivered?.messageId, delivered?.tag, delivered?.keys, { ...delivered?.properties }, delivered?.flag],
      [begun.messageId, 'a', ['k'], { mine: 'ü' }, 7],
    )
  },

  'a transaction that is rolled back delivers nothing': async (c) => {
    const topic = await c.topic()
    const transactions = producerOf(c, c.name('shop'))
    await transactions.end(await transactions.begin({ topic, body: 'order' }), 'rollback')
    deepStrictEqual(await bodiesBefore(c, topic), [])
  },

  'a signed transaction is ended by whoever has the secret, also when another one signs now': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('shop')
    const client = c.connect()
    const before = createTransactionProducer(client, { producerGroup, secret: SECRET })
    const after = createTransactionProducer(client, { producerGroup, secret: [`another ${SECRET}`, SECRET] })
    await after.end(await before.begin({ topic, body: 'order', messageId: 'ORDER-1' }), 'commit')
    deepStrictEqual(await idsOf(c, topic, 1), ['ORDER-1'])
  },

  'run commits what returns, rolls back what throws, and gives both to the caller': async (c) => {
    const topic = await c.topic()
    const transactions = producerOf(c, c.name('shop'))
    const boom = new Error('boom')
    const { result, outcome, messageId } = await transactions.run({ topic, body: 'good' }, async () => 42)
    await rejects(
      transactions.run({ topic, body: 'bad' }, () => Promise.reject(boom)),
      boom,
    )
    deepStrictEqual(
      [result, outcome, await bodiesBefore(c, topic), await idsOf(c, topic, 1)].flat().slice(0, 4),
      [42, 'committed', 'good', messageId],
    )
  },

  'an end of the wrong half message is refused, and the error says that nothing was done': async (c) => {
    const topic = await c.topic()
    const transactions = producerOf(c, c.name('shop'))
    const begun = await transactions.begin({ topic, body: 'order' })
    deepStrictEqual(await failure(transactions.end({ ...begun, queueOffset: '999999' }, 'commit')), {
      error: 'BrokerError',
      responseCode: 1,
      outcome: 'refused',
    })
    await transactions.end(begun, 'commit')
  },

  'a process that is killed between begin and end leaves its transaction to the check of another one': async (
    c,
  ) => {
    const topic = await c.topic()
    const producerGroup = c.name('shop')
    const { nameServers } = c.broker
    const child = spawn(process.execPath, [BEGINNER, nameServers, topic, producerGroup], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [printed] = (await once(child.stdout, 'data')) as [Buffer]
    child.kill('SIGKILL')
    await once(child, 'close')
    const written = new Set([printed.toString()])
    const { resolved, unknown, failed } = await producerOf(c, producerGroup).check({
      windowMs: 6_000,
      resolve: async ({ messageId }) => (written.has(messageId) ? 'commit' : 'rollback'),
    })
    deepStrictEqual(
      [
        resolved.committed.map(({ messageId }) => messageId),
        resolved.rolledBack,
        unknown,
        failed,
        await bodiesBefore(c, topic),
      ],
      [[...written], [], [], [], ['the order']],
    )
  },

  'a check resolves each transaction once, whatever the others do': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('shop')
    const transactions = producerOf(c, producerGroup)
    const plan = ['commit', 'rollback', 'unknown', 'throw', 'hang', 'commit', 'nonsense']
    for (const body of plan) await transactions.begin({ topic, body })
    const result = await transactions.check({
      windowMs: 7_000,
      resolveTimeoutMs: 500,
      concurrency: 3,
      resolve: async ({ body, topic: of, queue }, { signal }) => {
        deepStrictEqual([of, queue.brokerName], [topic, c.brokerName])
        const what = body.toString()
        if (what === 'throw') throw new Error('the database is away')
        if (what === 'hang') await once(signal, 'abort')
        return what as 'commit'
      },
    })
    const counts = [result.resolved.committed, result.resolved.rolledBack, result.unknown, result.failed]
    deepStrictEqual([counts.map((each) => each.length), result.unreachable], [[2, 1, 1, 3], []])
    ok((result.nearestToLast?.checks ?? 0) > 1)
    deepStrictEqual(await bodiesBefore(c, topic), ['commit', 'commit'])
    // The members are gone: nobody is asked any more.
    const seen = checksOf(c, result.unknown[0]?.messageId).length
    await transactions.check({ windowMs: 1, resolve: async () => 'unknown' })
    ok(checksOf(c, result.unknown[0]?.messageId).length <= seen + 1)
  },

  'a rollback takes away the copy that a check has made of a committed message, and nothing else': async (
    c,
  ) => {
    const topic = await c.topic()
    const producerGroup = c.name('shop')
    const transactions = producerOf(c, producerGroup)
    const begun = await transactions.begin({ topic, body: 'order' })
    let late: Promise<void> | undefined
    const first = await transactions.check({
      windowMs: 8_000,
      resolve: async () => {
        late ??= transactions.end(begun, 'commit')
        await late
        return 'rollback'
      },
    })
    deepStrictEqual([first.resolved.rolledBack.length, await bodiesBefore(c, topic)], [1, ['order']])
    const second = await transactions.check({ windowMs: 4_000, resolve: async () => 'commit' })
    deepStrictEqual([second.resolved.committed, await bodiesBefore(c, topic)], [[], ['order']])
  },

  'checks of other producers in the group are answered too': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('shop')
    const half = await beginHalf(c, topic, producerGroup)
    await producerOf(c, producerGroup).check({ windowMs: 5_000, resolve: async () => 'commit' })
    deepStrictEqual(
      [await bodiesBefore(c, topic), (await untilChecked(c, half.msgId)).length > 0],
      [[half.msgId], true],
    )
  },

  'a sweep sends what brokers have given up on, once, and stops before what it cannot decide': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('shop')
    const transactions = producerOf(c, producerGroup)
    for (const body of ['paid', 'cancelled', 'open', 'behind'])
      await transactions.begin({
        topic,
        body,
        tag: 'a',
        properties: { mine: 'ü' },
        messageId: `${topic}-${body}`,
      })
    const known: Record<string, 'commit' | 'rollback'> = {
      paid: 'commit',
      cancelled: 'rollback',
      behind: 'commit',
    }
    const sweep = (): Promise<SweepResult> =>
      transactions.sweep({ resolve: async ({ body }) => known[body.toString()] ?? 'unknown' })
    const first = await until(
      'the half messages to be given up',
      async () => {
        const result = await sweep()
        const { committed, rolledBack } = result.resolved
        return committed.length + rolledBack.length + result.unknown.length > 0 && result
      },
      50_000,
    )
    const seen = await until('the last of them', async () => {
      const { unknown, resolved } = await sweep()
      first.resolved.committed.push(...resolved.committed)
      first.resolved.rolledBack.push(...resolved.rolledBack)
      return unknown[0]?.messageId
    })
    known['open'] = 'commit'
    const last = await until('the last of them', async () => {
      const { committed } = (await sweep()).resolved
      first.resolved.committed.push(...committed)
      return first.resolved.committed.length === 3 && committed
    })
    const name = ({ messageId }: { messageId: string }): string => messageId.slice(topic.length + 1)
    deepStrictEqual(
      [first.resolved.rolledBack.map(name), seen, last.map(name).at(-1)],
      [['cancelled'], `${topic}-open`, 'behind'],
    )
    const delivered = await c.read(topic, 3, { filter: 'a' })
    deepStrictEqual(
      delivered.map((message) => [message.body.toString(), name(message), message.properties['mine']]),
      ['paid', 'open', 'behind'].map((body) => [body, body, 'ü']),
    )
    deepStrictEqual((await sweep()).resolved, { committed: [], rolledBack: [] })
  },
}
