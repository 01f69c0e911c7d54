/**
 * What the client gives back: Message, SendResult, PullResult. 64-bit values are `bigint` (timestamps are narrowed to
 * `number`: they are milliseconds), and `toJSON()` writes them as decimal strings and bytes as base64.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import type { ProtocolError } from '../errors.ts'
import { fieldsOf, showFields } from '../wire/fields.ts'
import type { StoredMessage, UndecodableMessage } from '../wire/message.ts'
import { isReservedProperty } from '../wire/properties.ts'

/** A value with a JSON form, for logs and for events. */
export abstract class Value {
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

/** What a message takes from its stored form. */
type Stored = Omit<StoredMessage, 'storeSize' | 'magic' | 'bodyCrc' | 'queueId' | 'preparedTransactionOffset'>

/**
 * A message as it was read from a queue. A field is read from its bytes when it is asked for: `toJSON()` has all of them, a
 * copy by spread has none.
 */
class ReadMessage extends Value {
  readonly #stored: Stored
  readonly #queue: MessageQueue
  readonly #unwrap: (name: string) => string
  #properties: Properties | undefined

  /**
   * @param queue where it is stored; of a popped retry `stored` has the original topic
   * @param unwrap takes the namespace off a topic name
   */
  constructor(stored: Stored, queue: MessageQueue, unwrap: (name: string) => string) {
    super()
    this.#stored = stored
    this.#queue = queue
    this.#unwrap = unwrap
  }

  /** The topic it was published to; of a retry message too. */
  get topic(): string {
    const { topic } = this.#stored
    return this.#unwrap((isRetry(topic) && this.systemProperties['RETRY_TOPIC']) || topic)
  }
  /** Decompressed. */
  get body(): Buffer {
    return this.#stored.body
  }
  get tag(): string | undefined {
    return this.systemProperties['TAGS']
  }
  get keys(): readonly string[] {
    return this.systemProperties['KEYS']?.split(' ').filter((key) => key !== '') ?? []
  }
  /** The user's own properties; null prototype. */
  get properties(): Readonly<Record<string, string>> {
    return this.#split().user
  }
  /** RocketMQ's properties (UNIQ_KEY, TAGS, RETRY_TOPIC, …); null prototype. */
  get systemProperties(): Readonly<Record<string, string>> {
    return this.#split().system
  }
  /** UNIQ_KEY, or the offset message id of a message without one. */
  get messageId(): string {
    return this.systemProperties['UNIQ_KEY'] ?? this.offsetMessageId
  }
  get offsetMessageId(): string {
    return this.#stored.offsetMessageId
  }
  /** Where it is stored: of a retry message the topic is `%RETRY%group`. */
  get queue(): MessageQueue {
    return this.#queue
  }
  get queueOffset(): bigint {
    return this.#stored.queueOffset
  }
  get commitLogOffset(): bigint {
    return this.#stored.commitLogOffset
  }
  /** Epoch ms. */
  get bornTimestamp(): number {
    return Number(this.#stored.bornTimestamp)
  }
  /** Epoch ms. */
  get storeTimestamp(): number {
    return Number(this.#stored.storeTimestamp)
  }
  /** `host:port` */
  get bornHost(): string {
    return this.#stored.bornHost
  }
  /** `host:port` */
  get storeHost(): string {
    return this.#stored.storeHost
  }
  /** How often it has been sent back. */
  get reconsumeTimes(): number {
    return this.#stored.reconsumeTimes
  }
  /** The application's own flag. */
  get flag(): number {
    return this.#stored.flag
  }
  get sysFlag(): number {
    return this.#stored.sysFlag
  }

  override toJSON(): Record<string, unknown> {
    return jsonOf(fieldsOf(this))
  }

  #split(): Properties {
    if (this.#properties) return this.#properties
    // Object.create(null) would be a hash table, which takes longer to fill and to read.
    const user: Record<string, string> = Object.setPrototypeOf({}, null)
    const system: Record<string, string> = Object.setPrototypeOf({}, null)
    const all = this.#stored.properties
    for (const name in all) {
      // The broker's own note on a copy, and anybody's on another message.
      const isReserved = isReservedProperty(name) || (name === 'ORIGIN_GROUP' && isRetry(this.#queue.topic))
      const properties = isReserved ? system : user
      properties[name] = all[name] as string
    }
    this.#properties = { user, system }
    return this.#properties
  }
}

/** A message that tells of itself where it is stored. */
export const messageOf = (
  stored: StoredMessage,
  brokerName: string,
  unwrap: (name: string) => string,
): Message => {
  const { topic, queueId } = stored
  return new Message(stored, { topic: unwrap(topic), brokerName, queueId }, unwrap)
}

interface Properties {
  user: Readonly<Record<string, string>>
  system: Readonly<Record<string, string>>
}

export type Message = ReadMessage
export const Message: typeof ReadMessage = /* @__PURE__ */ showFields(ReadMessage)

const isRetry = (topic: string): boolean => topic.startsWith('%RETRY%')

/** What a pull or a pop could not decode, with a JSON form. */
export class Undecodable extends Value implements UndecodableMessage {
  declare readonly queueOffset?: bigint
  declare readonly commitLogOffset?: bigint
  declare readonly offsetMessageId?: string
  declare readonly reconsumeTimes?: number
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

  constructor(stored: StoredMessage, queue: MessageQueue, unwrap: (name: string) => string, receipt: string) {
    super(stored, queue, unwrap)
    this.receipt = receipt
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
