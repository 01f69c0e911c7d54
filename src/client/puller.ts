/**
 * Reading: bounded pulls of single queues, offsets, leases and send-back (protocol.md 8 to 11; upstream
 * DefaultMQPullConsumerImpl). Every call names its queue and its offset; nothing is remembered between calls but which
 * replica a broker suggested. No heartbeat is sent: to brokers and to other consumers this consumer is invisible.
 */
import { randomBytes } from 'node:crypto'
import { LockBatchMQ, UnlockBatchMQ } from '../commands/locks.ts'
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
import { decodeMessages, type UndecodableMessage } from '../wire/message.ts'
import { checkGroupName, checkTopicName } from '../wire/names.ts'
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
  /** A message whose body is larger once decompressed is reported as undecodable. @default 67108864 */
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
const TOPIC_NOT_EXIST = 17
const MASTER = 0
const STATUS: Readonly<Record<number, PullStatus>> = {
  0: 'FOUND',
  19: 'NO_NEW_MESSAGE',
  20: 'NO_MATCHED_MESSAGE',
  21: 'OFFSET_MOVED',
}

/** @throws ConfigError naming the option */
export function createPullConsumer(client: Client, options: PullConsumerOptions): PullConsumer {
  return new DefaultPullConsumer(client, options)
}

class DefaultPullConsumer implements PullConsumer {
  readonly #client: Client
  readonly #group: string
  readonly #retryTopic: string
  readonly #tags: ReadonlySet<string> | undefined
  readonly #subscription: { subscription: string; expressionType: 'TAG' | 'SQL92' }
  readonly #maxBodyBytes: number | undefined
  /** Checks of an SQL92 filter, by topic and broker name. */
  readonly #checked = new Map<string, Promise<void>>()
  readonly #suggested = new Map<string, number>()
  #clientId: string | undefined

  constructor(client: Client, options: PullConsumerOptions) {
    checkKeys('createPullConsumer', options, KEYS)
    const { consumerGroup, filter = '*', clientId, maxBodyBytes } = options
    checkGroupName(consumerGroup, 'consumerGroup')
    this.#client = client
    this.#group = client.wrap(consumerGroup)
    this.#retryTopic = `%RETRY%${consumerGroup}`
    this.#clientId = clientId
    this.#maxBodyBytes = maxBodyBytes
    if (typeof filter === 'string') {
      const { tags } = parseTagExpression(filter)
      this.#tags = tags.length > 0 ? new Set(tags) : undefined
      this.#subscription = { subscription: tags.length > 0 ? filter : '*', expressionType: 'TAG' }
    } else {
      if (typeof filter?.sql !== 'string' || filter.sql.trim() === '') {
        throw new ConfigError('filter', "takes a tag expression such as 'a || b', or { sql: '…' }")
      }
      this.#subscription = { subscription: filter.sql, expressionType: 'SQL92' }
    }
  }

  async queues(topic: string, options: CallOptions = {}): Promise<MessageQueue[]> {
    checkTopicName(topic, 'topic')
    try {
      const route = await this.#client.route(topic, this.#client.deadline(options))
      return route.readable.map((queue) => ({ ...queue, topic }))
    } catch (error) {
      const unused = error instanceof RouteError && error.responseCode === TOPIC_NOT_EXIST
      if (unused && topic.startsWith('%RETRY%')) return []
      throw error
    }
  }

  async pull(queue: MessageQueue, offset: bigint, options: PullOptions = {}): Promise<PullResult> {
    checkQueue(queue)
    checkOffset('offset', offset)
    const { maxMessages = MOST_MESSAGES, waitMs = 0 } = options
    checkWhole('maxMessages', maxMessages, 1)
    checkWhole('waitMs', waitMs, 0)
    const client = this.#client
    const wait = waitMs > 0 && options.deadlineMs === undefined ? waitMs + WAIT_GRAIN_MS : 0
    const deadline = client.deadline(options)
    const total: Deadline = { ...deadline, at: deadline.at + wait }
    const suspendMs = Math.max(0, Math.min(waitMs, remainingMs(total) - WAIT_GRAIN_MS - ROUND_TRIP_MS))
    const whole = queue.topic === this.#retryTopic
    const { subscription, expressionType } = whole
      ? { subscription: '*', expressionType: 'TAG' as const }
      : this.#subscription
    if (expressionType === 'SQL92') await this.#checkFilter(queue, subscription, total)
    const key = `${queue.topic}/${queue.brokerName}/${queue.queueId}`
    const answer = await client.callQueue(
      queue,
      PullMessage,
      {
        consumerGroup: this.#group,
        topic: client.wrap(queue.topic),
        queueId: queue.queueId,
        queueOffset: offset,
        maxMsgNums: Math.min(maxMessages, MOST_MESSAGES),
        sysFlag: PULL_SUBSCRIPTION | (suspendMs > 0 ? PULL_SUSPEND : 0),
        suspendTimeoutMillis: BigInt(suspendMs),
        subscription,
        expressionType,
      },
      undefined,
      {
        deadline: total,
        timeoutMs: client.timeoutMs + (suspendMs > 0 ? suspendMs + WAIT_GRAIN_MS : 0),
        readFrom: this.#suggested.get(key) ?? MASTER,
      },
    )
    const { header, body } = answer
    const suggestedBrokerId = Number(header.suggestWhichBrokerId)
    if (suggestedBrokerId === MASTER) this.#suggested.delete(key)
    else this.#suggested.set(key, suggestedBrokerId)
    return this.#toResult(queue, STATUS[answer.code] ?? 'FOUND', header, body, whole ? undefined : this.#tags)
  }

  async committedOffset(queue: MessageQueue, options: CallOptions = {}): Promise<bigint | undefined> {
    checkQueue(queue)
    const answer = await this.#client.callQueue(
      queue,
      QueryConsumerOffset,
      { ...this.#at(queue), consumerGroup: this.#group, setZeroIfNotFound: false },
      undefined,
      { deadline: this.#client.deadline(options) },
    )
    if (answer.meaning === 'empty') return undefined
    const { offset } = answer.header
    if (offset === undefined) {
      throw new ProtocolError(
        `the broker ${queue.brokerName} answered QUERY_CONSUMER_OFFSET without an offset`,
        {
          field: 'offset',
          topic: queue.topic,
        },
      )
    }
    return offset
  }

  async commitOffset(queue: MessageQueue, offset: bigint, options: CallOptions = {}): Promise<void> {
    checkQueue(queue)
    checkOffset('offset', offset)
    const answer = await this.#client.callQueue(
      queue,
      UpdateConsumerOffset,
      { ...this.#at(queue), consumerGroup: this.#group, commitOffset: offset },
      undefined,
      { deadline: this.#client.deadline(options) },
    )
    // Code 0, and yet nothing was committed: only the remark says so (protocol.md 9.1).
    if (answer.remark.includes(OFFSET_RESET_REMARK)) {
      throw new OffsetResetError(
        `an administrator has reset the offset of queue ${queue.queueId} of ${queue.topic} on ${queue.brokerName}; read committedOffset and continue there`,
        answer.remark,
        { responseCode: answer.code, topic: queue.topic, outcome: 'refused' },
      )
    }
  }

  async minOffset(queue: MessageQueue, options: CallOptions = {}): Promise<bigint> {
    checkQueue(queue)
    const limits = { deadline: this.#client.deadline(options) }
    return (await this.#client.callQueue(queue, GetMinOffset, this.#at(queue), undefined, limits)).header
      .offset
  }

  async maxOffset(queue: MessageQueue, options: CallOptions = {}): Promise<bigint> {
    checkQueue(queue)
    const limits = { deadline: this.#client.deadline(options) }
    return (await this.#client.callQueue(queue, GetMaxOffset, this.#at(queue), undefined, limits)).header
      .offset
  }

  async searchOffset(
    queue: MessageQueue,
    timestamp: Date | number,
    boundary: 'lower' | 'upper' = 'lower',
    options: CallOptions = {},
  ): Promise<bigint> {
    checkQueue(queue)
    const ms = timestamp instanceof Date ? timestamp.getTime() : timestamp
    if (!Number.isSafeInteger(ms) || ms < 0)
      throw new ConfigError('timestamp', `takes a Date or epoch ms, got ${String(timestamp)}`)
    if (boundary !== 'lower' && boundary !== 'upper')
      throw new ConfigError('boundary', 'takes lower or upper')
    const answer = await this.#client.callQueue(
      queue,
      SearchOffsetByTimestamp,
      { ...this.#at(queue), timestamp: BigInt(ms), boundaryType: boundary },
      undefined,
      { deadline: this.#client.deadline(options) },
    )
    return answer.header.offset
  }

  async startOffset(
    queue: MessageQueue,
    startingPosition: StartingPosition,
    startingPositionTimestamp?: Date | number,
    options: CallOptions = {},
  ): Promise<bigint> {
    if (queue.topic.startsWith('%RETRY%') || startingPosition === 'TRIM_HORIZON')
      return await this.minOffset(queue, options)
    if (startingPosition === 'LATEST') return await this.maxOffset(queue, options)
    if (startingPosition !== 'AT_TIMESTAMP') {
      throw new ConfigError('startingPosition', 'takes TRIM_HORIZON, LATEST or AT_TIMESTAMP')
    }
    if (startingPositionTimestamp === undefined) {
      throw new ConfigError('startingPositionTimestamp', 'is required with startingPosition AT_TIMESTAMP')
    }
    return await this.searchOffset(queue, startingPositionTimestamp, 'lower', options)
  }

  async lock(queues: readonly MessageQueue[], options: CallOptions = {}): Promise<MessageQueue[]> {
    const answers = await this.#onEachBroker(queues, options, async (own, deadline) => {
      const [first] = own as [MessageQueue]
      const { body } = await this.#client.callQueue(first, LockBatchMQ, {}, this.#lockBody(own), { deadline })
      const granted = new Set(
        body.lockOKMQSet.map((each) => `${this.#client.unwrap(each.topic)}/${each.queueId}`),
      )
      return own.filter((each) => granted.has(`${each.topic}/${each.queueId}`))
    })
    const failed = answers.find((each) => each.status === 'rejected')
    if (failed && answers.every((each) => each.status === 'rejected')) throw failed.reason
    return answers.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
  }

  async unlock(queues: readonly MessageQueue[], options: CallOptions = {}): Promise<void> {
    const answers = await this.#onEachBroker(queues, options, async (own, deadline) => {
      const [first] = own as [MessageQueue]
      await this.#client.callQueue(first, UnlockBatchMQ, {}, this.#lockBody(own), { deadline })
    })
    const failed = answers.find((each) => each.status === 'rejected')
    if (failed) throw failed.reason
  }

  async sendBack(message: Message, options: SendBackOptions = {}): Promise<void> {
    const { delayLevel = 0, maxReconsumeTimes } = options
    if (!Number.isInteger(delayLevel))
      throw new ConfigError('delayLevel', `takes a whole number, got ${String(delayLevel)}`)
    if (maxReconsumeTimes !== undefined) checkWhole('maxReconsumeTimes', maxReconsumeTimes, 0)
    await this.#client.callQueue(
      message.queue,
      ConsumerSendMsgBack,
      {
        offset: message.commitLogOffset,
        group: this.#group,
        delayLevel,
        originMsgId: message.offsetMessageId,
        originTopic: this.#client.wrap(message.topic),
        unitMode: false,
        maxReconsumeTimes,
      },
      undefined,
      { deadline: this.#client.deadline(options) },
    )
  }

  #at(queue: MessageQueue): { topic: string; queueId: number } {
    return { topic: this.#client.wrap(queue.topic), queueId: queue.queueId }
  }

  #lockBody(queues: readonly MessageQueue[]): {
    consumerGroup: string
    clientId: string
    mqSet: MessageQueue[]
  } {
    this.#clientId ??= randomBytes(16).toString('hex').toUpperCase()
    const mqSet = queues.map((queue) => ({ ...queue, topic: this.#client.wrap(queue.topic) }))
    return { consumerGroup: this.#group, clientId: this.#clientId, mqSet }
  }

  /** One call per broker, each with the queues it has, all at once. */
  async #onEachBroker<T>(
    queues: readonly MessageQueue[],
    options: CallOptions,
    call: (own: MessageQueue[], deadline: Deadline) => Promise<T>,
  ): Promise<PromiseSettledResult<T>[]> {
    for (const queue of queues) checkQueue(queue)
    const deadline = this.#client.deadline(options)
    const byBroker = Map.groupBy(queues, (queue) => queue.brokerName)
    return await Promise.allSettled([...byBroker.values()].map((own) => call(own, deadline)))
  }

  /** A pull with a wrong SQL92 expression is answered with everything, unfiltered: ask the parser first (protocol.md 8). */
  async #checkFilter(queue: MessageQueue, sql: string, deadline: Deadline): Promise<void> {
    const key = `${queue.topic}/${queue.brokerName}`
    let checked = this.#checked.get(key)
    if (!checked) {
      checked = this.#askFilter(queue, sql, deadline)
      this.#checked.set(key, checked)
      checked.catch(() => this.#checked.delete(key))
    }
    await checked
  }

  async #askFilter(queue: MessageQueue, sql: string, deadline: Deadline): Promise<void> {
    const topic = this.#client.wrap(queue.topic)
    const subscriptionData = {
      topic,
      subString: sql,
      expressionType: 'SQL92',
      tagsSet: [],
      codeSet: [],
      subVersion: 0n,
      classFilterMode: false,
    }
    const body = { clientId: 'rocketmq-lambda', group: this.#group, subscriptionData }
    try {
      await this.#client.callQueue(queue, CheckClientConfig, {}, body, { deadline })
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      if (error.responseCode === 23)
        throw new ConfigError('filter.sql', error.remark, { cause: error, topic: queue.topic })
      if (error.responseCode !== 1) throw error
      throw new ConfigError(
        'filter.sql',
        `broker ${queue.brokerName} does not filter by SQL92 (${error.remark}); set enablePropertyFilter=true there, or filter by tag`,
        { cause: error, topic: queue.topic },
      )
    }
  }

  #toResult(
    queue: MessageQueue,
    status: PullStatus,
    header: { nextBeginOffset: bigint; minOffset: bigint; maxOffset: bigint; suggestWhichBrokerId: bigint },
    body: Buffer,
    tags: ReadonlySet<string> | undefined,
  ): PullResult {
    const { minOffset, maxOffset } = header
    const suggestedBrokerId = Number(header.suggestWhichBrokerId)
    const options = this.#maxBodyBytes === undefined ? {} : { maxBodyBytes: this.#maxBodyBytes }
    const decoded = status === 'FOUND' ? decodeMessages(body, options) : { messages: [], undecodable: [] }
    const unwrap = (name: string): string => this.#client.unwrap(name)
    const messages: Message[] = []
    for (const stored of decoded.messages) {
      // Brokers compare the hash of a tag; only the text tells "Aa" from "BB".
      if (tags && !tags.has(stored.properties['TAGS'] ?? '')) continue
      messages.push(new Message(stored, queue.brokerName, unwrap))
    }
    const { undecodable } = decoded
    const filteredOut = status === 'FOUND' && messages.length === 0 && undecodable.length === 0
    return new PullResult({
      status: filteredOut ? 'NO_MATCHED_MESSAGE' : status,
      messages,
      undecodable,
      nextBeginOffset: nextOffset(header.nextBeginOffset, decoded.messages, undecodable),
      minOffset,
      maxOffset,
      suggestedBrokerId,
    })
  }
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
    if (queueOffset !== undefined && (last === undefined || queueOffset > last)) last = queueOffset
  }
  if (last !== undefined) return last + 1n
  const reason = undecodable[0]?.reason
  throw new ProtocolError(`the messages of a pull cannot be told apart: ${reason?.message}`, {
    field: reason?.field,
    cause: reason,
  })
}

function checkQueue(queue: MessageQueue): void {
  if (typeof queue !== 'object' || queue === null)
    throw new ConfigError('queue', 'takes { topic, brokerName, queueId }')
  checkTopicName(queue.topic, 'queue.topic')
  if (typeof queue.brokerName !== 'string' || queue.brokerName === '')
    throw new ConfigError('queue.brokerName', 'takes a broker name')
  checkWhole('queue.queueId', queue.queueId, 0)
}

function checkOffset(field: string, offset: bigint): void {
  if (typeof offset !== 'bigint')
    throw new ConfigError(field, `takes a bigint, got ${typeof offset} ${String(offset)}`)
}

function checkWhole(field: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least || value > 0x7fff_ffff) {
    throw new ConfigError(field, `takes a whole number from ${least} up, got ${String(value)}`)
  }
}
