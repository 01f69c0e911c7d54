/**
 * What an invocation of the event source tells besides its result: a structured log line, CloudWatch metrics in the
 * embedded metric format under the names that Lambda's own event source mappings have, and events of
 * node:diagnostics_channel. None of it holds a body, a key or a property.
 */
import { channel } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { checkKeys } from '../client/options.ts'
import { ConfigError } from '../errors.ts'
import { checkObject, checkText } from '../wire/checks.ts'
import type { EventSourceResult } from './event-source.ts'
import type { ResolvedEventSource } from './options.ts'
import type { QueueCounts } from './queue-progress.ts'

/** What is used of a logger: `console` has these methods, and so has the Logger of Powertools. */
export interface EventSourceLogger {
  debug(message: string, fields: Readonly<Record<string, unknown>>): void
  info(message: string, fields: Readonly<Record<string, unknown>>): void
  warn(message: string, fields: Readonly<Record<string, unknown>>): void
}

/** Metrics to write, one line to stdout for each invocation. */
export interface MetricsOptions {
  /** @default 'rocketmq-lambda' */
  namespace?: string | undefined
  /** Dimensions besides ConsumerGroup and Topic. @default none */
  dimensions?: Readonly<Record<string, string>> | undefined
}

/** A message of the channel `rocketmq-lambda:batch`: a batch was handled and settled. */
export interface BatchDiagnostics {
  consumerGroup: string
  topic: string
  records: number
  failed: number
  /** In the handler. */
  durationMs: number
  /** What the handler threw. */
  error?: unknown
}

/** A message of the channel `rocketmq-lambda:invocation`: an invocation is over. */
export interface InvocationDiagnostics {
  consumerGroup: string
  topic: string
  result: EventSourceResult
  error?: unknown
}

export const BATCH_CHANNEL = 'rocketmq-lambda:batch'
export const INVOCATION_CHANNEL = 'rocketmq-lambda:invocation'

const batches = /* @__PURE__ */ channel(BATCH_CHANNEL)
const invocations = /* @__PURE__ */ channel(INVOCATION_CHANNEL)

export function publishBatch(message: BatchDiagnostics): void {
  batches.publish(message)
}

/** Lines of JSON, as Lambda's log formats and CloudWatch Logs Insights read them; without the level `debug`. */
export const jsonLogger: EventSourceLogger = {
  debug: () => undefined,
  info: (message, fields) => console.info(JSON.stringify({ level: 'INFO', message, ...fields })),
  warn: (message, fields) => console.warn(JSON.stringify({ level: 'WARN', message, ...fields })),
}

/** Of an async logger nobody waits for the promises: rejected, they would end the process. */
export function loggerOf(logger: EventSourceLogger): EventSourceLogger {
  const method =
    (level: keyof EventSourceLogger): EventSourceLogger['info'] =>
    (...line) => {
      Promise.resolve(logger[level](...line)).catch((reason: unknown) =>
        jsonLogger.warn('the logger failed', {
          reason: reason instanceof Error ? reason.message : inspect(reason),
        }),
      )
    }
  return { debug: method('debug'), info: method('info'), warn: method('warn') }
}

/** @throws ConfigError, for what would fail an invocation when its work is done */
export function checkReports(logger: unknown, metrics: unknown): void {
  const methods = logger as Partial<Record<string, unknown>> | null
  if (['debug', 'info', 'warn'].some((method) => typeof methods?.[method] !== 'function'))
    throw new ConfigError(
      'logger',
      'takes { debug, info, warn }, such as console or the Logger of Powertools',
    )
  if (metrics === undefined || typeof metrics === 'boolean') return
  if (typeof metrics !== 'object' || metrics === null)
    throw new ConfigError('metrics', `takes true, false or { namespace, dimensions }, got ${typeof metrics}`)
  checkKeys('metrics', metrics, ['namespace', 'dimensions'])
  const { namespace, dimensions } = metrics as MetricsOptions
  if (namespace !== undefined) checkText('metrics.namespace', namespace)
  if (dimensions === undefined) return
  for (const [name, value] of Object.entries(checkObject('metrics.dimensions', dimensions)))
    checkText(`metrics.dimensions.${name}`, value)
}

/** The counts of all queues, and the longest time since a record that was handed out had been stored. */
export interface Totals {
  counts: QueueCounts
  oldestAgeMs: number
  /** What could not be decoded, and why. */
  undecodable?: string | undefined
}

/** @param error what the invocation fails with */
export function report(
  source: ResolvedEventSource,
  logger: EventSourceLogger,
  metrics: MetricsOptions | undefined,
  totals: Totals,
  result: EventSourceResult,
  error: unknown,
): void {
  const { consumerGroup, topic } = source
  // A reason may quote a body.
  const { queues: summaries, failure: _, ...counts } = result
  for (const { stopped, moved, topic: storedTopic, brokerName, queueId } of summaries) {
    const queue = { consumerGroup, topic: storedTopic, brokerName, queueId }
    if (stopped !== undefined) logger.warn('queue left before its end', { ...queue, stopped })
    if (moved !== undefined) logger.warn('offset moved', { ...queue, moved })
  }
  const { undecodable } = totals
  if (undecodable !== undefined)
    logger.warn('messages cannot be decoded', { consumerGroup, topic, undecodable })
  logger[totals.counts.polled === 0 ? 'debug' : 'info']('consumed', { consumerGroup, topic, ...counts })
  if (metrics && !source.dryRun)
    writeMetrics(metrics, { ConsumerGroup: consumerGroup, Topic: topic }, valuesOf(totals, summaries))
  invocations.publish({ consumerGroup, topic, result, ...(error === undefined ? {} : { error }) })
}

type Values = Readonly<Record<string, number | readonly number[]>>

function valuesOf({ counts, oldestAgeMs }: Totals, summaries: EventSourceResult['queues']): Values {
  // What was not read has no lag: 0 would look like a queue that is drained.
  const lags = summaries.flatMap(({ lag }) => lag ?? [])
  const isKnown = lags.length > 0 || summaries.length === 0
  return {
    PolledEventCount: counts.polled,
    FilteredOutEventCount: counts.filtered,
    InvokedEventCount: counts.invoked,
    FailedInvokeEventCount: counts.failed,
    DroppedEventCount: counts.deadLettered + counts.skipped,
    CommittedEventCount: counts.committed,
    // CloudWatch takes 100 values of a metric in one event.
    ...(lags.length > 0 ? { OffsetLag: lags.slice(0, 100) } : {}),
    ...(isKnown
      ? { MaxOffsetLag: Math.max(0, ...lags), SumOffsetLag: lags.reduce((total, lag) => total + lag, 0) }
      : {}),
    OldestRecordAge: oldestAgeMs,
  }
}

/** https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html */
export function writeMetrics(
  { namespace = 'rocketmq-lambda', dimensions = {} }: MetricsOptions,
  own: Readonly<Record<string, string>>,
  values: Values,
): void {
  const fixed = { ...own, ...dimensions }
  const event = {
    _aws: {
      Timestamp: Date.now(),
      CloudWatchMetrics: [
        {
          Namespace: namespace,
          Dimensions: [Object.keys(fixed)],
          Metrics: Object.keys(values).map((Name) => ({
            Name,
            Unit: Name === 'OldestRecordAge' ? 'Milliseconds' : 'Count',
          })),
        },
      ],
    },
    ...fixed,
    ...values,
  }
  // Not by console, of which Lambda's JSON log format makes a text within an object: CloudWatch would see no metrics.
  process.stdout.write(`${JSON.stringify(event)}\n`)
}
