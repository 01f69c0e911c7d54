/**
 * Reading: bounded pulls of single queues, offsets, leases and send-back (protocol.md 8 to 11; upstream
 * DefaultMQPullConsumerImpl). Every call names its queue and its offset; nothing is remembered between calls but which
 * replica a broker suggested. No heartbeat is sent: to brokers and to other consumers this consumer is invisible.
 */
import type { Command, NoFields } from '../commands/define.ts'
import { AskLockBatchMQ, AskUnlockBatchMQ, type LockBatchRequestBody } from '../commands/locks.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import {
  GetMaxOffset,
  GetMinOffset,
  OFFSET_RESET_REMARK,
  type OffsetResponse,
  QueryConsumerOffset,
  SearchOffsetByTimestamp,
  UpdateConsumerOffset,
} from '../commands/offsets.ts'
import {
  AskCheckClientConfig,
  PULL_SUBSCRIPTION,
  PULL_SUSPEND,
  PullMessage,
  type PullMessageResponse,
} from '../commands/pull.ts'
import { ConsumerSendMsgBack } from '../commands/send-back.ts'
import { type BrokerError, OffsetResetError, ProtocolError, TimeoutError } from '../errors.ts'
import { type CallOptions, type Deadline, remainingMs } from '../net/deadline.ts'
import type { Answer } from '../net/network.ts'
import { nextTurn } from '../net/pool.ts'
import { isUnknownTopic } from '../routing/name-servers.ts'
import { checkChoice, checkInt, checkText, checkTime, refuse } from '../wire/checks.ts'
import { decodeMessages, isInner, type UndecodableMessage } from '../wire/message.ts'
import { checkGroupName, checkTopicName, retryTopic } from '../wire/names.ts'
import { parseTags } from '../wire/tag-expression.ts'
import type { Client } from './client.ts'
import { isCommitted } from './committed.ts'
import { atLeast, takeOptions } from './options.ts'
import { createMessageId } from './outgoing.ts'
import { Message, PullResult, type PullStatus, Undecodable } from './values.ts'

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

/** For the event source. */
export interface ReadAheadOptions extends PullOptions {
  /**
   * When there is more behind the answer, whether that is asked for before the answer is decoded, so that the broker has work
   * meanwhile. The next pull of the queue, with the same limits, gets it; the caller has to go on at once, for a broker tells of a
   * reset only once.
   */
  readAhead?: () => boolean
}

export type StartingPosition = 'TRIM_HORIZON' | 'LATEST' | 'AT_TIMESTAMP'

export interface SendBackOptions extends CallOptions {
  /** 0: later with each attempt, from 10 s on. 1 to 18: that delay level. Below 0: to the dead-letter topic. @default 0 */
  delayLevel?: number | undefined
  /** Attempts before it becomes a dead letter, instead of the group's own retryMaxTimes. */
  maxReconsumeTimes?: number | undefined
}

/** What a broker needs to find a stored message. */
export type StoredPlace = Pick<Message, 'topic' | 'queue' | 'commitLogOffset' | 'offsetMessageId'>

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
  sendBack(message: StoredPlace, options?: SendBackOptions): Promise<void>
}

const MOST_MESSAGES = 32
/** Brokers wake held pulls every 5 s only. */
const WAIT_GRAIN_MS = 5_000
const ROUND_TRIP_MS = 500
const MASTER = 0
const STATUS: Readonly<Record<number, PullStatus>> = {
  19: 'NO_NEW_MESSAGE',
  20: 'NO_MATCHED_MESSAGE',
  21: 'OFFSET_MOVED',
}

const EVERYTHING = { subscription: '*', expressionType: 'TAG' }

interface Resolved {
  consumerGroup: string
  filter: ParsedFilter
  clientId: string
  maxBodyBytes: number
}

/** What a pull says of the filter. `tags` are compared again here; none with SQL92, and where everything is wanted. */
export interface ParsedFilter {
  subscription: string
  expressionType: string
  tags?: ReadonlySet<string>
}

/** What the broker that has these queues answered, or why it did not. */
interface BrokerAnswer<Body> {
  own: MessageQueue[]
  body?: Body
  error?: unknown
}

type PullAnswer = Answer<PullMessageResponse, Buffer>
/** Sends a pull from an offset, which the broker may hold so long. */
type Post = (from: bigint, holdMs: number, readFrom?: number) => Promise<PullAnswer>
type Decoded = ReturnType<typeof decodeMessages>
type Found = Decoded & Pick<PullResult, 'nextBeginOffset'>

/** The fields that a request about one queue has, or some of them. */
interface AboutQueue {
  consumerGroup: string
  topic: string
  queueId: number
}

/** @throws ConfigError naming the option */
export const createPullConsumer = (client: Client, options: PullConsumerOptions): PullConsumer => {
  const { consumerGroup, filter, clientId, maxBodyBytes } = takeOptions<Resolved>(
    'createPullConsumer',
    options,
    {
      consumerGroup: checkGroupName,
      filter: parseFilter,
      clientId: (given = createMessageId(), field) => checkText(field, given),
      maxBodyBytes: atLeast(1, 0x100_0000),
    },
  )
  const { subscription, expressionType, tags } = filter
  const group = client.wrap(consumerGroup)
  const ownRetryTopic = retryTopic(consumerGroup)
  /** The replica that a broker suggested, by queue. */
  const suggested = new Map<string, number>()
  /** What was asked for ahead, by queue. */
  const ahead = new Map<string, { from: bigint; answer: Promise<PullAnswer> }>()
  /** Where the SQL92 filter was found right, by topic and broker name. */
  const checked = new Set<string>()

  /** Asks the master about one queue (with `readFrom` a replica), for one attempt's length. */
  const ask = async <Q, S, SB>(
    queue: MessageQueue,
    command: Command<Q, S, undefined, SB>,
    request: Omit<Q, keyof AboutQueue>,
    limits?: CallOptions,
    options: Parameters<Client['callQueue']>[4] = { deadline: client.deadline(limits) },
  ): Promise<Answer<S, SB>> => {
    checkQueue(queue)
    const { topic, queueId } = queue
    const about: AboutQueue = { consumerGroup: group, topic: client.wrap(topic), queueId }
    // A command takes those of the fields that it has.
    const whole = { ...about, ...request } as Q
    return await client.callQueue(queue, command, whole, undefined, options)
  }

  const askOffset = async <Q>(
    queue: MessageQueue,
    command: Command<Q, OffsetResponse>,
    request: Omit<Q, keyof AboutQueue>,
    limits: CallOptions | undefined,
  ): Promise<bigint> => (await ask(queue, command, request, limits)).header.offset

  /** The same for both spellings of a topic, with its namespace and without. */
  const wrappedKeyOf = (queue: MessageQueue): string => keyOf({ ...queue, topic: client.wrap(queue.topic) })

  const minOffset: PullConsumer['minOffset'] = (queue, limits) => askOffset(queue, GetMinOffset, {}, limits)

  const maxOffset: PullConsumer['maxOffset'] = (queue, limits) => askOffset(queue, GetMaxOffset, {}, limits)

  const searchOffset: PullConsumer['searchOffset'] = async (queue, time, boundaryType = 'lower', limits) => {
    checkChoice('boundary', boundaryType, 'lower', 'upper')
    return await askOffset(
      queue,
      SearchOffsetByTimestamp,
      { timestamp: BigInt(checkTime('timestamp', time)), boundaryType },
      limits,
    )
  }

  /** Locks or unlocks: one call per broker, each with the queues it has, all at once. */
  const onEachBroker = async <SB>(
    command: Command<NoFields, NoFields, LockBatchRequestBody, SB>,
    queues: readonly MessageQueue[],
    limits?: CallOptions,
  ): Promise<BrokerAnswer<SB>[]> => {
    for (const queue of queues) checkQueue(queue)
    const deadline = client.deadline(limits)
    const ask = (own: MessageQueue[]): Promise<BrokerAnswer<SB>> => {
      const mqSet = own.map(({ topic, brokerName, queueId }) => ({
        topic: client.wrap(topic),
        brokerName,
        queueId,
      }))
      const request = { consumerGroup: group, clientId, mqSet }
      return client.callQueue(own[0] as MessageQueue, command, {}, request, { deadline }).then(
        ({ body }) => ({ own, body }),
        (error: unknown) => ({ own, error }),
      )
    }
    return await Promise.all([...Map.groupBy(queues, (queue) => queue.brokerName).values()].map(ask))
  }

  /** A pull with a wrong SQL92 expression is answered with everything, unfiltered: ask the parser first (protocol.md 8). */
  const checkFilter = async (queue: MessageQueue, deadline: Deadline): Promise<void> => {
    const { topic, brokerName } = queue
    const key = `${topic}/${brokerName}`
    // Each pull asks for itself until one was answered: a shared question would end with the call that began it.
    if (checked.has(key)) return
    const body = {
      clientId,
      group,
      subscriptionData: {
        topic: client.wrap(topic),
        subString: subscription,
        expressionType,
        tagsSet: [],
        codeSet: [],
        subVersion: 0,
        classFilterMode: false,
      },
    }
    await client.callQueue(queue, AskCheckClientConfig, {}, body, { deadline }).catch((cause) => {
      const { responseCode, remark } = cause as Partial<BrokerError>
      if (responseCode !== 1 && responseCode !== 23) throw cause
      const needed = responseCode === 1 ? `needs enablePropertyFilter=true on broker ${brokerName}: ` : ''
      refuse('filter.sql', `${needed}${remark}`, { cause, topic })
    })
    checked.add(key)
  }

  /** What was asked for ahead, or else the answer to a new pull. */
  const answerTo = async (key: string, from: bigint, holdMs: number, post: Post): Promise<PullAnswer> => {
    const asked = ahead.get(key)
    ahead.delete(key)
    const replica = suggested.get(key)
    // A replica that cannot be read is not asked again: the next pull goes to the master.
    suggested.delete(key)
    const posted = asked?.from === from ? asked.answer : post(from, holdMs, replica)
    const answer = await posted.catch((error: unknown) => {
      // The connection may have swallowed it; all the time there was to wait is over.
      if (holdMs && error instanceof TimeoutError) return post(from, 0, replica)
      throw error
    })
    // A replica may be behind, or have deleted more: where a queue begins and ends is for its master to say.
    return replica && answer.code === 21 && !isReset(answer, from) ? post(from, 0) : answer
  }

  /** What is given of an answer to a pull from `from` on. */
  const resultOf = (
    queue: MessageQueue,
    from: bigint,
    suggestedBrokerId: number,
    { code, header }: PullAnswer,
    decoded?: Decoded,
  ): PullResult => {
    const { nextBeginOffset: next } = header
    const found: Found = decoded
      ? soundPart(decoded, from, next)
      : { messages: [], undecodable: [], nextBeginOffset: next }
    const { undecodable, nextBeginOffset } = found
    const { topic, brokerName, queueId } = queue
    const own = { topic: client.unwrap(topic), brokerName, queueId }
    const messages: Message[] = []
    for (const each of found.messages) {
      // Brokers compare the hash of a tag; only the text tells "Aa" from "BB".
      if (topic === ownRetryTopic || !tags || tags.has(each.properties['TAGS'] ?? ''))
        messages.push(new Message(each, own, client.unwrap))
    }
    const filteredOut = code === 0 && messages.length + undecodable.length === 0
    return Object.assign(new PullResult(), {
      status: STATUS[filteredOut ? 20 : code] ?? 'FOUND',
      messages,
      undecodable: undecodable.map((each) => Object.assign(new Undecodable(), each)),
      nextBeginOffset,
      minOffset: header.minOffset,
      maxOffset: header.maxOffset,
      suggestedBrokerId,
    } satisfies Omit<PullResult, 'toJSON'>)
  }

  return {
    async queues(topic, limits) {
      checkTopicName(topic)
      try {
        const route = await client.route(topic, client.deadline(limits))
        return route.readable.map((queue) => ({ ...queue, topic }))
      } catch (error) {
        if (isUnknownTopic(error) && topic.startsWith(retryTopic(''))) return []
        throw error
      }
    },

    async pull(queue, queueOffset, limits: ReadAheadOptions = {}) {
      checkQueue(queue)
      checkOffset(queueOffset)
      const { maxMessages = MOST_MESSAGES, waitMs = 0, deadlineMs, readAhead } = limits
      checkInt('maxMessages', maxMessages, 1)
      checkInt('waitMs', waitMs)
      const given = client.deadline(limits)
      const more = waitMs > 0 && deadlineMs === undefined ? waitMs + WAIT_GRAIN_MS : 0
      const deadline = { ...given, at: given.at + more }
      const room = Math.floor(remainingMs(deadline)) - WAIT_GRAIN_MS - ROUND_TRIP_MS
      const holdMs = Math.max(0, Math.min(waitMs, room))
      const key = keyOf(queue)
      const whole = queue.topic === ownRetryTopic
      if (!whole && expressionType === 'SQL92') await checkFilter(queue, deadline)
      const request = {
        maxMsgNums: Math.min(maxMessages, MOST_MESSAGES),
        ...(whole ? EVERYTHING : { subscription, expressionType }),
      }
      const post: Post = (from, hold, readFrom = MASTER) =>
        ask(
          queue,
          PullMessage,
          {
            ...request,
            queueOffset: from,
            sysFlag: PULL_SUBSCRIPTION | (hold ? PULL_SUSPEND : 0),
            suspendTimeoutMillis: BigInt(hold),
          },
          limits,
          { deadline, readFrom, timeoutMs: hold ? client.timeoutMs + hold + WAIT_GRAIN_MS : undefined },
        )
      const answer = await answerTo(key, queueOffset, holdMs, post)
      const suggestedBrokerId = Number(answer.header.suggestWhichBrokerId)
      suggested.set(key, suggestedBrokerId)
      const isFound = answer.code === 0
      const { nextBeginOffset: from, maxOffset } = answer.header
      let following: Promise<PullAnswer | undefined> | undefined
      if (isFound && from < maxOffset && readAhead?.()) {
        const asking = post(from, 0, suggestedBrokerId)
        following = asking.catch(() => undefined) // it is told to whoever goes on there
        ahead.set(key, { from, answer: asking })
        await nextTurn() // what was asked for leaves before
      }
      const decoded = isFound ? decodeMessages(answer.body, { maxBodyBytes, endOffset: from }) : undefined
      // Nobody may go on behind such a message, but a reset that was told there counts. A broker that is silent by now
      // holds up what lies before it, too; it would not take the commit of that either.
      const told = decoded?.undecodable.length ? await following : undefined
      if (!(told && isReset(told, from)))
        return resultOf(queue, queueOffset, suggestedBrokerId, answer, decoded)
      ahead.delete(key)
      return resultOf(queue, queueOffset, suggestedBrokerId, told)
    },

    async committedOffset(queue, limits) {
      const deadline = client.deadline(limits)
      const answer = await ask(queue, QueryConsumerOffset, { setZeroIfNotFound: false }, limits, { deadline })
      const { offset } = answer.header
      if (answer.meaning === 'empty') return undefined
      if (offset !== undefined)
        return (await isCommitted(client, consumerGroup, queue, answer, { deadline })) ? offset : undefined
      const { topic, brokerName } = queue
      throw new ProtocolError(`${brokerName} answered without an offset`, { field: 'offset', topic })
    },

    async commitOffset(queue, commitOffset, limits) {
      checkOffset(commitOffset)
      const { code, remark } = await ask(queue, UpdateConsumerOffset, { commitOffset }, limits)
      // Code 0, and yet nothing was committed: only the remark says so (protocol.md 9.1).
      if (remark.includes(OFFSET_RESET_REMARK))
        throw new OffsetResetError(
          `the offset of ${keyOf(queue)} was reset; go on at committedOffset`,
          remark,
          { responseCode: code, topic: queue.topic, outcome: 'refused' },
        )
    },

    minOffset,
    maxOffset,
    searchOffset,

    async startOffset(queue, startingPosition, startingPositionTimestamp, limits) {
      checkQueue(queue)
      checkChoice('startingPosition', startingPosition, 'TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP')
      if (queue.topic.startsWith(retryTopic('')) || startingPosition === 'TRIM_HORIZON')
        return await minOffset(queue, limits)
      if (startingPosition === 'LATEST') return await maxOffset(queue, limits)
      return await searchOffset(
        queue,
        checkTime('startingPositionTimestamp', startingPositionTimestamp),
        'lower',
        limits,
      )
    },

    async lock(queues, limits) {
      const answers = await onEachBroker(AskLockBatchMQ, queues, limits)
      if (answers.every(({ error }) => error)) throwFirst(answers)
      return answers.flatMap(({ own, body }) => {
        const held = new Set(body?.lockOKMQSet.map(wrappedKeyOf))
        return own.filter((queue) => held.has(wrappedKeyOf(queue)))
      })
    },

    async unlock(queues, limits) {
      throwFirst(await onEachBroker(AskUnlockBatchMQ, queues, limits))
    },

    async sendBack(message, limits = {}) {
      const { delayLevel = 0, maxReconsumeTimes } = limits
      if (maxReconsumeTimes !== undefined) checkInt('maxReconsumeTimes', maxReconsumeTimes)
      await ask(
        message.queue,
        ConsumerSendMsgBack,
        {
          offset: message.commitLogOffset,
          group,
          delayLevel: checkInt('delayLevel', delayLevel, -0x8000_0000),
          originMsgId: message.offsetMessageId,
          originTopic: client.wrap(message.topic),
          unitMode: false,
          maxReconsumeTimes,
        },
        limits,
      )
    },
  }
}

export const parseFilter = (given: unknown = '*'): ParsedFilter => {
  const filter = given as Filter
  if (typeof filter !== 'string')
    return { subscription: checkText('filter.sql', filter?.sql?.trim()), expressionType: 'SQL92' }
  const tags = parseTags(filter)
  return tags.size > 0 ? { subscription: filter, expressionType: 'TAG', tags } : EVERYTHING
}

const throwFirst = (answers: BrokerAnswer<unknown>[]): void => {
  for (const { error } of answers) if (error) throw error
}

/** Whether a pull that was right learned so of an administrator's reset. */
const isReset = ({ code, header }: PullAnswer, from: bigint): boolean =>
  code === 21 && from >= header.minOffset && from <= header.maxOffset

/**
 * What may be given of an answer to a pull from `from` on, and where to go on: where the broker says (`next`), or before
 * that at the first message that would be passed over without its offset being told. Messages from there on are left
 * for the next pull.
 */
const soundPart = ({ messages: all, undecodable }: Decoded, from: bigint, next: bigint): Found => {
  // A batch is stored as one: who begins within it gets all of it.
  const messages = isInner(all[0]) ? all.filter((each) => each.queueOffset >= from || !isInner(each)) : all
  /** Whether the offset of an undecodable message can be right, and only this one message is meant. */
  const isPlaced = ({ queueOffset = -1n, reason }: UndecodableMessage): boolean =>
    queueOffset >= from && queueOffset < next && reason.field !== 'totalLength'
  if (messages.length === 0 && !undecodable.some(isPlaced)) {
    const cause = undecodable[0]?.reason
    throw new ProtocolError(`the answer holds no message: ${cause?.message ?? 'it is empty'}`, {
      field: cause?.field ?? 'body',
      cause,
    })
  }
  /** Behind the last message, as long as they are in order. */
  let end = from
  /** The first place that no message has. */
  let gap = from
  let isOrdered = true
  for (const { queueOffset } of messages) {
    isOrdered &&= queueOffset >= end && queueOffset < next
    if (!isOrdered) break
    end = queueOffset + 1n
    if (queueOffset === gap) gap = end
  }
  let limit = next
  for (const each of undecodable) {
    const { field } = each.reason
    let place = field === 'totalLength' ? end : gap
    if (isPlaced(each)) {
      // The caller is told of it; but one for which there was no room only has to come first.
      if (field !== 'maxTotalBytes') continue
      place = each.queueOffset as bigint
    }
    if (!isOrdered && end < place) place = end
    if (place < limit) limit = place
  }
  if (limit === next) return { messages, undecodable, nextBeginOffset: next }
  return {
    messages: messages.filter(({ queueOffset }) => queueOffset < limit),
    // Without a step forward they are the only answer to the question why.
    undecodable: undecodable.filter(
      (each) => limit <= from || !isPlaced(each) || (each.queueOffset as bigint) < limit,
    ),
    nextBeginOffset: limit,
  }
}

const keyOf = ({ topic, brokerName, queueId }: MessageQueue): string => `${topic}/${brokerName}/${queueId}`

const checkQueue = (queue: MessageQueue): void => {
  const { topic, brokerName, queueId } = (queue ?? {}) as Partial<MessageQueue>
  checkTopicName(topic, 'queue.topic')
  checkText('queue.brokerName', brokerName)
  checkInt('queue.queueId', queueId)
}

const checkOffset = (offset: bigint): void => {
  if (typeof offset !== 'bigint') refuse('offset', `takes a bigint, got ${typeof offset}`)
}
