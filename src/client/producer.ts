/**
 * Sending (protocol.md 4; upstream DefaultMQProducerImpl): one message, batches, one-way, recall.
 *
 * A send that failed is tried again on another broker within the deadline, under the same UNIQ_KEY, so that consumers
 * recognise a copy. When the last attempt fails and any of them may have stored the message, the error says `unknown`.
 */
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
import { type Route, TOPIC_NOT_EXIST } from '../routing/routes.ts'
import { encodeBatch } from '../wire/batch.ts'
import { checkChoice, checkInt } from '../wire/checks.ts'
import { selectQueueIndex } from '../wire/hash.ts'
import { checkGroupName } from '../wire/names.ts'
import { parseRecallHandle } from '../wire/recall-handle.ts'
import { type Client, isStaleRoute } from './client.ts'
import { checkKeys } from './options.ts'
import {
  type BatchedMessage,
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

/** What goes to one queue in one request. */
type Parcel = Omit<Prepared, 'messageId'> & { batch?: boolean }

/** The queue that a request is for, and the route that it was found by. */
interface Target {
  route: Route
  queue: MessageQueue
}

interface SendAnswer {
  code: number
  header: SendMessageResponse
  queue: MessageQueue
}

/** @throws ConfigError naming the option */
export function createProducer(client: Client, options: ProducerOptions): Producer {
  checkKeys('createProducer', options, KEYS)
  const {
    producerGroup,
    retries = 2,
    compression: type = 'zlib',
    compressAboveBytes: aboveBytes = 4_096,
    defaultTopicQueueNums = 4,
  } = options
  checkGroupName(producerGroup, 'producerGroup')
  checkInt('retries', retries)
  checkInt('compressAboveBytes', aboveBytes)
  checkInt('defaultTopicQueueNums', defaultTopicQueueNums, 1)
  checkChoice('compression', type, 'zlib', 'zstd', 'none')
  const compression = type === 'none' ? undefined : { type, aboveBytes }
  const group = client.wrap(producerGroup)
  const { network, routes } = client
  let turn = Math.floor(Math.random() * 1_000_000)

  /** The route of the topic, or of the default topic when the topic is not there yet and brokers may create it. */
  const findRoute = async (topic: string, deadline: Deadline): Promise<Route> => {
    try {
      return await client.route(topic, deadline)
    } catch (error) {
      if (!isUnknownTopic(error)) throw error
      const route = await routes.get(DEFAULT_TOPIC, deadline).catch((cause: unknown) => {
        throw isUnknownTopic(cause) ? error : cause
      })
      const writable = route.writable.filter(({ queueId }) => queueId < defaultTopicQueueNums)
      return { ...route, writable }
    }
  }

  const choose = async (
    { topic, shardingKey, queue }: Pick<Parcel, 'topic' | 'shardingKey' | 'queue'>,
    deadline: Deadline,
    avoid?: ReadonlySet<string>,
  ): Promise<Target> => {
    const route = await findRoute(topic, deadline)
    const { writable } = route
    const at = (one: MessageQueue | undefined): Target => {
      const { brokerName, queueId } = one as MessageQueue
      return { route, queue: { topic, brokerName, queueId } }
    }
    // A broker would take it: that a topic is read-only is for the client alone to honour (protocol.md 2).
    if (queue ? isReadOnly(route, queue.brokerName) : writable.length === 0)
      throw noQueue(topic, isReadOnly(route, queue?.brokerName))
    if (queue) return at(queue)
    if (shardingKey !== undefined) return at(writable[selectQueueIndex(shardingKey, writable.length)])
    const others = avoid?.size ? writable.filter((each) => !avoid.has(each.brokerName)) : []
    const candidates = others.length > 0 ? others : writable
    return at(candidates[turn++ % candidates.length])
  }

  const headerOf = (parcel: Parcel, queueId: number): SendMessageRequest => ({
    producerGroup: group,
    topic: client.wrap(parcel.topic),
    defaultTopic: DEFAULT_TOPIC,
    defaultTopicQueueNums,
    queueId,
    sysFlag: parcel.sysFlag,
    bornTimestamp: BigInt(Date.now()),
    flag: parcel.flag,
    properties: parcel.properties,
    reconsumeTimes: 0,
    unitMode: false,
    batch: parcel.batch === true,
  })

  /** Chooses, sends, and on failure chooses again, until it is stored or there is no point in going on. */
  const deliver = async (parcel: Parcel, deadline: Deadline): Promise<SendAnswer> => {
    const { topic, body, shardingKey } = parcel
    const avoid = new Set<string>()
    let unknown: RocketMQError | undefined
    for (let attempt = 0; ; attempt++) {
      let target: Target | undefined
      try {
        target = await choose(parcel, deadline, avoid)
        const { route, queue } = target
        const { code, header } = await network.call(
          routes.address(route, queue.brokerName),
          parcel.batch ? SendBatchMessage : SendMessageV2,
          headerOf(parcel, queue.queueId),
          body,
          { deadline, topic },
        )
        return { code, header, queue }
      } catch (error) {
        if (!RocketMQError.is(error)) throw error
        if (error.outcome === 'unknown') unknown ??= error
        if (target && isStaleRoute(error)) routes.forget(target.route)
        if (attempt >= retries || !target || !mayTryAgain(error) || remainingMs(deadline) === 0)
          throw withOutcome(error, unknown)
        const { route, queue } = target
        avoid.add(queue.brokerName)
        const fixed = parcel.queue || shardingKey !== undefined
        if (fixed || route.writable.every(({ brokerName }) => brokerName === queue.brokerName))
          await pause(FIRST_PAUSE_MS * 4 ** attempt * (0.5 + Math.random()), deadline)
      }
    }
  }

  const deliverBatch = async (batch: Prepared[], deadline: Deadline): Promise<BatchResult[]> => {
    const [first] = batch as [Prepared]
    try {
      const body = encodeBatch(batch)
      const answer = await deliver(
        { ...first, body, properties: '', sysFlag: 0, flag: 0, batch: true },
        deadline,
      )
      const ids = answer.header.msgId.split(',')
      return batch.map((each, at) => ({
        outcome: 'stored',
        result: toResult(each, answer, ids[at] ?? '', at),
      }))
    } catch (error) {
      if (!RocketMQError.is(error)) throw error
      return batch.map(({ messageId }) => ({ outcome: error.outcome ?? 'unknown', messageId, error }))
    }
  }

  return {
    async send(message, limits = {}) {
      const prepared = prepare(message.topic, message, compression)
      const answer = await deliver(prepared, client.deadline(limits))
      return toResult(prepared, answer, answer.header.msgId, 0)
    },

    async sendBatch(topic, messages, limits = {}) {
      if (!Array.isArray(messages)) throw new ConfigError('messages', 'takes an array')
      const prepared = messages.map((message: BatchedMessage, index) =>
        prepare(topic, message, undefined, index),
      )
      const deadline = client.deadline(limits)
      const results = new Map<Prepared, BatchResult>()
      if (prepared.length === 0) return []
      const { route } = await choose({ topic, shardingKey: undefined, queue: undefined }, deadline)
      for (const [key, messagesOfKey] of Map.groupBy(prepared, (each) => orderKey(each, route))) {
        let failed: RocketMQError | undefined
        for (const batch of splitBatch(messagesOfKey)) {
          const outcomes = failed ? notSentBehind(batch, failed) : await deliverBatch(batch, deadline)
          for (const [at, each] of batch.entries()) results.set(each, outcomes[at] as BatchResult)
          // The messages behind a failed batch must not overtake it, where their order matters.
          const [outcome] = outcomes
          if (key !== '' && outcome && outcome.outcome !== 'stored') failed = outcome.error
        }
      }
      return prepared.map((each) => results.get(each) as BatchResult)
    },

    async sendOneway(message, limits = {}) {
      const parcel = prepare(message.topic, message, compression)
      const deadline = client.deadline(limits)
      const { route, queue } = await choose(parcel, deadline)
      const address = routes.address(route, queue.brokerName)
      const { topic, body } = parcel
      await network.oneway(address, SendMessageV2, headerOf(parcel, queue.queueId), body, { deadline, topic })
    },

    async recall(topic, recallHandle, limits = {}) {
      const { header } = await client.callQueue(
        { topic, brokerName: brokerOf(recallHandle), queueId: 0 },
        RecallMessage,
        { producerGroup: group, topic: client.wrap(topic), recallHandle },
        undefined,
        { deadline: client.deadline(limits) },
      )
      return header.msgId
    },
  }
}

const isUnknownTopic = (error: unknown): boolean =>
  error instanceof RouteError && error.responseCode === TOPIC_NOT_EXIST

function toResult(prepared: Prepared, answer: SendAnswer, offsetMessageId: string, at: number): SendResult {
  const { code, header, queue } = answer
  const { queueId, queueOffset, recallHandle } = header
  return new SendResult({
    status: STATUS[code] ?? 'SEND_OK',
    messageId: prepared.messageId,
    offsetMessageId,
    queue: { ...queue, queueId },
    queueOffset: queueOffset + BigInt(at),
    ...(recallHandle === undefined ? {} : { recallHandle }),
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
  const { topic, address } = unknown
  return last instanceof AbortError
    ? new AbortError(last.message, { outcome: 'unknown', topic, address, cause: last.cause })
    : unknown
}

/** Whether the topic may not be written, on this broker or on any. */
function isReadOnly({ data }: Route, brokerName?: string): boolean {
  const own = data.queueDatas.filter((each) => each.brokerName === (brokerName ?? each.brokerName))
  return own.length > 0 && own.every((each) => !(each.perm & PERM_WRITE))
}

function noQueue(topic: string, readOnly: boolean): RouteError {
  const rule = readOnly
    ? 'is read-only; allow writing with updateTopicPerm'
    : 'has no writable queue on a master'
  return new RouteError(`topic ${topic} ${rule}`, { topic, retryable: !readOnly })
}

/** Messages with the same key go to the same queue, in the order given; those with none to any queue. */
function orderKey({ queue, shardingKey }: Prepared, { writable }: Route): string {
  if (queue) return `${queue.brokerName}/${queue.queueId}`
  return shardingKey === undefined ? '' : `#${selectQueueIndex(shardingKey, writable.length)}`
}

/** Fixed part of a batched message: lengths, magic, crc and flag (protocol.md 4.2). */
const BATCHED_OVERHEAD = 22

function splitBatch(messages: Prepared[]): Prepared[][] {
  const batches: Prepared[][] = []
  let bytes = MAX_BODY_BYTES
  for (const message of messages) {
    const size = BATCHED_OVERHEAD + message.body.length + Buffer.byteLength(message.properties)
    bytes += size
    if (bytes > MAX_BODY_BYTES) {
      batches.push([])
      bytes = size
    }
    batches.at(-1)?.push(message)
  }
  return batches
}

function notSentBehind(batch: Prepared[], cause: RocketMQError): BatchResult[] {
  return batch.map(({ messageId, topic }) => ({
    outcome: 'not-sent',
    messageId,
    error: new ConnectError('an earlier batch for the same queue failed; not sent, to keep the order', {
      topic,
      cause,
    }),
  }))
}

function brokerOf(recallHandle: string): string {
  try {
    return parseRecallHandle(recallHandle).brokerName
  } catch (cause) {
    throw new ConfigError('recallHandle', 'is not the recallHandle of a SendResult', { cause })
  }
}
