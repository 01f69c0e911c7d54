/**
 * How far one queue has come in this invocation: where the group stands, what has been pulled and not yet handled, and
 * up to where it may be committed. Offsets only move here, and only over what was handled or filtered out.
 */
import type { PullConsumer } from '../client/puller.ts'
import type { Message, PullResult } from '../client/values.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { OffsetResetError } from '../errors.ts'
import { recordIdOf } from './event.ts'
import type { ResolvedEventSource } from './options.ts'

/** The last commits may use most of what is kept back before the invocation's real end. */
const COMMIT_RESERVE_MS = 400

/** One queue in the result of an invocation. */
export interface QueueSummary extends MessageQueue {
  /** Decimal: the next offset to read. */
  committedOffset: string
  /** Messages behind it, as far as the last pull tells. */
  lag: number
  /** Why the queue was left before its end. */
  stopped?: string
}

/** A queue whose offset the broker moved (it was outside of the queue, or was reset) goes on from there. */
export class QueueProgress {
  readonly queue: MessageQueue
  failed = 0
  filtered = 0
  readonly #consumer: PullConsumer
  /** Pulled and not yet handed out, in order. */
  #waiting: Message[] = []
  /** Handed out and not yet settled. */
  #taken: Message[] = []
  /** Where to pull next. */
  #next: bigint
  #committed: bigint | undefined
  #max: bigint
  #drained = false
  #stopped: string | undefined

  constructor(consumer: PullConsumer, queue: MessageQueue, committed: bigint | undefined, start: bigint) {
    this.#consumer = consumer
    this.queue = queue
    this.#committed = committed
    this.#next = start
    this.#max = start
  }

  /** Nothing more will come from it in this invocation. */
  get done(): boolean {
    return this.#waiting.length === 0 && (this.#drained || this.#stopped !== undefined)
  }

  /** How many messages may be taken. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Pulls when nothing is waiting. */
  async fill(deadlineMs: number): Promise<void> {
    if (this.#waiting.length > 0 || this.#drained || this.#stopped !== undefined || Date.now() >= deadlineMs)
      return
    const from = this.#next
    const result = await this.#consumer.pull(this.queue, from, { deadlineMs })
    this.#max = result.maxOffset
    // An answer that does not move on, whatever its reason, must not keep the loop going.
    this.#drained = result.nextBeginOffset >= result.maxOffset || result.nextBeginOffset === from
    if (result.status === 'OFFSET_MOVED') {
      this.#next = result.nextBeginOffset
      return
    }
    const { messages, limit } = soundPart(result, from)
    this.#waiting = messages
    this.#next = limit
    if (limit < result.nextBeginOffset || result.undecodable.length > 0) {
      const reason = result.undecodable[0]?.reason.message ?? 'the answer is not in the order of the queue'
      this.failed += 1
      this.#stopped = `offset ${limit} cannot be decoded: ${reason}`
    }
    this.filtered += Number(limit - from) - messages.length
  }

  take(count: number): Message[] {
    const taken = this.#waiting.splice(0, count)
    this.#taken.push(...taken)
    return taken
  }

  /**
   * Commits up to the first record that failed, or up to all that was taken and filtered. Resolves to the number of
   * records whose handling is now on record.
   */
  async settle(failed: ReadonlySet<Message>, deadlineMs: number): Promise<number> {
    const stop = this.#taken.findIndex((message) => failed.has(message))
    const handled = stop === -1 ? this.#taken.length : stop
    const failedHere = this.#taken[stop]
    if (failedHere) {
      this.failed += this.#taken.filter((message) => failed.has(message)).length
      this.#stopped = `record ${recordIdOf(failedHere)} failed`
      this.#waiting = []
      this.#next = failedHere.queueOffset // or a later settle would pass over it
    }
    this.#taken = []
    const offset = this.#waiting[0]?.queueOffset ?? this.#next
    return (await this.#commit(offset, deadlineMs)) ? handled : 0
  }

  /** For a group that had no offset: makes where it begins the committed one. */
  async begin(start: bigint, deadlineMs: number): Promise<void> {
    await this.#commit(start, deadlineMs)
  }

  summary(): QueueSummary {
    const committed = this.#committed ?? this.#next
    return {
      ...this.queue,
      committedOffset: committed.toString(),
      lag: Math.max(0, Number(this.#max - committed)),
      ...(this.#stopped === undefined ? {} : { stopped: this.#stopped }),
    }
  }

  async #commit(offset: bigint, deadlineMs: number): Promise<boolean> {
    if (offset === this.#committed) return true
    const options = { deadlineMs: Math.max(deadlineMs, Date.now() + COMMIT_RESERVE_MS) }
    try {
      await this.#consumer.commitOffset(this.queue, offset, options)
      this.#committed = offset
      return true
    } catch (error) {
      if (!(error instanceof OffsetResetError)) throw error
      // An administrator's word counts more than ours; the next invocation goes on from there.
      this.#committed = await this.#consumer.committedOffset(this.queue, options)
      this.#next = this.#committed ?? offset
      this.#stopped = 'an administrator reset its offset'
      this.#waiting = []
      return false
    }
  }
}

/**
 * What may be handed out of a pull, and up to where the offset may go: never over a message that cannot be decoded, nor
 * to an offset that a message out of order claims for itself. A pull stops itself before what has no known offset.
 */
function soundPart(
  { messages, undecodable, nextBeginOffset }: PullResult,
  from: bigint,
): { messages: Message[]; limit: bigint } {
  let limit = nextBeginOffset > from ? nextBeginOffset : from
  let next = from
  let count = 0
  for (const { queueOffset } of messages) {
    if (queueOffset < next || queueOffset >= nextBeginOffset) {
      limit = next
      break
    }
    next = queueOffset + 1n
    count += 1
  }
  for (const { queueOffset = -1n } of undecodable) {
    if (queueOffset >= from && queueOffset < limit) limit = queueOffset
  }
  return { messages: messages.slice(0, count).filter(({ queueOffset }) => queueOffset < limit), limit }
}

/**
 * Where the group stands in a queue. Without a committed offset the start position is committed at once, also for an
 * empty queue: else what arrives before the next invocation would be before `LATEST`.
 */
export async function openQueue(
  consumer: PullConsumer,
  queue: MessageQueue,
  committed: bigint | undefined,
  source: ResolvedEventSource,
  deadlineMs: number,
): Promise<QueueProgress> {
  if (committed !== undefined) return new QueueProgress(consumer, queue, committed, committed)
  const { startingPosition, startingPositionTimestamp } = source
  const start = await consumer.startOffset(queue, startingPosition, startingPositionTimestamp, { deadlineMs })
  const progress = new QueueProgress(consumer, queue, undefined, start)
  // The pull makes the group known to the broker: a commit alone does not, and is refused (protocol.md 9.1).
  await progress.fill(deadlineMs)
  await progress.begin(start, deadlineMs)
  return progress
}
