import { deepStrictEqual, match, ok, rejects, throws } from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createTransactor } from '../../../src/client/transactor.ts'
import { SendMessageV2 } from '../../../src/commands/send.ts'
import { EndTransaction } from '../../../src/commands/transaction.ts'
import { ConnectError } from '../../../src/errors.ts'
import {
  type Client,
  type ClientOptions,
  createClient,
  createTransactionProducer,
  type Resolve,
  type Transaction,
} from '../../../src/index.ts'
import { GetProducerConnectionList } from '../../../src/testing/broker/handlers/more-commands.ts'
import {
  createClock,
  type LocalBroker,
  type LocalBrokerOptions,
  startBroker,
} from '../../../src/testing/index.ts'
import { TRANSACTION } from '../../support/transaction.ts'

const SECRET = 'a secret of at least 32 characters'
const SEND = 310
const END = 37
const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC'

interface Run {
  broker: LocalBroker
  client: Client
}

async function withBroker(
  options: LocalBrokerOptions & { client?: ClientOptions },
  run: (run: Run) => Promise<void>,
): Promise<void> {
  const { client: clientOptions, ...brokerOptions } = options
  await using broker = await startBroker({ topics: { orders: { queues: 1 } }, ...brokerOptions })
  const client = createClient({ nameServers: broker.nameServers, ...clientOptions })
  try {
    await run({ broker, client })
  } finally {
    await client.close()
  }
}

const bodies = (broker: LocalBroker, topic = 'orders'): string[] =>
  broker.messages(topic).map(({ body }) => body.toString())

const unused = (): Client => createClient({ nameServers: '127.0.0.1:1' })

describe('a transaction', () => {
  it('is plain JSON that says where the half message is', () =>
    withBroker({ clock: createClock({ at: 1_800_000_000_000 }) }, async ({ client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const { begunAt, ...rest } = await transactions.begin({
        topic: 'orders',
        body: 'x',
        messageId: 'ORDER-1',
      })
      ok(Math.abs(Date.now() - begunAt) < 60_000)
      deepStrictEqual(rest, {
        version: 1,
        producerGroup: 'shop',
        topic: 'orders',
        messageId: 'ORDER-1',
        brokerName: 'broker-a',
        queueOffset: '0',
        commitLogOffset: '0',
      })
    }))

  for (const [what, change, field] of [
    ['of another version', { version: 2 }, 'transaction.version'],
    ['of another group', { producerGroup: 'other' }, 'transaction.producerGroup'],
    ['with a topic that is none', { topic: 'a b' }, 'transaction.topic'],
    ['with an offset that is a number', { queueOffset: 0 }, 'transaction.queueOffset'],
    ['with an offset below 0', { commitLogOffset: '-1' }, 'transaction.commitLogOffset'],
    ['with an offset above 2^63', { commitLogOffset: '9223372036854775808' }, 'transaction.commitLogOffset'],
    ['without a broker', { brokerName: undefined }, 'transaction.brokerName'],
    ['with a time that is an object', { begunAt: { toString: 1 } }, 'transaction.begunAt'],
    ['with a member more', { commit: true }, 'commit'],
  ] as const)
    it(`${what} is refused before anything is sent`, async () => {
      const transactions = createTransactionProducer(unused(), { producerGroup: 'shop' })
      const given = { ...TRANSACTION, ...change } as unknown as Transaction
      await rejects(transactions.end(given, 'commit'), { code: 'RMQ_CONFIG', field, outcome: 'not-sent' })
    })

  it('that is no object, an outcome that is none, and a delayed message are refused', async () => {
    const transactions = createTransactionProducer(unused(), { producerGroup: 'shop' })
    const delayed = { topic: 'orders', body: 'x', delayMs: 5 }
    await rejects(transactions.end('text' as unknown as Transaction, 'commit'), { field: 'transaction' })
    await rejects(transactions.end(TRANSACTION, 'unknown' as 'commit'), { field: 'outcome' })
    await rejects(transactions.begin(delayed), { field: 'delayMs' })
  })

  it('that has a __proto__ of its own changes nothing', async () => {
    const transactions = createTransactionProducer(unused(), { producerGroup: 'shop' })
    const given = JSON.parse(`{"__proto__":{"version":1},"topic":"orders"}`) as Transaction
    await rejects(transactions.end(given, 'commit'), { code: 'RMQ_CONFIG', field: '__proto__' })
  })
})

describe('a signed transaction', () => {
  const sign = (payload: string, secret = SECRET): string =>
    createHmac('sha256', secret).update(`rocketmq-lambda transaction 1.${payload}`).digest('base64url')
  const text = (changes: Partial<Transaction> = {}): string => {
    const value = { ...TRANSACTION, begunAt: Date.now(), ...changes }
    const payload = Buffer.from(JSON.stringify(value)).toString('base64url')
    return `1.${payload}.${sign(payload)}`
  }
  const signed = text()

  it('is text of one word, and ends the transaction', () =>
    withBroker({}, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop', secret: SECRET })
      const transaction = await transactions.begin({ topic: 'orders', body: 'order' })
      match(transaction, /^1\.[\w-]+\.[\w-]{43}$/)
      await transactions.end(transaction, 'commit')
      deepStrictEqual(bodies(broker), ['order'])
    }))

  for (const [what, given] of [
    ['plain', TRANSACTION],
    ['empty', ''],
    ['of another version', signed.replace(/^1/, '2')],
    ['with another payload', signed.replace(/\..*\./, `.${Buffer.from('{}').toString('base64url')}.`)],
    ['with another signature', signed.replace(/.{5}$/, 'AAAAA')],
    ['with a signature cut short', signed.slice(0, -1)],
    [
      'signed by another secret',
      signed.replace(/[^.]+$/, sign(signed.split('.')[1] ?? '', `other ${SECRET}`)),
    ],
    [
      'signed for something else',
      signed.replace(
        /[^.]+$/,
        createHmac('sha256', SECRET)
          .update(signed.split('.')[1] ?? '')
          .digest('base64url'),
      ),
    ],
    ['very long', `1.${'A'.repeat(1_000_000)}.${'A'.repeat(43)}`],
    ['too old', text({ begunAt: Date.now() - 300_001 })],
  ] as const)
    it(`that is ${what} is refused`, async () => {
      const transactions = createTransactionProducer(unused(), { producerGroup: 'shop', secret: SECRET })
      await rejects(transactions.end(given as string, 'commit'), { code: 'RMQ_CONFIG', field: 'transaction' })
    })

  it('that differs in any one character is refused', async () => {
    const transactions = createTransactionProducer(unused(), { producerGroup: 'shop', secret: SECRET })
    for (let at = 0; at < signed.length; at++) {
      // The last bit first: the last digit of the signature has two that belong to no byte.
      const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      const digit = digits[digits.indexOf(signed[at] as string) ^ 1] ?? '-'
      const altered = signed.slice(0, at) + digit + signed.slice(at + 1)
      await rejects(transactions.end(altered, 'commit'), { code: 'RMQ_CONFIG', field: 'transaction' })
    }
  })

  it('is taken under each secret of a list, and made with the first', () =>
    withBroker({}, async ({ broker, client }) => {
      const [old, next, third] = ['old', 'new', 'third'].map((name) => `${name} ${SECRET}`) as [
        string,
        string,
        string,
      ]
      const producer = (secret: string | string[]) =>
        createTransactionProducer(client, { producerGroup: 'shop', secret })
      const [before, during] = [producer(old), producer([next, old])]
      await during.end(await before.begin({ topic: 'orders', body: 'before' }), 'commit')
      await producer(next).end(await during.begin({ topic: 'orders', body: 'during' }), 'commit')
      await rejects(before.end(await during.begin({ topic: 'orders', body: 'x' }), 'commit'), {
        field: 'transaction',
      })
      await rejects(producer(third).end(await during.begin({ topic: 'orders', body: 'x' }), 'commit'), {
        field: 'transaction',
      })
      deepStrictEqual(bodies(broker), ['before', 'during'])
    }))

  for (const [what, beyondMs, code] of [
    ['as old as it may be', 0, 'RMQ_CONNECT'],
    ['a millisecond older than it may be', 1, 'RMQ_CONFIG'],
    ['begun by a clock that is ahead', -3_600_000, 'RMQ_CONNECT'],
  ] as const)
    it(`that is ${what} is ${code === 'RMQ_CONFIG' ? 'refused' : 'taken'}`, async (t) => {
      const transactions = createTransactionProducer(unused(), { producerGroup: 'shop', secret: SECRET })
      const now = Date.now()
      const given = text({ begunAt: now - 300_000 - beyondMs })
      t.mock.method(Date, 'now', () => now)
      await rejects(transactions.end(given, 'commit'), { code })
    })

  it('that says how old it is by another age limit is taken', async () => {
    const transactions = createTransactor(unused(), { producerGroup: 'shop', secret: SECRET, maxAgeMs: 1e9 })
    await rejects(transactions.end(text({ begunAt: Date.now() - 300_001 }), 'commit'), {
      code: 'RMQ_CONNECT',
    })
  })

  for (const secret of ['', 'short', [], [SECRET, 'short'], 5] as unknown as string[])
    it(`takes no secret ${JSON.stringify(secret)}`, () => {
      throws(() => createTransactionProducer(unused(), { producerGroup: 'shop', secret }), {
        field: 'secret',
      })
    })
})

describe('begin', () => {
  it('does not try again when the half message may be there: a check would deliver both', () =>
    withBroker({ client: { timeoutMs: 2_000 } }, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const lost = broker.faults.add({ fault: 'lose-answer', code: SEND })
      await rejects(transactions.begin({ topic: 'orders', body: 'order' }), {
        code: 'RMQ_TIMEOUT',
        outcome: 'unknown',
        retryable: false,
      })
      deepStrictEqual([lost.hits, bodies(broker, HALF_TOPIC)], [1, ['order']])
    }))

  it('tries again where nothing was stored', () =>
    withBroker({ brokers: 2 }, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      broker.faults.add({ fault: 'busy', code: SEND, times: 1 })
      await transactions.begin({ topic: 'orders', body: 'order' })
      deepStrictEqual(bodies(broker, HALF_TOPIC), ['order'])
    }))

  it('goes by the namespace of the client', () =>
    withBroker({ topics: ['ns%orders'], client: { namespace: 'ns' } }, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const transaction = await transactions.begin({ topic: 'orders', body: 'order' })
      await transactions.end(transaction, 'commit')
      const [delivered] = broker.messages('ns%orders')
      deepStrictEqual(
        [transaction.topic, transaction.producerGroup, delivered?.properties['PGROUP']],
        ['orders', 'shop', 'ns%shop'],
      )
    }))
})

describe('end', () => {
  it('is sent once, and says that the outcome is unknown when its answer is lost', () =>
    withBroker({ client: { timeoutMs: 2_000 } }, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const transaction = await transactions.begin({ topic: 'orders', body: 'order' })
      const lost = broker.faults.add({ fault: 'lose-answer', code: END })
      await rejects(transactions.end(transaction, 'commit'), { code: 'RMQ_TIMEOUT', outcome: 'unknown' })
      deepStrictEqual([lost.hits, bodies(broker)], [1, ['order']])
    }))

  it('is not repeated over a connection that was lost', () =>
    withBroker({}, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const transaction = await transactions.begin({ topic: 'orders', body: 'order' })
      const half = broker.faults.add({ fault: 'half-frame', code: END })
      await rejects(transactions.end(transaction, 'commit'), { outcome: 'unknown' })
      deepStrictEqual([half.hits, bodies(broker)], [1, ['order']])
    }))
})

describe('run', () => {
  it('gives what was done, and the error of the commit, when that failed', () =>
    withBroker({ client: { timeoutMs: 2_000 } }, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      broker.faults.add({ fault: 'drop', code: END })
      const { result, outcome, error } = await transactions.run(
        { topic: 'orders', body: 'x' },
        async () => 'done',
      )
      deepStrictEqual([result, outcome, error?.code], ['done', 'unknown', 'RMQ_TIMEOUT'])
    }))

  it('leaves to the check what the error calls unknown, and rolls back any other', () =>
    withBroker({}, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const ends = broker.faults.add({ fault: 'delay', code: END, ms: 0 })
      const fail = (error: Error): Promise<unknown> =>
        rejects(
          transactions.run({ topic: 'orders', body: 'x' }, () => Promise.reject(error)),
          error,
        )
      await fail(Object.assign(new Error('no answer'), { outcome: 'unknown' }))
      const afterUnknown = ends.hits
      await fail(new Error('no such order'))
      deepStrictEqual([afterUnknown, ends.hits], [0, 1])
    }))

  it('does nothing when the half message could not be stored', () =>
    withBroker({}, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      broker.faults.add({ fault: 'refuse', code: SEND, responseCode: 13 })
      let called = false
      await rejects(
        transactions.run({ topic: 'orders', body: 'x' }, async () => {
          called = true
        }),
        { outcome: 'refused' },
      )
      deepStrictEqual(called, false)
    }))
})

describe('check', () => {
  const quick = { transactionCheckInterval: 100, transactionTimeOut: 50 }
  const commit: Resolve = async () => 'commit'

  it('asks all masters, and leaves them', () =>
    withBroker({ ...quick, brokers: 2 }, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      for (let n = 0; n < 4; n++) await transactions.begin({ topic: 'orders', body: String(n) })
      const { resolved } = await transactions.check({ windowMs: 4_000, resolve: commit })
      deepStrictEqual(
        [resolved.committed.map(({ brokerName }) => brokerName).sort(), bodies(broker).sort()],
        [
          ['broker-a', 'broker-a', 'broker-b', 'broker-b'],
          ['0', '1', '2', '3'],
        ],
      )
      for (const { address } of broker.brokers) {
        const request = { producerGroup: 'shop' }
        const asked = client.network.call(address, GetProducerConnectionList, request, undefined, {
          deadline: client.deadline(),
        })
        await rejects(asked, { responseCode: 1 })
      }
    }))

  it('answers for the others when one master is away, and says so', () =>
    withBroker({ ...quick, brokers: 2, client: { timeoutMs: 1_500 } }, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      for (let n = 0; n < 2; n++) await transactions.begin({ topic: 'orders', body: 'order' })
      broker.brokers[1]?.freeze()
      const { resolved, unreachable } = await transactions.check({ windowMs: 4_000, resolve: commit })
      deepStrictEqual(
        [resolved.committed.length, unreachable.map(({ brokerName }) => brokerName)],
        [1, ['broker-b']],
      )
    }))

  it('rejects when no master can be reached', () =>
    withBroker({ client: { timeoutMs: 2_000 } }, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      broker.brokers[0]?.freeze()
      await rejects(transactions.check({ windowMs: 5_000, resolve: commit }), { code: 'RMQ_CONNECT' })
    }))

  it('ends the newest copy when another check comes while it is being resolved', () =>
    withBroker(quick, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      await transactions.begin({ topic: 'orders', body: 'order' })
      const ends: unknown[] = []
      const call = client.network.call
      const watched = {
        ...client,
        network: {
          ...client.network,
          call: ((address, command, request, ...rest) => {
            if ((command as { code: number }).code === EndTransaction.code) ends.push(request)
            return call(address, command, request, ...rest)
          }) as typeof call,
        },
      }
      const slow: Resolve = async () => {
        while (broker.messages(HALF_TOPIC).length < 4) await new Promise((resolve) => setTimeout(resolve, 20))
        return 'commit'
      }
      const checker = createTransactionProducer(watched, { producerGroup: 'shop' })
      const { resolved } = await checker.check({ windowMs: 4_000, resolve: slow })
      deepStrictEqual([resolved.committed.length, bodies(broker)], [1, ['order']])
      const [first] = ends as [{ tranStateTableOffset: bigint }]
      ok(first.tranStateTableOffset > 1n)
    }))

  it('resolves what it was asked before its window ended, also behind others', () =>
    withBroker(quick, async ({ client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      for (const body of ['a', 'b', 'c']) await transactions.begin({ topic: 'orders', body })
      const end = Date.now() + 4_000

      const { resolved, unknown } = await transactions.check({
        windowMs: 4_000,
        concurrency: 1,
        async resolve() {
          await delay(Math.max(0, end + 100 - Date.now()))
          return 'commit'
        },
      })

      deepStrictEqual([resolved.committed.length, unknown], [3, []])
    }))

  it('is there again after its connection was lost', () =>
    withBroker({ transactionCheckInterval: 100, transactionTimeOut: 5_200 }, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      await transactions.begin({ topic: 'orders', body: 'order' })
      broker.faults.add({ fault: 'reset', code: 34, after: 1, times: 1 })
      const { resolved } = await transactions.check({ windowMs: 10_000, resolve: commit })
      deepStrictEqual([resolved.committed.length, bodies(broker)], [1, ['order']])
    }))

  it('ends at once when it is aborted, also what it has asked', () =>
    withBroker(quick, async ({ client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      await transactions.begin({ topic: 'orders', body: 'order' })
      const stop = new AbortController()
      const seen: AbortSignal[] = []
      const resolve: Resolve = (_message, { signal }) => {
        seen.push(signal)
        stop.abort(new Error('enough'))
        return new Promise(() => {})
      }
      await rejects(transactions.check({ windowMs: 60_000, resolve, signal: stop.signal }), {
        code: 'RMQ_ABORTED',
      })
      deepStrictEqual(
        seen.map(({ aborted }) => aborted),
        [true],
      )
    }))

  it('runs once at a time with a client', () =>
    withBroker(quick, async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      await transactions.begin({ topic: 'orders', body: 'order' })
      const resolve: Resolve = async () => {
        await rejects(transactions.check({ windowMs: 500, resolve: commit }), { field: 'check' })
        return 'commit'
      }
      const { resolved, failed } = await transactions.check({ windowMs: 3_000, resolve })
      deepStrictEqual([resolved.committed.length, failed, bodies(broker)], [1, [], ['order']])
    }))

  it('leaves nothing behind when it is refused while it still connects to another master', () =>
    withBroker({ ...quick, brokers: 2 }, async ({ broker, client }) => {
      const address = broker.brokers[1]?.address ?? ''
      const { pool } = client.network
      const [asked, open] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const late: typeof pool.get = async (to, deadline) => {
        if (to === address) {
          asked.resolve()
          await open.promise
        }
        return await pool.get(to, deadline)
      }
      const away: typeof pool.get = async (to, deadline) => {
        if (to === address) throw new ConnectError('away')
        return await pool.get(to, deadline)
      }
      const reaching = (get: typeof pool.get) =>
        createTransactionProducer(
          { ...client, network: { ...client.network, pool: { ...pool, get } } },
          { producerGroup: 'shop' },
        )
      const isHere = Promise.withResolvers<void>()
      const resolve: Resolve = async () => {
        isHere.resolve()
        return 'commit'
      }
      const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
      await createTransactionProducer(client, { producerGroup: 'shop' }).begin({
        topic: 'orders',
        queue,
        body: 'x',
      })
      const first = reaching(away).check({ windowMs: 4_000, resolve })
      await isHere.promise
      const second = reaching(late).check({ windowMs: 4_000, resolve })
      await asked.promise
      setImmediate(open.resolve)
      await rejects(second, { field: 'check' })
      await first
      const { listeners } = await pool.get(address, client.deadline())
      deepStrictEqual([...listeners.keys()], [])
    }))

  it('reports a half message that cannot be decompressed', () =>
    withBroker(quick, async ({ broker, client }) => {
      const properties = 'TRAN_MSG\u0001true\u0002PGROUP\u0001shop\u0002UNIQ_KEY\u0001ORDER-1\u0002'
      const request = {
        producerGroup: 'shop',
        topic: 'orders',
        queueId: 0,
        sysFlag: 0x301,
        bornTimestamp: BigInt(Date.now()),
        flag: 0,
        properties,
      }
      await client.network.call(
        broker.brokers[0]?.address ?? '',
        SendMessageV2,
        request,
        Buffer.from('no zlib'),
        {
          deadline: client.deadline(),
        },
      )
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const { failed } = await transactions.check({ windowMs: 2_000, resolve: commit })
      deepStrictEqual(
        failed.map(({ messageId, error }) => [messageId, (error as { code?: string }).code]),
        [['ORDER-1', 'RMQ_PROTOCOL']],
      )
    }))

  for (const [what, answer, shown] of [
    ['an object of the user’s', { toString: 1, card: '4242' }, 'Object'],
    ['long text', 'x'.repeat(5_000), 'x'.repeat(100)],
    ['nothing', undefined, 'undefined'],
  ] as const)
    it(`leaves open what is answered with ${what}, and does not repeat all of it`, () =>
      withBroker(quick, async ({ broker, client }) => {
        const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
        await transactions.begin({ topic: 'orders', body: 'order' })
        const resolve = (async () => answer) as unknown as Resolve
        const { failed } = await transactions.check({ windowMs: 2_000, resolve })
        const text = `resolve(): takes commit or rollback or unknown, got ${shown}`
        deepStrictEqual([failed.map(({ error }) => (error as Error).message), bodies(broker)], [[text], []])
      }))

  for (const [field, options] of [
    ['resolve', {}],
    ['windowMs', { resolve: commit, windowMs: 0 }],
    ['concurrency', { resolve: commit, concurrency: 0 }],
    ['resolveTimeoutMs', { resolve: commit, resolveTimeoutMs: 0 }],
    ['windowSeconds', { resolve: commit, windowSeconds: 5 }],
  ] as const)
    it(`refuses a wrong ${field}`, async () => {
      const transactions = createTransactionProducer(unused(), { producerGroup: 'shop' })
      await rejects(transactions.check(options as unknown as { resolve: Resolve }), {
        code: 'RMQ_CONFIG',
        field,
      })
    })
})

describe('sweep', () => {
  const once = { transactionCheckInterval: 1_000, transactionTimeOut: 1, transactionCheckMax: 1 }

  /** A broker that has given up on half messages of two groups. */
  const withAbandoned = (run: (run: Run) => Promise<void>): Promise<void> =>
    withBroker({ ...once, clock: createClock({ at: Date.now() }) }, async (given) => {
      for (const [producerGroup, body] of [
        ['other', 'of-others'],
        ['shop', 'first'],
        ['shop', 'second'],
      ] as const)
        await createTransactionProducer(given.client, { producerGroup }).begin({
          topic: 'orders',
          body,
          messageId: body,
          shardingKey: body,
        })
      await given.broker.clock.advance(5_000)
      await run(given)
    })

  it('finds nothing where brokers have given up on nothing', () =>
    withBroker({}, async ({ client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      deepStrictEqual(await transactions.sweep({ resolve: async () => 'commit' }), {
        resolved: { committed: [], rolledBack: [] },
        unknown: [],
        failed: [],
      })
    }))

  it('sends those of its group as ordinary messages under their ids, once', () =>
    withAbandoned(async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const seen: string[] = []
      const resolve: Resolve = async ({ topic, messageId }) => {
        seen.push(`${topic} ${messageId}`)
        return 'commit'
      }
      for (let n = 0; n < 2; n++) await transactions.sweep({ resolve })
      const sent = broker.messages('orders').map(({ sysFlag, properties }) => {
        const { UNIQ_KEY, TRAN_MSG, __SHARDINGKEY } = properties
        return [sysFlag, UNIQ_KEY, TRAN_MSG, __SHARDINGKEY]
      })
      deepStrictEqual(
        [seen, sent],
        [
          ['orders first', 'orders second'],
          [
            [0, 'first', undefined, 'first'],
            [0, 'second', undefined, 'second'],
          ],
        ],
      )
    }))

  it('stops before one that fails, says why, and begins with it the next time', () =>
    withAbandoned(async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const boom = new Error('the database is away')
      const first = await transactions.sweep({ resolve: () => Promise.reject(boom) })
      const second = await transactions.sweep({ resolve: async () => 'rollback' })
      deepStrictEqual(
        [
          first.failed.map(({ messageId, error }) => [messageId, error]),
          second.resolved.rolledBack.map(({ messageId }) => messageId),
          bodies(broker),
        ],
        [[['first', boom]], ['first', 'second'], []],
      )
    }))

  it('leaves to another sweep what that one is about to do', () =>
    withAbandoned(async ({ broker, client }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const inner: unknown[] = []
      const resolve: Resolve = async () => {
        const { resolved } = await transactions.sweep({ resolve: async () => 'commit' })
        inner.push(...resolved.committed)
        return 'commit'
      }
      await transactions.sweep({ resolve })
      deepStrictEqual([inner, bodies(broker)], [[], ['first', 'second']])
    }))
})
