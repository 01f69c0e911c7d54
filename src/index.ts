/**
 * The client: `createClient` opens connections and finds routes; each capability is a factory on top of it, so that a
 * bundle holds only what is used. No runtime dependency.
 *
 * @module
 */
export type {
  CheckedTransaction,
  CheckOptions,
  CheckResult,
  Resolve,
  ResolveOptions,
} from './client/checker.ts'
export { type Client, createClient } from './client/client.ts'
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
export type { MessageQueue } from './commands/message-queue.ts'
export * from './errors.ts'
export type { AddressMap } from './net/address-policy.ts'
export type { Credentials, CredentialsOption } from './net/credentials.ts'
export type { CallOptions } from './net/deadline.ts'
export type { PoolOptions } from './net/pool.ts'
export { deadLetterTopic, retryTopic } from './wire/names.ts'
