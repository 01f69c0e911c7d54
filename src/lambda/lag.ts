/**
 * How far a group is behind in each queue, with every question asked at once: the committed offset, and where the queue
 * ends. Where access control forbids the second (30 needs Get on the topic, protocol.md 18), a pull of one message tells
 * it: it is allowed to whoever may consume.
 */
import type { PullConsumer } from '../client/puller.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { AuthError } from '../errors.ts'
import type { CallOptions } from '../net/deadline.ts'

/** What is known of one queue. */
export interface QueueLag {
  queue: MessageQueue
  /** Undefined: the group has no offset here yet. */
  committed: bigint | undefined
  /** Messages behind it; undefined: it may not be asked for. 0 without an offset. */
  lag: number | undefined
}

/** Asks for one queue. Two requests, which leave together. */
export async function readLag(
  consumer: PullConsumer,
  queue: MessageQueue,
  limits: CallOptions,
): Promise<QueueLag> {
  const end = consumer.maxOffset(queue, limits).catch((error: unknown) => {
    if (error instanceof AuthError) return undefined
    throw error
  })
  const [committed, max] = await Promise.all([consumer.committedOffset(queue, limits), end])
  if (committed === undefined) return { queue, committed, lag: 0 }
  return { queue, committed, lag: max === undefined ? undefined : behind(committed, max) }
}

/**
 * The lag where only a pull tells it. The caller holds the lease of the queue: the pull takes note of an administrator's
 * reset in the worker's place, so that what it says is committed.
 */
export async function pullLag(
  consumer: PullConsumer,
  queue: MessageQueue,
  committed: bigint,
  limits: CallOptions,
): Promise<number> {
  const { status, nextBeginOffset, minOffset, maxOffset } = await consumer.pull(queue, committed, {
    ...limits,
    maxMessages: 1,
  })
  const isReset = status === 'OFFSET_MOVED' && committed >= minOffset && committed <= maxOffset
  if (!isReset) return behind(committed, maxOffset)
  await consumer.commitOffset(queue, nextBeginOffset, limits)
  return behind(nextBeginOffset, maxOffset)
}

/** A group that stands behind the end (the topic was made anew) has not read any of what is there. */
const behind = (committed: bigint, max: bigint): number => Number(committed > max ? max : max - committed)
