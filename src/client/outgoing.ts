/**
 * From the message a caller hands over to what goes on the wire: every rule that a broker would answer with an
 * unhelpful code, or not at all, is checked here first and named in the error.
 */
import { randomBytes } from 'node:crypto'
import type { MessageQueue } from '../commands/message-queue.ts'
import { ConfigError } from '../errors.ts'
import { checkInt, checkText, checkTime } from '../wire/checks.ts'
import { compress, compressionFlags } from '../wire/compression.ts'
import { createUniqKey } from '../wire/message-id.ts'
import { checkTopicName } from '../wire/names.ts'
import { checkPropertiesLength, checkUserProperties, encodeProperties } from '../wire/properties.ts'

/** A body, and for a batch the sum of its messages, must not be larger: brokers answer 13 (protocol.md 1.6). */
export const MAX_BODY_BYTES = 4_194_304

const HIGHEST_DELAY_LEVEL = 18
const DELAYS = ['delayLevel', 'delayMs', 'deliverAt'] as const

/** RocketMQ separates keys by a space, so a key with one would be two; U+0001 and U+0002 separate properties. */
const BLANK = /[\s\p{Cc}]/u

/** At most one of them: a message is delayed by level or by time. */
export type Delay =
  | { delayLevel?: undefined; delayMs?: undefined; deliverAt?: undefined }
  | {
      /** 1 to 18: 1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h, unless the broker is set up otherwise. */
      delayLevel: number
      delayMs?: undefined
      deliverAt?: undefined
    }
  | {
      /** Ms from the time of storing; brokers keep it to about a second, and refuse more than three days by default. */
      delayMs: number
      delayLevel?: undefined
      deliverAt?: undefined
    }
  | {
      /** A Date or epoch ms; one in the past is delivered at once. */
      deliverAt: Date | number
      delayLevel?: undefined
      delayMs?: undefined
    }

/** A message of a batch: no delay, and the topic is given once for all. */
export interface BatchedMessage {
  /** Bytes, or text that is sent as UTF-8. Never empty: brokers refuse an empty body. */
  body: Uint8Array | string
  /** One tag; consumers filter by it. */
  tag?: string | undefined
  /** Keys to find it by (`rocketmq-lambda` message query, `mqadmin queryMsgByKey`); none may contain white space. */
  keys?: string | readonly string[] | undefined
  /** The user's own properties. RocketMQ's names, U+0001, U+0002 and empty values are refused. */
  properties?: Readonly<Record<string, string>> | undefined
  /** Messages with the same key go to the same queue and keep their order. */
  shardingKey?: string | undefined
  /** The queue to send to. @default by sharding key, else in turn */
  queue?: MessageQueue | undefined
  /** The application's own int32. @default 0 */
  flag?: number | undefined
  /** UNIQ_KEY. Give the id of an earlier attempt to make its repetition recognisable. @default 32 random hex digits */
  messageId?: string | undefined
}

export type OutgoingMessage = BatchedMessage & {
  topic: string
} & Delay

export interface Prepared {
  topic: string
  messageId: string
  body: Buffer
  properties: string
  sysFlag: number
  flag: number
  shardingKey: string | undefined
  queue: MessageQueue | undefined
}

export interface Compression {
  type: 'zlib' | 'zstd'
  /** Bodies above this many bytes are compressed. */
  aboveBytes: number
}

/** 32 random upper-case hex digits: ids made of address and process collide, because sandboxes are clones. */
export function createMessageId(): string {
  return createUniqKey(randomBytes(16))
}

/**
 * @param index of the message in a batch, for errors; brokers delay no message of a batch
 * @throws ConfigError naming what is wrong, such as `messages[3].tag`
 */
export function prepare(
  topic: string,
  message: BatchedMessage & Delay,
  compression?: Compression,
  index?: number,
): Prepared {
  const batched = index !== undefined
  if (typeof message !== 'object' || message === null)
    throw new ConfigError(`messages[${index}]`, 'takes a message')
  const path = batched ? `messages[${index}].` : ''
  checkTopicName(topic)
  const delays = DELAYS.filter((name) => message[name] !== undefined)
  const excess = delays[batched ? 0 : 1]
  if (excess) {
    throw new ConfigError(
      path + excess,
      batched ? 'does not work in a batch; send it by itself' : `excludes ${delays[0]}`,
    )
  }
  const { queue, shardingKey, messageId = createMessageId() } = message
  const flag = checkInt(`${path}flag`, message.flag ?? 0, -0x8000_0000)
  const properties = encodeProperties(propertiesOf(message, messageId, path))
  checkPropertiesLength(properties)
  if (queue) {
    if (shardingKey !== undefined) throw new ConfigError(`${path}queue`, 'excludes shardingKey')
    if (queue.topic !== topic)
      throw new ConfigError(`${path}queue.topic`, `is ${queue.topic}, the message's is ${topic}`)
    checkInt(`${path}queue.queueId`, queue.queueId)
  }
  return {
    topic,
    messageId,
    ...encodeBody(message.body, `${path}body`, compression),
    properties,
    flag,
    shardingKey,
    queue,
  }
}

function encodeBody(
  value: Uint8Array | string,
  field: string,
  compression: Compression | undefined,
): { body: Buffer; sysFlag: number } {
  if (typeof value !== 'string' && !(value instanceof Uint8Array))
    throw new ConfigError(field, `takes bytes or text, got ${typeof value}; JSON.stringify an object`)
  const body =
    typeof value === 'string'
      ? Buffer.from(value)
      : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (body.length === 0 || body.length > MAX_BODY_BYTES)
    throw new ConfigError(field, `has ${body.length} bytes; brokers take 1 to ${MAX_BODY_BYTES}`)
  if (compression && body.length > compression.aboveBytes) {
    const compressed = compress(compression.type, body)
    if (compressed.length < body.length)
      return { body: compressed, sysFlag: compressionFlags(compression.type) }
  }
  return { body, sysFlag: 0 }
}

function propertiesOf(message: BatchedMessage & Delay, messageId: string, path: string): [string, string][] {
  const { tag, keys, properties = {}, shardingKey, delayLevel, delayMs, deliverAt } = message
  // Of a Map or a list Object.entries would send something else, or nothing.
  if (Object.prototype.toString.call(properties) !== '[object Object]')
    throw new ConfigError(`${path}properties`, 'takes an object of texts')
  checkUserProperties(properties)
  const pairs = Object.entries(properties)
  const add = (name: string, value: string | number): number => pairs.push([name, String(value)])
  if (tag !== undefined) add('TAGS', checkText(`${path}tag`, tag, /[\s\p{Cc}|]/u))
  if (keys !== undefined) {
    const list: unknown = typeof keys === 'string' ? [keys] : keys
    if (!Array.isArray(list)) throw new ConfigError(`${path}keys`, 'takes a string or an array of strings')
    const checked = list.map((key, at) => checkText(`${path}keys[${at}]`, key, BLANK))
    if (checked.length > 0) add('KEYS', checked.join(' '))
  }
  if (shardingKey !== undefined) add('__SHARDINGKEY', checkText(`${path}shardingKey`, shardingKey, /\p{Cc}/u))
  add('UNIQ_KEY', checkText(`${path}messageId`, messageId, BLANK))
  if (delayLevel !== undefined)
    add('DELAY', checkInt(`${path}delayLevel`, delayLevel, 1, HIGHEST_DELAY_LEVEL))
  if (delayMs !== undefined)
    add('TIMER_DELAY_MS', checkInt(`${path}delayMs`, delayMs, 1, Number.MAX_SAFE_INTEGER))
  if (deliverAt !== undefined) add('TIMER_DELIVER_MS', checkTime(`${path}deliverAt`, deliverAt))
  add('WAIT', 'true')
  return pairs
}
