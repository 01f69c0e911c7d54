/**
 * Which queues there are, and where the group begins in each: at its committed offset, or for the first time.
 */
import type { PullConsumer } from '../client/puller.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import type { CallOptions } from '../net/deadline.ts'
import { retryTopic } from '../wire/names.ts'
import { queueKey } from './event.ts'
import type { ResolvedEventSource } from './options.ts'
import { QueueProgress } from './queue-progress.ts'

/** The topic's queues, and those of the group's retry topic, which exists once something was sent back. */
export async function queuesOf(
  source: ResolvedEventSource,
  consumer: PullConsumer,
  limits: CallOptions,
): Promise<MessageQueue[]> {
  const topics = [source.topic, retryTopic(source.consumerGroup)]
  return (await allSettled(topics.map((topic) => consumer.queues(topic, limits)))).flat()
}

/**
 * Where the group stands in each queue that is held. A queue without an offset on a broker that the group has read before was
 * added later, so it is read from its beginning; those of a broker seen for the first time begin where the mapping says.
 * The offset of queue 0 tells the two apart: whoever holds that queue sets the start of all of them, its own last, so
 * that a first run that fails on the way is one again. Others leave such queues alone until then.
 */
export async function openQueues(
  source: ResolvedEventSource,
  consumer: PullConsumer,
  all: readonly MessageQueue[],
  held: readonly MessageQueue[],
  limits: CallOptions,
): Promise<QueueProgress[]> {
  const isHeld = oneOf(held)
  const offsets = new Map<string, bigint | undefined>()
  const ask = async (queues: readonly MessageQueue[]): Promise<void> => {
    const missing = queues.filter((queue) => !offsets.has(queueKey(queue)))
    const found = await allSettled(missing.map((queue) => consumer.committedOffset(queue, limits)))
    for (const [index, queue] of missing.entries()) offsets.set(queueKey(queue), found[index])
  }
  const isNew = (queue: MessageQueue): boolean => offsets.get(queueKey(queue)) === undefined
  const open = async (queues: readonly MessageQueue[], start = source): Promise<QueueProgress[]> =>
    await allSettled(
      queues.map((queue) => openQueue(consumer, queue, start, offsets.get(queueKey(queue)), limits)),
    )

  await ask(held)
  const isSettled = (queue: MessageQueue): boolean => queue.topic !== source.topic || !isNew(queue)
  const opened = open(held.filter(isSettled))
  const byBroker = Map.groupBy(
    held.filter((queue) => !isSettled(queue)),
    ({ brokerName }) => brokerName,
  )
  const begun = [...byBroker].map(async ([name, fresh]) => {
    const queues = all.filter(({ topic, brokerName }) => topic === source.topic && brokerName === name)
    const first = queues.find(({ queueId }) => queueId === 0)
    if (first) await ask([first])
    if (first && !isNew(first)) {
      // Whoever has queue 0 may have set the start of all of them since these were asked for.
      for (const queue of fresh) offsets.delete(queueKey(queue))
      await ask(fresh)
      return await open(fresh, { ...source, startingPosition: 'TRIM_HORIZON' })
    }
    if (first && !isHeld(first)) return []
    await ask(queues)
    const others = await open(queues.filter((queue) => queue !== first && isNew(queue)))
    const last = first ? await open([first]) : []
    return [...last, ...others.filter(({ queue }) => isHeld(queue))]
  })
  return (await allSettled([opened, ...begun])).flat()
}

/**
 * Opens a queue where the group stands. Without a committed offset the start position is committed at once, also for an
 * empty queue: else what arrives before the next invocation would be before `LATEST`.
 */
async function openQueue(
  consumer: PullConsumer,
  queue: MessageQueue,
  source: ResolvedEventSource,
  committed: bigint | undefined,
  limits: CallOptions,
): Promise<QueueProgress> {
  if (committed !== undefined) return new QueueProgress(consumer, queue, source, committed, committed)
  const { startingPosition, startingPositionTimestamp } = source
  const start = await consumer.startOffset(queue, startingPosition, startingPositionTimestamp, limits)
  // A pull makes the group known to the broker: a commit alone does not, and is refused (protocol.md 9.1).
  await consumer.pull(queue, start, { ...limits, maxMessages: 1 })
  const progress = new QueueProgress(consumer, queue, source, undefined, start)
  if (!source.dryRun) await progress.begin(start, limits)
  return progress
}

/** Tells whether a queue is among these. */
export const oneOf = (queues: readonly MessageQueue[]): ((queue: MessageQueue) => boolean) => {
  const keys = new Set(queues.map(queueKey))
  return (queue) => keys.has(queueKey(queue))
}

/** Waits for all of them, so that nothing is left running behind the first failure, which is then thrown. */
async function allSettled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises)
  return await Promise.all(promises)
}
