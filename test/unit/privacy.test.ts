/**
 * Nothing tells a body, key, property or secret: neither what is made of a client, nor its errors in any mode of failure, nor what
 * functions log of them, nor the command line. Mappings have a test of their own (lambda/privacy.test.ts).
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import { sealTransaction } from '../../src/client/transaction.ts'
import {
  type Client,
  type ClientOptions,
  createClient,
  createGroupAdmin,
  createMessageQuery,
  createOffsetAdmin,
  createPopConsumer,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
  createTransactionProducer,
  serve,
} from '../../src/index.ts'
import {
  dispatcher,
  eventSource,
  publisher,
  rocketmq,
  transactionChecker,
  transactionEnder,
} from '../../src/lambda/index.ts'
import { httpEvent, lambdaContext, scheduledEvent, startBroker } from '../../src/testing/index.ts'
import { allOf, CANARY, found } from '../support/canary.ts'
import { runCommand } from '../support/command-line.ts'
import { everything, fakeCluster, type Handler } from '../support/fake-cluster.ts'
import { closedPort } from '../support/fake-server.ts'
import { printedJson } from '../support/printed.ts'
import { TRANSACTION } from '../support/transaction.ts'

const SECRET = `${CANARY} of a transaction, long enough`
const CREDENTIALS = { accessKey: 'billing', secretKey: `${CANARY}-secret`, securityToken: `${CANARY}-token` }
const MESSAGE = {
  topic: 'orders',
  body: JSON.stringify({ card: `${CANARY}-body` }),
  tag: 'created',
  keys: `${CANARY}-key`,
  shardingKey: `${CANARY}-sharding`,
  properties: { note: `${CANARY}-property` },
}

/** All that is written to the console, metrics, warnings, and messages of node:diagnostics_channel. */
function listening(t: TestContext): unknown[] {
  const told: unknown[] = []
  const note = (...values: unknown[]): void => void told.push(values)
  printedJson(t, note)
  for (const channel of ['rocketmq-lambda:batch', 'rocketmq-lambda:invocation']) {
    subscribe(channel, note)
    t.after(() => unsubscribe(channel, note))
  }
  for (const method of ['debug', 'info', 'log', 'warn', 'error', 'trace', 'dir'] as const)
    t.mock.method(console, method, note)
  t.mock.method(process, 'emitWarning', note)
  return told
}

const { topic: _, shardingKey, ...rest } = MESSAGE
const MESSAGE_OF_HTTP = { ...rest, shardingKey, keys: [MESSAGE.keys] }

const answering =
  (code: number, remark: string): Handler =>
  () => ({ code, remark })

/** How brokers answer everything. */
const MODES: Readonly<Record<string, Handler>> = {
  'an unknown user': answering(16, 'User:billing is not found.'),
  'a wrong signature': answering(16, 'check signature failed.'),
  'a missing grant': answering(
    16,
    'User:billing has no permission to access Topic:orders from 10.0.0.1, no matched policies.',
  ),
  'an exception': answering(1, 'java.lang.RuntimeException: disk\n\tat org.apache'),
  'an illegal message': answering(13, 'the message is illegal'),
  'a busy broker': answering(2, '[TIMEOUT_CLEAN_QUEUE]broker busy'),
  'an unknown request': answering(3, 'request type not supported'),
  'no topic': answering(17, 'topic not exist'),
  'headers that are nonsense': () => ({ ext: { msgId: 'x', queueId: 'many', queueOffset: '-' } }),
  'bodies that are nonsense': () => ({ body: Buffer.from([0xff, 0x7b]) }),
  nothing: () => undefined,
  'a reset': (_, connection) => connection.reset(),
  'the end of the connection': (_, connection) => connection.end(),
  'bytes that are no frame': (_, connection) =>
    connection.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')),
}

/** What a client and all that is made of it do with what is to be hidden: what is made, and what came of it. */
async function work(client: Client, ms = 1_000): Promise<{ made: unknown[]; came: unknown[] }> {
  const [producerGroup, consumerGroup, topic] = ['shop', 'billing', 'orders']
  const queue = { topic, brokerName: 'broker-a', queueId: 0 }
  const limits = { deadlineMs: Date.now() + ms }
  const context = lambdaContext({ remainingMs: ms + 500 })
  const producer = createProducer(client, { producerGroup, retries: 0 })
  const puller = createPullConsumer(client, { consumerGroup })
  const popper = createPopConsumer(client, { consumerGroup })
  const transactions = createTransactionProducer(client, { producerGroup, secret: SECRET, retries: 0 })
  const [topics, groups, offsets] = [
    createTopicAdmin(client),
    createGroupAdmin(client),
    createOffsetAdmin(client),
  ]
  const messages = createMessageQuery(client)
  const publish = publisher({ topics: [topic], producerGroup, client, transactions: { secret: SECRET } })
  const end = transactionEnder({ topics: [topic], producerGroup, secret: SECRET, client })
  const check = transactionChecker({ producerGroup, windowMs: 50, client }, async () => 'commit')
  const mapping = { topic, consumerGroup }
  const consume = eventSource({ ...mapping, client, metrics: true }, async () => undefined)
  const lambda = { send: async () => ({}) }
  const dispatch = dispatcher({ eventSources: { orders: mapping }, functionName: 'consume', client, lambda })
  const { topic: _, ...body } = MESSAGE
  const token = sealTransaction(
    { secrets: [SECRET], maxAgeMs: 60_000 },
    {
      ...TRANSACTION,
      begunAt: Date.now(),
    },
  )
  const event = (path: string, given: unknown) => httpEvent('POST', path, given)
  const came = await Promise.allSettled<unknown>([
    producer.send(MESSAGE, limits),
    producer.sendBatch(topic, [body, body], limits),
    producer.sendOneway(MESSAGE, limits),
    transactions.begin(MESSAGE, limits),
    transactions.end(token, 'commit', limits),
    puller.pull(queue, 0n, limits),
    puller.commitOffset(queue, 1n, limits),
    puller.committedOffset(queue, limits),
    puller.lock([queue], limits),
    popper.pop(topic, limits),
    topics.describe(topic, limits),
    groups.stats(consumerGroup, limits as never),
    offsets.plan({ consumerGroup, topic, to: 'latest', ...limits } as never),
    messages.byKey(topic, 'key', limits as never),
    serve(client, { consumerGroup, windowMs: 50, ...limits }),
    publish(event('/topics/orders/messages', MESSAGE_OF_HTTP), context),
    publish(event('/topics/orders/messages', { messages: [MESSAGE_OF_HTTP, MESSAGE_OF_HTTP] }), context),
    publish(event('/topics/orders/transactions', MESSAGE_OF_HTTP), context),
    publish({ topic, ...MESSAGE_OF_HTTP } as never, context),
    end(event('/transactions/commit', { transaction: token }), context),
    end({ transaction: `${token}x`, outcome: 'commit' }, context),
    check(scheduledEvent(), context),
    consume(scheduledEvent(), context),
    dispatch(scheduledEvent(), context),
  ])
  const middleware = rocketmq({ client })
  const inContext = {}
  await middleware.before({ context: inContext })
  const made = [
    client,
    producer,
    puller,
    popper,
    transactions,
    topics,
    groups,
    offsets,
    messages,
    publish,
    end,
  ]
  return { made: [...made, check, consume, dispatch, middleware, inContext], came }
}

/** A token is what its holder was given; what it holds is for whoever has it. */
const withoutTokens = (text: string): string => text.replaceAll(/\b1\.[\w-]{40,}\.[\w-]{43}/g, '(token)')

function check(told: unknown): void {
  const text = withoutTokens(allOf(told))
  deepStrictEqual(found(text), [], text.slice(0, 20_000))
}

it('the word is found where it is hidden: in a cause, behind a symbol, in bytes, in base64', () => {
  const hiding = [
    new Error('x', { cause: new Error(CANARY) }),
    Object.defineProperty({}, Symbol('s'), { value: [CANARY], enumerable: false }),
    { deep: { deeper: [{ bytes: Buffer.from(`x${CANARY}`) }] } },
    { text: Buffer.from(`xx${CANARY}yy`).toString('base64') },
    { toJSON: () => CANARY },
  ]

  deepStrictEqual(
    hiding.map((each) => found(allOf(each)).length > 0),
    hiding.map(() => true),
  )
})

describe('nothing is told of bodies, keys, properties and secrets by', () => {
  for (const [what, handler] of Object.entries(MODES)) {
    it(`a client and functions whose broker answers with ${what}`, async (t) => {
      const told = listening(t)
      const cluster = await fakeCluster(t, { brokers: { 'broker-a': everything(handler) } })
      const client = cluster.client({ credentials: CREDENTIALS, timeoutMs: 1_000 })

      const all = await work(client)

      ok(all.came.length === 24 && cluster.broker().frames.length > 0)
      check([all, told])
    })
  }

  it('a client and functions without a server, without credentials that work, and when they are closed', async (t) => {
    const told = listening(t)
    const gone = await closedPort()
    const failing = async (): Promise<never> => {
      throw new Error('the vault is closed')
    }
    const cluster = await fakeCluster(t)
    const clients = [
      createClient({ nameServers: gone, credentials: CREDENTIALS, timeoutMs: 1_000 }),
      cluster.client({ credentials: failing, timeoutMs: 100 }),
      cluster.client({
        credentials: (async () => ({ secretKey: CREDENTIALS.secretKey })) as never,
        timeoutMs: 100,
      }),
      cluster.client({ credentials: CREDENTIALS, timeoutMs: 1_000 }),
    ]
    await clients.at(-1)?.close()

    const all = await Promise.all(clients.map((each) => work(each)))

    check([all, told])
    await clients[0]?.close()
  })

  it('a client that does all of it on a broker that takes it', async (t) => {
    const told = listening(t)
    await using broker = await startBroker({
      topics: { orders: { queues: 1 } },
      users: { billing: { secretKey: CREDENTIALS.secretKey } },
      transactionTimeOut: 1,
    })
    const client = createClient({ nameServers: broker.nameServers, credentials: CREDENTIALS })
    t.after(() => client.close())

    const { made } = await work(client, 30_000)

    ok(broker.messages('orders').length > 3)
    check([made, told])
  })

  it('options that are wrong', () => {
    const errors: unknown[] = []
    const wrong: ClientOptions[] = [
      { nameServers: 'a:1', credentials: { accessKey: '', secretKey: CREDENTIALS.secretKey } },
      { nameServers: 'a:1', credentials: { accessKey: 5 as never, secretKey: CREDENTIALS.secretKey } },
      { nameServers: 'a:1', credentials: { ...CREDENTIALS, securityToken: { text: CANARY } as never } },
      { nameServers: 'a:1', credentials: [CREDENTIALS] as never },
      { nameServers: 'a:1', credentials: CREDENTIALS.secretKey as never },
    ]
    for (const options of wrong)
      try {
        createClient(options)
      } catch (error) {
        errors.push(error)
      }
    for (const secret of [`${CANARY}`, [SECRET, CANARY], { text: CANARY }] as never[])
      try {
        transactionEnder({ topics: ['orders'], producerGroup: 'shop', secret })
      } catch (error) {
        errors.push(error)
      }

    deepStrictEqual(errors.length, 8)
    check(errors)
  })

  it('the command line, whatever it is refused with', async () => {
    await using broker = await startBroker({ topics: ['orders'], users: { known: { secretKey: 'another' } } })
    const environment = {
      ROCKETMQ_NAMESRV_ADDR: broker.nameServers,
      ROCKETMQ_SECRET_KEY: CREDENTIALS.secretKey,
      ROCKETMQ_SECURITY_TOKEN: CREDENTIALS.securityToken,
      ROCKETMQ_TIMEOUT_MS: '2000',
    }
    const lines = [
      'send orders x',
      'lag billing',
      'doctor --function publish --topic orders',
      'topic show orders',
    ]
    const ended = await Promise.all(
      lines.flatMap((line) =>
        ['known', 'stranger'].map((ROCKETMQ_ACCESS_KEY) =>
          runCommand(line.split(' '), { environment: { ...environment, ROCKETMQ_ACCESS_KEY } }),
        ),
      ),
    )

    ok(
      ended.every(({ code, stdout, stderr }) => code === 1 && /signature|is not found/.test(stdout + stderr)),
    )
    check(ended)
  })
})
