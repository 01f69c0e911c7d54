/**
 * The half messages that brokers have given up on: after the last check they go to TRANS_CHECK_MAX_TIME_TOPIC, which all
 * producer groups share, and no broker asks about them again. A sweep reads it as a consumer group of its own, asks for
 * those of its producer group what became of them, and sends what was to be committed as an ordinary message. Its
 * committed offset is its progress: it moves after each message, and stops before the first one that stays open.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import { type CallOptions, isOver } from '../net/deadline.ts'
import { isUnknownTopic } from '../routing/name-servers.ts'
import { refuse } from '../wire/checks.ts'
import { checkGroupName } from '../wire/names.ts'
import { askResolver, type CheckedTransaction, checkResolveOptions, type ResolveOptions } from './checker.ts'
import type { Client } from './client.ts'
import { createProducer } from './producer.ts'
import { createPullConsumer, type PullConsumer } from './puller.ts'
import type { Message } from './values.ts'

export interface SweepOptions extends ResolveOptions {
  /** Whose committed offsets are the progress of sweeps. @default the producer group with `-sweep` behind it */
  consumerGroup?: string | undefined
}

export interface SweepResult {
  resolved: { committed: CheckedTransaction[]; rolledBack: CheckedTransaction[] }
  /** The first of its broker that `resolve` does not know: the next sweep begins with it. */
  unknown: CheckedTransaction[]
  /**
   * The first of its broker that failed: the next sweep begins with it. Without `messageId`: the broker could not be read,
   * or gave bytes that make no sense, which are passed over.
   */
  failed: (Partial<CheckedTransaction> & { brokerName: string; error: unknown })[]
}

const GIVEN_UP_TOPIC = 'TRANS_CHECK_MAX_TIME_TOPIC'

/** Sweeps for `producerGroup`, whose name on the wire is `group`. */
export const sweepTransactions = async (
  client: Client,
  producerGroup: string,
  group: string,
  options: SweepOptions,
): Promise<SweepResult> => {
  checkResolveOptions('sweep', options, ['consumerGroup'])
  const { consumerGroup = `${producerGroup}-sweep`, signal, deadlineMs } = options
  const consumer = createPullConsumer(client, { consumerGroup: checkGroupName(consumerGroup) })
  const producer = createProducer(client, { producerGroup })
  const result: SweepResult = { resolved: { committed: [], rolledBack: [] }, unknown: [], failed: [] }
  // Each request has the time that one has; the whole takes as long as it takes, or until the caller's deadline.
  const limits: CallOptions = { signal, deadlineMs }
  const whole = { at: deadlineMs ?? Infinity, signal, explicit: true }

  /** Gives whether the message is done with. */
  const sweepOne = async (abandoned: Message): Promise<boolean> => {
    const message = originalOf(client, abandoned)
    const { messageId, topic, queue, systemProperties } = message
    const checks = Number(systemProperties['TRANSACTION_CHECK_TIMES'] ?? 0)
    const about = { messageId, topic, brokerName: queue.brokerName, checks }
    try {
      const answer = await askResolver(options, message, checks, whole)
      if (answer === 'unknown') result.unknown.push(about)
      if (answer === 'commit') {
        await producer.send(resend(message), limits)
        result.resolved.committed.push(about)
      }
      if (answer === 'rollback') result.resolved.rolledBack.push(about)
      return answer !== 'unknown'
    } catch (error) {
      result.failed.push({ ...about, error })
      return false
    }
  }

  const sweepQueue = async (queue: MessageQueue): Promise<void> => {
    let committed = await consumer.committedOffset(queue, limits)
    let offset = committed ?? (await consumer.minOffset(queue, limits))
    /** Gives whether it is still this sweep's: to ask for one may take longer than the lease of 60 s, and whoever had it then has gone on. */
    const commit = async (): Promise<boolean> => {
      const [held] = await consumer.lock([queue], limits)
      if (!held || (await consumer.committedOffset(queue, limits)) !== committed) return false
      await consumer.commitOffset(queue, offset, limits)
      committed = offset
      return true
    }
    while (!isOver(whole)) {
      const pulled = await consumer.pull(queue, offset, limits)
      for (const message of pulled.messages) {
        const isOwn = message.systemProperties['PGROUP'] === group
        if (isOver(whole) || (isOwn && !(await sweepOne(message)))) return
        offset = message.queueOffset + 1n
        if (isOwn && !(await commit())) return
      }
      // Nobody can tell whose they are.
      for (const { reason: error } of pulled.undecodable)
        result.failed.push({ brokerName: queue.brokerName, error })
      if (pulled.nextBeginOffset > offset || pulled.status === 'OFFSET_MOVED') offset = pulled.nextBeginOffset
      else if (pulled.messages.length === 0) return
      if (!(await commit())) return
    }
  }

  const queues = await queuesOf(consumer, limits)
  const held = await consumer.lock(queues, limits)
  try {
    await Promise.all(
      held.map((queue) =>
        sweepQueue(queue).catch((error: unknown) => {
          result.failed.push({ brokerName: queue.brokerName, error })
        }),
      ),
    )
  } finally {
    await consumer.unlock(held).catch(() => undefined) // the lease ends by itself
  }
  return result
}

/** None as long as no broker has given anything up. */
const queuesOf = async (consumer: PullConsumer, limits: CallOptions): Promise<MessageQueue[]> => {
  try {
    return await consumer.queues(GIVEN_UP_TOPIC, limits)
  } catch (error) {
    if (isUnknownTopic(error)) return []
    throw error
  }
}

/** The abandoned message under its own topic, as a check would have shown it. */
const originalOf = (client: Client, abandoned: Message): Message => {
  const topic = abandoned.systemProperties['REAL_TOPIC']
  if (topic === undefined) refuse('message', `${abandoned.messageId} has no REAL_TOPIC`)
  return Object.defineProperty(abandoned, 'topic', { value: client.unwrap(topic), enumerable: true })
}

/** What is sent for it: to the same queue, or by the same sharding key, and under the same id. */
const resend = (message: Message) => {
  const {
    topic,
    systemProperties: { __SHARDINGKEY: shardingKey, REAL_QID },
  } = message
  return {
    topic,
    body: message.body,
    tag: message.tag,
    keys: message.keys,
    properties: message.properties,
    flag: message.flag,
    messageId: message.messageId,
    ...(shardingKey === undefined
      ? { queue: { topic, brokerName: message.queue.brokerName, queueId: Number(REAL_QID) } }
      : { shardingKey }),
  }
}
