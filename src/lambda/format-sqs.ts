/**
 * Events in the shape that Lambda gives to functions of an SQS queue, so that handlers and batch processors written for
 * those run unchanged. What has no meaning here is filled with what such code accepts.
 */
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Message } from '../client/values.ts'
import type { EventFormat } from './format.ts'

export interface SqsMessageAttribute {
  stringValue: string
  stringListValues: string[]
  binaryListValues: string[]
  dataType: 'String'
}

export interface SqsRecordAttributes {
  /** Attempts, this one included. */
  ApproximateReceiveCount: string
  /** When it was sent, epoch ms. */
  SentTimestamp: string
  /** The sender's address. */
  SenderId: string
  /** When this event was made, epoch ms. */
  ApproximateFirstReceiveTimestamp: string
  /** UNIQ_KEY: the same for every copy, so be idempotent on it. */
  MessageDeduplicationId: string
  /** The sharding key. */
  MessageGroupId?: string
  /** With a sharding key: the offset, in 20 digits. */
  SequenceNumber?: string
}

export interface SqsRecord {
  /** The recordId: another one each time the message comes. */
  messageId: string
  /** The offsetMessageId. */
  receiptHandle: string
  body: string
  attributes: SqsRecordAttributes
  /** The user's properties, and TAGS and KEYS. */
  messageAttributes: Record<string, SqsMessageAttribute>
  md5OfBody: string
  eventSource: 'aws:sqs'
  /** A queue with the name of the topic, in the function's account. */
  eventSourceARN: string
  awsRegion: string
}

export interface SqsEvent {
  Records: SqsRecord[]
}

export const sqs: EventFormat<SqsEvent> = {
  createEvent(messages, { context, recordIdOf }) {
    const [, partition = 'aws', , awsRegion = 'us-east-1', account = '000000000000'] =
      context.invokedFunctionArn?.split(':') ?? []
    const now = String(Date.now())
    return {
      Records: messages.map((message) => ({
        messageId: recordIdOf(message),
        receiptHandle: message.offsetMessageId,
        body: message.body.toString(),
        attributes: attributesOf(message, now),
        messageAttributes: messageAttributesOf(message),
        md5OfBody: createHash('md5').update(message.body).digest('hex'),
        eventSource: 'aws:sqs',
        eventSourceARN: `arn:${partition}:sqs:${awsRegion}:${account}:${message.topic}`,
        awsRegion,
      })),
    }
  },
  misfit: ({ body }) => (isUtf8(body) ? undefined : 'cannot be in an SQS event: its body is not UTF-8'),
}

function attributesOf(message: Message, now: string): SqsRecordAttributes {
  const shardingKey = message.systemProperties['__SHARDINGKEY']
  return {
    ApproximateReceiveCount: String(message.reconsumeTimes + 1),
    SentTimestamp: String(message.bornTimestamp),
    SenderId: message.bornHost,
    ApproximateFirstReceiveTimestamp: now,
    MessageDeduplicationId: message.messageId,
    ...(shardingKey !== undefined && {
      MessageGroupId: shardingKey,
      // As long as SQS has them, so that they compare as texts too.
      SequenceNumber: message.queueOffset.toString().padStart(20, '0'),
    }),
  }
}

function messageAttributesOf({ tag, keys, properties }: Message): Record<string, SqsMessageAttribute> {
  const texts = Object.entries(properties)
  if (tag !== undefined) texts.push(['TAGS', tag])
  if (keys.length > 0) texts.push(['KEYS', keys.join(' ')])
  return Object.fromEntries(
    texts.map(([name, stringValue]) => [
      name,
      { stringValue, stringListValues: [], binaryListValues: [], dataType: 'String' },
    ]),
  )
}
