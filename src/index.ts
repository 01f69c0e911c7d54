/**
 * The client: `createClient` opens connections and finds routes; each capability is a factory on top of it, so that a
 * bundle holds only what is used. No runtime dependency.
 *
 * @module
 */
export {
  type BrokerConfig,
  type BrokerDescription,
  type ClusterAdmin,
  type ClusterDescription,
  createClusterAdmin,
} from './client/admin/cluster.ts'
export {
  createGroupAdmin,
  type GroupAdmin,
  type GroupOnBroker,
  type GroupSettings,
  type GroupStats,
  type QueueLag,
} from './client/admin/groups.ts'
export type { Master, Where } from './client/admin/masters.ts'
export { createMessageQuery, type MessageQuery, type QueryOptions } from './client/admin/messages.ts'
export {
  createOffsetAdmin,
  type OffsetAdmin,
  type QueueReset,
  type ResetPlan,
  type ResetRequest,
  type ResetTarget,
} from './client/admin/offsets.ts'
export {
  createTopicAdmin,
  type QueueStats,
  type TopicAdmin,
  type TopicDeleted,
  type TopicEntry,
  type TopicKind,
  type TopicOnBroker,
  type TopicSettings,
  type TopicStats,
} from './client/admin/topics.ts'
export type {
  CheckedTransaction,
  CheckOptions,
  CheckResult,
  Resolve,
  ResolveOptions,
} from './client/checker.ts'
export { type Client, createClient } from './client/client.ts'
export {
  consumerDataFromJson,
  messageFromJson,
  messageQueueFromJson,
  producerDataFromJson,
  pullResultFromJson,
  resetPlanFromJson,
  sendResultFromJson,
  subscriptionDataFromJson,
  toJson,
} from './client/json.ts'
export { type ClientOptions, templates } from './client/options.ts'
export { type BatchedMessage, createMessageId, type Delay, type OutgoingMessage } from './client/outgoing.ts'
export {
  type ChangeInvisibleOptions,
  createPopConsumer,
  type PopConsumer,
  type PopConsumerOptions,
  type PopOptions,
  type Popped,
} from './client/popper.ts'
export { type BatchResult, createProducer, type Producer, type ProducerOptions } from './client/producer.ts'
export {
  createPullConsumer,
  type Filter,
  type PullConsumer,
  type PullConsumerOptions,
  type PullOptions,
  type SendBackOptions,
  type StartingPosition,
} from './client/puller.ts'
export {
  type ConsumerRegistration,
  createRegistration,
  type Registration,
  type RegistrationOptions,
} from './client/registration.ts'
export {
  type ConsumeDirectly,
  type HandledDirectly,
  type ServeHandlers,
  type ServeOptions,
  type ServeResult,
  serve,
  type ToldReset,
} from './client/serve.ts'
export type { SweepOptions, SweepResult } from './client/sweeper.ts'
export type { Transaction } from './client/transaction.ts'
export { createTransactionProducer, type TransactionProducer } from './client/transactions.ts'
export type {
  RunResult,
  TransactionMessage,
  TransactionOutcome,
  TransactionProducerOptions,
  Transactor,
} from './client/transactor.ts'
export type {
  Message,
  PoppedMessage,
  PopResult,
  PullResult,
  PullStatus,
  SendResult,
  SendStatus,
  UndecodablePopped,
} from './client/values.ts'
export type { Unreachable } from './client/window.ts'
export {
  ConsumeFromWhere,
  type ConsumerData,
  ConsumeType,
  MessageModel,
  type ProducerData,
} from './commands/heartbeat.ts'
export type { MessageQueue } from './commands/message-queue.ts'
export type { SubscriptionData } from './commands/subscription.ts'
export * from './errors.ts'
export type { AddressMap } from './net/address-policy.ts'
export type { Credentials, CredentialsOption } from './net/credentials.ts'
export type { CallOptions } from './net/deadline.ts'
export type { PoolOptions } from './net/pool.ts'
export { deadLetterTopic, retryTopic } from './wire/names.ts'
