/**
 * Sending (protocol.md 4; upstream DefaultMQProducerImpl): one message, batches, one-way, recall.
 *
 * A send that failed is tried again on another broker within the deadline, under the same UNIQ_KEY, so that consumers
 * recognise a copy. When the last attempt fails and any of them may have stored the message, the error says `unknown`.
 */

import type { Command } from '../commands/define.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { RecallMessage } from '../commands/recall.ts'
import { PERM_WRITE } from '../commands/route.ts'
import {
  SendBatchMessage,
  type SendMessageRequest,
  type SendMessageResponse,
  SendMessageV2,
} from '../commands/send.ts'
import {
  AbortError,
  BrokerError,
  ConfigError,
  ConnectError,
  ConnectionLostError,
  type Outcome,
  RocketMQError,
  RouteError,
  TimeoutError,
} from '../errors.ts'
import { type CallOptions, type Deadline, pause, remainingMs } from '../net/deadline.ts'
import type { Route } from '../routing/routes.ts'
import { selectQueueIndex } from '../wire/hash.ts'
import { encodeBatch } from '../wire/message.ts'
import { checkGroupName } from '../wire/names.ts'
import { parseRecallHandle } from '../wire/recall-handle.ts'
import { type Client, isStaleRoute } from './client.ts'
import { checkKeys } from './options.ts'
import {
  type BatchedMessage,
  type Compression,
  MAX_BODY_BYTES,
  type OutgoingMessage,
  type Prepared,
  prepare,
} from './outgoing.ts'
import { SendResult, type SendStatus } from './values.ts'

export interface ProducerOptions {
  producerGroup: string
  /** How often a failed send is tried again, on another broker where there is one. @default 2 */
  retries?: number | undefined
  /** How bodies are compressed; every reference client of 4.9 and later reads both. @default 'zlib' */
  compression?: 'zlib' | 'zstd' | 'none' | undefined
  /** Bodies above this many bytes are compressed. Messages of a batch never are. @default 4096 */
  compressAboveBytes?: number | undefined
  /** Queues per broker of a topic that the first send creates, where brokers allow that. @default 4 */
  defaultTopicQueueNums?: number | undefined
}

/** What became of one message of a batch. */
export type BatchResult =
  | { outcome: 'stored'; result: SendResult }
  | { outcome: Outcome; messageId: string; error: RocketMQError }

export interface Producer {
  /**
   * Stores one message and waits until the broker has said so.
   * @throws ConfigError, RouteError, BrokerError, AuthError, ConnectError, ConnectionLostError, TimeoutError,
   * DeadlineError, AbortError, ClosedError; `outcome` says what is known about the message
   */
  send(message: OutgoingMessage, options?: CallOptions): Promise<SendResult>
  /**
   * Stores many messages in as few requests as 4 MiB allow; each request is stored whole or not at all. One result per
   * message, in their order. Throws only while nothing has been sent (a wrong message, no route).
   */
  sendBatch(topic: string, messages: readonly BatchedMessage[], options?: CallOptions): Promise<BatchResult[]>
  /** Sends without an answer: resolves when the bytes have left for the kernel, which says nothing about storing. */
  sendOneway(message: OutgoingMessage, options?: CallOptions): Promise<void>
  /** Takes a timer message back before its time; resolves to its message id. Needs recallMessageEnable on the broker. */
  recall(topic: string, recallHandle: string, options?: CallOptions): Promise<string>
}

const TOPIC_NOT_EXIST = 17
/** The route of a broker that creates topics lists this one; a send that names it copies its settings. */
const DEFAULT_TOPIC = 'TBW102'
const FIRST_PAUSE_MS = 20
const STATUS: Readonly<Record<number, SendStatus>> = {
  0: 'SEND_OK',
  10: 'FLUSH_DISK_TIMEOUT',
  11: 'SLAVE_NOT_AVAILABLE',
  12: 'FLUSH_SLAVE_TIMEOUT',
}

const KEYS: readonly (keyof ProducerOptions)[] = [
  'producerGroup',
  'retries',
  'compression',
  'compressAboveBytes',
  'defaultTopicQueueNums',
]

/** @throws ConfigError naming the option */
export function createProducer(client: Client, options: ProducerOptions): Producer {
  return new DefaultProducer(client, options)
}

type SendCommand = Command<SendMessageRequest, SendMessageResponse, Buffer>

/** What goes to one queue in one request. */
interface Parcel {
  topic: string
  command: SendCommand
  body: Buffer
  properties: string
  sysFlag: number
  flag: number
  shardingKey: string | undefined
  queue: MessageQueue | undefined
}

interface Target {
  route: Route
  queue: MessageQueue
}

class DefaultProducer implements Producer {
  readonly #client: Client
  readonly #group: string
  readonly #retries: number
  readonly #compression: Compression | undefined
  readonly #topicQueueNums: number
  #turn = Math.floor(Math.random() * 1_000_000)

  constructor(client: Client, options: ProducerOptions) {
    checkKeys('createProducer', options, KEYS)
    const {
      producerGroup,
      retries = 2,
      compression = 'zlib',
      compressAboveBytes = 4_096,
      defaultTopicQueueNums = 4,
    } = options
    checkGroupName(producerGroup, 'producerGroup')
    checkCount('retries', retries, 0)
    checkCount('compressAboveBytes', compressAboveBytes, 0)
    checkCount('defaultTopicQueueNums', defaultTopicQueueNums, 1)
    if (!['zlib', 'zstd', 'none'].includes(compression)) {
      throw new ConfigError('compression', `takes zlib, zstd or none, got ${JSON.stringify(compression)}`)
    }
    this.#client = client
    this.#group = client.wrap(producerGroup)
    this.#retries = retries
    this.#compression =
      compression === 'none' ? undefined : { type: compression, aboveBytes: compressAboveBytes }
    this.#topicQueueNums = defaultTopicQueueNums
  }

  async send(message: OutgoingMessage, options: CallOptions = {}): Promise<SendResult> {
    const prepared = prepare(message.topic, message, '', this.#compression)
    return await this.#deliver(
      { ...prepared, command: SendMessageV2 },
      this.#client.deadline(options),
      (answer) => toResult(prepared, answer, answer.header.msgId, 0),
    )
  }

  async sendBatch(
    topic: string,
    messages: readonly BatchedMessage[],
    options: CallOptions = {},
  ): Promise<BatchResult[]> {
    if (!Array.isArray(messages)) throw new ConfigError('messages', 'takes an array')
    const prepared = messages.map((message, index) =>
      prepare(topic, checkBatched(message, index), `messages[${index}].`),
    )
    const deadline = this.#client.deadline(options)
    const results: BatchResult[] = []
    if (prepared.length === 0) return results
    const { route } = await this.#target(
      { topic, shardingKey: undefined, queue: undefined },
      new Set(),
      deadline,
    )
    for (const group of groupByQueue(prepared, route)) {
      let stopped: BatchResult | undefined
      for (const batch of splitBatch(group)) {
        const outcome = stopped
          ? notSentBehind(batch, stopped)
          : await this.#sendOneBatch(topic, batch, deadline)
        for (const [at, each] of batch.entries()) results[each.index] = outcome[at] as BatchResult
        // The messages behind a failed batch must not overtake it, where their order matters.
        if (group.ordered && outcome[0]?.outcome !== 'stored') stopped = outcome[0]
      }
    }
    return results
  }

  async sendOneway(message: OutgoingMessage, options: CallOptions = {}): Promise<void> {
    const parcel = { ...prepare(message.topic, message, '', this.#compression), command: SendMessageV2 }
    const deadline = this.#client.deadline(options)
    const { route, queue } = await this.#target(parcel, new Set(), deadline)
    const address = this.#client.routes.address(route, queue.brokerName)
    await this.#client.network.oneway(address, parcel.command, this.#header(parcel, queue), parcel.body, {
      deadline,
      topic: parcel.topic,
    })
  }

  async recall(topic: string, recallHandle: string, options: CallOptions = {}): Promise<string> {
    const { brokerName } = readRecallHandle(recallHandle)
    const { header } = await this.#client.callQueue(
      { topic, brokerName, queueId: 0 },
      RecallMessage,
      { producerGroup: this.#group, topic: this.#client.wrap(topic), recallHandle },
      undefined,
      { deadline: this.#client.deadline(options) },
    )
    return header.msgId
  }

  async #sendOneBatch(topic: string, batch: Indexed[], deadline: Deadline): Promise<BatchResult[]> {
    const [first] = batch
    const parcel: Parcel = {
      topic,
      command: SendBatchMessage,
      body: encodeBatch(batch),
      properties: '',
      sysFlag: 0,
      flag: 0,
      shardingKey: first?.shardingKey,
      queue: first?.queue,
    }
    try {
      return await this.#deliver(parcel, deadline, (answer) => {
        const ids = answer.header.msgId.split(',')
        return batch.map((each, at) => ({
          outcome: 'stored' as const,
          result: toResult(each, answer, ids[at] ?? '', at),
        }))
      })
    } catch (error) {
      if (!RocketMQError.is(error)) throw error
      return batch.map((each) => ({ outcome: error.outcome ?? 'unknown', messageId: each.messageId, error }))
    }
  }

  /** Chooses, sends, and on failure chooses again, until it is stored or there is no point in going on. */
  async #deliver<T>(parcel: Parcel, deadline: Deadline, read: (answer: SendAnswer) => T): Promise<T> {
    const avoid = new Set<string>()
    let unknown: RocketMQError | undefined
    for (let attempt = 0; ; attempt++) {
      let target: Target | undefined
      try {
        target = await this.#target(parcel, avoid, deadline)
        const { route, queue } = target
        const address = this.#client.routes.address(route, queue.brokerName)
        const limits = { deadline, topic: parcel.topic }
        const answer = await this.#client.network.call(
          address,
          parcel.command,
          this.#header(parcel, queue),
          parcel.body,
          limits,
        )
        return read({ code: answer.code, header: answer.header, queue })
      } catch (error) {
        if (!RocketMQError.is(error)) throw error
        if (error.outcome === 'unknown') unknown ??= error
        if (target && isStaleRoute(error)) this.#client.routes.forget(target.route)
        if (attempt >= this.#retries || !target || !mayTryAgain(error) || remainingMs(deadline) === 0) {
          throw withOutcome(error, unknown)
        }
        const alone = target.route.writable.every((queue) => queue.brokerName === target?.queue.brokerName)
        avoid.add(target.queue.brokerName)
        if (alone || parcel.queue || parcel.shardingKey !== undefined) {
          await pause(FIRST_PAUSE_MS * 4 ** attempt * (0.5 + Math.random()), deadline)
        }
      }
    }
  }

  #header(parcel: Parcel, queue: MessageQueue): SendMessageRequest {
    return {
      producerGroup: this.#group,
      topic: this.#client.wrap(parcel.topic),
      defaultTopic: DEFAULT_TOPIC,
      defaultTopicQueueNums: this.#topicQueueNums,
      queueId: queue.queueId,
      sysFlag: parcel.sysFlag,
      bornTimestamp: BigInt(Date.now()),
      flag: parcel.flag,
      properties: parcel.properties,
      reconsumeTimes: 0,
      unitMode: false,
      batch: parcel.command === SendBatchMessage,
    }
  }

  async #target(
    wanted: Pick<Parcel, 'topic' | 'shardingKey' | 'queue'>,
    avoid: ReadonlySet<string>,
    deadline: Deadline,
  ): Promise<Target> {
    const { topic, shardingKey, queue } = wanted
    const route = await this.#writableRoute(topic, deadline)
    if (queue) return { route, queue: { topic, brokerName: queue.brokerName, queueId: queue.queueId } }
    const { writable } = route
    if (writable.length === 0) throw noQueue(topic, route)
    if (shardingKey !== undefined) {
      return {
        route,
        queue: { ...(writable[selectQueueIndex(shardingKey, writable.length)] as MessageQueue), topic },
      }
    }
    const turn = this.#turn++
    const candidates = avoid.size === 0 ? writable : writable.filter((each) => !avoid.has(each.brokerName))
    const from = candidates.length > 0 ? candidates : writable
    return { route, queue: { ...(from[turn % from.length] as MessageQueue), topic } }
  }

  /** The route of the topic, or of the default topic when the topic is not there yet and brokers may create it. */
  async #writableRoute(topic: string, deadline: Deadline): Promise<Route> {
    try {
      return await this.#client.route(topic, deadline)
    } catch (error) {
      if (!(error instanceof RouteError) || error.responseCode !== TOPIC_NOT_EXIST) throw error
      const route = await this.#client.routes.get(DEFAULT_TOPIC, deadline).catch((cause: unknown) => {
        throw cause instanceof RouteError && cause.responseCode === TOPIC_NOT_EXIST ? error : cause
      })
      const writable = route.writable.filter((queue) => queue.queueId < this.#topicQueueNums)
      return { ...route, writable }
    }
  }
}

interface SendAnswer {
  code: number
  header: SendMessageResponse
  queue: MessageQueue
}

interface Indexed extends Prepared {
  index: number
}

function toResult(prepared: Prepared, answer: SendAnswer, offsetMessageId: string, at: number): SendResult {
  const { header, queue } = answer
  return new SendResult({
    status: STATUS[answer.code] ?? 'SEND_OK',
    messageId: prepared.messageId,
    offsetMessageId,
    queue: { topic: prepared.topic, brokerName: queue.brokerName, queueId: header.queueId },
    queueOffset: header.queueOffset + BigInt(at),
    ...(header.recallHandle === undefined ? {} : { recallHandle: header.recallHandle }),
  })
}

/** Whether another broker, or the same one a little later, may take what this one did not. */
function mayTryAgain(error: RocketMQError): boolean {
  if (error instanceof BrokerError) return error.retryable || isStaleRoute(error)
  if (error instanceof ConnectError || error instanceof RouteError) return error.retryable
  return error instanceof ConnectionLostError || error instanceof TimeoutError
}

/** The error of the last attempt, unless an earlier one may have stored the message: then it is that what counts. */
function withOutcome(last: RocketMQError, unknown: RocketMQError | undefined): RocketMQError {
  if (!unknown || last.outcome === 'unknown') return last
  return last instanceof AbortError
    ? new AbortError(last.message, {
        outcome: 'unknown',
        topic: unknown.topic,
        address: unknown.address,
        cause: last.cause,
      })
    : unknown
}

function noQueue(topic: string, route: Route): RouteError {
  const readOnly =
    route.data.queueDatas.length > 0 && route.data.queueDatas.every((each) => !(each.perm & PERM_WRITE))
  return new RouteError(
    readOnly
      ? `topic ${topic} is read-only (its perm has no write bit); allow writing with updateTopicPerm`
      : `no broker with a master holds a writable queue of topic ${topic}`,
    { topic, outcome: 'not-sent', retryable: !readOnly },
  )
}

/** Messages for the same queue together, each group in the order given; the rest may go to any queue. */
function groupByQueue(prepared: Prepared[], route: Route): (Indexed[] & { ordered?: boolean })[] {
  const groups = new Map<string, Indexed[] & { ordered?: boolean }>()
  for (const [index, message] of prepared.entries()) {
    const { queue, shardingKey } = message
    let key = ''
    if (queue) key = `${queue.brokerName}/${queue.queueId}`
    else if (shardingKey !== undefined)
      key = `#${selectQueueIndex(shardingKey, Math.max(1, route.writable.length))}`
    let group = groups.get(key)
    if (!group) {
      group = []
      group.ordered = key !== ''
      groups.set(key, group)
    }
    group.push({ ...message, index })
  }
  return [...groups.values()]
}

/** Fixed part of a batched message: lengths, magic, crc and flag (protocol.md 4.2). */
const BATCHED_OVERHEAD = 22

function splitBatch(group: Indexed[]): Indexed[][] {
  const batches: Indexed[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const message of group) {
    const size = BATCHED_OVERHEAD + message.body.length + Buffer.byteLength(message.properties)
    if (bytes + size > MAX_BODY_BYTES) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)?.push(message)
    bytes += size
  }
  return batches
}

function notSentBehind(batch: Indexed[], failed: BatchResult): BatchResult[] {
  const cause = failed.outcome === 'stored' ? undefined : failed.error
  return batch.map(({ messageId, topic }) => ({
    outcome: 'not-sent',
    messageId,
    error: new ConnectError('not sent: an earlier batch for the same queue failed, and the order is kept', {
      outcome: 'not-sent',
      topic,
      cause,
    }),
  }))
}

function checkBatched(message: BatchedMessage, index: number): BatchedMessage {
  if (typeof message !== 'object' || message === null)
    throw new ConfigError(`messages[${index}]`, 'takes a message')
  for (const name of ['delayLevel', 'delayMs', 'deliverAt'] as const) {
    if ((message as { [K in typeof name]?: unknown })[name] !== undefined) {
      throw new ConfigError(
        `messages[${index}].${name}`,
        'brokers do not delay messages of a batch; send it by itself',
      )
    }
  }
  return message
}

function readRecallHandle(handle: string): { brokerName: string } {
  try {
    return parseRecallHandle(handle)
  } catch (cause) {
    throw new ConfigError('recallHandle', 'is not the recallHandle of a SendResult', { cause })
  }
}

function checkCount(field: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least || value > 0x7fff_ffff) {
    throw new ConfigError(field, `takes a whole number from ${least} up, got ${String(value)}`)
  }
}
