/** Transactions of a producer group: what begins and ends them, what answers for them, and what clears up behind them. */
import { type CheckOptions, type CheckResult, checkTransactions } from './checker.ts'
import type { Client } from './client.ts'
import { type SweepOptions, type SweepResult, sweepTransactions } from './sweeper.ts'
import type { Transaction } from './transaction.ts'
import { createTransactor, type TransactionProducerOptions, type Transactor } from './transactor.ts'

/** @typeParam Value what `begin` gives: `Transaction`, or with a secret `string` */
export interface TransactionProducer<Value = Transaction> extends Transactor<Value> {
  /**
   * Answers the checks of all brokers for a while: each with what `resolve` says of the transaction, from durable state.
   * One that fails, or takes too long, stops no other; the broker asks again. Registers the producer group for as long as
   * it takes and nothing longer, so call it on a schedule: see docs/transactions.md.
   * @throws ConnectError when no broker can be reached; RouteError, ConfigError
   */
  check(options: CheckOptions): Promise<CheckResult>
  /**
   * Asks `resolve` about the half messages that brokers have given up on, and sends those to be committed again, under
   * their ids, to their topics. What it cannot decide it begins with the next time, and stops there, for each broker.
   */
  sweep(options: SweepOptions): Promise<SweepResult>
}

/**
 * @throws ConfigError naming the option
 * @example
 * const transactions = createTransactionProducer(client, { producerGroup: 'orders' })
 * const transaction = await transactions.begin({ topic: 'orders', body })
 * await transactions.end(transaction, 'commit')
 */
export function createTransactionProducer(
  client: Client,
  options: TransactionProducerOptions & { secret: string | readonly string[] },
): TransactionProducer<string>
export function createTransactionProducer(
  client: Client,
  options: TransactionProducerOptions & { secret?: undefined },
): TransactionProducer
export function createTransactionProducer(
  client: Client,
  options: TransactionProducerOptions,
): TransactionProducer<Transaction | string>
export function createTransactionProducer(
  client: Client,
  options: TransactionProducerOptions,
): TransactionProducer<Transaction | string> {
  const transactor = createTransactor(client, options)
  const { producerGroup } = options
  const group = client.wrap(producerGroup)
  return {
    ...transactor,
    check: (limits) => checkTransactions(client, group, limits),
    sweep: (limits) => sweepTransactions(client, producerGroup, group, limits),
  }
}
