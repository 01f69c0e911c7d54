/**
 * What the compiler must accept and refuse. The checks are types: `tsc` fails where one is wrong, and the run only shows
 * that the file was compiled against what is exported.
 */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { LambdaClient } from '@aws-sdk/client-lambda'
import type { MiddyfiedHandler } from '@middy/core'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import type {
  Context,
  Handler,
  MSKHandler,
  ScheduledEvent,
  SelfManagedKafkaEvent,
  SelfManagedKafkaHandler,
  SQSBatchResponse,
  SQSEvent,
  SQSHandler,
} from 'aws-lambda'
import type {
  BatchedMessage,
  BatchResult,
  ClientOptions,
  Filter,
  Message,
  MessageQueue,
  OutgoingMessage,
  Popped,
  PoppedMessage,
  Producer,
  PullConsumer,
  PullResult,
  Resolve,
  RocketMQError,
  SendResult,
  Transaction,
  TransactionProducer,
} from '../../src/index.ts'
import {
  type BatchResponse,
  type DispatcherOptions,
  type dispatcher,
  type EventSourceMapping,
  type EventSourceOptions,
  eventSource,
  type KafkaEvent,
  type LambdaApi,
  type LambdaHandler,
  type publisher,
  type RecordHandler,
  type RocketMQEvent,
  type SqsEvent,
  type StandardSchema,
} from '../../src/lambda/index.ts'

type Fits<Value, Type> = [Value] extends [Type] ? true : false
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const yes = <_Check extends true>(): void => undefined
const no = <_Check extends false>(): void => undefined

it('a message has at most one kind of delay', () => {
  yes<Fits<{ topic: string; body: string }, OutgoingMessage>>()
  yes<Fits<{ topic: string; body: Uint8Array; delayLevel: number }, OutgoingMessage>>()
  yes<Fits<{ topic: string; body: Buffer; deliverAt: Date }, OutgoingMessage>>()
  no<Fits<{ topic: string; body: string; delayLevel: number; delayMs: number }, OutgoingMessage>>()
  no<Fits<{ topic: string; body: string; delayMs: number; deliverAt: number }, OutgoingMessage>>()
  no<Fits<{ topic: string }, OutgoingMessage>>()
  no<Fits<{ topic: string; body: { order: number } }, OutgoingMessage>>()
  assert.ok(true)
})

it('a message of a batch has no delay and no topic of its own', () => {
  yes<
    Fits<'delayLevel' | 'delayMs' | 'deliverAt' | 'topic' extends keyof BatchedMessage ? true : false, false>
  >()
  assert.ok(true)
})

it('offsets are bigint, and a failed message of a batch has an outcome and an error', () => {
  yes<Same<SendResult['queueOffset'], bigint>>()
  yes<Same<PullResult['nextBeginOffset'], bigint>>()
  yes<Same<Message['commitLogOffset'], bigint>>()
  yes<Same<Parameters<PullConsumer['commitOffset']>[1], bigint>>()
  yes<Same<Awaited<ReturnType<PullConsumer['committedOffset']>>, bigint | undefined>>()
  yes<Same<Extract<BatchResult, { outcome: 'stored' }>['result'], SendResult>>()
  yes<Same<Exclude<BatchResult, { outcome: 'stored' }>['error'], RocketMQError>>()
  yes<Same<Awaited<ReturnType<Producer['sendOneway']>>, void>>()
  assert.ok(true)
})

it('a filter is a tag expression or SQL', () => {
  yes<Fits<'a || b', Filter>>()
  yes<Fits<{ sql: string }, Filter>>()
  no<Fits<{ tag: string }, Filter>>()
  assert.ok(true)
})

it('a popped message is a message, and its topic and receipt are all that an acknowledgement takes', () => {
  yes<Fits<PoppedMessage, Message>>()
  yes<Fits<PoppedMessage, Popped>>()
  yes<Fits<{ topic: string; receipt: string }, Popped>>()
  no<Fits<Message, Popped>>()
  assert.ok(true)
})

it('name servers are a text or a list, and no option takes what it is not', () => {
  yes<Fits<{ nameServers: string }, ClientOptions>>()
  yes<Fits<{ nameServers: readonly string[] }, ClientOptions>>()
  no<Fits<{ nameServers: number }, ClientOptions>>()
  no<Fits<{ timeoutMs: string }, ClientOptions>>()
  yes<Fits<{ topic: string; consumerGroup: string }, EventSourceOptions>>()
  no<Fits<{ topic: string }, EventSourceOptions>>()
  no<Fits<{ topic: string; consumerGroup: string; startingPosition: 'EARLIEST' }, EventSourceOptions>>()
  assert.ok(true)
})

it('a queue is topic, broker name and queue id, wherever it stands', () => {
  yes<Same<MessageQueue, { topic: string; brokerName: string; queueId: number }>>()
  yes<Fits<Message['queue'], MessageQueue>>()
  assert.ok(true)
})

it('handlers that return nothing, or an SQS batch response, are record handlers', () => {
  yes<Fits<() => Promise<void>, RecordHandler>>()
  yes<Fits<() => Promise<SQSBatchResponse>, RecordHandler>>()
  yes<Fits<MiddyfiedHandler<RocketMQEvent, BatchResponse, Error, Context>, RecordHandler>>()
  no<Fits<() => Promise<string>, RecordHandler>>()
  no<Fits<(event: ScheduledEvent) => Promise<void>, RecordHandler>>()
  no<Fits<() => void, RecordHandler>>()
  assert.ok(true)
})

it('the events of other sources are those of @types/aws-lambda', () => {
  yes<Fits<KafkaEvent, SelfManagedKafkaEvent>>()
  yes<Fits<SqsEvent, SQSEvent>>()
  assert.ok(true)
})

it('handlers of SQS and of self-managed Kafka are taken as they are, those of other events are not', () => {
  yes<Fits<SQSHandler, LambdaHandler<'sqs'>>>()
  yes<Fits<SelfManagedKafkaHandler, LambdaHandler<'kafka'>>>()
  no<Fits<SelfManagedKafkaHandler, LambdaHandler<'sqs'>>>()
  no<Fits<SQSHandler, LambdaHandler<'kafka'>>>()
  // It may read the ARN of a cluster of Amazon MSK.
  no<Fits<MSKHandler, LambdaHandler<'kafka'>>>()
  yes<Fits<(event: SQSEvent) => Promise<SQSBatchResponse>, RecordHandler<'sqs'>>>()
  yes<Fits<MiddyfiedHandler<SQSEvent, SQSBatchResponse, Error, Context>, RecordHandler<'sqs'>>>()
  no<Fits<() => Promise<string>, LambdaHandler<'sqs'>>>()
  assert.ok(true)
})

it('the handler of an event source takes the event of its format', () => {
  const made = (options: EventSourceOptions, mapping: EventSourceMapping, sqs: SQSHandler): unknown[] => [
    eventSource(options, async (event) => {
      yes<Same<typeof event, RocketMQEvent>>()
    }),
    eventSource({ ...options, eventFormat: 'kafka' }, async (event) => {
      yes<Same<typeof event, KafkaEvent>>()
    }),
    eventSource({ ...options, eventFormat: 'sqs' }, async (event, _context, { signal }) => {
      yes<Same<typeof event, SqsEvent>>()
      yes<Same<typeof signal, AbortSignal>>()
    }),
    eventSource({ ...options, eventFormat: 'sqs' }, sqs),
    // @ts-expect-error an SQS handler wants SQS events
    eventSource(options, sqs),
    // What a mapping from JSON says is known when it runs.
    eventSource(mapping, async (event: RocketMQEvent) => void event.records),
  ]
  assert.equal(typeof made, 'function')
})

it('a schema is any Standard Schema', () => {
  yes<Fits<StandardSchemaV1<unknown, { order: number }>, StandardSchema>>()
  no<Fits<{ parse(value: unknown): unknown }, StandardSchema>>()
  assert.ok(true)
})

it('what eventSource and publisher make is a Lambda handler', () => {
  yes<Fits<ReturnType<typeof eventSource>, Handler<ScheduledEvent>>>()
  yes<Fits<ReturnType<typeof publisher>, Handler<Parameters<ReturnType<typeof publisher>>[0]>>>()
  assert.ok(true)
})

it('AWS’s client is what targets and dispatchers take, and what a dispatcher makes is a Lambda handler', () => {
  yes<Fits<LambdaClient, LambdaApi>>()
  no<Fits<{ invoke(): void }, LambdaApi>>()
  yes<Fits<ReturnType<typeof dispatcher>, Handler<ScheduledEvent>>>()
  no<Fits<{ eventSources: Record<string, never> }, DispatcherOptions>>()
  no<Fits<{ topic: string; consumerGroup: string; target: string }, EventSourceOptions>>()
  assert.ok(true)
})

it('a transaction is JSON, or with a secret text, and a resolver knows three answers', () => {
  yes<Fits<Transaction, Parameters<TransactionProducer['end']>[0]>>()
  no<Fits<string, Parameters<TransactionProducer['end']>[0]>>()
  yes<Fits<string, Parameters<TransactionProducer<string>['end']>[0]>>()
  yes<Fits<() => Promise<'unknown'>, Resolve>>()
  no<Fits<() => Promise<'later'>, Resolve>>()
  no<Fits<() => Promise<void>, Resolve>>()
  assert.ok(true)
})
