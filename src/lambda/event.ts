/**
 * The native event: records by queue, in the shape of Lambda's own stream events. In process a record holds the body
 * itself; base64 is computed only when `value` is read or the event is serialised.
 */
import type { Message } from '../client/values.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { ProtocolError } from '../errors.ts'

/** `<stored topic>/<brokerName>/<queueId>`: the key of a queue in `records`. */
export function queueKey({ topic, brokerName, queueId }: MessageQueue): string {
  return `${topic}/${brokerName}/${queueId}`
}

/** Opaque and unique in an event. */
export function recordIdOf({ queue, queueOffset }: Message): string {
  return `${queueKey(queue)}/${queueOffset}`
}

/** One message of an event. */
export class RocketMQRecord {
  /** Opaque and unique in the event; what `batchItemFailures` names. */
  readonly recordId: string
  /** The topic it was published to. */
  readonly topic: string
  /** Where it is stored: the topic itself, or `%RETRY%group`. */
  readonly sourceTopic: string
  readonly brokerName: string
  readonly queueId: number
  /** Decimal: offsets are 64 bit. */
  readonly offset: string
  /** UNIQ_KEY: the same for every copy, so be idempotent on it. */
  readonly messageId: string
  readonly offsetMessageId: string
  /** When it was stored, epoch ms. */
  readonly timestamp: number
  /** When it was sent, epoch ms. */
  readonly bornTimestamp: number
  readonly bornHost: string
  declare readonly tag?: string
  readonly keys: readonly string[]
  readonly properties: Readonly<Record<string, string>>
  readonly reconsumeTimes: number
  readonly #body: Buffer
  readonly #parsed: { value: unknown } | undefined

  /** @param parsed what a schema has made of the body */
  constructor(message: Message, parsed?: { value: unknown }) {
    const { queue } = message
    this.offset = message.queueOffset.toString()
    this.recordId = `${queueKey(queue)}/${this.offset}`
    this.topic = message.topic
    this.sourceTopic = queue.topic
    this.brokerName = queue.brokerName
    this.queueId = queue.queueId
    this.messageId = message.messageId
    this.offsetMessageId = message.offsetMessageId
    this.timestamp = message.storeTimestamp
    this.bornTimestamp = message.bornTimestamp
    this.bornHost = message.bornHost
    if (message.tag !== undefined) this.tag = message.tag
    this.keys = message.keys
    this.properties = message.properties
    this.reconsumeTimes = message.reconsumeTimes
    this.#body = message.body
    this.#parsed = parsed
  }

  /** The body as it was received, not copied. */
  get body(): Buffer {
    return this.#body
  }

  /** The body in base64. */
  get value(): string {
    return this.#body.toString('base64')
  }

  /**
   * The body parsed as JSON; with a `schema` what that has made of it.
   * @throws ProtocolError naming the record; its text does not hold the body
   */
  json(): unknown {
    if (this.#parsed) return this.#parsed.value
    try {
      return JSON.parse(this.#body.toString())
    } catch {
      throw new ProtocolError(`the body of record ${this.recordId} is not JSON`, {
        field: 'value',
        topic: this.topic,
      })
    }
  }

  toJSON(): object {
    return Object.assign({}, this, { value: this.value })
  }
}

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
