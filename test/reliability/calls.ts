/** Every call of the public client, made ready on one topic of one broker: for what must hold of each of them. */
import {
  type CallOptions,
  type Client,
  createClusterAdmin,
  createGroupAdmin,
  createMessageQuery,
  createOffsetAdmin,
  createPopConsumer,
  createProducer,
  createPullConsumer,
  createRegistration,
  createTopicAdmin,
  createTransactionProducer,
  serve,
} from '../../src/index.ts'
import { startTimer } from '../support/timer.ts'

export type Call = (limits: CallOptions) => Promise<unknown>

const topic = 'every-call'
const consumerGroup = 'every-call'
const brokerName = 'broker-a'
const queue = { topic, brokerName, queueId: 0 }
const timerMs = 3_600_000

/**
 * Makes on a broker what the calls need, and opens what a warm client has open. The broker must be called `broker-a`, and
 * allow timer messages to be recalled.
 */
export async function readyCalls(client: Client): Promise<Record<string, Call>> {
  const producer = createProducer(client, { producerGroup: 'every-call' })
  const transactions = createTransactionProducer(client, { producerGroup: 'every-call' })
  const consumer = createPullConsumer(client, { consumerGroup })
  const popper = createPopConsumer(client, { consumerGroup: 'every-pop' })
  const topics = createTopicAdmin(client)
  const groups = createGroupAdmin(client)
  const offsets = createOffsetAdmin(client)
  const query = createMessageQuery(client)
  const cluster = createClusterAdmin(client)
  const registration = createRegistration(client, { producerGroups: ['every-call'] })

  await topics.create(topic, { readQueueNums: 1, writeQueueNums: 1 })
  client.routes.forget(await client.route(topic, client.deadline()))
  const sent = await producer.send({ topic, body: 'x', keys: ['k'] })
  const timer = await producer.send({ topic, body: 'x', deliverAt: Date.now() + timerMs })
  const transaction = await transactions.begin({ topic, body: 'x' })
  await groups.create(consumerGroup)
  const [message] = (await consumer.pull(queue, 0n)).messages
  await consumer.commitOffset(queue, 0n)
  const [popped] = (await popper.pop(topic, { maxMessages: 1, invisibleMs: 60_000, waitMs: 5_000 })).messages
  if (!message || !popped) throw new Error('the message that was sent is not there')
  const plan = await offsets.plan({ consumerGroup, topic, to: 'earliest' })
  const resolve = async (): Promise<'unknown'> => 'unknown'
  const { messageId, offsetMessageId } = sent

  return {
    send: (limits) => producer.send({ topic, body: 'x' }, limits),
    'send to a queue': (limits) => producer.send({ topic, body: 'x', queue }, limits),
    sendBatch: (limits) => producer.sendBatch(topic, [{ body: 'x' }, { body: 'y' }], limits),
    sendOneway: (limits) => producer.sendOneway({ topic, body: 'x' }, limits),
    recall: (limits) => producer.recall(topic, timer.recallHandle ?? '', limits),
    begin: (limits) => transactions.begin({ topic, body: 'x' }, limits),
    end: (limits) => transactions.end(transaction, 'commit', limits),
    run: (limits) => transactions.run({ topic, body: 'x' }, async () => undefined, limits),
    check: (limits) => transactions.check({ windowMs: 500, resolve, ...limits }),
    sweep: (limits) => transactions.sweep({ resolve, ...limits }),
    queues: (limits) => consumer.queues(topic, limits),
    pull: (limits) => consumer.pull(queue, 0n, limits),
    'pull that waits': (limits) => consumer.pull(queue, 1_000n, { ...limits, waitMs: 500 }),
    committedOffset: (limits) => consumer.committedOffset(queue, limits),
    commitOffset: (limits) => consumer.commitOffset(queue, 0n, limits),
    minOffset: (limits) => consumer.minOffset(queue, limits),
    maxOffset: (limits) => consumer.maxOffset(queue, limits),
    searchOffset: (limits) => consumer.searchOffset(queue, 0, 'lower', limits),
    startOffset: (limits) => consumer.startOffset(queue, 'LATEST', undefined, limits),
    lock: (limits) => consumer.lock([queue], limits),
    unlock: (limits) => consumer.unlock([queue], limits),
    sendBack: (limits) => consumer.sendBack(message, limits),
    pop: (limits) => popper.pop(topic, { maxMessages: 1, ...limits }),
    'pop that waits': (limits) => popper.pop(topic, { maxMessages: 1, waitMs: 500, ...limits }),
    ack: (limits) => popper.ack(popped, limits),
    changeInvisibleDuration: (limits) => popper.changeInvisibleDuration(popped, 60_000, limits),
    'topics.create': (limits) => topics.create('another', {}, limits),
    'topics.update': (limits) => topics.update(topic, { readQueueNums: 1 }, limits),
    'topics.describe': (limits) => topics.describe(topic, limits),
    'topics.delete': (limits) => topics.delete('another', limits),
    'topics.list': (limits) => topics.list(limits),
    'topics.route': (limits) => topics.route(topic, limits),
    'topics.stats': (limits) => topics.stats(topic, limits),
    'topics.consumers': (limits) => topics.consumers(topic, limits),
    'groups.create': (limits) => groups.create('another', {}, limits),
    'groups.update': (limits) => groups.update(consumerGroup, { retryMaxTimes: 16 }, limits),
    'groups.describe': (limits) => groups.describe(consumerGroup, limits),
    'groups.delete': (limits) => groups.delete('another', limits),
    'groups.list': (limits) => groups.list(limits),
    'groups.members': (limits) => groups.members(consumerGroup, limits),
    'groups.stats': (limits) => groups.stats(consumerGroup, limits),
    'offsets.min': (limits) => offsets.min(queue, limits),
    'offsets.max': (limits) => offsets.max(queue, limits),
    'offsets.search': (limits) => offsets.search(queue, 0, limits),
    'offsets.committed': (limits) => offsets.committed(consumerGroup, queue, limits),
    'offsets.plan': (limits) => offsets.plan({ consumerGroup, topic, to: 'earliest', ...limits }),
    'offsets.reset': (limits) => offsets.reset(plan, limits),
    'query.byOffsetId': (limits) => query.byOffsetId(offsetMessageId, limits),
    'query.byKey': (limits) => query.byKey(topic, 'k', limits),
    'query.byMessageId': (limits) => query.byMessageId(topic, messageId, limits),
    'cluster.describe': (limits) => cluster.describe(limits),
    'cluster.config': (limits) => cluster.config(limits),
    heartbeat: (limits) => registration.heartbeat(limits),
    unregister: (limits) => registration.unregister(limits),
    serve: (limits) => serve(client, { consumerGroup, windowMs: 500, ...limits }),
  }
}

/** How a call ended. */
export interface Ended {
  name: string
  /** The code of its error, or `done`. */
  outcome: string
  allowedMs: number
  tookMs: number
  /** Later than a timer of this process that was due a tenth later than allowed: a busy machine delays both. */
  isLate: boolean
}

/** Makes all of them at once. @param limits asked for each, before it begins */
export async function endings(
  calls: Readonly<Record<string, Call>>,
  limits: () => CallOptions,
  allowed: (name: string) => number,
): Promise<Ended[]> {
  return await Promise.all(
    Object.entries(calls).map(async ([name, call]) => {
      const allowedMs = allowed(name)
      const timer = startTimer(1.1 * allowedMs)
      const began = Date.now()
      const outcome = await call(limits()).then(
        () => 'done',
        (error: { code?: string; message: string }) => error.code ?? error.message,
      )
      const isLate = timer.stop()
      return { name, outcome, allowedMs, tookMs: Date.now() - began, isLate }
    }),
  )
}
