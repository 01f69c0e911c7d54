/**
 * What the client gives back: Message, SendResult, PullResult. 64-bit values are `bigint` (timestamps are narrowed to
 * `number`: they are milliseconds), and `toJSON()` writes them as decimal strings and bytes as base64.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import type { ProtocolError } from '../errors.ts'
import type { StoredMessage, UndecodableMessage } from '../wire/message.ts'
import { isReservedProperty } from '../wire/properties.ts'

/** A value with a JSON form, for logs and for events. */
abstract class Value {
  toJSON(): Record<string, unknown> {
    return jsonOf(this)
  }
}

const jsonOf = (fields: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      if (Buffer.isBuffer(value)) return [name, value.toString('base64')]
      return [name, typeof value === 'bigint' ? String(value) : value]
    }),
  )

/**
 * How well a message was stored. All four mean stored; after the last three a broker's crash may still lose it.
 * Which one a broker answers depends on its flushDiskType and brokerRole.
 */
export type SendStatus = 'SEND_OK' | 'FLUSH_DISK_TIMEOUT' | 'FLUSH_SLAVE_TIMEOUT' | 'SLAVE_NOT_AVAILABLE'

export class SendResult extends Value {
  declare readonly status: SendStatus
  /** UNIQ_KEY: the same for every copy of the message, so consumers recognise duplicates by it. */
  declare readonly messageId: string
  /** Of this copy: holds the broker's address and the commit-log offset. */
  declare readonly offsetMessageId: string
  declare readonly queue: MessageQueue
  declare readonly queueOffset: bigint
  /** Timer messages only: what `recall` takes. */
  declare readonly recallHandle?: string

  constructor(
    status: SendStatus,
    messageId: string,
    offsetMessageId: string,
    queue: MessageQueue,
    queueOffset: bigint,
    recallHandle: string | undefined,
  ) {
    super()
    this.status = status
    this.messageId = messageId
    this.offsetMessageId = offsetMessageId
    this.queue = queue
    this.queueOffset = queueOffset
    if (recallHandle) this.recallHandle = recallHandle
  }
}

/** A message as it was read from a queue. */
export class Message extends Value {
  /** The topic it was published to; of a retry message too. */
  declare readonly topic: string
  /** Decompressed. */
  declare readonly body: Buffer
  declare readonly tag?: string
  declare readonly keys: readonly string[]
  /** The user's own properties; null prototype. */
  declare readonly properties: Readonly<Record<string, string>>
  /** RocketMQ's properties (UNIQ_KEY, TAGS, RETRY_TOPIC, …); null prototype. */
  declare readonly systemProperties: Readonly<Record<string, string>>
  /** UNIQ_KEY, or the offset message id of a message without one. */
  declare readonly messageId: string
  declare readonly offsetMessageId: string
  /** Where it is stored: of a retry message the topic is `%RETRY%group`. */
  declare readonly queue: MessageQueue
  declare readonly queueOffset: bigint
  declare readonly commitLogOffset: bigint
  /** Epoch ms. */
  declare readonly bornTimestamp: number
  /** Epoch ms. */
  declare readonly storeTimestamp: number
  /** `host:port` */
  declare readonly bornHost: string
  /** `host:port` */
  declare readonly storeHost: string
  /** How often it has been sent back. */
  declare readonly reconsumeTimes: number
  /** The application's own flag. */
  declare readonly flag: number
  declare readonly sysFlag: number

  /** @param unwrap takes the namespace off a topic name */
  constructor(stored: StoredMessage, brokerName: string, unwrap: (name: string) => string) {
    super()
    // Object.create(null) would be a hash table, which takes longer to fill and to read.
    const properties: Record<string, string> = Object.setPrototypeOf({}, null)
    const systemProperties: Record<string, string> = Object.setPrototypeOf({}, null)
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

/** What a pull or a pop could not decode, with a JSON form. */
export class Undecodable extends Value implements UndecodableMessage {
  declare readonly queueOffset?: bigint
  declare readonly commitLogOffset?: bigint
  declare readonly offsetMessageId?: string
  declare readonly reason: ProtocolError
  declare readonly bytes: Buffer

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), reason: this.reason.message }
  }
}

/** What a pull found. `NO_MATCHED_MESSAGE`: there were messages and the filter removed all of them. */
export type PullStatus = 'FOUND' | 'NO_NEW_MESSAGE' | 'NO_MATCHED_MESSAGE' | 'OFFSET_MOVED'

export class PullResult extends Value {
  declare readonly status: PullStatus
  declare readonly messages: readonly Message[]
  /**
   * Messages whose bytes made no sense, each with the reason. One with a `queueOffset` below `nextBeginOffset` is passed
   * over by going on there; one whose place is not known never is.
   */
  declare readonly undecodable: readonly UndecodableMessage[]
  /**
   * Where to pull next. With `OFFSET_MOVED` the place to go to: the old offset is outside the queue, or was reset.
   *
   * It stops where a message of `undecodable` without a known place may stand: at the first offset that no message has,
   * or behind the last one when the rest could not be told apart. What the broker sent from there on is not given, so
   * that nothing is lost and nothing comes twice: pull there again, or one further to leave that place out. It also stops
   * where bodies would take more than 64 MiB of memory (or `maxBodyBytes`, when that is more): the next pull has them.
   */
  declare readonly nextBeginOffset: bigint
  declare readonly minOffset: bigint
  declare readonly maxOffset: bigint
  /** The replica to read from next: 0 is the master. */
  declare readonly suggestedBrokerId: number
}

/** A message that was popped: it is invisible to its group until it is acknowledged, or its time is over. */
export class PoppedMessage extends Message {
  /**
   * Which delivery of which message: what acknowledgements need besides `topic`, also of a copy or in another process. A
   * change of the invisible time puts another one here. Not for reading.
   */
  declare receipt: string

  /** @param storedTopic where it is stored; of a retry the topic of `stored` is the original one */
  constructor(
    stored: StoredMessage,
    brokerName: string,
    unwrap: (name: string) => string,
    receipt: string,
    storedTopic: string,
  ) {
    super(stored, brokerName, unwrap)
    this.receipt = receipt
    if (storedTopic === stored.topic) return
    // The broker's own note on a retry; not of every version.
    const { ORIGIN_GROUP, ...properties } = this.properties
    if (ORIGIN_GROUP !== undefined) Object.assign(this.systemProperties, { ORIGIN_GROUP })
    Object.assign(this, {
      properties: Object.setPrototypeOf(properties, null),
      queue: { ...this.queue, topic: unwrap(storedTopic) },
    })
  }
}

/** What a pop could not decode. */
export interface UndecodablePopped extends UndecodableMessage {
  readonly message?: PoppedMessage
}

export class PopResult extends Value {
  declare readonly messages: readonly PoppedMessage[]
  /**
   * Messages whose bytes made no sense, each with the reason. Where all but the body can be read there is a `message`, its
   * body as it is stored: to be acknowledged or hidden like any other. The others come back until they expire.
   */
  declare readonly undecodable: readonly UndecodablePopped[]
}
