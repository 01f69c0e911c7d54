/**
 * Popping: messages without queues and offsets (protocol.md 14; upstream MQClientAPIImpl.popMessageAsync). A broker hides
 * what it has given until it is acknowledged or its time is over, and gives it again then, so that any number of
 * functions can pop at once. Nothing is remembered between calls: what an acknowledgement needs stands on the message.
 */
import {
  AckMessage,
  type BatchAck,
  BatchAckMessage,
  ChangeMessageInvisibleTime,
  POP_INIT_MIN,
  PopMessage,
} from '../commands/pop.ts'
import { type BrokerError, ProtocolError, RouteError } from '../errors.ts'
import { type CallOptions, type Deadline, isOver, remainingMs } from '../net/deadline.ts'
import { checkInt, checkObject, checkText, refuse } from '../wire/checks.ts'
import { decodeMessages, decodeStored, type StoredMessage } from '../wire/message.ts'
import { checkGroupName, checkTopicName, retryTopic } from '../wire/names.ts'
import {
  formatAckBits,
  formatPopReceipt,
  type PopReceipt,
  parsePopReceipt,
  parseStartOffsetInfo,
  popStoredTopic,
} from '../wire/pop-receipt.ts'
import type { Client } from './client.ts'
import { atLeast, takeOptions } from './options.ts'
import { type Filter, type ParsedFilter, parseFilter } from './puller.ts'
import { PoppedMessage, PopResult, Undecodable, type UndecodablePopped } from './values.ts'

export interface PopConsumerOptions {
  /** A group pops or pulls, never both: a pop moves its offsets. */
  consumerGroup: string
  /** Which messages are given. What it does not let through is done for the group, retries included. @default '*' */
  filter?: Filter | undefined
  /** A message whose body is larger once decompressed is reported as undecodable. @default 16777216 */
  maxBodyBytes?: number | undefined
}

export interface PopOptions extends CallOptions {
  /** In all. A broker gives 32 at most. @default 32 */
  maxMessages?: number | undefined
  /** How long the messages are hidden, in ms, from when the broker gives them. A broker may take 4 s longer. @default 60000 */
  invisibleMs?: number | undefined
  /** How long to wait when there is no message, in ms. A wait for which the deadline leaves no room is shortened. @default 0 */
  waitMs?: number | undefined
}

export interface ChangeInvisibleOptions extends CallOptions {
  /** This delivery does not count in `reconsumeTimes`. Brokers before 5.5 count it. @default false */
  suspend?: boolean | undefined
}

/** What is needed of a popped message to acknowledge it. */
export type Popped = Pick<PoppedMessage, 'topic' | 'receipt'>

export interface PopConsumer {
  /**
   * Takes messages of a topic: from all queues of a broker at once, retries of the group among them, and from one master
   * after another, in turns, until there are `maxMessages`. With `waitMs` a single broker holds the pop until there is a
   * message; several are asked once without, then each for a second or less, round and round.
   *
   * A broker that cannot be asked gives nothing; the call rejects when there is no message and one could not be asked.
   * A message whose tag matches the filter by its hash only is acknowledged and not given: unacknowledged it would come
   * back without end. After an error with `outcome` `unknown` messages may be hidden: they come back when their time is over.
   * @throws RouteError for an unknown topic, ConfigError for a filter that brokers cannot read
   */
  pop(topic: string, options?: PopOptions): Promise<PopResult>
  /**
   * Acknowledges one or several messages: they are done. That it resolves does not say that it came in time: for a
   * message whose time is over, or whose receipt has been replaced, brokers answer the same, and it comes again.
   * Several are one request for each broker; all brokers are told, then the first failure rejects.
   */
  ack(messages: Popped | readonly Popped[], options?: CallOptions): Promise<void>
  /**
   * Hides a message for `invisibleMs` from now instead: more time, or with 0 another attempt now. The message carries the
   * new receipt from then on. After a failure with `outcome` `unknown` the old one may be dead: count on it coming again.
   */
  changeInvisibleDuration(
    message: Popped,
    invisibleMs: number,
    options?: ChangeInvisibleOptions,
  ): Promise<void>
}

const MOST_MESSAGES = 32
const ROUND_TRIP_MS = 500
/** How long one of several brokers holds a pop. */
const TURN_MS = 1_000
const SUBSCRIPTION_PARSE_FAILED = 23

interface Resolved {
  consumerGroup: string
  filter: ParsedFilter
  maxBodyBytes: number
}

/** @throws ConfigError naming the option */
export const createPopConsumer = (client: Client, options: PopConsumerOptions): PopConsumer => {
  const { consumerGroup, filter, maxBodyBytes } = takeOptions<Resolved>('createPopConsumer', options, {
    consumerGroup: checkGroupName,
    filter: parseFilter,
    maxBodyBytes: atLeast(1, 0x100_0000),
  })
  const { subscription, expressionType, tags } = filter
  const group = client.wrap(consumerGroup)
  /** The broker that the next pop begins with: none is always the last. */
  let turn = 0

  const storedTopicOf = (topic: string, { retryFlag }: PopReceipt): string =>
    popStoredTopic(group, client.wrap(topic), retryFlag)

  /** One pop of one broker. */
  const popFrom = async (
    topic: string,
    brokerName: string,
    { maxMsgNums, invisibleMs, pollMs }: { maxMsgNums: number; invisibleMs: number; pollMs: number },
    deadline: Deadline,
  ): Promise<{ messages: PoppedMessage[]; undecodable: UndecodablePopped[] }> => {
    const request = {
      consumerGroup: group,
      topic: client.wrap(topic),
      queueId: -1,
      maxMsgNums,
      invisibleTime: BigInt(invisibleMs),
      pollTime: BigInt(pollMs),
      // The wait counts from when the broker has it: clocks that differ do no harm.
      bornTime: 0n,
      initMode: POP_INIT_MIN,
      expType: expressionType,
      exp: subscription,
    }
    const { code, header, body } = await client
      .callQueue({ topic, brokerName, queueId: 0 }, PopMessage, request, undefined, {
        deadline,
        timeoutMs: client.timeoutMs + pollMs,
      })
      .catch((cause: Partial<BrokerError>) => {
        if (cause.responseCode !== SUBSCRIPTION_PARSE_FAILED) throw cause
        refuse(expressionType === 'TAG' ? 'filter' : 'filter.sql', `${cause.remark}`, {
          cause,
          topic,
          outcome: 'refused',
        })
      })
    // A pop gives a stored message one receipt: what a batch holds could not be acknowledged one by one.
    const options = { maxBodyBytes, endOffset: -1n }
    const { messages, undecodable } = decodeMessages(code === 0 ? body : Buffer.alloc(0), options)
    const { popTime, invisibleTime, reviveQid } = header
    const starts = parseStartOffsetInfo(header.startOffsetInfo ?? '')
    const receiptOf = ({ queueId, queueOffset, properties }: StoredMessage): PopReceipt => {
      const text = properties['POP_CK']
      if (text !== undefined) return parsePopReceipt(text)
      const ckQueueOffset = starts.get(`0@${queueId}`)
      if (ckQueueOffset === undefined) {
        const field = 'startOffsetInfo'
        throw new ProtocolError(`${brokerName} answered without the ${field} of queue ${queueId}`, {
          field,
          topic,
        })
      }
      return {
        ckQueueOffset,
        popTime,
        invisibleTime,
        reviveQid,
        retryFlag: '0',
        brokerName,
        queueId,
        queueOffset,
      }
    }
    const toPopped = (stored: StoredMessage): PoppedMessage => {
      const receipt = receiptOf(stored)
      const { queueId } = stored
      const queue = { topic: client.unwrap(storedTopicOf(topic, receipt)), brokerName, queueId }
      return new PoppedMessage(stored, queue, client.unwrap, formatPopReceipt(receipt))
    }
    const popped = messages.map(toPopped)
    const unreadable = undecodable.map((each): UndecodablePopped => {
      const frame = decodeStored(each.bytes)
      const message = frame && orNothing(() => toPopped(frame))
      return Object.assign(new Undecodable(), each, message && { message })
    })
    // Brokers compare the hash of a tag; only the text tells "Aa" from "BB".
    const isWanted = ({ tag = '' }: PoppedMessage): boolean => !tags || tags.has(tag)
    const unwanted = popped.filter((message) => !isWanted(message))
    // Should that fail, they come back, and here again.
    if (unwanted.length > 0) await acknowledge(unwanted, deadline).catch(() => undefined)
    return { messages: popped.filter(isWanted), undecodable: unreadable }
  }

  const acknowledge = async (messages: readonly Popped[], deadline: Deadline): Promise<void> => {
    const parts = Map.groupBy(messages.map(parse), ({ receipt }) => receipt.brokerName)
    const tell = async ([brokerName, own]: [string, Parsed[]]): Promise<unknown> => {
      const [first] = own as [Parsed]
      const queue = { topic: first.topic, brokerName, queueId: 0 }
      if (own.length === 1)
        return await client.callQueue(queue, AckMessage, requestOf(first), undefined, { deadline })
      const body = { brokerName, acks: batchesOf(own) }
      return await client.callQueue(queue, BatchAckMessage, {}, body, { deadline })
    }
    for (const each of await Promise.allSettled(Array.from(parts, tell)))
      if (each.status === 'rejected') throw each.reason
  }

  const requestOf = ({ topic, receipt }: Parsed) => ({
    consumerGroup: group,
    topic: storedTopicOf(topic, receipt),
    queueId: receipt.queueId,
    extraInfo: formatPopReceipt(receipt),
    offset: receipt.queueOffset,
  })

  /** One entry for each pop of each queue; the topic in it is the plain one. */
  const batchesOf = (messages: readonly Parsed[]): BatchAck[] => {
    const keyOf = ({ topic, receipt }: Parsed): string =>
      `${topic} ${formatPopReceipt({ ...receipt, queueOffset: 0n })}`
    return Array.from(Map.groupBy(messages, keyOf).values(), (own) => {
      const [{ topic, receipt }] = own as [Parsed]
      const { ckQueueOffset, popTime, invisibleTime, reviveQid, retryFlag, queueId } = receipt
      const offsets = own.map((each) => Number(each.receipt.queueOffset - ckQueueOffset))
      return {
        consumerGroup: group,
        topic: client.wrap(topic),
        retry: retryFlag,
        startOffset: ckQueueOffset,
        queueId,
        reviveQueueId: reviveQid,
        popTime,
        invisibleTime,
        bitSet: Buffer.from(formatAckBits(offsets), 'base64'),
      }
    })
  }

  return {
    async pop(topic, limits = {}) {
      checkTopicName(topic)
      if (topic.startsWith(retryTopic('')))
        refuse('topic', 'takes no retry topic: retries come with their topic')
      const { maxMessages = MOST_MESSAGES, invisibleMs = 60_000, waitMs = 0, deadlineMs } = limits
      checkInt('maxMessages', maxMessages, 1)
      checkInt('invisibleMs', invisibleMs, 1)
      checkInt('waitMs', waitMs)
      const given = client.deadline(limits)
      const deadline = { ...given, at: given.at + (deadlineMs === undefined ? waitMs : 0) }
      const { readable } = await client.route(topic, deadline)
      const names = [...new Set(readable.map(({ brokerName }) => brokerName))]
      if (names.length === 0) throw new RouteError(`topic ${topic} has no readable queue`, { topic })
      const first = turn++ % names.length
      const room = Math.floor(remainingMs(deadline)) - ROUND_TRIP_MS
      const turns = turnsOf([...names.slice(first), ...names.slice(0, first)], Math.min(waitMs, room))
      const messages: PoppedMessage[] = []
      const undecodable: UndecodablePopped[] = []
      const failures = new Map<string, unknown>()
      for (const [brokerName, pollMs] of turns) {
        const count = messages.length + undecodable.length
        if (count >= maxMessages || (count > 0 && pollMs > 0)) break
        if (failures.has(brokerName)) continue
        const maxMsgNums = Math.min(maxMessages - count, MOST_MESSAGES)
        try {
          const found = await popFrom(topic, brokerName, { maxMsgNums, invisibleMs, pollMs }, deadline)
          messages.push(...found.messages)
          undecodable.push(...found.undecodable)
        } catch (error) {
          failures.set(brokerName, error)
          if (isOver(deadline)) break
        }
      }
      const isEmpty = messages.length + undecodable.length === 0
      for (const error of failures.values()) if (isEmpty) throw error
      return Object.assign(new PopResult(), { messages, undecodable })
    },

    async ack(messages, limits) {
      const list = [messages].flat() as Popped[]
      await acknowledge(list, client.deadline(limits))
    },

    async changeInvisibleDuration(message, invisibleMs, { suspend, ...limits } = {}) {
      const parsed = parse(message)
      checkInt('invisibleMs', invisibleMs)
      const { topic, receipt } = parsed
      const { header } = await client.callQueue(
        { topic, brokerName: receipt.brokerName, queueId: 0 },
        ChangeMessageInvisibleTime,
        { ...requestOf(parsed), invisibleTime: BigInt(invisibleMs), suspend },
        undefined,
        { deadline: client.deadline(limits) },
      )
      message.receipt = formatPopReceipt({ ...receipt, ckQueueOffset: receipt.queueOffset, ...header })
    },
  }
}

/** Which broker is asked when, and how long it may hold the pop, in ms. */
function* turnsOf(brokerNames: readonly string[], waitMs: number): Generator<[string, number]> {
  const [only] = brokerNames
  if (only !== undefined && brokerNames.length === 1) return yield [only, Math.max(0, waitMs)]
  for (const name of brokerNames) yield [name, 0]
  const most = Math.min(TURN_MS, Math.ceil(waitMs / brokerNames.length))
  for (let left = waitMs, at = 0; left > 0; left -= most, at++)
    yield [brokerNames[at % brokerNames.length] as string, Math.min(most, left)]
}

/** @throws whatever is no ProtocolError */
function orNothing<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

interface Parsed {
  topic: string
  receipt: PopReceipt
}

/** @throws ConfigError for what is no popped message */
const parse = (message: Popped): Parsed => {
  const { topic, receipt } = checkObject('message', message)
  checkTopicName(topic, 'message.topic')
  try {
    return { topic, receipt: parsePopReceipt(checkText('message.receipt', receipt)) }
  } catch (cause) {
    return refuse('message.receipt', 'is none that a pop has given', { cause })
  }
}
