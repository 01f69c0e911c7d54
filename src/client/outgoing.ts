/**
 * From the message a caller hands over to what goes on the wire: every rule that a broker would answer with an
 * unhelpful code, or not at all, is checked here first and named in the error.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import {
  checkArray,
  checkChoice,
  checkInt,
  checkObject,
  checkText,
  checkTime,
  kindOf,
  refuse,
} from '../wire/checks.ts'
import { compress, compressionFlags } from '../wire/compression.ts'
import { checkPropertiesLength, checkUserProperties } from '../wire/properties.ts'

/** A body, and for a batch the sum of its messages, must not be larger: brokers answer 13 (protocol.md 1.6). */
export const MAX_BODY_BYTES = 4_194_304

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
  /** Bytes, or well-formed text that is sent as UTF-8. Never empty: brokers refuse an empty body. */
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
  body: Uint8Array
  properties: string
  sysFlag: number
  flag: number
  shardingKey: string | undefined
  queue: MessageQueue | undefined
  /** The member that makes it a timer message, which brokers before 5.0 do not have. */
  timer?: string | undefined
}

export interface Compression {
  type: 'zlib' | 'zstd'
  /** Bodies above this many bytes are compressed. */
  aboveBytes: number
}

const ID_DIGITS = 32
/** So many are drawn at once at most: one at first, and twice as many each time that these were not enough. */
const MOST_AHEAD = 128
/** Ids drawn ahead are not kept for longer: a snapshot of this process must not wake up with the same ones twice. */
const KEEP_IDS_MS = 100
let ahead = 1
let drawn = ''
let drawnAt = 0
let next = 0

/** From the kernel's own generator, as node:crypto has them in the end: to load that takes 3 ms of a cold start. */
const randomBytes = (count: number): Buffer => {
  const bytes = Buffer.alloc(count)
  const fs = process.getBuiltinModule('node:fs')
  try {
    const file = fs.openSync('/dev/urandom', 'r')
    try {
      // A plain file of that name would give the same ids again and again.
      const isDevice = fs.fstatSync(file).isCharacterDevice()
      if (isDevice && fs.readSync(file, bytes) === count) return bytes
    } finally {
      fs.closeSync(file)
    }
  } catch {
    // A system without that device.
  }
  return process.getBuiltinModule('node:crypto').randomBytes(count)
}

/** 32 random upper-case hex digits: ids made of address and process collide, because sandboxes are clones. */
export const createMessageId = (): string => {
  const now = Date.now()
  const isStale = Math.abs(now - drawnAt) > KEEP_IDS_MS
  if (isStale || next >= drawn.length) {
    ahead = isStale ? 1 : Math.min(MOST_AHEAD, ahead * 2)
    drawn = randomBytes((ahead * ID_DIGITS) / 2)
      .toString('hex')
      .toUpperCase()
    drawnAt = now
    next = 0
  }
  next += ID_DIGITS
  return drawn.slice(next - ID_DIGITS, next)
}

const CONTROL = 'control characters'
const SPACE_OR_CONTROL = /[\s\p{Cc}]/u
const NOT_IN_TAGS = /[\s\p{Cc}|]/u
const CONTROLS = /[\p{Cc}]/u

/** RocketMQ separates keys by a space, so a key with one would be two; U+0001 and U+0002 separate properties. */
const word = (field: string, value: unknown): string =>
  checkText(field, value, SPACE_OR_CONTROL, `space or ${CONTROL}`)

/** The members of a message that become properties: as which, and the check of their value. */
const MEMBERS: readonly (readonly [
  name: keyof (BatchedMessage & Delay),
  property: string,
  check: (field: string, value: unknown) => string | number,
  isDelay?: boolean,
])[] = [
  ['tag', 'TAGS', (field, value) => checkText(field, value, NOT_IN_TAGS, `|, space or ${CONTROL}`)],
  [
    'keys',
    'KEYS',
    (field, value) => {
      const keys = checkArray(field, typeof value === 'string' ? [value] : value)
      return keys.map((key, at) => word(`${field}[${at}]`, key)).join(' ')
    },
  ],
  ['shardingKey', '__SHARDINGKEY', (field, value) => checkText(field, value, CONTROLS, CONTROL)],
  ['delayLevel', 'DELAY', (field, value) => checkInt(field, value, 1, 18), true],
  ['delayMs', 'TIMER_DELAY_MS', (field, value) => checkInt(field, value, 1, 2 ** 53 - 1), true],
  ['deliverAt', 'TIMER_DELIVER_MS', checkTime, true],
]

const TIMERS = ['delayMs', 'deliverAt'] as const

/**
 * @param isBatched brokers delay no message of a batch
 * @throws ConfigError naming what is wrong: `message`, or a member of it
 */
export const prepare = (
  topic: string,
  message: BatchedMessage & Delay,
  compression?: Compression,
  isBatched?: boolean,
): Prepared => {
  checkObject('message', message)
  const { flag = 0, queue, shardingKey, messageId: given } = message
  const messageId = given === undefined ? createMessageId() : word('messageId', given)
  if (queue) {
    if (shardingKey !== undefined) refuse('queue', 'excludes shardingKey')
    checkChoice('queue.topic', queue.topic, topic)
    checkInt('queue.queueId', queue.queueId)
  }
  const { body, sysFlag } = encodeBody(message.body, compression)
  return {
    topic,
    messageId,
    body,
    sysFlag,
    properties: propertiesOf(message, messageId, isBatched),
    flag: checkInt('flag', flag, -0x8000_0000),
    shardingKey,
    queue,
    timer: TIMERS.find((name) => message[name] !== undefined),
  }
}

const encodeBody = (
  value: Uint8Array | string,
  compression: Compression | undefined,
): { body: Uint8Array; sysFlag: number } => {
  const body: unknown = typeof value === 'string' ? Buffer.from(checkText('body', value)) : value
  if (!(body instanceof Uint8Array && body.length > 0 && body.length <= MAX_BODY_BYTES))
    refuse(
      'body',
      `takes text or bytes, 1 to ${MAX_BODY_BYTES} of them, got ${body instanceof Uint8Array ? body.length : kindOf(body)}`,
    )
  if (compression && body.length > compression.aboveBytes) {
    const compressed = compress(compression.type, body)
    if (compressed.length < body.length)
      return { body: compressed, sysFlag: compressionFlags(compression.type) }
  }
  return { body, sysFlag: 0 }
}

const propertiesOf = (message: BatchedMessage & Delay, messageId: string, isBatched?: boolean): string => {
  const { properties = {} } = message
  let text = checkUserProperties(checkObject('properties', properties))
  let delay: string | undefined
  for (const [name, property, check, isDelay] of MEMBERS) {
    const value = message[name]
    if (value === undefined) continue
    if (isDelay) {
      if (isBatched) refuse(name, 'does not work in a batch')
      if (delay) refuse(name, `excludes ${delay}`)
      delay = name
    }
    const checked = check(name, value)
    // An empty list of keys is none. No check lets a separator through.
    if (checked) text += `${property}\u0001${checked}\u0002`
  }
  text += `UNIQ_KEY\u0001${messageId}\u0002WAIT\u0001true\u0002`
  checkPropertiesLength(text)
  return text
}
