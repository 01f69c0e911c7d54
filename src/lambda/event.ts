/**
 * The native event: records by queue, in the shape of Lambda's own stream events. In process a record holds the body
 * itself; base64 is computed only when `value` is read or the event is serialised.
 */
import type { Message } from '../client/values.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { ProtocolError } from '../errors.ts'
import { fieldsOf, showFields } from '../wire/fields.ts'

/** `<stored topic>/<brokerName>/<queueId>`: the key of a queue in `records`. */
export function queueKey({ topic, brokerName, queueId }: MessageQueue): string {
  return `${topic}/${brokerName}/${queueId}`
}

/** Opaque and unique in an event. */
export function recordIdOf({ queue, queueOffset }: Message): string {
  return `${queueKey(queue)}/${queueOffset}`
}

/** One message of an event. A field is read when it is asked for: `toJSON()` has all of them, a copy by spread has none. */
class ReadRecord {
  readonly #message: Message
  readonly #parsed: { value: unknown } | undefined

  /** @param parsed what a schema has made of the body */
  constructor(message: Message, parsed?: { value: unknown }) {
    this.#message = message
    this.#parsed = parsed
  }

  /** Opaque and unique in the event; what `batchItemFailures` names. */
  get recordId(): string {
    return recordIdOf(this.#message)
  }
  /** The topic it was published to. */
  get topic(): string {
    return this.#message.topic
  }
  /** Where it is stored: the topic itself, or `%RETRY%group`. */
  get sourceTopic(): string {
    return this.#message.queue.topic
  }
  get brokerName(): string {
    return this.#message.queue.brokerName
  }
  get queueId(): number {
    return this.#message.queue.queueId
  }
  /** Decimal: offsets are 64 bit. */
  get offset(): string {
    return this.#message.queueOffset.toString()
  }
  /** UNIQ_KEY: the same for every copy, so be idempotent on it. */
  get messageId(): string {
    return this.#message.messageId
  }
  get offsetMessageId(): string {
    return this.#message.offsetMessageId
  }
  /** When it was stored, epoch ms. */
  get timestamp(): number {
    return this.#message.storeTimestamp
  }
  /** When it was sent, epoch ms. */
  get bornTimestamp(): number {
    return this.#message.bornTimestamp
  }
  get bornHost(): string {
    return this.#message.bornHost
  }
  get tag(): string | undefined {
    return this.#message.tag
  }
  get keys(): readonly string[] {
    return this.#message.keys
  }
  get properties(): Readonly<Record<string, string>> {
    return this.#message.properties
  }
  get reconsumeTimes(): number {
    return this.#message.reconsumeTimes
  }

  /** The body as it was received, not copied. */
  get body(): Buffer {
    return this.#message.body
  }

  /** The body in base64. */
  get value(): string {
    return this.body.toString('base64')
  }

  /**
   * The body parsed as JSON; with a `schema` what that has made of it.
   * @throws ProtocolError naming the record; its text does not hold the body
   */
  json(): unknown {
    if (this.#parsed) return this.#parsed.value
    try {
      return JSON.parse(this.body.toString())
    } catch {
      throw new ProtocolError(`the body of record ${this.recordId} is not JSON`, {
        field: 'value',
        topic: this.topic,
      })
    }
  }

  toJSON(): object {
    const { body: _, ...fields } = fieldsOf(this)
    return fields
  }
}

export type RocketMQRecord = ReadRecord
export const RocketMQRecord: typeof ReadRecord = /* @__PURE__ */ showFields(ReadRecord, 'body', 'value')

/** What a handler is given. */
export interface RocketMQEvent {
  eventSource: 'rocketmq'
  /** The name servers, `;` between. */
  bootstrapServers: string
  consumerGroup: string
  /** By queue: `<stored topic>/<brokerName>/<queueId>`; in the order of the queue. */
  records: Record<string, RocketMQRecord[]>
}

const isOfSameQueue = (one: RocketMQRecord, other: RocketMQRecord): boolean =>
  one.queueId === other.queueId &&
  one.brokerName === other.brokerName &&
  one.sourceTopic === other.sourceTopic

export function createEvent(
  records: readonly RocketMQRecord[],
  bootstrapServers: string,
  consumerGroup: string,
): RocketMQEvent {
  const byQueue: Record<string, RocketMQRecord[]> = {}
  let last: RocketMQRecord | undefined
  let own: RocketMQRecord[] = []
  for (const record of records) {
    // They come queue by queue: a key for each record would cost as much as the record.
    if (!last || !isOfSameQueue(record, last)) {
      const key = `${record.sourceTopic}/${record.brokerName}/${record.queueId}`
      own = byQueue[key] ??= []
      last = record
    }
    own.push(record)
  }
  return { eventSource: 'rocketmq', bootstrapServers, consumerGroup, records: byQueue }
}
