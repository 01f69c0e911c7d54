/**
 * The dispatcher: looks how far the group of each mapping is behind and starts workers for what waits, as many as there is
 * work for. It handles no message and keeps nothing; whatever it is wrong about, the worker finds out by its leases.
 *
 * For each mapping: routes; committed offsets and ends of all queues at once; a lock of those that have work, which tells
 * what another worker is at; the unlock. So a tick takes three round trips of each broker, four where access control
 * forbids asking for the end of a queue.
 */
import type { Client } from '../client/client.ts'
import { checkKeys } from '../client/options.ts'
import { createPullConsumer, type PullConsumer } from '../client/puller.ts'
import { ConfigError } from '../errors.ts'
import { checkObject, checkText } from '../wire/checks.ts'
import { type ClientOption, clientOf } from './client-option.ts'
import { invocationDeadline, type LambdaContext } from './context.ts'
import { queueKey } from './event.ts'
import { pullLag, type QueueLag, readLag } from './lag.ts'
import { checkLambda, createInvoker, type FunctionName, type LambdaApi } from './lambda-invoke.ts'
import { oneOf, queuesOf } from './open-queues.ts'
import {
  type EventSourceMapping,
  type ResolvedEventSource,
  resolveEventSource,
  resolveEventSources,
  type WorkerPayload,
} from './options.ts'
import { shareOut, unitsOf } from './shares.ts'

/** Locks are given back also when the time is over, in ms. */
const UNLOCK_MS = 300

export interface DispatcherOptions extends FunctionName {
  /** The mappings, by the names under which the worker knows them. */
  eventSources: Readonly<Record<string, EventSourceMapping>>
  /** The worker: its name, or its ARN. It is invoked asynchronously. */
  functionName: string
  /** An alias or a version of the worker. @default what the name says, else $LATEST */
  qualifier?: string | undefined
  /** For the mappings that do not say it themselves. @default 10 */
  maximumConcurrency?: number | undefined
  /** For the mappings that do not say it themselves. @default 1000 */
  lagThreshold?: number | undefined
  /** For the mappings that do not say it themselves. @default 0 */
  activationLagThreshold?: number | undefined
  /** A client, or the options to create one. @default from the environment */
  client?: ClientOption | undefined
  /** AWS's client. @default one that is made for the invocation and closed with it */
  lambda?: LambdaApi | undefined
}

/** What was found and done for one mapping. */
export interface DispatchSummary {
  /** Queues that could be asked, those of the retry topic included. */
  queues: number
  /** Messages behind the committed offsets. */
  lag: number
  /** Queues without a committed offset: work of unknown size, not in `lag`. */
  unstarted: number
  /** Queues with work that another worker holds. */
  leased: number
  /** Workers that Lambda has accepted an event for. */
  workers: number
  /** What went wrong; the rest was done nevertheless. */
  errors?: string[]
}

/** What an invocation returns: by mapping. Those that are not enabled are left out. */
export interface DispatchResult {
  eventSources: Record<string, DispatchSummary>
}

const OPTIONS: readonly (keyof DispatcherOptions)[] = [
  'eventSources',
  'functionName',
  'qualifier',
  'maximumConcurrency',
  'lagThreshold',
  'activationLagThreshold',
  'client',
  'lambda',
]

/** What the steps for one mapping share. */
interface Tick {
  name: string
  source: ResolvedEventSource
  consumer: PullConsumer
  end: number
  errors: Map<string, unknown>
  start: (payload: WorkerPayload) => Promise<void>
}

/**
 * Makes a Lambda handler, for a schedule, that starts workers. What goes wrong with one mapping, or with one broker, does
 * not stop the others; when all is done the invocation fails with an AggregateError of what went wrong, whose `result` is
 * what would have been returned.
 *
 * @example
 * export const handler = dispatcher({ eventSources: { orders: { topic: 'orders', consumerGroup: 'billing' } }, functionName: 'consume' })
 * @throws ConfigError naming the option, when it is made
 */
export function dispatcher(
  options: DispatcherOptions,
): (event: unknown, context: LambdaContext) => Promise<DispatchResult> {
  checkKeys('dispatcher', options, OPTIONS)
  const { functionName, qualifier, lambda } = options
  if (typeof functionName !== 'string' || functionName === '')
    throw new ConfigError('functionName', 'takes the name or the ARN of the worker')
  if (qualifier !== undefined) checkText('qualifier', qualifier)
  checkLambda(lambda)
  const sources = [...resolveAll(options)].filter(([, { enabled }]) => enabled)
  const client = clientOf(options.client)
  return async (_event, context) => {
    const end = invocationDeadline(context, UNLOCK_MS)
    const signal = AbortSignal.timeout(Math.max(1, end - Date.now()))
    await client.thaw()
    const invoker = createInvoker(lambda)
    const start: Tick['start'] = async (payload) =>
      await invoker.start({ functionName, qualifier }, payload, signal)
    const ticks = sources.map(([name, source]) => tickOf(name, source, client, end, start))
    const summaries = await Promise.all(
      ticks.map(async (tick) => [tick.name, await dispatch(tick)] as const),
    ).finally(() => invoker.close())
    const result: DispatchResult = { eventSources: Object.fromEntries(summaries) }
    const failed = ticks.filter(({ errors }) => errors.size > 0)
    if (failed.length > 0) throw failureOf(failed, result)
    return result
  }
}

function resolveAll(options: DispatcherOptions): Map<string, ResolvedEventSource> {
  const { eventSources, maximumConcurrency, lagThreshold, activationLagThreshold } = options
  const field = 'eventSources'
  if (Object.keys(checkObject(field, eventSources)).length === 0)
    throw new ConfigError(field, 'takes at least one mapping by name')
  const defaults = { maximumConcurrency, lagThreshold, activationLagThreshold }
  // What is wrong with them is not a mapping's fault.
  resolveEventSource({ topic: 'any', consumerGroup: 'any', ...defaults }, 'dispatcher')
  const withDefaults = Object.entries(eventSources).map(([name, mapping]) => [
    name,
    // Of a text these would be its letters.
    typeof mapping === 'object' && mapping !== null ? { ...defaults, ...mapping } : mapping,
  ])
  return resolveEventSources(Object.fromEntries(withDefaults), field)
}

function tickOf(
  name: string,
  source: ResolvedEventSource,
  client: Client,
  end: number,
  start: Tick['start'],
): Tick {
  // No filter: what it passes over is lag as well, until somebody commits behind it.
  const consumer = createPullConsumer(client, { consumerGroup: source.consumerGroup })
  return { name, source, consumer, end, errors: new Map(), start }
}

async function dispatch(tick: Tick): Promise<DispatchSummary> {
  const { source, consumer, end, errors } = tick
  const summary: DispatchSummary = { queues: 0, lag: 0, unstarted: 0, leased: 0, workers: 0 }
  try {
    const queues = await queuesOf(source, consumer, { deadlineMs: end })
    // One broker that does not answer must leave time for the others.
    const deadlineMs = (Date.now() + end) / 2
    const found = await settled(tick, queues, (queue) => readLag(consumer, queue, { deadlineMs }))
    summary.queues = found.length
    if (source.mode === 'pop') return await startPoppers(tick, summary, found)
    const work = found.filter(hasWork)
    const free = await leaveOutLeased(tick, work)
    const known = [...new Map([...found, ...free].map((each) => [queueKey(each.queue), each])).values()]
    summary.lag = sumOf(known)
    summary.unstarted = known.filter(({ committed }) => committed === undefined).length
    summary.leased = work.length - free.length
    if (summary.unstarted > 0 || summary.lag > source.activationLagThreshold)
      summary.workers = await startWorkers(tick, found, free.filter(hasWork))
  } catch (error) {
    note(tick, error)
  } finally {
    if (errors.size > 0) summary.errors = [...errors.keys()]
  }
  return summary
}

/**
 * Those who pop hold no queues and share them by themselves. One comes with every tick: what is hidden until its next
 * attempt is in no lag.
 */
async function startPoppers(
  tick: Tick,
  summary: DispatchSummary,
  found: readonly QueueLag[],
): Promise<DispatchSummary> {
  const { name, start } = tick
  summary.lag = sumOf(found)
  const payloads = Array.from({ length: workersFor(tick.source, summary.lag) }, () => ({
    version: 1 as const,
    eventSource: name,
  }))
  summary.workers = (await settled(tick, payloads, start)).length
  return summary
}

function workersFor({ lagThreshold, maximumConcurrency }: ResolvedEventSource, lag: number): number {
  return Math.min(maximumConcurrency, Math.max(1, Math.ceil(lag / lagThreshold)))
}

/** A queue without an offset always counts: else a LATEST group on an idle topic would never get its start. */
const hasWork = ({ committed, lag }: QueueLag): boolean => committed === undefined || lag !== 0

const sumOf = (lags: readonly QueueLag[]): number => lags.reduce((sum, { lag = 0 }) => sum + lag, 0)

/** Locks and at once unlocks: what is not granted is being worked at. Gives the others, with a lag that was not known before. */
async function leaveOutLeased(tick: Tick, work: readonly QueueLag[]): Promise<QueueLag[]> {
  if (work.length === 0) return []
  const { consumer, end } = tick
  const queues = work.map(({ queue }) => queue)
  try {
    const isGranted = oneOf(await consumer.lock(queues, { deadlineMs: end }))
    const free = work.filter(({ queue }) => isGranted(queue))
    return await settled(tick, free, async (each) => await withKnownLag(each, tick))
  } finally {
    // All that were asked for: an answer may have been lost.
    await consumer
      .unlock(queues, { deadlineMs: Math.max(end, Date.now() + UNLOCK_MS) })
      .catch((error: unknown) => note(tick, error))
  }
}

async function withKnownLag(each: QueueLag, { consumer, end }: Tick): Promise<QueueLag> {
  const { queue, committed, lag } = each
  if (committed === undefined || lag !== undefined) return each
  return { ...each, lag: await pullLag(consumer, queue, committed, { deadlineMs: end }) }
}

/** Resolves to how many were started. */
async function startWorkers(
  tick: Tick,
  found: readonly QueueLag[],
  free: readonly QueueLag[],
): Promise<number> {
  const { name, source, start } = tick
  const workers = workersFor(source, sumOf(free))
  const shares = shareOut(unitsOf(source.topic, found, free), workers)
  const started = await settled(tick, shares, async ({ queues }) =>
    start({ version: 1, eventSource: name, queues }),
  )
  return started.length
}

/** What has become of all of them; those that failed are noted. */
async function settled<T, R>(tick: Tick, values: readonly T[], work: (value: T) => Promise<R>): Promise<R[]> {
  const results = await Promise.allSettled(values.map(work))
  for (const each of results) if (each.status === 'rejected') note(tick, each.reason)
  return results.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
}

/** One broker that is away fails for each of its queues: the same text is kept once. */
function note({ errors }: Tick, error: unknown): void {
  errors.set(error instanceof Error ? error.message : String(error), error)
}

function failureOf(failed: readonly Tick[], result: DispatchResult): AggregateError {
  const texts = failed.map(({ name, errors }) => `${name}: ${[...errors.keys()].join('; ')}`)
  const causes = failed.flatMap(({ errors }) => [...errors.values()])
  return Object.assign(new AggregateError(causes, texts.join(' | ')), { result })
}
