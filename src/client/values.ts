/**
 * What the client gives back: Message, SendResult, PullResult. 64-bit values are `bigint` (timestamps are narrowed to
 * `number`: they are milliseconds), and `toJSON()` writes them as decimal strings and bytes as base64.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import type { StoredMessage, UndecodableMessage } from '../wire/message.ts'
import { isReservedProperty } from '../wire/properties.ts'

/** A value with a JSON form, for logs and for events. */
abstract class Value {
  toJSON(): Record<string, unknown> {
    return Object.fromEntries(Object.entries(this).map(([name, value]) => [name, jsonable(value)]))
  }
}

function jsonable(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')
  return Array.isArray(value) ? value.map(jsonable) : value
}

/**
 * How well a message was stored. All four mean stored; after the last three a broker's crash may still lose it.
 * Which one a broker answers depends on its flushDiskType and brokerRole.
 */
export type SendStatus = 'SEND_OK' | 'FLUSH_DISK_TIMEOUT' | 'FLUSH_SLAVE_TIMEOUT' | 'SLAVE_NOT_AVAILABLE'

export class SendResult extends Value {
  readonly status: SendStatus
  /** UNIQ_KEY: the same for every copy of the message, so consumers recognise duplicates by it. */
  readonly messageId: string
  /** Of this copy: holds the broker's address and the commit-log offset. */
  readonly offsetMessageId: string
  readonly queue: MessageQueue
  readonly queueOffset: bigint
  /** Timer messages only: what `recall` takes. */
  declare readonly recallHandle?: string

  constructor(fields: Omit<SendResult, 'toJSON'>) {
    super()
    this.status = fields.status
    this.messageId = fields.messageId
    this.offsetMessageId = fields.offsetMessageId
    this.queue = fields.queue
    this.queueOffset = fields.queueOffset
    if (fields.recallHandle !== undefined) this.recallHandle = fields.recallHandle
  }
}

/** A message as it was read from a queue. */
export class Message extends Value {
  /** The topic it was published to; of a retry message too. */
  readonly topic: string
  /** Decompressed. */
  readonly body: Buffer
  declare readonly tag?: string
  readonly keys: readonly string[]
  /** The user's own properties; null prototype. */
  readonly properties: Readonly<Record<string, string>>
  /** RocketMQ's properties (UNIQ_KEY, TAGS, RETRY_TOPIC, …); null prototype. */
  readonly systemProperties: Readonly<Record<string, string>>
  /** UNIQ_KEY, or the offset message id of a message without one. */
  readonly messageId: string
  readonly offsetMessageId: string
  /** Where it is stored: of a retry message the topic is `%RETRY%group`. */
  readonly queue: MessageQueue
  readonly queueOffset: bigint
  readonly commitLogOffset: bigint
  /** Epoch ms. */
  readonly bornTimestamp: number
  /** Epoch ms. */
  readonly storeTimestamp: number
  /** `host:port` */
  readonly bornHost: string
  /** `host:port` */
  readonly storeHost: string
  /** How often it has been sent back. */
  readonly reconsumeTimes: number
  /** The application's own flag. */
  readonly flag: number
  readonly sysFlag: number

  /** @param unwrap takes the namespace off a topic name */
  constructor(stored: StoredMessage, brokerName: string, unwrap: (name: string) => string) {
    super()
    const properties: Record<string, string> = Object.create(null)
    const systemProperties: Record<string, string> = Object.create(null)
    for (const name in stored.properties) {
      const value = stored.properties[name] as string
      if (isReservedProperty(name)) systemProperties[name] = value
      else properties[name] = value
    }
    const storedTopic = unwrap(stored.topic)
    const original = storedTopic.startsWith('%RETRY%') ? systemProperties['RETRY_TOPIC'] : undefined
    const tag = systemProperties['TAGS']
    this.topic = original === undefined ? storedTopic : unwrap(original)
    this.body = stored.body
    if (tag !== undefined) this.tag = tag
    this.keys = systemProperties['KEYS']?.split(' ').filter((key) => key !== '') ?? []
    this.properties = properties
    this.systemProperties = systemProperties
    this.messageId = systemProperties['UNIQ_KEY'] ?? stored.offsetMessageId
    this.offsetMessageId = stored.offsetMessageId
    this.queue = { topic: storedTopic, brokerName, queueId: stored.queueId }
    this.queueOffset = stored.queueOffset
    this.commitLogOffset = stored.commitLogOffset
    this.bornTimestamp = Number(stored.bornTimestamp)
    this.storeTimestamp = Number(stored.storeTimestamp)
    this.bornHost = stored.bornHost
    this.storeHost = stored.storeHost
    this.reconsumeTimes = stored.reconsumeTimes
    this.flag = stored.flag
    this.sysFlag = stored.sysFlag
  }
}

/** What a pull found. `NO_MATCHED_MESSAGE`: there were messages and the filter removed all of them. */
export type PullStatus = 'FOUND' | 'NO_NEW_MESSAGE' | 'NO_MATCHED_MESSAGE' | 'OFFSET_MOVED'

export class PullResult extends Value {
  readonly status: PullStatus
  readonly messages: readonly Message[]
  /** Messages whose bytes made no sense, each with the reason; the others of the pull are in `messages`. */
  readonly undecodable: readonly UndecodableMessage[]
  /** Where to pull next. With `OFFSET_MOVED` the place to go to: the old offset is outside the queue, or was reset. */
  readonly nextBeginOffset: bigint
  readonly minOffset: bigint
  readonly maxOffset: bigint
  /** The replica to read from next: 0 is the master. */
  readonly suggestedBrokerId: number

  constructor(fields: Omit<PullResult, 'toJSON'>) {
    super()
    this.status = fields.status
    this.messages = fields.messages
    this.undecodable = fields.undecodable
    this.nextBeginOffset = fields.nextBeginOffset
    this.minOffset = fields.minOffset
    this.maxOffset = fields.maxOffset
    this.suggestedBrokerId = fields.suggestedBrokerId
  }

  override toJSON(): Record<string, unknown> {
    const undecodable = this.undecodable.map(({ queueOffset, commitLogOffset, reason, bytes }) => ({
      queueOffset: jsonable(queueOffset),
      commitLogOffset: jsonable(commitLogOffset),
      reason: reason.message,
      bytes: jsonable(bytes),
    }))
    return { ...super.toJSON(), undecodable }
  }
}
