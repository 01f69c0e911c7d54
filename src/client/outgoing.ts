/**
 * From the message a caller hands over to what goes on the wire: every rule that a broker would answer with an
 * unhelpful code, or not at all, is checked here first and named in the error.
 */
import { randomBytes } from 'node:crypto'
import type { MessageQueue } from '../commands/message-queue.ts'
import { ConfigError } from '../errors.ts'
import { compress, compressionFlags } from '../wire/compression.ts'
import { createUniqKey } from '../wire/message-id.ts'
import { checkTopicName } from '../wire/names.ts'
import { checkPropertiesLength, checkUserProperties, encodeProperties } from '../wire/properties.ts'

/** A body, and for a batch the sum of its messages, must not be larger: brokers answer 13 (protocol.md 1.6). */
export const MAX_BODY_BYTES = 4_194_304

const HIGHEST_DELAY_LEVEL = 18

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

/** @param path of the message in errors, such as `messages[3].`; @throws ConfigError */
export function prepare(
  topic: string,
  message: BatchedMessage & Delay,
  path: string,
  compression?: Compression,
): Prepared {
  checkTopicName(topic, 'topic')
  const flag = message.flag ?? 0
  if (flag !== (flag | 0)) throw new ConfigError(`${path}flag`, `takes an int32, got ${String(flag)}`)
  const messageId = message.messageId ?? createMessageId()
  const properties = encodeProperties(propertiesOf(message, messageId, path))
  checkPropertiesLength(properties)
  const { queue, shardingKey } = message
  if (queue !== undefined) checkQueue(queue, topic, shardingKey, `${path}queue`)
  const { body, sysFlag } = encodeBody(message.body, `${path}body`, compression)
  return { topic, messageId, body, properties, sysFlag, flag, shardingKey, queue }
}

function encodeBody(
  value: Uint8Array | string,
  field: string,
  compression: Compression | undefined,
): { body: Buffer; sysFlag: number } {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
    throw new ConfigError(
      field,
      `takes bytes or text, got ${value === null ? 'null' : typeof value}; JSON.stringify an object`,
    )
  }
  const body =
    typeof value === 'string'
      ? Buffer.from(value)
      : Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (body.length === 0) throw new ConfigError(field, 'is empty; brokers refuse an empty body')
  if (body.length > MAX_BODY_BYTES) {
    throw new ConfigError(field, `has ${body.length} bytes; brokers take at most ${MAX_BODY_BYTES}`)
  }
  if (compression && body.length > compression.aboveBytes) {
    const compressed = compress(compression.type, body)
    if (compressed.length < body.length)
      return { body: compressed, sysFlag: compressionFlags(compression.type) }
  }
  return { body, sysFlag: 0 }
}

function* propertiesOf(
  message: BatchedMessage & Delay,
  messageId: string,
  path: string,
): Generator<readonly [string, string]> {
  const { tag, keys, properties, shardingKey } = message
  if (properties) {
    checkUserProperties(properties)
    yield* Object.entries(properties)
  }
  if (tag !== undefined) yield ['TAGS', checkText(`${path}tag`, tag, /[\s|]/, 'white space or |')]
  if (keys !== undefined) {
    const list = typeof keys === 'string' ? [keys] : keys
    if (!Array.isArray(list)) throw new ConfigError(`${path}keys`, 'takes a string or an array of strings')
    // RocketMQ separates keys by a space, so a key with one would be two.
    const checked = list.map((key, index) => checkText(`${path}keys[${index}]`, key, /\s/, 'white space'))
    if (checked.length > 0) yield ['KEYS', checked.join(' ')]
  }
  if (shardingKey !== undefined) yield ['__SHARDINGKEY', checkText(`${path}shardingKey`, shardingKey)]
  yield ['UNIQ_KEY', checkText(`${path}messageId`, messageId, /\s/, 'white space')]
  yield* delayProperties(message, path)
  yield ['WAIT', 'true']
}

function* delayProperties(delay: Delay, path: string): Generator<readonly [string, string]> {
  const given = (['delayLevel', 'delayMs', 'deliverAt'] as const).filter((name) => delay[name] !== undefined)
  if (given.length > 1) throw new ConfigError(`${path}${given[1]}`, `excludes ${given[0]}; give one of them`)
  const { delayLevel, delayMs, deliverAt } = delay
  if (delayLevel !== undefined) {
    if (!Number.isInteger(delayLevel) || delayLevel < 1 || delayLevel > HIGHEST_DELAY_LEVEL) {
      throw new ConfigError(
        `${path}delayLevel`,
        `takes a whole number from 1 to ${HIGHEST_DELAY_LEVEL}, got ${String(delayLevel)}`,
      )
    }
    yield ['DELAY', String(delayLevel)]
  } else if (delayMs !== undefined) {
    if (!Number.isSafeInteger(delayMs) || delayMs < 1) {
      throw new ConfigError(`${path}delayMs`, `takes a whole number of ms from 1 up, got ${String(delayMs)}`)
    }
    yield ['TIMER_DELAY_MS', String(delayMs)]
  } else if (deliverAt !== undefined) {
    const at = deliverAt instanceof Date ? deliverAt.getTime() : deliverAt
    if (!Number.isSafeInteger(at) || at < 0) {
      throw new ConfigError(`${path}deliverAt`, `takes a Date or epoch ms, got ${String(deliverAt)}`)
    }
    yield ['TIMER_DELIVER_MS', String(at)]
  }
}

function checkText(field: string, value: unknown, forbidden?: RegExp, what?: string): string {
  if (typeof value !== 'string' || value === '') throw new ConfigError(field, 'takes a non-empty string')
  if (forbidden?.test(value)) throw new ConfigError(field, `must not contain ${what}`)
  return value
}

function checkQueue(
  queue: MessageQueue,
  topic: string,
  shardingKey: string | undefined,
  field: string,
): void {
  if (shardingKey !== undefined) throw new ConfigError(field, 'excludes shardingKey; give one of them')
  if (queue.topic !== topic)
    throw new ConfigError(`${field}.topic`, `is ${queue.topic}, but the message goes to ${topic}`)
  if (!Number.isInteger(queue.queueId) || queue.queueId < 0) {
    throw new ConfigError(`${field}.queueId`, `takes a whole number from 0 up, got ${String(queue.queueId)}`)
  }
}
