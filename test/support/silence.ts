/** What tells nothing of bodies, keys, properties and secrets, whatever a broker answers: for tests of that. */
import { deepStrictEqual } from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { TestContext } from 'node:test'
import { sealTransaction } from '../../src/client/transaction.ts'
import {
  type Client,
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
  type EventSourceLogger,
  eventSource,
  publisher,
  rocketmq,
  type StandardSchema,
  transactionChecker,
  transactionEnder,
} from '../../src/lambda/index.ts'
import { httpEvent, lambdaContext, scheduledEvent } from '../../src/testing/index.ts'
import { allOf, CANARY, found } from './canary.ts'
import { printedJson } from './printed.ts'
import { TRANSACTION } from './transaction.ts'

export const SECRET: string = `${CANARY} of a transaction, long enough`
export const CREDENTIALS: Readonly<Record<'accessKey' | 'secretKey' | 'securityToken', string>> = {
  accessKey: 'billing',
  secretKey: `${CANARY}-secret`,
  securityToken: `${CANARY}-token`,
}
const MESSAGE = {
  topic: 'orders',
  body: JSON.stringify({ card: `${CANARY}-body` }),
  tag: 'created',
  keys: `${CANARY}-key`,
  shardingKey: `${CANARY}-sharding`,
  properties: { note: `${CANARY}-property` },
}

/** All that is written to the console, metrics, warnings, and messages of node:diagnostics_channel. */
export function listening(t: TestContext): { told: unknown[]; logger: EventSourceLogger } {
  const told: unknown[] = []
  const note = (...values: unknown[]): void => void told.push(values)
  printedJson(t, note)
  for (const channel of ['rocketmq-lambda:batch', 'rocketmq-lambda:invocation']) {
    subscribe(channel, note)
    t.after(() => unsubscribe(channel, note))
  }
  for (const method of ['debug', 'info', 'log', 'warn', 'error', 'trace', 'dir'] as const)
    t.mock.method(console, method, (...values: unknown[]) => note(method, ...values))
  t.mock.method(process, 'emitWarning', note)
  const at =
    (level: string) =>
    (...values: unknown[]) =>
      note(level, ...values)
  return { told, logger: { debug: at('debug'), info: at('info'), warn: at('warn') } }
}

const { topic: _, shardingKey, ...rest } = MESSAGE
const MESSAGE_OF_HTTP = { ...rest, shardingKey, keys: [MESSAGE.keys] }

/** As those that do not expect a body: what they throw quotes it. */
const throwing: StandardSchema = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      throw new TypeError(`bad input ${JSON.stringify(value)}`)
    },
  },
}

/** What a client and all that is made of it do with what is to be hidden: what is made, and what came of it. */
export async function work(
  client: Client,
  ms = 1_000,
): Promise<{ made: unknown[]; came: PromiseSettledResult<unknown>[] }> {
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
  const checking = publisher({ topics: { [topic]: { schema: throwing } }, producerGroup, client })
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
    checking(event('/topics/orders/messages', MESSAGE_OF_HTTP), context),
    checking(event('/topics/orders/messages', { messages: [MESSAGE_OF_HTTP] }), context),
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
    checking,
    end,
  ]
  return { made: [...made, check, consume, dispatch, middleware, inContext], came }
}

/** A token is what its holder was given; what it holds is for whoever has it. */
const withoutTokens = (text: string): string => text.replaceAll(/\b1\.[\w-]{40,}\.[\w-]{43}/g, '(token)')

export function checkSilence(told: unknown): void {
  const text = withoutTokens(allOf(told))
  deepStrictEqual(found(text), [], text.slice(0, 20_000))
}
