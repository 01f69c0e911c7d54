/**
 * What comes from outside to the event source: its options (from code, or from ROCKETMQ_EVENT_SOURCES) and the events
 * that start it. Options use the words of Lambda's own event source mappings.
 */
import * as z from 'zod/mini'
import type { Filter, StartingPosition } from '../client/puller.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { ConfigError } from '../errors.ts'
import { checkObject, checkText } from '../wire/checks.ts'
import { checkGroupName, checkTopicName, retryTopic } from '../wire/names.ts'
import { parseTagExpression } from '../wire/tag-expression.ts'
import type { ClientOption } from './client-option.ts'
import type { EventFormatName } from './format.ts'
import type { LambdaApi } from './lambda-invoke.ts'
import type { EventSourceLogger, MetricsOptions } from './report.ts'
import { isoTime, parseWith } from './schema.ts'
import { rules } from './schema-rules.ts'
import type { StandardSchema } from './standard-schema.ts'

/** A mapping from a topic to a function, as it may stand in ROCKETMQ_EVENT_SOURCES. */
export interface EventSourceMapping {
  topic: string
  /** One group for each function: nothing else may consume with it. */
  consumerGroup: string
  /** The most records that one event holds, 1 to 10,000. @default 100 */
  batchSize?: number | undefined
  /**
   * Where the group begins when it has no committed offset. Committed for every queue on the first run.
   * @default 'TRIM_HORIZON'
   */
  startingPosition?: StartingPosition | undefined
  /** With AT_TIMESTAMP: epoch seconds as in Lambda's own mappings, or an ISO 8601 text. */
  startingPositionTimestamp?: number | string | undefined
  /** A tag expression (`'a || b'`), or `{ sql }`. @default every message */
  filter?: Filter | undefined
  /** Does nothing while false. @default true */
  enabled?: boolean | undefined
  /**
   * How long a batch that is not full is kept open after its first record, 0 to 300 seconds, and less than the function's
   * timeout; at most until three quarters of the invocation are over. @default 0
   */
  maximumBatchingWindowInSeconds?: number | undefined
  /**
   * What becomes of a record that failed. `retry`: it is sent back and comes again from the group's retry topic, later with
   * each attempt, while the queue goes on. `block`: the queue waits for it, so that order is kept. @default 'retry'
   */
  onFailure?: OnFailure | undefined
  /**
   * Attempts after the first, 0 to 10,000; then the record becomes a dead letter. With `block` they are made within the
   * invocation, a second apart. @default with `retry` the group's own retryMaxTimes (16), with `block` without end
   */
  maximumRetryAttempts?: number | undefined
  /** A record sent longer ago becomes a dead letter instead of being handled, 60 to 604,800 seconds. @default without end */
  maximumRecordAgeInSeconds?: number | undefined
  /**
   * With `retry`: the delay level (1 to 18) before each attempt; the last one is for all that follow.
   * @default 3 to 18, one after the other: 10 s to 2 h
   */
  retryLevels?: readonly number[] | undefined
  /**
   * Batches that are handled at once, 1 to 10. From 2 on order is kept among the messages of one sharding key, not in the
   * queue. @default 1
   */
  parallelizationFactor?: number | undefined
  /**
   * `pull`: queues are leased, order is kept, offsets are committed. `pop` (RocketMQ 5): each record is acknowledged, any
   * number of invocations at once, no order. A group uses one of them, never both. @default 'pull'
   */
  mode?: 'pull' | 'pop' | undefined
  /**
   * What the handler is given: RocketMQ's own event, or the one that functions of a self-managed Kafka cluster or of an SQS
   * queue get. @default 'rocketmq'
   */
  eventFormat?: EventFormatName | undefined
  /** Pulls, filters and reports; handles, commits, locks and sends nothing. @default false */
  dryRun?: boolean | undefined
  /** A function that is given the events in place of a handler: a mapping has one or the other. */
  target?: Target | undefined
  /**
   * Whether an invocation that runs out of time with messages left invokes its own function again, at most 12 times in a
   * row. @default false
   */
  continuation?: boolean | undefined
  /** For the dispatcher: the most workers that it invokes at a time, 1 to 1,000. @default 10 */
  maximumConcurrency?: number | undefined
  /** For the dispatcher: a worker for each so many messages that wait, 1 to 1,000,000,000. @default 1000 */
  lagThreshold?: number | undefined
  /** For the dispatcher: no worker as long as no more messages wait than so many, 0 to 1,000,000,000. @default 0 */
  activationLagThreshold?: number | undefined
}

/** A function of Lambda, in any language. */
export interface Target {
  /** Its name, or its ARN. */
  functionName: string
  /** An alias or a version. @default what the name says, else $LATEST */
  qualifier?: string | undefined
}

export type OnFailure = 'retry' | 'block'

export interface EventSourceOptions<Format extends EventFormatName = 'rocketmq'> extends EventSourceMapping {
  eventFormat?: Format | undefined
  /**
   * A Standard Schema (of Zod, Valibot, ArkType, …) for bodies that are JSON. What does not fit goes the way of `onFailure`
   * without being handled; of what does `record.json()` gives the schema's output. @default none
   */
  schema?: StandardSchema | undefined
  /** A client, or the options to create one. @default from the environment */
  client?: ClientOption | undefined
  /** Is told what an invocation did: `console` and the Logger of Powertools fit. @default lines of JSON, no `debug` */
  logger?: EventSourceLogger | undefined
  /** Writes CloudWatch metrics in the embedded metric format; custom metrics are billed. @default false */
  metrics?: boolean | MetricsOptions | undefined
  /** For `target` and `continuation`: AWS's client. @default one that is made for the invocation and closed with it */
  lambda?: LambdaApi | undefined
  /** What dispatchers, schedules and a hand-over by `continuation` call the mapping; another name is refused. @default the topic */
  name?: string | undefined
}

const mapping: z.ZodMiniType<EventSourceMapping> = /* @__PURE__ */ z.strictObject({
  topic: z.string(),
  consumerGroup: z.string(),
  batchSize: z.optional(z.int().check(z.minimum(1), z.maximum(10_000))),
  startingPosition: z.optional(z.enum(['TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP'])),
  startingPositionTimestamp: z.optional(z.union([z.number(), z.string()])),
  filter: z.optional(z.union([z.string(), z.strictObject({ sql: z.string() })])),
  enabled: z.optional(z.boolean()),
  maximumBatchingWindowInSeconds: z.optional(z.int().check(z.minimum(0), z.maximum(300))),
  onFailure: z.optional(z.enum(['retry', 'block'])),
  maximumRetryAttempts: z.optional(z.int().check(z.minimum(0), z.maximum(10_000))),
  maximumRecordAgeInSeconds: z.optional(z.int().check(z.minimum(60), z.maximum(604_800))),
  retryLevels: z.optional(
    z.array(z.int().check(z.minimum(1), z.maximum(18))).check(z.minLength(1), z.maxLength(100)),
  ),
  parallelizationFactor: z.optional(z.int().check(z.minimum(1), z.maximum(10))),
  mode: z.optional(z.enum(['pull', 'pop'])),
  eventFormat: z.optional(z.enum(['rocketmq', 'kafka', 'sqs'])),
  dryRun: z.optional(z.boolean()),
  target: z.optional(
    z.strictObject({
      functionName: z.string().check(z.minLength(1)),
      qualifier: z.optional(z.string().check(z.minLength(1))),
    }),
  ),
  continuation: z.optional(z.boolean()),
  maximumConcurrency: z.optional(z.int().check(z.minimum(1), z.maximum(1_000))),
  lagThreshold: z.optional(z.int().check(z.minimum(1), z.maximum(1e9))),
  activationLagThreshold: z.optional(z.int().check(z.minimum(0), z.maximum(1e9))),
})

const MAPPING_KEYS: readonly (keyof EventSourceMapping)[] = [
  'topic',
  'consumerGroup',
  'batchSize',
  'startingPosition',
  'startingPositionTimestamp',
  'filter',
  'enabled',
  'maximumBatchingWindowInSeconds',
  'onFailure',
  'maximumRetryAttempts',
  'maximumRecordAgeInSeconds',
  'retryLevels',
  'parallelizationFactor',
  'mode',
  'eventFormat',
  'dryRun',
  'target',
  'continuation',
  'maximumConcurrency',
  'lagThreshold',
  'activationLagThreshold',
]

export interface ResolvedEventSource {
  topic: string
  consumerGroup: string
  batchSize: number
  startingPosition: StartingPosition
  /** Epoch ms. */
  startingPositionTimestamp: number | undefined
  filter: Filter
  enabled: boolean
  windowMs: number
  onFailure: OnFailure
  maximumRetryAttempts: number | undefined
  maximumAgeMs: number | undefined
  retryLevels: readonly number[]
  parallelizationFactor: number
  mode: 'pull' | 'pop'
  eventFormat: EventFormatName
  dryRun: boolean
  target: Target | undefined
  continuation: boolean
  maximumConcurrency: number
  lagThreshold: number
  activationLagThreshold: number
}

/** What an event source has besides a mapping: in code only. */
export const CODE_OPTIONS: readonly string[] = ['schema', 'client', 'logger', 'metrics', 'lambda', 'name']

/**
 * @param what names the mapping in errors
 * @param others options that are known besides
 * @throws ConfigError naming the option
 */
export function resolveEventSource(
  value: EventSourceMapping,
  what: string,
  others: readonly string[] = [],
): ResolvedEventSource {
  const keys = [...MAPPING_KEYS, ...others]
  const options = parseWith(mapping, checkObject(what, value), { what, keys, rules })
  checkTopicName(options.topic, 'topic')
  checkGroupName(options.consumerGroup, 'consumerGroup')
  if (options.topic.startsWith(retryTopic('')))
    throw new ConfigError(
      'topic',
      `takes no retry topic, got ${options.topic}: it is read with the group's own topic`,
    )
  const { filter = '*', startingPosition = 'TRIM_HORIZON' } = options
  if (typeof filter === 'string') checkTags(filter)
  else checkText('filter.sql', filter.sql.trim())
  return {
    topic: options.topic,
    consumerGroup: options.consumerGroup,
    batchSize: options.batchSize ?? 100,
    startingPosition,
    startingPositionTimestamp: startingTime(startingPosition, options.startingPositionTimestamp),
    filter,
    enabled: options.enabled ?? true,
    windowMs: (options.maximumBatchingWindowInSeconds ?? 0) * 1_000,
    ...failurePolicy(options),
    parallelizationFactor: options.parallelizationFactor ?? 1,
    mode: checkMode(options),
    eventFormat: options.eventFormat ?? 'rocketmq',
    dryRun: options.dryRun ?? false,
    target: options.target,
    continuation: options.continuation ?? false,
    maximumConcurrency: options.maximumConcurrency ?? 10,
    lagThreshold: options.lagThreshold ?? 1_000,
    activationLagThreshold: options.activationLagThreshold ?? 0,
  }
}

/** No tag has a single bar in it: such a filter would pass over everything. */
function checkTags(filter: string): void {
  parseTagExpression(filter)
  if (filter.split('||').some((tag) => tag.includes('|')))
    throw new ConfigError('filter', `takes tags with || between, got ${JSON.stringify(filter.slice(0, 130))}`)
}

function checkMode({
  mode = 'pull',
  onFailure,
  startingPosition,
  dryRun,
}: EventSourceMapping): 'pull' | 'pop' {
  if (mode === 'pull') return mode
  const needed = 'needs mode pull'
  if (onFailure === 'block')
    throw new ConfigError('onFailure', `block ${needed}: what is popped has no order to keep`)
  if (startingPosition !== undefined && startingPosition !== 'TRIM_HORIZON')
    throw new ConfigError(
      'startingPosition',
      `${startingPosition} ${needed}: a group that pops begins at the first message`,
    )
  if (dryRun)
    throw new ConfigError('dryRun', `true ${needed}: to look at messages a pop would have to hide them`)
  return mode
}

type FailurePolicy = Pick<
  ResolvedEventSource,
  'onFailure' | 'maximumRetryAttempts' | 'maximumAgeMs' | 'retryLevels'
>

function failurePolicy(options: EventSourceMapping): FailurePolicy {
  const { onFailure = 'retry', maximumRetryAttempts, maximumRecordAgeInSeconds, retryLevels } = options
  if (retryLevels && onFailure === 'block')
    throw new ConfigError(
      'retryLevels',
      `${JSON.stringify(retryLevels)} needs onFailure retry: with block nothing is sent back for later`,
    )
  return {
    onFailure,
    maximumRetryAttempts,
    maximumAgeMs: maximumRecordAgeInSeconds === undefined ? undefined : maximumRecordAgeInSeconds * 1_000,
    retryLevels: retryLevels ?? [],
  }
}

function startingTime(
  position: StartingPosition,
  timestamp: number | string | undefined,
): number | undefined {
  const field = 'startingPositionTimestamp'
  if (timestamp === undefined) {
    if (position === 'AT_TIMESTAMP')
      throw new ConfigError(field, 'is required with startingPosition AT_TIMESTAMP')
    return undefined
  }
  if (position !== 'AT_TIMESTAMP')
    throw new ConfigError(field, `needs startingPosition AT_TIMESTAMP, not ${position}`)
  const ms = typeof timestamp === 'number' ? Math.round(timestamp * 1_000) : isoTime(timestamp)
  // Epoch ms taken for seconds would lie tens of thousands of years ahead.
  if (!Number.isSafeInteger(ms) || ms < 0 || ms > 8.64e15) {
    throw new ConfigError(field, `takes epoch seconds or an ISO 8601 text, got ${JSON.stringify(timestamp)}`)
  }
  if (typeof timestamp === 'number' && timestamp > 1e11) {
    throw new ConfigError(field, `takes epoch seconds; ${timestamp} looks like milliseconds`)
  }
  return ms
}

/** What a dispatcher sends to a worker. Without `queues`, or from any other event: all queues. */
export interface WorkerPayload {
  version: 1
  /** The name of the mapping. */
  eventSource: string
  queues?: MessageQueue[] | undefined
  /** How many invocations in a row have run out of time before this one (option `continuation`). */
  continuation?: number | undefined
}

/** Invocations of one worker in a row, the first not counted: Lambda stops a function that invokes itself at 16. */
export const MOST_CONTINUATIONS = 12

const payload: z.ZodMiniType<WorkerPayload> = /* @__PURE__ */ z.strictObject({
  version: z.literal(1),
  eventSource: z.string(),
  queues: z.optional(
    z.array(
      z.strictObject({ topic: z.string(), brokerName: z.string(), queueId: z.int().check(z.minimum(0)) }),
    ),
  ),
  continuation: z.optional(z.int().check(z.minimum(1), z.maximum(MOST_CONTINUATIONS))),
})

/** The payload of a dispatcher or of a schedule that names a mapping; undefined for any other event. */
export function readWorkerPayload(event: unknown): WorkerPayload | undefined {
  if (typeof event !== 'object' || event === null || !('eventSource' in event) || !('version' in event))
    return undefined
  return parseWith(payload, event, { what: 'event', rules })
}

/** For a payload that is for another function, or an event that names none where one must be named. */
export function unknownMapping(name: unknown, known: readonly string[]): ConfigError {
  const one = JSON.stringify({ version: 1, eventSource: known[0] })
  const what =
    typeof name === 'string'
      ? `${JSON.stringify(name.slice(0, 127))} is no mapping of this function`
      : `is required where there are several mappings: invoke with ${one}`
  return new ConfigError('eventSource', `${what}; it has ${known.join(', ')}`)
}

/** Options of the function, not of a mapping. */
function refuseCode(source: unknown): void {
  for (const option of CODE_OPTIONS) {
    if (typeof source === 'object' && source !== null && Object.hasOwn(source, option))
      throw new ConfigError(option, 'is no part of a mapping: give it to eventSource() in code')
  }
}

/**
 * Reads the text of ROCKETMQ_EVENT_SOURCES: mappings by name.
 * @example parseEventSources('{ "orders": { "topic": "orders", "consumerGroup": "billing" } }')
 * @throws ConfigError naming the mapping and the option
 */
export function parseEventSources(text: string): Record<string, EventSourceMapping> {
  const field = 'ROCKETMQ_EVENT_SOURCES'
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ConfigError(
      field,
      'is not JSON; it takes mappings by name: { "orders": { "topic": …, "consumerGroup": … } }',
      { cause },
    )
  }
  const sources: unknown = value
  if (
    typeof sources !== 'object' ||
    sources === null ||
    Array.isArray(sources) ||
    Object.keys(sources).length === 0
  ) {
    throw new ConfigError(
      field,
      'takes at least one mapping by name: { "orders": { "topic": …, "consumerGroup": … } }',
    )
  }
  resolveEventSources(sources as Record<string, EventSourceMapping>, field)
  return sources as Record<string, EventSourceMapping>
}

/** @throws ConfigError whose field begins with `field` and the name of the mapping */
export function resolveEventSources(
  sources: Readonly<Record<string, EventSourceMapping>>,
  field: string,
): Map<string, ResolvedEventSource> {
  const resolved = new Map<string, ResolvedEventSource>()
  /** The name of the mapping that has it. */
  const groups = new Map<string, string>()
  for (const [name, source] of Object.entries(sources)) {
    try {
      refuseCode(source)
      const mapping = resolveEventSource(source, name)
      const { consumerGroup, enabled } = mapping
      const other = groups.get(consumerGroup)
      // They would read each other's retry topic.
      if (enabled && other !== undefined)
        throw new ConfigError(
          'consumerGroup',
          `${consumerGroup} is that of ${other} already; each mapping needs its own`,
        )
      if (enabled) groups.set(consumerGroup, name)
      resolved.set(name, mapping)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      const { field: option = name, message } = error
      const path = option === name ? `${field}.${name}` : `${field}.${name}.${option}`
      throw new ConfigError(path, message.slice(option.length + 2), { cause: error })
    }
  }
  return resolved
}
