/**
 * What an event looks like to the handler, and how its answer may name records. The formats that are not RocketMQ's own are
 * loaded when a mapping asks for one, so that they are not in the file that every cold start parses. They import nothing
 * but types: code that they shared with the rest would be bundled into a further file for every cold start.
 */
import type { Message } from '../client/values.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import type { LambdaContext } from './context.ts'
import { createEvent, type RocketMQEvent, RocketMQRecord } from './event.ts'
import type { KafkaEvent } from './format-kafka.ts'
import type { SqsEvent } from './format-sqs.ts'
import type { Identifiers } from './response.ts'

/** The events that a handler can be given, by `eventFormat`. */
export interface Events {
  rocketmq: RocketMQEvent
  kafka: KafkaEvent
  sqs: SqsEvent
}

export type EventFormatName = keyof Events

/** Where the messages of an event come from, and what is known of them besides. */
export interface EventOrigin {
  recordIdOf: (message: Message) => string
  bootstrapServers: readonly string[]
  consumerGroup: string
  context: LambdaContext
  /** What a schema has made of their bodies. */
  parsed: Pick<WeakMap<Message, { value: unknown }>, 'get'>
}

export interface EventFormat<Event = unknown> {
  createEvent: (messages: readonly Message[], origin: EventOrigin) => Event
  /** What a response may name records by, besides recordId and messageId. @default nothing */
  identifiers?: Identifiers
  /** Queues of one event have the same. @default any go together */
  groupOf?: (queue: MessageQueue) => string
  /** Why a message cannot be in such an event; undefined when it can. @default every message can */
  misfit?: (message: Message) => string | undefined
}

const native: EventFormat<RocketMQEvent> = {
  createEvent: (messages, { bootstrapServers, consumerGroup, parsed }) =>
    createEvent(
      messages.map((message) => new RocketMQRecord(message, parsed.get(message))),
      bootstrapServers.join(';'),
      consumerGroup,
    ),
}

const formats: { readonly [Name in EventFormatName]: () => Promise<EventFormat<Events[Name]>> } = {
  rocketmq: async () => native,
  kafka: async () => (await import('./format-kafka.ts')).kafka,
  sqs: async () => (await import('./format-sqs.ts')).sqs,
}

export async function loadFormat(name: EventFormatName): Promise<EventFormat> {
  return await formats[name]()
}
