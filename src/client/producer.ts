/**
 * Sending (protocol.md 4; upstream DefaultMQProducerImpl): one message, batches, one-way, recall.
 *
 * A send that failed is tried again on another broker within the deadline, under the same UNIQ_KEY, so that consumers
 * recognise a copy. When the last attempt fails and any of them may have stored the message, the error says `unknown`.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import { RecallMessage } from '../commands/recall.ts'
import { AskRouteInfoByTopic, PERM_WRITE } from '../commands/route.ts'
import {
  DEFAULT_TOPIC,
  SendBatchMessage,
  type SendMessageRequest,
  type SendMessageResponse,
  SendMessageV2,
} from '../commands/send.ts'
import { BrokerError, ConnectError, type Outcome, RocketMQError, RouteError } from '../errors.ts'
import {
  atMost,
  beforeSending,
  type CallOptions,
  type Deadline,
  isPromise,
  pause,
  remainingMs,
} from '../net/deadline.ts'
import type { Answer, CallLimits } from '../net/network.ts'
import { repeat } from '../net/repeat.ts'
import { isUnknownTopic } from '../routing/name-servers.ts'
import type { Route } from '../routing/routes.ts'
import { batchedBytes, encodeBatch } from '../wire/batch.ts'
import { checkArray, checkChoice, checkObject, inside, refuse } from '../wire/checks.ts'
import { selectQueueIndex } from '../wire/hash.ts'
import { checkGroupName, checkTopicName } from '../wire/names.ts'
import { recallParts } from '../wire/recall-handle.ts'
import { V5_0_0, versionName } from '../wire/server-version.ts'
import { type Client, isStaleRoute } from './client.ts'
import { atLeast, takeOptions } from './options.ts'
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

const FIRST_PAUSE_MS = 20
const NO_PERMISSION = 16
const STATUS: Readonly<Record<number, SendStatus>> = {
  10: 'FLUSH_DISK_TIMEOUT',
  11: 'SLAVE_NOT_AVAILABLE',
  12: 'FLUSH_SLAVE_TIMEOUT',
}

type Resolved = { readonly [K in keyof ProducerOptions]-?: NonNullable<ProducerOptions[K]> }

/** What goes to one queue in one request: a message, or a batch. */
type Parcel = Omit<Prepared, 'messageId'> & { batch?: boolean }

/** A message of a batch, and in the end what became of it. */
type Batched = Prepared & { result?: BatchResult }

/** `call` or `oneway` of the network. */
type Post<T> = (
  address: string,
  command: typeof SendMessageV2,
  request: SendMessageRequest,
  body: Buffer,
  limits: CallLimits,
) => Promise<T>

interface Delivery<T> {
  answer: T
  queue: MessageQueue
}

type SendAnswer = Delivery<Answer<SendMessageResponse, undefined>>

/** What sends, without the rest of a producer: for functions that do nothing else. */
export type Sender = Omit<Producer, 'recall'>

/** @throws ConfigError naming the option */
export function createProducer(client: Client, options: ProducerOptions): Producer {
  const sender = createSender(client, options)
  const { producerGroup } = options
  return {
    ...sender,

    async recall(topic, recallHandle, limits) {
      const [, brokerName] = recallParts(recallHandle)
      if (!brokerName) refuse('recallHandle', 'is not that of a SendResult')
      const { header } = await client.callQueue(
        { topic, brokerName, queueId: 0 },
        RecallMessage,
        { producerGroup: client.wrap(producerGroup), topic: client.wrap(topic), recallHandle },
        undefined,
        { deadline: client.deadline(limits) },
      )
      return header.msgId
    },
  }
}

/** @throws ConfigError naming the option */
export function createSender(client: Client, options: ProducerOptions): Sender {
  const {
    producerGroup,
    retries,
    compression: type,
    compressAboveBytes: aboveBytes,
    defaultTopicQueueNums,
  } = takeOptions<Resolved>('createProducer', options, {
    producerGroup: checkGroupName,
    retries: atLeast(0, 2),
    compression: (given = 'zlib', field) => checkChoice(field, given, 'zlib', 'zstd', 'none'),
    compressAboveBytes: atLeast(0, 4_096),
    defaultTopicQueueNums: atLeast(1, 4),
  })
  const compression = type === 'none' ? undefined : { type, aboveBytes }
  const group = client.wrap(producerGroup)
  const { network, routes } = client
  let turn = (Math.random() * 1_000_000) | 0

  /** The route of the topic, or of the default topic when the topic is not there yet and brokers may create it. */
  const findRoute = (topic: string, deadline: Deadline): Route | Promise<Route> => {
    const found = client.route(topic, deadline)
    if (!isPromise(found)) return found
    return found.catch(async (error: unknown) => {
      if (!isUnknownTopic(error)) throw error
      try {
        const route = await routes.get(DEFAULT_TOPIC, deadline)
        const writable = route.writable.filter(({ queueId }) => queueId < defaultTopicQueueNums)
        return { ...route, writable, keyed: writable }
      } catch (cause) {
        throw isUnknownTopic(cause) ? error : cause
      }
    })
  }

  const choose = (
    { writable, keyed, data }: Route,
    { topic, shardingKey, queue }: Pick<Parcel, 'topic'> & Partial<Parcel>,
    tried?: readonly string[],
  ): MessageQueue => {
    // A broker would take it: that a topic is read-only is for the client alone to honour (protocol.md 2).
    let readOnly = false
    for (const { brokerName, perm } of data.queueDatas) {
      if (queue && brokerName !== queue.brokerName) continue
      readOnly = !(perm & PERM_WRITE)
      if (!readOnly) break
    }
    const all = shardingKey === undefined && writable.length > 0 ? writable : keyed
    if (readOnly || (!queue && all.length === 0)) {
      const rule = readOnly ? 'is read-only' : 'has no writable queue'
      throw new RouteError(`topic ${topic} ${rule}`, { topic, retryable: !readOnly })
    }
    const others = tried?.length ? all.filter((each) => !tried.includes(each.brokerName)) : []
    const candidates = others.length > 0 ? others : all
    const chosen =
      queue ??
      (shardingKey === undefined
        ? candidates[turn++ % candidates.length]
        : all[selectQueueIndex(shardingKey, all.length)])
    return chosen as MessageQueue
  }

  /**
   * Brokers before 5.0 know no timers and would deliver at once. Each tells its version with any answer, also to what is not
   * signed: here, to 105, that it gives no routes.
   * @throws ConfigError naming the member
   */
  const checkTimers = async (
    timer: string,
    address: string,
    topic: string,
    deadline: Deadline,
  ): Promise<void> => {
    const connection = await network.pool.get(address, deadline)
    const limit = atMost(network.timeoutMs, deadline)
    // On this connection: of another one nothing would be known. Nothing was sent yet when it fails.
    const { version } = connection.version
      ? connection
      : await beforeSending(
          connection.request({
            code: AskRouteInfoByTopic.code,
            ext: { topic },
            body: undefined,
            deadline: limit,
            write: false,
          }),
        )
    if (version && version < V5_0_0)
      refuse(
        timer,
        `RocketMQ ${versionName(version)} delivers at once: use delayLevel, or brokers from 5.0 on`,
        { address },
      )
  }

  /** Chooses and sends, and on failure chooses again, until it is stored or there is no point in going on. */
  const deliver = async <T>(
    post: Post<T>,
    parcel: Parcel,
    deadline: Deadline,
    isOneway = false,
  ): Promise<Delivery<T>> => {
    const { topic, body, sysFlag, flag, properties, batch = false, timer } = parcel
    const tried: string[] = []
    let route: Route | undefined
    let queue: MessageQueue | undefined
    return await repeat(
      async (attempt) => {
        queue = route = undefined
        const found = findRoute(topic, deadline)
        route = isPromise(found) ? await found : found
        queue = choose(route, parcel, tried)
        const { brokerName, queueId } = queue
        if (tried.includes(brokerName))
          await pause(FIRST_PAUSE_MS * 4 ** (attempt - 1) * (0.5 + Math.random()), deadline)
        tried.push(brokerName)
        const request = {
          producerGroup: group,
          topic: client.wrap(topic),
          defaultTopicQueueNums,
          queueId,
          sysFlag,
          bornTimestamp: BigInt(Date.now()),
          flag,
          properties,
          reconsumeTimes: 0,
          unitMode: false,
          batch,
        }
        const command = batch ? SendBatchMessage : SendMessageV2
        const address = routes.address(route, brokerName)
        if (timer) await checkTimers(timer, address, request.topic, deadline)
        // The command says Buffer, which is what a broker gets; any bytes can be sent.
        const answer = await post(address, command, request, body as Buffer, { deadline, topic })
        return { answer, queue }
      },
      (error, attempt) => {
        if (!route || !RocketMQError.is(error)) return false
        // Not of a key (that is an AuthError): this broker takes no messages now, others may.
        const banned = error.code === 'RMQ_BROKER' && error.responseCode === NO_PERMISSION
        const stale = banned || isStaleRoute(error)
        if (stale) routes.forget(route)
        // It is silent, gone, or has the topic no more.
        if (queue && (!(error instanceof BrokerError) || isUnknownTopic(error)))
          routes.leave(route, queue.brokerName)
        const mayTryAgain = banned
          ? !parcel.queue && route.writable.some(({ brokerName }) => !tried.includes(brokerName))
          : queue && (stale || error.retryable)
        // Of a one-way send nobody would ever know that it was stored twice.
        const isSafe = !isOneway || error.outcome === 'not-sent'
        return !!mayTryAgain && isSafe && attempt < retries && remainingMs(deadline) > 0
      },
    )
  }

  const prepareOne = (message: OutgoingMessage): Prepared =>
    prepare(checkTopicName(checkObject('message', message).topic), message, compression)

  return {
    async send(message, limits) {
      const prepared = prepareOne(message)
      const sent = await deliver(network.call, prepared, client.deadline(limits))
      return toResult(prepared, sent, sent.answer.header.msgId)
    },

    async sendBatch(topic, messages, limits) {
      checkTopicName(topic)
      // Spread: a hole is a wrong message, and `map` would leave it out.
      const prepared = [...checkArray('messages', messages)].map(
        (message, index): Batched =>
          inside(`messages[${index}].`, () => prepare(topic, message, undefined, true)),
      )
      const deadline = client.deadline(limits)
      if (prepared.length === 0) return []
      const route = await findRoute(topic, deadline)
      choose(route, { topic }) // throws where there is none
      // By the route of now: by a later one, keys that share a queue here may not.
      for (const each of prepared) if (each.shardingKey !== undefined) each.queue = choose(route, each)
      for (const [key, group] of Map.groupBy(prepared, orderKey)) {
        let failed: RocketMQError | undefined
        for (const { batch, bytes } of splitBatch(group)) {
          try {
            // The messages behind a failed batch must not overtake it, where their order matters.
            if (failed && key) throw new ConnectError('not sent, to keep the order', { topic, cause: failed })
            const body = encodeBatch(batch, bytes)
            const parcel = {
              ...(batch[0] as Prepared),
              body,
              properties: '',
              sysFlag: 0,
              flag: 0,
              batch: true,
            }
            const sent = await deliver(network.call, parcel, deadline)
            const ids = sent.answer.header.msgId.split(',')
            for (const [at, each] of batch.entries())
              each.result = { outcome: 'stored', result: toResult(each, sent, ids[at], at) }
          } catch (error) {
            if (!RocketMQError.is(error)) throw error
            failed ??= error
            const { outcome = 'unknown' } = error
            for (const each of batch) each.result = { outcome, messageId: each.messageId, error }
          }
        }
      }
      return prepared.map(({ result }) => result as BatchResult)
    },

    async sendOneway(message, limits) {
      await deliver(network.oneway, prepareOne(message), client.deadline(limits), true)
    },
  }
}

function toResult(
  { topic, messageId }: Prepared,
  { answer: { code, header }, queue }: SendAnswer,
  offsetMessageId = '',
  at = 0,
): SendResult {
  const { queueId, queueOffset, recallHandle } = header
  return new SendResult(
    STATUS[code] ?? 'SEND_OK',
    messageId,
    offsetMessageId,
    { topic, brokerName: queue.brokerName, queueId },
    at ? queueOffset + BigInt(at) : queueOffset,
    recallHandle,
  )
}

/** Messages for the same queue stay in the order given; those for none go to any. */
function orderKey({ queue }: Prepared): string {
  return queue ? `${queue.brokerName}/${queue.queueId}` : ''
}

/** As few batches as there can be, each with its length. */
function splitBatch(messages: Batched[]): { batch: Batched[]; bytes: number }[] {
  const batches: { batch: Batched[]; bytes: number }[] = []
  for (const message of messages) {
    const bytes = batchedBytes(message)
    const last = batches.at(-1)
    if (last && last.bytes + bytes <= MAX_BODY_BYTES) {
      last.batch.push(message)
      last.bytes += bytes
    } else batches.push({ batch: [message], bytes })
  }
  return batches
}
