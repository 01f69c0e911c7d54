/**
 * What comes from outside stays what it is: separators and RocketMQ's own names in any field of a message, through whichever entry;
 * members named `__proto__` and `constructor` in whatever is read as JSON; lines of a log in what a log quotes; and a signed
 * transaction that is none.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import { readTransaction, sealTransaction, type Transaction } from '../../src/client/transaction.ts'
import { catalogue } from '../../src/commands/catalogue.ts'
import {
  createClient,
  createProducer,
  createTransactionProducer,
  messageFromJson,
  pullResultFromJson,
  RocketMQError,
  sendResultFromJson,
} from '../../src/index.ts'
import {
  dispatcher,
  eventSource,
  type PublisherOptions,
  publisher,
  transactionChecker,
  transactionEnder,
} from '../../src/lambda/index.ts'
import { parseEventSources } from '../../src/lambda/options.ts'
import {
  httpEvent,
  type LocalBroker,
  lambdaContext,
  scheduledEvent,
  startBroker,
} from '../../src/testing/index.ts'
import { decodeProperties } from '../../src/wire/properties.ts'
import { runCommand } from '../support/command-line.ts'
import { everything, fakeCluster, json } from '../support/fake-cluster.ts'
import { printedJson } from '../support/printed.ts'
import { TRANSACTION } from '../support/transaction.ts'

const SECRET = 'a secret of more than 32 characters'
/** With it a message would have a property more: it would be delayed. */
const MORE = 'x\u0002DELAY\u000118'
const FIELDS: Readonly<Record<string, object>> = {
  'a tag': { tag: MORE },
  'a key': { keys: [MORE] },
  'one of several keys': { keys: ['a', MORE] },
  'a sharding key': { shardingKey: MORE },
  'a message id': { messageId: MORE },
  'the value of a property': { properties: { note: MORE } },
  'the name of a property': { properties: { [MORE]: 'x' } },
  'a name of RocketMQ': { properties: { DELAY: '18' } },
  'a name for checks': { properties: { CHECK_IMMUNITY_TIME_IN_SECONDS: '1' } },
  'a name for copies': { properties: { RETRY_TOPIC: 'another' } },
  'a name of the producer': { properties: { PGROUP: 'another' } },
  'a name that begins like its own': { properties: { '__RMQ.TRANSIENT.x': 'y' } },
}

async function withBroker(
  t: TestContext,
): Promise<{ broker: LocalBroker; client: ReturnType<typeof createClient> }> {
  const broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  return { broker, client }
}

const post = (path: string, body: unknown, headers: Record<string, string> = {}) => {
  const event = httpEvent('POST', path, body)
  return { ...event, headers: { ...event.headers, ...headers } }
}

describe('a message is not given properties by', () => {
  for (const [what, field] of Object.entries(FIELDS)) {
    it(`${what}: nothing is stored, by no entry`, async (t) => {
      const { broker, client } = await withBroker(t)
      const context = lambdaContext()
      const message = { topic: 'orders', body: 'x', ...field }
      const { topic: _, ...fields } = message
      const producer = createProducer(client, { producerGroup: 'shop' })
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      const publish = publisher({
        topics: ['orders'],
        producerGroup: 'shop',
        client,
        transactions: { secret: SECRET },
      })
      const refused = async (promise: Promise<unknown>): Promise<boolean> => {
        const answer = await promise.catch((error: unknown) => error)
        if (RocketMQError.is(answer)) return answer.code === 'RMQ_CONFIG'
        return (answer as { statusCode?: number }).statusCode === 400
      }

      const answers = await Promise.all([
        refused(producer.send(message)),
        refused(producer.sendBatch('orders', [fields])),
        refused(producer.sendOneway(message)),
        refused(transactions.begin(message)),
        refused(publish(post('/topics/orders/messages', fields), context)),
        refused(publish(post('/topics/orders/messages', { messages: [{ body: 'y' }, fields] }), context)),
        refused(publish(post('/topics/orders/transactions', fields), context)),
        refused(publish(message as never, context)),
      ])

      deepStrictEqual(
        answers,
        answers.map(() => true),
      )
      deepStrictEqual([broker.messages('orders'), broker.messages('RMQ_SYS_TRANS_HALF_TOPIC')], [[], []])
    })
  }

  it('a header of a request', async (t) => {
    const { broker, client } = await withBroker(t)
    const publish = publisher({ topics: ['orders'], producerGroup: 'shop', client })
    const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
    const send = (headers: Record<string, string>) =>
      publish(post('/topics/orders/messages', { body: 'x' }, headers), lambdaContext())

    await send({ traceparent: `${trace}${MORE}` })
    await send({ traceparent: trace, tracestate: MORE })
    const answer = (await send({ 'idempotency-key': MORE })) as { statusCode: number }

    const names = broker
      .messages('orders')
      .map(({ properties }) => Object.keys(properties).filter((name) => /trace|DELAY/.test(name)))
    deepStrictEqual([names, answer.statusCode], [[[], ['traceparent']], 400])
  })

  it('an argument of the command line', async (t) => {
    const { broker } = await withBroker(t)
    const environment = { ROCKETMQ_NAMESRV_ADDR: broker.nameServers }
    const lines = [
      ['--tag', MORE],
      ['--key', MORE],
      ['--sharding-key', MORE],
      ['--property', `note=${MORE}`],
      ['--property', 'DELAY=18'],
    ]

    const ended = await Promise.all(
      lines.map((line) => runCommand(['send', 'orders', 'x', ...line], { environment })),
    )

    deepStrictEqual(
      ended.map(({ code }) => code),
      lines.map(() => 2),
    )
    deepStrictEqual(broker.messages('orders'), [])
  })
})

describe('members with names of every object change nothing in', () => {
  const HOSTILE =
    '"__proto__":{"polluted":"yes","topic":"p"},"constructor":{"prototype":{"polluted":"yes"}},"toString":"x"'
  const isClean = (): boolean => !('polluted' in {}) && !('polluted' in []) && !('polluted' in (() => 0))
  /** What reading them gives or throws; anything but an error of this package would be a fault. */
  const attempt = async (read: () => unknown): Promise<void> => {
    try {
      await read()
    } catch (error) {
      ok(RocketMQError.is(error), String(error))
    }
    ok(isClean())
  }

  it('the body of any answer or request', async () => {
    let read = 0
    for (const command of catalogue.values())
      for (const codec of [command.requestBody, command.responseBody])
        for (const text of [`{${HOSTILE}}`, `{"x":{${HOSTILE}},${HOSTILE}}`, `[{${HOSTILE}}]`]) {
          await attempt(() => codec.decode(Buffer.from(text)))
          read++
        }
    deepStrictEqual(read, catalogue.size * 6)
  })

  it('a header and properties', async () => {
    const properties = decodeProperties('__proto__\u0001x\u0002constructor\u0001y\u0002')
    deepStrictEqual([Object.getPrototypeOf(properties), isClean()], [null, true])
  })

  it('values of this package, mappings and transactions', async () => {
    const transaction = { ...TRANSACTION, begunAt: Date.now() }
    const mapping = '"topic":"orders","consumerGroup":"billing"'
    const text = JSON.stringify(transaction).slice(1, -1)
    const seal = { secrets: [SECRET], maxAgeMs: 1_000 }
    for (const json of [`{${HOSTILE}}`, `{${text},${HOSTILE}}`, `{${HOSTILE},${text}}`]) {
      const value = JSON.parse(json) as Transaction
      for (const reader of [messageFromJson, pullResultFromJson, sendResultFromJson])
        await attempt(() => reader(value))
      await attempt(() => readTransaction(undefined, 'shop', value))
      await attempt(() => readTransaction(seal, 'shop', sealTransaction(seal, value)))
    }
    for (const json of [`{${HOSTILE}}`, `{"orders":{${mapping},${HOSTILE}}}`, `{"__proto__":{${mapping}}}`])
      await attempt(() => parseEventSources(json))
  })

  it('an event, an answer of a handler, a request or an answer of a target', async (t) => {
    const { client } = await withBroker(t)
    await createProducer(client, { producerGroup: 'shop' }).send({ topic: 'orders', body: `{${HOSTILE}}` })
    const mapping = { topic: 'orders', consumerGroup: 'billing', client } as const
    const hostile = (): object => JSON.parse(`{${HOSTILE},"batchItemFailures":[{${HOSTILE}}]}`) as object
    const lambda = { send: async () => ({ Payload: Buffer.from(JSON.stringify(hostile())) }) }
    const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined }
    const context = (): ReturnType<typeof lambdaContext> => lambdaContext({ remainingMs: 2_000 })
    const handle = async (event: { records: Record<string, { json(): unknown }[]> }): Promise<object> => {
      for (const record of Object.values(event.records).flat()) record.json()
      return hostile()
    }
    const publish = publisher({ topics: ['orders'], producerGroup: 'shop', client })
    const end = transactionEnder({ topics: ['orders'], producerGroup: 'shop', secret: SECRET, client })

    await attempt(() => eventSource({ ...mapping, logger }, handle as never)(scheduledEvent(), context()))
    await attempt(() =>
      eventSource({ ...mapping, logger, lambda: lambda as never, target: { functionName: 'f' } })(
        scheduledEvent(),
        context(),
      ),
    )
    for (const event of [`{"version":1,"eventSource":"orders",${HOSTILE}}`, `{${HOSTILE}}`])
      await attempt(() =>
        eventSource({ ...mapping, logger }, async () => undefined)(JSON.parse(event), context()),
      )
    await attempt(() => publish(post('/topics/orders/messages', `{"body":"x",${HOSTILE}}`), context()))
    await attempt(() =>
      publish(JSON.parse(`{"topic":"orders","body":{${HOSTILE}},"properties":{${HOSTILE}}}`), context()),
    )
    await attempt(() =>
      end(JSON.parse(`{${HOSTILE},"outcome":"commit","transaction":{${HOSTILE}}}`), context()),
    )
  })
})

describe('a line of a log is one of ours', () => {
  const FORGED = '\r\n\u2028{"level":"ERROR","message":"forged"}\n'
  /** As their own handlers would be asked for it: whatever fails quotes what it was given. */
  const schema = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate(value: unknown) {
        throw new Error(`not understood: ${(value as { text: string }).text}`)
      },
    },
  } as const

  it('whatever servers answer, brokers are called, and callers give', async (t) => {
    const calls: unknown[][] = []
    for (const method of ['debug', 'info', 'log', 'warn', 'error'] as const)
      t.mock.method(console, method, (...values: unknown[]) => void calls.push(values))
    printedJson(t) // each line of it is read as JSON
    const brokerName = `broker-a${FORGED}`
    const cluster = await fakeCluster(t, {
      brokers: { 'broker-a': everything(() => ({ code: 16, remark: `no permission${FORGED}`, ext: {} })) },
      nameServer: {
        105: () => ({
          body: json({
            queueDatas: [{ brokerName, readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 }],
            brokerDatas: [{ cluster: FORGED, brokerName, brokerAddrs: { 0: cluster.broker().address } }],
          }),
        }),
      },
    })
    const client = cluster.client()
    // What the operator's own code throws is logged in full, whatever it quotes.
    const quoting = cluster.client({
      addressMap: (address) => {
        throw new Error(`no address for ${address}${FORGED}`)
      },
    })
    const context = () => lambdaContext({ remainingMs: 2_500 })
    const shared = { producerGroup: 'shop', client }
    const transactions = { secret: SECRET }
    const publishing = (options: Partial<PublisherOptions> = {}) =>
      publisher({ topics: ['orders'], ...shared, transactions, ...options })
    const mapping = { topic: 'orders', consumerGroup: 'billing' }
    const lambda = { send: async () => ({}) }
    const sealed = sealTransaction(
      { secrets: [SECRET], maxAgeMs: 60_000 },
      {
        version: 1,
        producerGroup: 'shop',
        topic: 'orders',
        messageId: 'ORDER-1',
        brokerName,
        queueOffset: '0',
        commitLogOffset: '0',
        begunAt: Date.now(),
      },
    )

    const ended = await Promise.allSettled<unknown>([
      publishing()(post('/topics/orders/messages', { body: 'x' }), context()),
      publishing()(post('/topics/orders/messages', { messages: [{ body: 'x' }, { body: 'y' }] }), context()),
      publishing()(post('/topics/orders/transactions', { body: 'x' }), context()),
      publishing({ client: quoting })(post('/topics/orders/messages', { body: 'x' }), context()),
      publishing({ topics: { orders: { schema } } })(
        post('/topics/orders/messages', { body: { text: FORGED } }),
        context(),
      ),
      transactionEnder({ ...shared, topics: ['orders'], ...transactions })(
        post('/transactions/commit', { transaction: sealed }),
        context(),
      ),
      transactionChecker({ ...shared, windowMs: 50 }, async () => 'commit')(scheduledEvent(), context()),
      eventSource({ ...mapping, client, metrics: true }, async () => undefined)(scheduledEvent(), context()),
      dispatcher({ eventSources: { orders: mapping }, functionName: 'consume', client, lambda })(
        scheduledEvent(),
        context(),
      ),
    ])

    const lines = calls.map(([line, ...more]) => {
      deepStrictEqual([typeof line, more], ['string', []])
      return line as string
    })
    deepStrictEqual(
      lines.filter((line) => /[\r\n]/.test(line) || JSON.parse(line).message === 'forged'),
      [],
    )
    ok(lines.some((line) => line.includes('forged')) && ended.length === 9)
  })
})

describe('a signed transaction', () => {
  const seal = { secrets: [SECRET], maxAgeMs: 60_000 }
  const transaction = { version: 1, producerGroup: 'shop', topic: 'orders', messageId: 'ORDER-1' } as const
  const text = sealTransaction(seal, {
    ...transaction,
    brokerName: 'broker-a',
    queueOffset: '0',
    commitLogOffset: '0',
    begunAt: Date.now(),
  })
  const isTaken = (given: unknown, own = seal): boolean => {
    try {
      readTransaction(own, 'shop', given)
      return true
    } catch (error) {
      ok(RocketMQError.is(error) && error.code === 'RMQ_CONFIG', String(error))
      return false
    }
  }
  const [version = '', payload = '', signature = ''] = text.split('.')
  const plain = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Transaction

  it('is taken whole, and with no character changed, lost or added', () => {
    const others = Array.from(text).flatMap((character, at) => [
      text.slice(0, at) + (character === 'A' ? 'B' : 'A') + text.slice(at + 1),
      text.slice(0, at) + text.slice(at + 1),
      `${text.slice(0, at)}A${text.slice(at)}`,
      text.slice(0, at),
    ])

    deepStrictEqual([isTaken(text), others.filter((each) => isTaken(each) && each !== text)], [true, []])
  })

  it('is taken in no other form: unsigned, signed by nothing, by another algorithm or for something else', () => {
    const signed = (algorithm: string, purpose: string, secret = SECRET): string =>
      createHmac(algorithm, secret).update(`${purpose}${payload}`).digest('base64url')
    const forms: unknown[] = [
      plain,
      JSON.stringify(plain),
      payload,
      `${version}.${payload}`,
      `${version}.${payload}.`,
      `${version}.${payload}.${'A'.repeat(43)}`,
      `0.${payload}.${signature}`,
      `${version}.${payload}.${signed('sha1', 'rocketmq-lambda transaction 1.')}`,
      `${version}.${payload}.${signed('sha512', 'rocketmq-lambda transaction 1.').slice(0, 43)}`,
      `${version}.${payload}.${signed('sha256', '')}`,
      `${version}.${payload}.${signed('sha256', 'rocketmq-lambda transaction 1.', 'x'.repeat(32))}`,
      [text],
      { text },
    ]

    const right = `${version}.${payload}.${signed('sha256', 'rocketmq-lambda transaction 1.')}`
    deepStrictEqual([isTaken(right), forms.filter((each) => isTaken(each))], [true, []])
  })

  it('is taken no longer than its age allows, nor when its secret is gone', () => {
    const old = sealTransaction(seal, { ...plain, begunAt: Date.now() - 60_001 })

    deepStrictEqual(
      [
        isTaken(old),
        isTaken(text, { ...seal, secrets: ['y'.repeat(32), SECRET] }),
        isTaken(text, { ...seal, secrets: ['y'.repeat(32)] }),
      ],
      [false, true, false],
    )
  })
})
