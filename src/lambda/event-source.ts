/**
 * The event source: pulls batches of a topic, hands them to a function, and commits what it handled, all before the
 * invocation ends. Nothing is remembered between invocations but what the broker holds.
 *
 * Within a queue order is kept: when a record fails, the offset stops before it and the queue is left for the next
 * invocation. A record counts as handled only when the broker has acknowledged the commit behind it.
 */
import type { Client } from '../client/client.ts'
import { createPullConsumer, type PullConsumer } from '../client/puller.ts'
import type { Message } from '../client/values.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { ConfigError, DeadlineError, ResponseError } from '../errors.ts'
import { retryTopic } from '../wire/names.ts'
import { clientOf } from './client-option.ts'
import { invocationDeadline, type LambdaContext } from './context.ts'
import { createEvent, queueKey, type RocketMQEvent, RocketMQRecord } from './event.ts'
import {
  type EventSourceOptions,
  type ResolvedEventSource,
  readWorkerPayload,
  resolveEventSource,
} from './options.ts'
import { openQueue, type QueueProgress, type QueueSummary } from './queue-progress.ts'
import { type BatchResponse, readBatchResponse } from './response.ts'

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
  /** Records that failed or could not be decoded; their queues stand before the first of them. */
  failed: number
  /** Messages that the filter passed over. */
  filtered: number
  /** Messages behind the committed offsets, as far as the last pulls tell. */
  remainingLag: number
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
  const { client: clientOption, ...mapping } = options
  const source = resolveEventSource(mapping, 'eventSource')
  const client = clientOf(clientOption)
  return async (event, context) => {
    const payload = readWorkerPayload(event)
    if (!source.enabled) return summarise([], 0)
    await client.thaw()
    return await consume(source, client, payload?.queues, handle, context)
  }
}

async function consume(
  source: ResolvedEventSource,
  client: Client,
  only: readonly MessageQueue[] | undefined,
  handle: RecordHandler,
  context: LambdaContext,
): Promise<EventSourceResult> {
  const end = invocationDeadline(context)
  const stop = new AbortController()
  const timer = setTimeout(
    () => stop.abort(new DeadlineError('the invocation is ending')),
    Math.max(0, end - Date.now()),
  )
  const consumer = createPullConsumer(client, { consumerGroup: source.consumerGroup, filter: source.filter })
  try {
    const progress = await openQueues(source, consumer, only, end)
    let handled = 0
    let longestMs = 0
    let turn = Math.floor(Math.random() * progress.length)
    while (!progress.every((each) => each.done)) {
      await fill(progress, end)
      // A batch that would probably be cut off is better left where it is.
      if (Date.now() + longestMs >= end) break
      const batch = takeBatch(progress, source.batchSize, turn++ % progress.length)
      if (batch.length === 0) continue
      const began = Date.now()
      const { failed, error } = await runHandler(source, client, batch, handle, context, stop.signal)
      longestMs = Math.max(longestMs, Date.now() - began)
      const settled = await allSettled(progress.map((each) => each.settle(failed, end)))
      handled += settled.reduce((sum, count) => sum + count, 0)
      if (error !== undefined) throw error
    }
    await allSettled(progress.map((each) => each.settle(new Set(), end)))
    return summarise(progress, handled)
  } finally {
    clearTimeout(timer)
  }
}

/** Pulls. What the end of the invocation cuts off is no failure: nothing of it was handed out. */
async function fill(progress: readonly QueueProgress[], end: number): Promise<void> {
  const cutOff = (error: unknown): void => {
    if (!(error instanceof DeadlineError)) throw error
  }
  await allSettled(progress.map((each) => each.fill(end).catch(cutOff)))
}

/**
 * Where the group stands in each queue. A queue without an offset on a broker that the group has read before was added
 * later, so it is read from its beginning; those of a broker seen for the first time begin where the mapping says.
 * The offset of queue 0 tells the two apart. So it is committed last: a first run that fails on the way is one again.
 */
async function openQueues(
  source: ResolvedEventSource,
  consumer: PullConsumer,
  only: readonly MessageQueue[] | undefined,
  deadlineMs: number,
): Promise<QueueProgress[]> {
  const all = await queuesOf(source, consumer, deadlineMs)
  const offsets = await allSettled(all.map((queue) => consumer.committedOffset(queue, { deadlineMs })))
  const known = new Set<string>()
  for (const [index, { topic, brokerName, queueId }] of all.entries()) {
    if (topic === source.topic && queueId === 0 && offsets[index] !== undefined) known.add(brokerName)
  }
  const wanted = only && new Set(only.map(queueKey))
  const open = async (isDue: (queue: MessageQueue) => boolean): Promise<QueueProgress[]> => {
    const opening: Promise<QueueProgress>[] = []
    for (const [index, queue] of all.entries()) {
      if ((wanted && !wanted.has(queueKey(queue))) || !isDue(queue)) continue
      const start = known.has(queue.brokerName)
        ? ({ ...source, startingPosition: 'TRIM_HORIZON' } as const)
        : source
      opening.push(openQueue(consumer, queue, offsets[index], start, deadlineMs))
    }
    return await allSettled(opening)
  }
  const others = await open(({ queueId }) => queueId !== 0)
  return [...(await open(({ queueId }) => queueId === 0)), ...others]
}

/** Waits for all of them, so that nothing is left running behind the first failure, which is then thrown. */
async function allSettled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises)
  return await Promise.all(promises)
}

/** The topic's queues, and those of the group's retry topic, which exists once something was sent back. */
async function queuesOf(
  source: ResolvedEventSource,
  consumer: PullConsumer,
  end: number,
): Promise<MessageQueue[]> {
  const topics = [source.topic, retryTopic(source.consumerGroup)]
  return (await Promise.all(topics.map((topic) => consumer.queues(topic, { deadlineMs: end })))).flat()
}

/** Up to `batchSize` messages, shared fairly: one of each queue in turn, from the queue at `first` on. */
function takeBatch(progress: readonly QueueProgress[], batchSize: number, first: number): Message[] {
  const inTurn = [...progress.slice(first), ...progress.slice(0, first)]
  const shares = inTurn.map((each) => ({ each, count: 0 }))
  let room = batchSize
  for (let took = true; took && room > 0; ) {
    took = false
    for (const share of shares) {
      if (room === 0 || share.count >= share.each.waiting) continue
      share.count += 1
      room -= 1
      took = true
    }
  }
  return shares.flatMap(({ each, count }) => each.take(count))
}

/** Which messages failed. A thrown error, or a response that breaks the contract, fails all of them. */
async function runHandler(
  source: ResolvedEventSource,
  client: Client,
  batch: readonly Message[],
  handle: RecordHandler,
  context: LambdaContext,
  signal: AbortSignal,
): Promise<{ failed: ReadonlySet<Message>; error: unknown }> {
  const records = batch.map((message) => new RocketMQRecord(message))
  const event = createEvent(records, client.nameServers.addresses.join(';'), source.consumerGroup)
  try {
    const response = await untilAborted<unknown>(handle(event, context, { signal, client }), signal)
    return { failed: readBatchResponse(response, batch), error: undefined }
  } catch (error) {
    return { failed: new Set(batch), error: error ?? new TypeError('the handler threw undefined') }
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

function summarise(progress: readonly QueueProgress[], handled: number): EventSourceResult {
  const queues = progress.map((each) => each.summary())
  const sum = (pick: (each: QueueProgress) => number): number =>
    progress.reduce((total, each) => total + pick(each), 0)
  return {
    handled,
    failed: sum((each) => each.failed),
    filtered: sum((each) => each.filtered),
    remainingLag: queues.reduce((total, each) => total + each.lag, 0),
    queues,
  }
}
