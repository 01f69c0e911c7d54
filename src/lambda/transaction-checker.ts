/**
 * Answers for transactions that nobody ended: for one window in each invocation, from what the user's function says. An
 * event `{ "sweep": true }` clears up what brokers have given up on instead.
 */
import type { CheckedTransaction, CheckResult, Resolve } from '../client/checker.ts'
import { checkKeys } from '../client/options.ts'
import { createTransactionProducer } from '../client/transactions.ts'
import { checkInt, refuse } from '../wire/checks.ts'
import { checkGroupName } from '../wire/names.ts'
import { type ClientOption, clientOf } from './client-option.ts'
import { invocationDeadline, type LambdaContext } from './context.ts'
import {
  checkReports,
  type EventSourceLogger,
  jsonLogger,
  loggerOf,
  type MetricsOptions,
  writeMetrics,
} from './report.ts'

export interface TransactionCheckerOptions {
  /** The group of who begins. Brokers ask any member of it about any of its transactions. */
  producerGroup: string
  /**
   * How long to be there, in ms. Longer than the broker's `transactionCheckInterval`, or rounds of checks pass between two
   * invocations. The time limit of the function must leave it room. @default 35000: the interval is 30 s as shipped
   */
  windowMs?: number | undefined
  /** How many calls of `resolve` may run at once. @default 10 */
  concurrency?: number | undefined
  /** How long one call of `resolve` may take, in ms. @default 10000 */
  resolveTimeoutMs?: number | undefined
  /**
   * From how many checks on an open transaction is reported as near its last one; brokers give up after
   * `transactionCheckMax`, 15 as shipped. @default 10
   */
  warnAfterChecks?: number | undefined
  /** @default lines of JSON on the console */
  logger?: EventSourceLogger | undefined
  /** CloudWatch metrics in the embedded format: true, or their namespace and further dimensions. @default false */
  metrics?: boolean | MetricsOptions | undefined
  /** A client, or the options to create one. @default from the environment */
  client?: ClientOption | undefined
}

/** What a window, or a sweep, has done; plain JSON. */
export interface TransactionCheckerResult {
  committed: number
  rolledBack: number
  /** Left open: `resolve` said so, or there was no time to ask it. */
  unknown: number
  /** Left open: `resolve` failed or took too long, or its answer did not reach the broker. */
  failed: number
  /** Of those that stay open: how many are near their last check. */
  nearingLast: number
  /** Of those that stay open the one with the most checks. */
  nearestToLast?: CheckedTransaction
  /** Brokers that could not be asked, or not all of the time. */
  unreachable: { brokerName: string; address?: string; reason: string }[]
}

/** Of a long list of failures so many are logged. */
const MOST_LOGGED = 20
/** What `check` keeps of its time for leaving. */
const LEAVE_MS = 1_000

/**
 * Makes a Lambda handler that a schedule starts.
 *
 * @param resolve says from durable state what became of a transaction
 * @example
 * export const handler = transactionChecker({ producerGroup: 'order-api' }, async ({ messageId }) =>
 *   (await findOrder(messageId)) ? 'commit' : 'unknown',
 * )
 * @throws ConfigError naming the option, when it is made
 */
export function transactionChecker(
  options: TransactionCheckerOptions,
  resolve: Resolve,
): (event: unknown, context: LambdaContext) => Promise<TransactionCheckerResult> {
  checkKeys('transactionChecker', options, [
    'producerGroup',
    'windowMs',
    'concurrency',
    'resolveTimeoutMs',
    'warnAfterChecks',
    'logger',
    'metrics',
    'client',
  ])
  if (typeof resolve !== 'function') refuse('resolve', 'takes a function')
  const {
    producerGroup,
    windowMs = 35_000,
    concurrency = 10,
    resolveTimeoutMs = 10_000,
    warnAfterChecks = 10,
    logger: given = jsonLogger,
    metrics = false,
  } = options
  checkGroupName(producerGroup, 'producerGroup')
  for (const [name, value] of Object.entries({ windowMs, concurrency, resolveTimeoutMs, warnAfterChecks }))
    checkInt(name, value, 1)
  checkReports(given, metrics)
  const logger = loggerOf(given)
  const client = clientOf(options.client)
  const transactions = createTransactionProducer(client, { producerGroup })

  const check = async (deadlineMs: number): Promise<Outcome> => {
    const roomMs = deadlineMs - LEAVE_MS - Date.now()
    if (roomMs < windowMs)
      logger.warn('the function has less time than its window', { producerGroup, windowMs, roomMs })
    return await transactions.check({ windowMs, concurrency, resolveTimeoutMs, deadlineMs, resolve })
  }

  const sweep = async (deadlineMs: number): Promise<Outcome> => {
    const { failed, ...rest } = await transactions.sweep({ resolve, resolveTimeoutMs, deadlineMs })
    // Without a message it is the broker that failed.
    return {
      ...rest,
      failed: failed.filter((each) => each.messageId !== undefined) as Outcome['failed'],
      unreachable: failed.filter((each) => each.messageId === undefined),
    }
  }

  return async (event, context) => {
    await client.thaw()
    const deadlineMs = invocationDeadline(context)
    const what = isSweep(event) ? 'swept' : 'checked'
    const outcome = await (what === 'swept' ? sweep(deadlineMs) : check(deadlineMs))
    const result = summaryOf(outcome, warnAfterChecks)
    for (const { error, ...about } of [...outcome.failed, ...outcome.unreachable].slice(0, MOST_LOGGED))
      logger.warn('not answered', { producerGroup, ...about, reason: reasonOf(error) })
    if (result.nearingLast > 0)
      logger.warn('near the last check', {
        producerGroup,
        count: result.nearingLast,
        ...result.nearestToLast,
      })
    logger.info(what, { producerGroup, ...result })
    if (metrics)
      writeMetrics(metrics === true ? {} : metrics, { ProducerGroup: producerGroup }, valuesOf(result))
    return result
  }
}

/** Of a window or a sweep. */
type Outcome = Pick<CheckResult, 'resolved' | 'unknown' | 'failed' | 'nearestToLast'> & {
  unreachable: { brokerName: string; address?: string; error: unknown }[]
}

const isSweep = (event: unknown): boolean => (event as { sweep?: unknown } | null | undefined)?.sweep === true

function summaryOf(outcome: Outcome, warnAfterChecks: number): TransactionCheckerResult {
  const { resolved, unknown, failed, nearestToLast, unreachable } = outcome
  return {
    committed: resolved.committed.length,
    rolledBack: resolved.rolledBack.length,
    unknown: unknown.length,
    failed: failed.length,
    nearingLast: [...unknown, ...failed].filter(({ checks }) => checks >= warnAfterChecks).length,
    ...(nearestToLast ? { nearestToLast } : {}),
    unreachable: unreachable.map(({ error, ...broker }) => ({ ...broker, reason: reasonOf(error) })),
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function valuesOf(result: TransactionCheckerResult): Record<string, number> {
  return {
    CommittedTransactionCount: result.committed,
    RolledBackTransactionCount: result.rolledBack,
    UnknownTransactionCount: result.unknown,
    FailedTransactionCount: result.failed,
    NearingLastCheckCount: result.nearingLast,
    MaxChecks: result.nearestToLast?.checks ?? 0,
    UnreachableBrokerCount: result.unreachable.length,
  }
}
