/**
 * Reading: bounded pulls of single queues, offsets, leases and send-back (protocol.md 8 to 11; upstream
 * DefaultMQPullConsumerImpl). Every call names its queue and its offset; nothing is remembered between calls but which
 * replica a broker suggested. No heartbeat is sent: to brokers and to other consumers this consumer is invisible.
 */
import { randomBytes } from 'node:crypto'
import type { Command, NoFields } from '../commands/define.ts'
import { LockBatchMQ, type LockBatchRequestBody, UnlockBatchMQ } from '../commands/locks.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import {
  GetMaxOffset,
  GetMinOffset,
  OFFSET_RESET_REMARK,
  QueryConsumerOffset,
  SearchOffsetByTimestamp,
  UpdateConsumerOffset,
} from '../commands/offsets.ts'
import { CheckClientConfig, PULL_SUBSCRIPTION, PULL_SUSPEND, PullMessage } from '../commands/pull.ts'
import { ConsumerSendMsgBack } from '../commands/send-back.ts'
import { BrokerError, ConfigError, OffsetResetError, ProtocolError, RouteError } from '../errors.ts'
import { type CallOptions, type Deadline, remainingMs } from '../net/deadline.ts'
import type { Answer } from '../net/network.ts'
import { TOPIC_NOT_EXIST } from '../routing/routes.ts'
import { checkChoice, checkInt, checkText, checkTime } from '../wire/checks.ts'
import { decodeMessages, type UndecodableMessage } from '../wire/message.ts'
import { checkGroupName, checkTopicName, retryTopic } from '../wire/names.ts'
import { parseTagExpression } from '../wire/tag-expression.ts'
import type { Client } from './client.ts'
import { checkKeys } from './options.ts'
import { Message, PullResult, type PullStatus } from './values.ts'

/** A tag expression (`'a || b'`, `'*'`), or an SQL92 one, which brokers evaluate when enablePropertyFilter is on. */
export type Filter = string | { sql: string }

export interface PullConsumerOptions {
  consumerGroup: string
  /** Which messages are given back. Retry topics are always read whole. @default '*' */
  filter?: Filter | undefined
  /** The holder of queue locks; unique per invocation, since sandboxes are clones. @default 32 random hex digits */
  clientId?: string | undefined
  /** A message whose body is larger once decompressed is reported as undecodable. @default 16777216 */
  maxBodyBytes?: number | undefined
}

export interface PullOptions extends CallOptions {
  /** Brokers give 32 at most. @default 32 */
  maxMessages?: number | undefined
  /**
   * How long the broker may hold the pull when there is no message, in ms. Brokers look at held pulls every 5 s, so the
   * answer may come 5 s later than that; a wait for which the deadline leaves no room is shortened, or left out. @default 0
   */
  waitMs?: number | undefined
}

export type StartingPosition = 'TRIM_HORIZON' | 'LATEST' | 'AT_TIMESTAMP'

export interface SendBackOptions extends CallOptions {
  /** 0: later with each attempt, from 10 s on. 1 to 18: that delay level. Below 0: to the dead-letter topic. @default 0 */
  delayLevel?: number | undefined
  /** Attempts before it becomes a dead letter, instead of the group's own retryMaxTimes. */
  maxReconsumeTimes?: number | undefined
}

export interface PullConsumer {
  /** The readable queues of a topic; none for a `%RETRY%` topic that nothing was sent back to yet. @throws RouteError */
  queues(topic: string, options?: CallOptions): Promise<MessageQueue[]>
  /** The messages of one queue from `offset` on. */
  pull(queue: MessageQueue, offset: bigint, options?: PullOptions): Promise<PullResult>
  /** The next offset the group will read, or undefined when it has none. A failed query rejects. */
  committedOffset(queue: MessageQueue, options?: CallOptions): Promise<bigint | undefined>
  /**
   * Commits the next offset to read: the raw write, the last writer wins. Resolves when the broker has it in memory,
   * which it saves every 5 s. @throws OffsetResetError when an administrator's reset took precedence
   */
  commitOffset(queue: MessageQueue, offset: bigint, options?: CallOptions): Promise<void>
  /** The first offset that the queue still has. */
  minOffset(queue: MessageQueue, options?: CallOptions): Promise<bigint>
  /** The offset that the next message will get. */
  maxOffset(queue: MessageQueue, options?: CallOptions): Promise<bigint>
  /**
   * The offset for a store time, a Date or epoch ms: with `lower` (the default) of the first message at or after it,
   * with `upper` of the last one at or before it.
   */
  searchOffset(
    queue: MessageQueue,
    timestamp: Date | number,
    boundary?: 'lower' | 'upper',
    options?: CallOptions,
  ): Promise<bigint>
  /** Where a group without an offset begins. Retry topics are read from their beginning. */
  startOffset(
    queue: MessageQueue,
    startingPosition: StartingPosition,
    startingPositionTimestamp?: Date | number,
    options?: CallOptions,
  ): Promise<bigint>
  /**
   * Takes or renews the 60 s leases of queues; resolves to those now held. A broker that cannot be asked grants
   * nothing; when that is so of every broker, the call rejects.
   */
  lock(queues: readonly MessageQueue[], options?: CallOptions): Promise<MessageQueue[]>
  /** Gives leases back. All brokers are told, then the first failure rejects. */
  unlock(queues: readonly MessageQueue[], options?: CallOptions): Promise<void>
  /** Stores a copy of a message for a later attempt of the group. Not idempotent. */
  sendBack(message: Message, options?: SendBackOptions): Promise<void>
}

const KEYS: readonly (keyof PullConsumerOptions)[] = ['consumerGroup', 'filter', 'clientId', 'maxBodyBytes']
const MOST_MESSAGES = 32
/** Brokers wake held pulls every 5 s only. */
const WAIT_GRAIN_MS = 5_000
const ROUND_TRIP_MS = 500
const MASTER = 0
const STATUS: Readonly<Record<number, PullStatus>> = {
  0: 'FOUND',
  19: 'NO_NEW_MESSAGE',
  20: 'NO_MATCHED_MESSAGE',
  21: 'OFFSET_MOVED',
}

/** @throws ConfigError naming the option */
export function createPullConsumer(client: Client, options: PullConsumerOptions): PullConsumer {
  checkKeys('createPullConsumer', options, KEYS)
  const {
    consumerGroup,
    filter = '*',
    clientId = randomBytes(16).toString('hex').toUpperCase(),
    maxBodyBytes,
  } = options
  checkGroupName(consumerGroup)
  checkText('clientId', clientId)
  if (maxBodyBytes !== undefined) checkInt('maxBodyBytes', maxBodyBytes, 1)
  const { subscription, expressionType, tags } = parseFilter(filter)
  const group = client.wrap(consumerGroup)
  const ownRetryTopic = retryTopic(consumerGroup)
  /** The replica that a broker suggested, by queue. */
  const suggested = new Map<string, number>()
  /** Where the SQL92 filter was found right, by topic and broker name. */
  const checked = new Set<string>()

  const addressOf = (queue: MessageQueue): { consumerGroup: string; topic: string; queueId: number } => {
    checkQueue(queue)
    return { consumerGroup: group, topic: client.wrap(queue.topic), queueId: queue.queueId }
  }

  /** A call of one attempt's length, to the master. */
  const call = <Q, S, QB, SB>(
    queue: MessageQueue,
    command: Command<Q, S, QB, SB>,
    request: Q,
    body: QB,
    limits: CallOptions = {},
  ): Promise<Answer<S, SB>> =>
    client.callQueue(queue, command, request, body, { deadline: client.deadline(limits) })

  const minOffset = async (queue: MessageQueue, limits?: CallOptions): Promise<bigint> =>
    (await call(queue, GetMinOffset, addressOf(queue), undefined, limits)).header.offset

  const maxOffset = async (queue: MessageQueue, limits?: CallOptions): Promise<bigint> =>
    (await call(queue, GetMaxOffset, addressOf(queue), undefined, limits)).header.offset

  const searchOffset: PullConsumer['searchOffset'] = async (
    queue,
    timestamp,
    boundaryType = 'lower',
    limits,
  ) => {
    checkChoice('boundary', boundaryType, 'lower', 'upper')
    const ms = BigInt(checkTime('timestamp', timestamp))
    const request = { ...addressOf(queue), timestamp: ms, boundaryType }
    return (await call(queue, SearchOffsetByTimestamp, request, undefined, limits)).header.offset
  }

  /** Locks or unlocks: one call per broker, each with the queues it has, all at once. */
  const onEachBroker = async <SB>(
    command: Command<NoFields, NoFields, LockBatchRequestBody, SB>,
    queues: readonly MessageQueue[],
    limits: CallOptions = {},
  ): Promise<PromiseSettledResult<{ own: MessageQueue[]; body: SB }>[]> => {
    for (const queue of queues) checkQueue(queue)
    const deadline = client.deadline(limits)
    const ask = async (own: MessageQueue[]): Promise<{ own: MessageQueue[]; body: SB }> => {
      const mqSet = own.map((queue) => ({ ...queue, topic: client.wrap(queue.topic) }))
      const request = { consumerGroup: group, clientId, mqSet }
      const { body } = await client.callQueue(own[0] as MessageQueue, command, {}, request, { deadline })
      return { own, body }
    }
    return await Promise.allSettled([...Map.groupBy(queues, (queue) => queue.brokerName).values()].map(ask))
  }

  /** A pull with a wrong SQL92 expression is answered with everything, unfiltered: ask the parser first (protocol.md 8). */
  const checkFilter = async (queue: MessageQueue, deadline: Deadline): Promise<void> => {
    const { topic, brokerName } = queue
    const key = `${topic}/${brokerName}`
    // Each pull asks for itself until one was answered: a shared question would end with the call that began it.
    if (checked.has(key)) return
    const subscriptionData = {
      topic: client.wrap(topic),
      subString: subscription,
      expressionType,
      tagsSet: [],
      codeSet: [],
      subVersion: 0n,
      classFilterMode: false,
    }
    try {
      const body = { clientId, group, subscriptionData }
      await client.callQueue(queue, CheckClientConfig, {}, body, { deadline })
    } catch (cause) {
      const code = cause instanceof BrokerError ? cause.responseCode : 0
      if (code !== 1 && code !== 23) throw cause
      const { remark } = cause as BrokerError
      const rule =
        code === 23
          ? remark
          : `needs enablePropertyFilter=true on broker ${brokerName}, or filter by tag (${remark})`
      throw new ConfigError('filter.sql', rule, { cause, topic })
    }
    checked.add(key)
  }

  return {
    async queues(topic, limits = {}) {
      checkTopicName(topic)
      try {
        const route = await client.route(topic, client.deadline(limits))
        return route.readable.map((queue) => ({ ...queue, topic }))
      } catch (error) {
        const unused = error instanceof RouteError && error.responseCode === TOPIC_NOT_EXIST
        if (unused && topic.startsWith(retryTopic(''))) return []
        throw error
      }
    },

    async pull(queue, queueOffset, limits = {}) {
      const own = addressOf(queue)
      checkOffset(queueOffset)
      const { maxMessages = MOST_MESSAGES, waitMs = 0, deadlineMs } = limits
      checkInt('maxMessages', maxMessages, 1)
      checkInt('waitMs', waitMs)
      const given = client.deadline(limits)
      const more = waitMs > 0 && deadlineMs === undefined ? waitMs + WAIT_GRAIN_MS : 0
      const deadline = { ...given, at: given.at + more }
      const room = Math.floor(remainingMs(deadline)) - WAIT_GRAIN_MS - ROUND_TRIP_MS
      const suspendMs = Math.max(0, Math.min(waitMs, room))
      const whole = queue.topic === ownRetryTopic
      if (!whole && expressionType === 'SQL92') await checkFilter(queue, deadline)
      const key = keyOf(queue)
      const request = {
        ...own,
        queueOffset,
        maxMsgNums: Math.min(maxMessages, MOST_MESSAGES),
        sysFlag: PULL_SUBSCRIPTION | (suspendMs > 0 ? PULL_SUSPEND : 0),
        suspendTimeoutMillis: BigInt(suspendMs),
        subscription: whole ? '*' : subscription,
        expressionType: whole ? 'TAG' : expressionType,
      }
      const readFrom = suggested.get(key) ?? MASTER
      const timeoutMs = client.timeoutMs + (suspendMs > 0 ? suspendMs + WAIT_GRAIN_MS : 0)
      const pulled = client.callQueue(queue, PullMessage, request, undefined, {
        deadline,
        timeoutMs,
        readFrom,
      })
      // A replica that cannot be read is not asked again: the next pull goes to the master.
      pulled.catch(() => suggested.delete(key))
      const { code, header, body } = await pulled
      const { minOffset: least, maxOffset: most, nextBeginOffset } = header
      const suggestedBrokerId = Number(header.suggestWhichBrokerId)
      if (suggestedBrokerId === MASTER) suggested.delete(key)
      else suggested.set(key, suggestedBrokerId)
      const stored = decodeMessages(code === 0 ? body : body.subarray(0, 0), { maxBodyBytes })
      const { undecodable } = stored
      const messages: Message[] = []
      for (const each of stored.messages) {
        // Brokers compare the hash of a tag; only the text tells "Aa" from "BB".
        if (whole || !tags || tags.has(each.properties['TAGS'] ?? ''))
          messages.push(new Message(each, queue.brokerName, client.unwrap))
      }
      return new PullResult({
        status:
          code === 0 && messages.length + undecodable.length === 0
            ? 'NO_MATCHED_MESSAGE'
            : (STATUS[code] ?? 'FOUND'),
        messages,
        undecodable,
        nextBeginOffset: nextOffset(nextBeginOffset, stored.messages, undecodable),
        minOffset: least,
        maxOffset: most,
        suggestedBrokerId,
      })
    },

    async committedOffset(queue, limits) {
      const { brokerName, topic } = queue
      const request = { ...addressOf(queue), setZeroIfNotFound: false }
      const { meaning, header } = await call(queue, QueryConsumerOffset, request, undefined, limits)
      if (meaning === 'empty') return undefined
      if (header.offset === undefined)
        throw new ProtocolError(`${brokerName} answered without an offset`, { field: 'offset', topic })
      return header.offset
    },

    async commitOffset(queue, commitOffset, limits) {
      checkOffset(commitOffset)
      const request = { ...addressOf(queue), commitOffset }
      const { code, remark } = await call(queue, UpdateConsumerOffset, request, undefined, limits)
      // Code 0, and yet nothing was committed: only the remark says so (protocol.md 9.1).
      if (remark.includes(OFFSET_RESET_REMARK)) {
        const text = `the offset of ${keyOf(queue)} was reset by an administrator; read committedOffset and go on there`
        throw new OffsetResetError(text, remark, {
          responseCode: code,
          topic: queue.topic,
          outcome: 'refused',
        })
      }
    },

    minOffset,
    maxOffset,
    searchOffset,

    async startOffset(queue, startingPosition, startingPositionTimestamp, limits) {
      checkChoice('startingPosition', startingPosition, 'TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP')
      if (queue.topic.startsWith(retryTopic('')) || startingPosition === 'TRIM_HORIZON')
        return await minOffset(queue, limits)
      if (startingPosition === 'LATEST') return await maxOffset(queue, limits)
      const ms = checkTime('startingPositionTimestamp', startingPositionTimestamp)
      return await searchOffset(queue, ms, 'lower', limits)
    },

    async lock(queues, limits) {
      const answers = await onEachBroker(LockBatchMQ, queues, limits)
      if (answers.every((each) => each.status === 'rejected')) throwFirst(answers)
      return answers.flatMap((each) => {
        if (each.status === 'rejected') return []
        const { own, body } = each.value
        const held = body.lockOKMQSet.map((queue) => keyOf({ ...queue, topic: client.unwrap(queue.topic) }))
        return own.filter((queue) => held.includes(keyOf(queue)))
      })
    },

    async unlock(queues, limits) {
      throwFirst(await onEachBroker(UnlockBatchMQ, queues, limits))
    },

    async sendBack(message, limits = {}) {
      const { delayLevel = 0, maxReconsumeTimes } = limits
      if (maxReconsumeTimes !== undefined) checkInt('maxReconsumeTimes', maxReconsumeTimes)
      const request = {
        offset: message.commitLogOffset,
        group,
        delayLevel: checkInt('delayLevel', delayLevel, -0x8000_0000),
        originMsgId: message.offsetMessageId,
        originTopic: client.wrap(message.topic),
        unitMode: false,
        maxReconsumeTimes,
      }
      await call(message.queue, ConsumerSendMsgBack, request, undefined, limits)
    },
  }
}

/** What a pull says of the filter. `tags` are compared again here; none with SQL92, and where everything is wanted. */
function parseFilter(filter: Filter): { subscription: string; expressionType: string; tags?: Set<string> } {
  if (typeof filter !== 'string')
    return { subscription: checkText('filter.sql', filter?.sql?.trim()), expressionType: 'SQL92' }
  const { tags } = parseTagExpression(filter)
  const expressionType = 'TAG'
  return tags.length > 0
    ? { subscription: filter, expressionType, tags: new Set(tags) }
    : { subscription: '*', expressionType }
}

function throwFirst(answers: PromiseSettledResult<unknown>[]): void {
  for (const each of answers) if (each.status === 'rejected') throw each.reason
}

/**
 * Where the broker says to go on; but when a part of the answer could not even be told apart into messages, the first
 * offset behind what could, so that nothing is passed over.
 */
function nextOffset(
  next: bigint,
  messages: readonly { queueOffset: bigint }[],
  undecodable: readonly UndecodableMessage[],
): bigint {
  if (undecodable.every((each) => each.queueOffset !== undefined)) return next
  let last: bigint | undefined
  for (const { queueOffset } of [...messages, ...undecodable]) {
    // An offset at or past `next` cannot be right: it was read from bytes that are no message.
    if (queueOffset !== undefined && queueOffset < next && (last === undefined || queueOffset > last))
      last = queueOffset
  }
  if (last !== undefined) return last + 1n
  const reason = undecodable[0]?.reason
  throw new ProtocolError(`the answer holds no message: ${reason?.message}`, {
    field: reason?.field,
    cause: reason,
  })
}

function keyOf({ topic, brokerName, queueId }: MessageQueue): string {
  return `${topic}/${brokerName}/${queueId}`
}

function checkQueue(queue: MessageQueue): void {
  const { topic, brokerName, queueId } = (queue ?? {}) as Partial<MessageQueue>
  checkTopicName(topic, 'queue.topic')
  checkText('queue.brokerName', brokerName)
  checkInt('queue.queueId', queueId)
}

function checkOffset(offset: bigint): void {
  if (typeof offset !== 'bigint') throw new ConfigError('offset', `takes a bigint, got ${typeof offset}`)
}
