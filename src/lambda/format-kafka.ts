/**
 * Events in the shape that Lambda gives to functions of a self-managed Kafka cluster, so that handlers written for those run
 * unchanged. A queue is a partition. As several brokers have the same topic and queue ids, one event holds one topic of
 * one broker, or two of its records could share a place.
 */
import type { Message } from '../client/values.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import type { EventFormat } from './format.ts'
import type { KafkaIdentifier } from './response.ts'

/** Header name → bytes of UTF-8. */
export type KafkaHeader = Record<string, number[]>

export interface KafkaRecord {
  /** Where it is stored: the topic, or `%RETRY%group`. */
  topic: string
  /** The queue's id. */
  partition: number
  offset: number
  /** When it was sent, epoch ms. */
  timestamp: number
  timestampType: 'CREATE_TIME'
  /** The keys with a space between, in base64; empty when there are none. */
  key: string
  /** The body in base64. */
  value: string
  headers: KafkaHeader[]
}

export interface KafkaEvent {
  eventSource: 'SelfManagedKafka'
  /** The name servers, `,` between. */
  bootstrapServers: string
  /** By `<topic>-<partition>`, in the order of the queue. */
  records: Record<string, KafkaRecord[]>
}

export const kafka: EventFormat<KafkaEvent> = {
  createEvent(messages, { bootstrapServers }) {
    const records: Record<string, KafkaRecord[]> = {}
    for (const message of messages) {
      const partition = partitionOf(message.queue)
      records[partition] ??= []
      records[partition].push(recordOf(message))
    }
    return { eventSource: 'SelfManagedKafka', bootstrapServers: bootstrapServers.join(','), records }
  },
  identifiers: {
    ofMessage: ({ queue, queueOffset }) =>
      nameOf({ partition: partitionOf(queue), offset: Number(queueOffset) }),
    ofItem: nameOf,
  },
  groupOf: ({ topic, brokerName }) => `${topic}/${brokerName}`,
  misfit: ({ queueOffset }) =>
    queueOffset > Number.MAX_SAFE_INTEGER
      ? 'cannot be in a Kafka event: its offset is not exact as a number'
      : undefined,
}

const partitionOf = ({ topic, queueId }: MessageQueue): string => `${topic}-${queueId}`

/** No messageId is the same: U+0002 ends a property, so that none has it. */
function nameOf({ partition, offset }: Partial<KafkaIdentifier>): string | undefined {
  if (typeof partition !== 'string' || typeof offset !== 'number') return undefined
  return `${partition}\u0002${offset}`
}

function recordOf(message: Message): KafkaRecord {
  return {
    topic: message.queue.topic,
    partition: message.queue.queueId,
    offset: Number(message.queueOffset),
    timestamp: message.bornTimestamp,
    timestampType: 'CREATE_TIME',
    key: Buffer.from(message.keys.join(' ')).toString('base64'),
    value: message.body.toString('base64'),
    headers: headersOf(message).map(([name, value]) => ({ [name]: [...Buffer.from(value)] })),
  }
}

/** What has no field in Kafka, under RocketMQ's own names, which no property of a user can have; then the user's. */
function headersOf(message: Message): [string, string][] {
  const { tag, messageId, systemProperties, reconsumeTimes, topic, queue } = message
  const shardingKey = systemProperties['__SHARDINGKEY']
  const headers: [string, string][] = [['UNIQ_KEY', messageId]]
  if (tag !== undefined) headers.push(['TAGS', tag])
  if (shardingKey !== undefined) headers.push(['__SHARDINGKEY', shardingKey])
  if (topic !== queue.topic) headers.push(['RETRY_TOPIC', topic])
  if (reconsumeTimes > 0) headers.push(['RECONSUME_TIME', String(reconsumeTimes)])
  return [...headers, ...Object.entries(message.properties)]
}
