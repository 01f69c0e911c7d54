/**
 * The event source: leases the queues of a topic, pulls batches, hands them to a function, settles what became of each record
 * and commits, all before the invocation ends. Nothing is remembered between invocations but what the broker holds.
 *
 * A record counts as handled only when the broker has acknowledged the commit behind it (design: at least once).
 */
import type { Client } from '../client/client.ts'
import { createPullConsumer } from '../client/puller.ts'
import type { Message } from '../client/values.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { ConfigError, DeadlineError, ResponseError } from '../errors.ts'
import { clientOf } from './client-option.ts'
import { invocationDeadline, type LambdaContext } from './context.ts'
import { createEvent, type RocketMQEvent, RocketMQRecord } from './event.ts'
import { type Leases, takeLeases } from './leases.ts'
import { oneOf, openQueues, queuesOf } from './open-queues.ts'
import {
  type EventSourceOptions,
  type ResolvedEventSource,
  readWorkerPayload,
  resolveEventSource,
} from './options.ts'
import { noCounts, type QueueCounts, type QueueProgress, type QueueSummary } from './queue-progress.ts'
import { jsonLogger, report, type Totals } from './report.ts'
import { type BatchResponse, readBatchResponse } from './response.ts'
import { Settlement, type Verdict } from './settle.ts'
import { Worker } from './worker.ts'

/** How long after the end of the work the leases may be given back, in ms: before the invocation's real end. */
const UNLOCK_MS = 450

/** What the handler is given besides the event and the context. */
export interface HandlerExtras {
  /** Aborted when the invocation is about to end. */
  signal: AbortSignal
  /** For publishing from the handler, under the same connections. */
  client: Client
}

interface RecordHandlerMethod {
  handle(
    event: RocketMQEvent,
    context: LambdaContext,
    extras: HandlerExtras,
    // biome-ignore lint/suspicious/noConfusingVoidType: what an async function without a return statement gives
  ): Promise<BatchResponse | null | undefined | void>
}

/**
 * An async function, or a middy instance. It may ask for more of the context than {@link LambdaContext} has, as middy's
 * types do: what Lambda hands over is handed on. Only of a method does the compiler allow that.
 */
export type RecordHandler = RecordHandlerMethod['handle']

/** What an invocation returns. */
export interface EventSourceResult {
  /** Records that were handled, with their offsets committed. */
  handled: number
  /** Records that failed or could not be decoded, at any attempt. */
  failed: number
  /** Messages that the filter passed over. */
  filtered: number
  /** Failed records that come again from the retry topic. */
  sentBack: number
  /** Records that became dead letters by the mapping's limits; a group's own limit is not seen here. */
  deadLettered: number
  /** Messages that had expired before the group read them. */
  skipped: number
  /** Messages behind the committed offsets, as far as the last pulls tell. */
  remainingLag: number
  /** Queues that another invocation holds, or is about to set the start of. */
  leftToOthers: number
  /** With `dryRun`: records that would have been handled. */
  wouldHandle?: number
  queues: QueueSummary[]
}

/**
 * Makes a Lambda handler that consumes a topic. Any event starts it; one that a dispatcher sent restricts the queues.
 *
 * @example
 * export const handler = eventSource({ topic: 'orders', consumerGroup: 'billing' }, async (event) => {
 *   for (const record of Object.values(event.records).flat()) await charge(record.json())
 * })
 * @throws ConfigError naming the option, when it is made
 */
export function eventSource(
  options: EventSourceOptions,
  handle: RecordHandler,
): (event: unknown, context: LambdaContext) => Promise<EventSourceResult> {
  if (typeof handle !== 'function') throw new ConfigError('handler', 'takes an async function of the event')
  const { client: clientOption, logger = jsonLogger, metrics, ...mapping } = options
  const source = resolveEventSource(mapping, 'eventSource')
  const client = clientOf(clientOption)
  const tell: Tell = (...told) =>
    report(source, logger, metrics === true ? {} : metrics || undefined, ...told)
  return async (event, context) => {
    const payload = readWorkerPayload(event)
    if (!source.enabled) return summarise(noCounts(), [], 0)
    checkWindow(source, context)
    await client.thaw()
    return await consume(source, client, payload?.queues, handle, context, tell)
  }
}

function checkWindow({ windowMs }: ResolvedEventSource, context: LambdaContext): void {
  const remaining = context.getRemainingTimeInMillis()
  if (windowMs === 0 || windowMs < remaining) return
  const seconds = Math.floor(remaining / 1_000)
  throw new ConfigError(
    'maximumBatchingWindowInSeconds',
    `must be shorter than the invocation, which ends in ${seconds} s; raise the function's timeout or lower the window`,
  )
}

type Tell = (totals: Totals, result: EventSourceResult, error: unknown) => void

/** One invocation. */
interface Invocation {
  source: ResolvedEventSource
  client: Client
  /** When the work must be over, epoch ms. */
  end: number
  /** Calls the handler. */
  call: (messages: readonly Message[]) => Promise<Verdict>
  tell: Tell
}

async function consume(
  source: ResolvedEventSource,
  client: Client,
  wanted: readonly MessageQueue[] | undefined,
  handle: RecordHandler,
  context: LambdaContext,
  tell: Tell,
): Promise<EventSourceResult> {
  const end = invocationDeadline(context)
  const stop = new AbortController()
  const timer = setTimeout(
    () => stop.abort(new DeadlineError('the invocation is ending')),
    Math.max(0, end - Date.now()),
  )
  const call: Invocation['call'] = async (messages) =>
    await runHandler(source, client, messages, handle, context, stop.signal)
  const invocation = { source, client, end, call, tell }
  try {
    return source.mode === 'pop' ? await pop(invocation) : await pull(invocation, wanted)
  } finally {
    clearTimeout(timer)
  }
}

async function pull(
  { source, client, end, call, tell }: Invocation,
  wanted: readonly MessageQueue[] | undefined,
): Promise<EventSourceResult> {
  const consumer = createPullConsumer(client, { consumerGroup: source.consumerGroup, filter: source.filter })
  const limits = { deadlineMs: end }
  let leases: Leases | undefined
  try {
    const all = await queuesOf(source, consumer, limits)
    const own = wanted ? all.filter(oneOf(wanted)) : all
    leases = source.dryRun ? undefined : await takeLeases(consumer, own, limits)
    const held = leases ? own.filter(leases.holds) : own
    const queues = await openQueues(source, consumer, all, held, limits)
    const settlement = new Settlement(consumer, leases, source, end)
    const worker = new Worker(source, queues, settlement, end)
    const wouldHandle = source.dryRun ? { wouldHandle: await worker.count() } : {}
    if (!source.dryRun) await worker.run(async ({ messages }) => await call(messages))
    const error = worker.error ?? queues.find((queue) => queue.error !== undefined)?.error
    const totals = totalsOf(queues)
    const summaries = queues.map((queue) => queue.summary())
    const result = { ...summarise(totals.counts, summaries, own.length - queues.length), ...wouldHandle }
    tell(totals, result, error)
    if (error !== undefined) throw error
    return result
  } finally {
    await leases?.release({ deadlineMs: end + UNLOCK_MS })
  }
}

/** Loaded on demand: what pulls need not have it in its bundle's entry. */
async function pop({ source, client, end, call, tell }: Invocation): Promise<EventSourceResult> {
  const { PopWorker } = await import('./pop-worker.ts')
  const worker = new PopWorker(source, client, end)
  await worker.run(call)
  const result = summarise(worker.counts, [], 0)
  tell(worker, result, worker.error)
  if (worker.error !== undefined) throw worker.error
  return result
}

/** Which messages failed. A thrown error, or a response that breaks the contract, fails all of them. */
async function runHandler(
  source: ResolvedEventSource,
  client: Client,
  messages: readonly Message[],
  handle: RecordHandler,
  context: LambdaContext,
  signal: AbortSignal,
): Promise<Verdict> {
  const records = messages.map((message) => new RocketMQRecord(message))
  const event = createEvent(records, client.nameServers.addresses.join(';'), source.consumerGroup)
  try {
    const response = await untilAborted<unknown>(handle(event, context, { signal, client }), signal)
    return { failed: readBatchResponse(response, messages) }
  } catch (error) {
    return {
      failed: new Set(messages),
      error: error ?? new TypeError('the handler threw undefined'),
      isCutOff: signal.aborted,
    }
  }
}

/** A handler that outlives its invocation is not waited for: what was settled before it stands. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // What a function with a callback returns: taken for success it would lose the batch.
  if (typeof (promise as Partial<typeof promise> | undefined | null)?.then !== 'function')
    throw new ResponseError(
      'the handler must be async, it returned no promise; the whole batch counts as failed',
    )
  return new Promise((resolve, reject) => {
    const onAbort = (): void =>
      reject(
        new DeadlineError(
          'the handler was not done when the invocation had to end; its batch is redelivered',
        ),
      )
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    Promise.resolve(promise)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function totalsOf(queues: readonly QueueProgress[]): Totals {
  const counts = noCounts()
  for (const queue of queues)
    for (const name of Object.keys(counts) as (keyof QueueCounts)[]) counts[name] += queue.counts[name]
  return { counts, oldestAgeMs: Math.max(0, ...queues.map(({ oldestAgeMs }) => oldestAgeMs)) }
}

function summarise(
  { handled, failed, filtered, sentBack, deadLettered, skipped }: QueueCounts,
  queues: QueueSummary[],
  leftToOthers: number,
): EventSourceResult {
  const remainingLag = queues.reduce((total, { lag }) => total + lag, 0)
  return { handled, failed, filtered, sentBack, deadLettered, skipped, remainingLag, leftToOthers, queues }
}
