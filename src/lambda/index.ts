/**
 * The Lambda bindings: handlers that consume and publish. zod, middy and AWS's types are reached from here only.
 *
 * @module
 */
export type { LambdaContext } from './context.ts'
export {
  type DispatcherOptions,
  type DispatchResult,
  type DispatchSummary,
  dispatcher,
} from './dispatcher.ts'
export type { RocketMQEvent, RocketMQRecord } from './event.ts'
export {
  type EventSourceResult,
  eventSource,
  type HandlerExtras,
  type LambdaHandler,
  type RecordHandler,
} from './event-source.ts'
export type { EventFormatName } from './format.ts'
export type { KafkaEvent, KafkaRecord } from './format-kafka.ts'
export type { SqsEvent, SqsRecord } from './format-sqs.ts'
export type { HttpEvent, HttpResponse, Problem } from './http.ts'
export type { LambdaApi } from './lambda-invoke.ts'
export { type RocketMQMiddleware, type RocketMQMiddlewareOptions, rocketmq } from './middleware.ts'
export {
  type EventSourceMapping,
  type EventSourceOptions,
  parseEventSources,
  type Target,
  type WorkerPayload,
} from './options.ts'
export {
  type Begun,
  type MessageRequest,
  type PublishAnswer,
  type PublishEvent,
  type Published,
  type PublisherOptions,
  type PublisherTopic,
  type PublisherTransactions,
  type PublishResult,
  publisher,
} from './publisher.ts'
export type { QueueSummary } from './queue-progress.ts'
export type {
  BatchDiagnostics,
  EventSourceLogger,
  InvocationDiagnostics,
  MetricsOptions,
} from './report.ts'
export type { BatchResponse, KafkaIdentifier } from './response.ts'
export type { SecretsApi } from './secret.ts'
export { secretCredentials } from './secret-credentials.ts'
export type { StandardSchema } from './standard-schema.ts'
export {
  type TransactionCheckerOptions,
  type TransactionCheckerResult,
  transactionChecker,
} from './transaction-checker.ts'
export {
  type EndEvent,
  type TransactionEnded,
  type TransactionEnderOptions,
  transactionEnder,
} from './transaction-ender.ts'
