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
import { ConfigError, DeadlineError, ResponseError, RocketMQError, RouteError } from '../errors.ts'
import { checkObject, checkText } from '../wire/checks.ts'
import { clientOf } from './client-option.ts'
import { invocationDeadline, type LambdaContext } from './context.ts'
import { recordIdOf } from './event.ts'
import { type EventFormatName, type Events, loadFormat } from './format.ts'
import { checkLambda, createInvoker, type Invoker } from './lambda-invoke.ts'
import { type Leases, takeLeases } from './leases.ts'
import { oneOf, openQueues, queuesOf } from './open-queues.ts'
import {
  CODE_OPTIONS,
  type EventSourceOptions,
  MOST_CONTINUATIONS,
  type ResolvedEventSource,
  readWorkerPayload,
  resolveEventSource,
  unknownMapping,
  type WorkerPayload,
} from './options.ts'
import { noCounts, type QueueCounts, type QueueProgress, type QueueSummary } from './queue-progress.ts'
import { checkReports, jsonLogger, loggerOf, report, type Totals } from './report.ts'
import { type BatchResponse, readBatchResponse } from './response.ts'
import { checkSchema, createScreen } from './screen.ts'
import { Settlement, type Verdict } from './settle.ts'
import type { StandardSchema } from './standard-schema.ts'
import { targetHandler, targetVerdict } from './target.ts'
import { type Handling, Worker } from './worker.ts'

/** How long after the end of the work the leases may be given back, in ms. */
const UNLOCK_MS = 350
/** How long before it is given up a handler is warned by its signal, in ms, or a tenth of the time: to say what it has done. */
const WARNING_MS = 1_000
/** What `continuation` keeps back besides, in ms: AWS's client has to be loaded and connected by then. */
const HAND_OVER_MS = 1_500
/** Never most of a short invocation. */
const handOverMs = (context: LambdaContext): number =>
  Math.min(HAND_OVER_MS, context.getRemainingTimeInMillis() / 3)

/** What the handler is given besides the event and the context. */
export interface HandlerExtras {
  /** Aborted a second, at most a tenth of the time, before the batch is given up: what is returned by then counts. */
  signal: AbortSignal
  /** For publishing from the handler, under the same connections. */
  client: Client
}

// biome-ignore lint/suspicious/noConfusingVoidType: what an async function without a return statement gives
type Answer = BatchResponse | null | undefined | void

interface RecordHandlerMethod<Event> {
  handle(event: Event, context: LambdaContext, extras: HandlerExtras): Promise<Answer>
}

/**
 * An async function, or a middy instance. It may ask for more of the context than {@link LambdaContext} has, as middy's
 * types do: what Lambda hands over is handed on. Only of a method does the compiler allow that.
 */
export type RecordHandler<Format extends EventFormatName = 'rocketmq'> = RecordHandlerMethod<
  Events[Format]
>['handle']

interface LambdaHandlerMethod<Event> {
  handle(
    event: Event,
    context: LambdaContext,
    callback: (error?: Error | string | null, result?: unknown) => void,
    // biome-ignore lint/suspicious/noConfusingVoidType: as @types/aws-lambda has it
  ): Promise<Answer> | void
}

/**
 * A handler with the type that @types/aws-lambda has for functions of SQS or Kafka. That type lets it return no promise, and
 * take a callback; here it must be async all the same.
 */
export type LambdaHandler<Format extends 'kafka' | 'sqs'> = LambdaHandlerMethod<Events[Format]>['handle']

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
  /** The time was over, and an invocation that goes on has been asked for (option `continuation`). */
  continued?: true
  /** With `pop`: why the first record failed of those that no function was given. Of a pull the queues say so. */
  failure?: string
  queues: QueueSummary[]
}

/**
 * Makes a Lambda handler that consumes a topic. Any event starts it; one that a dispatcher sent restricts the queues,
 * and is refused when it names another mapping.
 *
 * @example
 * export const handler = eventSource({ topic: 'orders', consumerGroup: 'billing' }, async (event) => {
 *   for (const record of Object.values(event.records).flat()) await charge(record.json())
 * })
 * @param handle left out when the mapping has a `target`
 * @throws ConfigError naming the option, when it is made
 */
export function eventSource<Format extends EventFormatName = 'rocketmq'>(
  options: EventSourceOptions<Format>,
  handle?: RecordHandler<Format>,
): (event: unknown, context: LambdaContext) => Promise<EventSourceResult>
export function eventSource<Format extends 'kafka' | 'sqs'>(
  options: EventSourceOptions<Format>,
  handle: LambdaHandler<Format>,
): (event: unknown, context: LambdaContext) => Promise<EventSourceResult>
export function eventSource<Format extends EventFormatName>(
  options: EventSourceOptions<Format>,
  handle?: AnyHandler,
): (event: unknown, context: LambdaContext) => Promise<EventSourceResult> {
  const {
    client: clientOption,
    schema: schemaOption,
    lambda,
    name = options.topic,
    logger: given = jsonLogger,
    metrics,
    ...mapping
  } = checkObject('eventSource', options)
  const schema = checkSchema(schemaOption)
  checkReports(given, metrics)
  const logger = loggerOf(given)
  checkLambda(lambda)
  const source = resolveEventSource(mapping, 'eventSource', CODE_OPTIONS)
  checkText('name', name)
  checkHandler(source, handle)
  const client = clientOf(clientOption)
  const tell: Tell = (...told) =>
    report(source, logger, metrics === true ? {} : metrics || undefined, ...told)
  return async (event, context) => {
    const payload = readWorkerPayload(event) ?? { version: 1, eventSource: name }
    // Its queues, and what it wants done with them, are another mapping's.
    if (payload.eventSource !== name) throw unknownMapping(payload.eventSource, [name])
    if (!source.enabled) return summarise(noCounts(), [], 0)
    checkWindow(source, context)
    await client.thaw()
    const invoker = createInvoker(lambda)
    try {
      const handler = handle ?? targetHandler(source, invoker)
      const { isOutOfTime, ...result } = await consume(
        { ...source, schema },
        client,
        payload,
        handler,
        context,
        tell,
      )
      const { continuation = 0 } = payload
      if (!source.continuation || !isOutOfTime || continuation >= MOST_CONTINUATIONS) return result
      await handOver(invoker, { ...payload, continuation: continuation + 1 }, context)
      return { ...result, continued: true }
    } finally {
      invoker.close()
    }
  }
}

type Source = ResolvedEventSource & { schema: StandardSchema | undefined }

/** Which event it takes, its format says. */
type AnyHandler = (event: never, context: LambdaContext, extras: never) => unknown

function checkHandler({ target }: ResolvedEventSource, handle: AnyHandler | undefined): void {
  if (target === undefined && typeof handle !== 'function')
    throw new ConfigError('handler', 'takes an async function of the event; or give the mapping a target')
  if (target !== undefined && handle !== undefined)
    throw new ConfigError('target', 'takes the place of the handler: give one of them')
}

/** Invokes this function again, for the same queues. All is committed and given back by then. */
async function handOver(invoker: Invoker, payload: WorkerPayload, context: LambdaContext): Promise<void> {
  const { invokedFunctionArn: functionName } = context
  if (functionName === undefined)
    throw new ConfigError('continuation', 'needs Lambda’s context: it has no invokedFunctionArn')
  await invoker.start(
    { functionName },
    payload,
    AbortSignal.timeout(Math.max(1, context.getRemainingTimeInMillis())),
  )
}

function checkWindow({ windowMs }: ResolvedEventSource, context: LambdaContext): void {
  const remaining = context.getRemainingTimeInMillis()
  if (windowMs === 0 || windowMs < remaining) return
  const seconds = Math.floor(remaining / 1_000)
  throw new ConfigError(
    'maximumBatchingWindowInSeconds',
    `must be shorter than the invocation, which ends in ${seconds} s, got ${windowMs / 1_000}; raise the function's timeout or lower the window`,
  )
}

type Tell = (totals: Totals, result: EventSourceResult, error: unknown) => void

/** A result, and whether more could have been done with more time. */
type Ended = EventSourceResult & { isOutOfTime: boolean }

/** One invocation. */
interface Invocation {
  source: ResolvedEventSource
  client: Client
  /** When the work must be over, epoch ms. */
  end: number
  handling: Handling
  tell: Tell
}

async function consume(
  source: Source,
  client: Client,
  payload: WorkerPayload,
  handle: AnyHandler,
  context: LambdaContext,
  tell: Tell,
): Promise<Ended> {
  const end = invocationDeadline(context, UNLOCK_MS) - (source.continuation ? handOverMs(context) : 0)
  const remaining = end - Date.now()
  const warning = abortAfter(remaining - Math.min(WARNING_MS, remaining / 10))
  const stop = abortAfter(remaining)
  try {
    const handling = await handlingOf(source, client, handle, context, stop.signal, warning.signal)
    const invocation = { source, client, end, handling, tell }
    return source.mode === 'pop' ? await pop(invocation) : await pull(invocation, payload)
  } finally {
    stop.clear()
    warning.clear()
  }
}

function abortAfter(ms: number): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  const timer = setTimeout(
    () => controller.abort(new DeadlineError('the invocation is ending')),
    Math.max(0, ms),
  )
  return { signal: controller.signal, clear: () => clearTimeout(timer) }
}

async function pull(
  { source, client, end, handling, tell }: Invocation,
  { queues: wanted }: WorkerPayload,
): Promise<Ended> {
  const consumer = createPullConsumer(client, { consumerGroup: source.consumerGroup, filter: source.filter })
  const limits = { deadlineMs: end }
  let leases: Leases | undefined
  try {
    const all = await queuesOf(source, consumer, limits)
    const own = wanted ? all.filter(oneOf(wanted)) : all
    leases = source.dryRun ? undefined : await takeLeases(consumer, own, limits)
    const held = leases ? own.filter((queue) => leases?.holds(queue)) : own
    if (leases?.error !== undefined && held.length === 0) throw leases.error
    // By broker: one whose offsets cannot be read is left, the others are worked to their end.
    const brokers = [...Map.groupBy(held, ({ brokerName }) => brokerName).values()]
    const opened = await Promise.allSettled(
      brokers.map((some) => openQueues(source, consumer, all, some, limits)),
    )
    const queues = opened.flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
    const unread = opened.find((each) => each.status === 'rejected')?.reason
    if (unread !== undefined && queues.length === 0) throw unread
    const settlement = new Settlement(consumer, leases, source, end)
    const worker = new Worker(source, queues, settlement, handling, end)
    const wouldHandle = source.dryRun ? { wouldHandle: await worker.count() } : {}
    if (!source.dryRun) await worker.run()
    const failed = queues.find((queue) => queue.error !== undefined)
    const error = worker.error ?? failed?.error ?? leases?.error ?? unread ?? noneRead(source, all, queues)
    const totals = totalsOf(queues)
    const summaries = queues.map((queue) => queue.summary())
    const result = { ...summarise(totals.counts, summaries, own.length - queues.length), ...wouldHandle }
    tell(totals, result, error)
    if (error !== undefined) throw error
    const isLeft = summaries.some(({ lag = 0, stopped }) => lag > 0 && stopped === undefined)
    return { ...result, isOutOfTime: worker.isOutOfTime && isLeft && !source.dryRun }
  } finally {
    await leases?.release({ deadlineMs: end + UNLOCK_MS })
  }
}

/** An invocation that could read none of its queues has not done its work: a schedule's alarm must see it. */
function noneRead(
  { topic }: ResolvedEventSource,
  all: readonly MessageQueue[],
  queues: readonly QueueProgress[],
): RocketMQError | undefined {
  if (all.every((queue) => queue.topic !== topic))
    return new RouteError(`topic ${topic} has no readable queue`, { topic })
  if (queues.length === 0 || queues.some(({ isRead }) => isRead)) return undefined
  return new DeadlineError(
    `no queue of ${topic} was read before the invocation ended; see whether its brokers answer, or give the function more time`,
    { topic, cause: queues.find(({ cutOff }) => cutOff !== undefined)?.cutOff },
  )
}

/** Loaded on demand: what pulls need not have it in its bundle's entry. */
async function pop({ source, client, end, handling, tell }: Invocation): Promise<Ended> {
  const { PopWorker } = await import('./pop-worker.ts')
  const worker = new PopWorker(source, client, handling, end)
  await worker.run()
  const { failure } = worker
  const result = { ...summarise(worker.counts, [], 0), ...(failure === undefined ? {} : { failure }) }
  tell(worker, result, worker.error)
  if (worker.error !== undefined) throw worker.error
  return { ...result, isOutOfTime: worker.isOutOfTime }
}

/** What is done with each batch of the invocation. */
async function handlingOf(
  { eventFormat, schema, consumerGroup, target }: Source,
  client: Client,
  handle: AnyHandler,
  context: LambdaContext,
  stop: AbortSignal,
  signal: AbortSignal,
): Promise<Handling> {
  const parsed = new WeakMap<Message, { value: unknown }>()
  const format = await loadFormat(eventFormat)
  const screen = await createScreen(format, schema, parsed)
  const origin = {
    recordIdOf,
    bootstrapServers: client.nameServers.addresses,
    consumerGroup,
    context,
    parsed,
  }
  // A target cannot be warned, only given up.
  const extras = { signal: target ? stop : signal, client }
  return {
    signal: extras.signal,
    groupOf: format.groupOf,
    screen: (messages) => orFailed(messages, signal, () => untilAborted(screen(messages), stop)),
    call: (messages) => {
      const work = async (): Promise<Verdict> => {
        const event = format.createEvent(messages, origin)
        const answer = handle(event as never, context, extras as never) as Promise<unknown>
        const response = await untilAborted(answer, stop)
        return { failed: readBatchResponse(response, messages, format.identifiers) }
      }
      return orFailed(messages, signal, work, target && targetVerdict)
    },
  }
}

/** A thrown error, such as that for a response that breaks the contract, fails all messages. */
async function orFailed<T>(
  messages: readonly Message[],
  signal: AbortSignal,
  work: () => Promise<T>,
  meaningOf: (error: unknown) => Partial<Verdict> = () => ({}),
): Promise<T | Verdict> {
  try {
    return await work()
  } catch (error) {
    return {
      failed: new Set(messages),
      error: signal.aborted ? cutOff(error) : (error ?? new TypeError('the handler threw undefined')),
      isCutOff: signal.aborted,
      ...meaningOf(error),
    }
  }
}

/** Also for what a handler throws because its signal says so. */
function cutOff(cause?: unknown): RocketMQError {
  if (RocketMQError.is(cause)) return cause
  return new DeadlineError(
    'the handler was not done when the invocation had to end; its batch is redelivered',
    { cause },
  )
}

/** A handler that outlives its invocation is not waited for: what was settled before it stands. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // What a function with a callback returns: taken for success it would lose the batch.
  if (typeof (promise as Partial<typeof promise> | undefined | null)?.then !== 'function')
    throw new ResponseError(
      'the handler must be async, it returned no promise; the whole batch counts as failed',
    )
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(cutOff())
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
  const remainingLag = queues.reduce((total, { lag = 0 }) => total + lag, 0)
  return { handled, failed, filtered, sentBack, deadLettered, skipped, remainingLag, leftToOthers, queues }
}
