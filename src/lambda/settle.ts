/**
 * What becomes of each record of a batch, and the commit behind it. A record is done with when it was handled, or when a
 * broker has acknowledged that it comes again or is a dead letter; only then may the offset pass it.
 *
 * Records are sent back by request 36 alone: a message that is *sent* to the retry topic while queues are leased would go
 * straight to the dead-letter topic (protocol.md 10.2).
 */
import type { PullConsumer } from '../client/puller.ts'
import type { Message } from '../client/values.ts'
import type { CallOptions } from '../net/deadline.ts'
import { recordIdOf } from './event.ts'
import { type Batch, laneOf } from './intake.ts'
import type { Leases } from './leases.ts'
import type { ResolvedEventSource } from './options.ts'
import type { PlacedUndecodable, QueueProgress } from './queue-progress.ts'

/** What the last requests may use of what is kept back behind the end of the work, in ms; the leases have the rest. */
export const RESERVE_MS = 250
/** Send-backs on their way at once. */
const AT_ONCE = 64
/** To the dead-letter topic, at once. */
export const DEAD_LETTER = -1
/** The retryMaxTimes of a group, unless it was set otherwise. */
export const RETRY_MAX_TIMES = 16

const LOST = 'its lease was lost'

/** How a batch ended. */
export interface Verdict {
  failed: ReadonlySet<Message>
  /** The handler threw, or broke its contract: nothing is known of single records. */
  error?: unknown
  /** The handler was not done when the invocation had to end, or a target was not invoked: the records stay where they are. */
  isCutOff?: boolean
  /** The event was larger than what the function can be given. */
  isTooLarge?: boolean
  /** Where no function has said it: why they failed. */
  reason?: string
}

export class Settlement {
  readonly #consumer: PullConsumer
  readonly #leases: Leases | undefined
  readonly #source: ResolvedEventSource
  readonly #end: number
  /** One commit at a time, by the names of their brokers: they must not overtake each other. */
  readonly #committing = new Map<string, Promise<void>>()

  constructor(consumer: PullConsumer, leases: Leases | undefined, source: ResolvedEventSource, end: number) {
    this.#consumer = consumer
    this.#leases = leases
    this.#source = source
    this.#end = end
  }

  /** For requests that must still be made when the time of the handler is over. */
  get limits(): CallOptions {
    return { deadlineMs: this.#end + RESERVE_MS }
  }

  /**
   * Closes the books on a batch.
   * @param attempts how often each record has been tried, which is counted here
   * @returns with `block`, the records to be tried again in this invocation
   */
  async settle(
    { parts }: Batch,
    verdict: Verdict,
    attempts: Map<Message, number> = new Map(),
  ): Promise<readonly Message[]> {
    const again: Message[] = []
    const backs: (() => Promise<void>)[] = []
    const { onFailure, maximumRetryAttempts, parallelizationFactor } = this.#source
    for (const [queue, messages] of parts) {
      const lanes = new Set<string>()
      for (const message of messages) {
        if (!verdict.failed.has(message)) queue.handled(message)
        else if (verdict.isCutOff)
          queue.leave(message, verdict.reason ?? 'the invocation ended before its records were handled')
        else {
          queue.counts.failed += 1
          queue.failure ??= verdict.reason
          const lane = parallelizationFactor > 1 ? laneOf(queue, message) : ''
          // Only the first of those that keep their order has been tried: processors report what is behind it, too.
          const isBehind = onFailure === 'block' && maximumRetryAttempts !== undefined && lanes.has(lane)
          lanes.add(lane)
          // What is too large will not get smaller.
          const attempt = verdict.isTooLarge ? Infinity : (attempts.get(message) ?? 0)
          if (!isBehind) attempts.set(message, attempt + 1)
          const next = isBehind && !verdict.error ? 'again' : this.#nextOf(message, verdict, attempt)
          if (next === 'again') again.push(message)
          else if (next === 'leave') queue.leave(message, failureOf(message, verdict))
          else backs.push(() => this.#sendBack(queue, message, next))
        }
      }
    }
    await inTurns(backs, AT_ONCE)
    return again
  }

  #nextOf(message: Message, { error }: Pick<Verdict, 'error'>, attempt: number): 'again' | 'leave' | number {
    const { onFailure, maximumRetryAttempts: most } = this.#source
    if (onFailure === 'retry') {
      if (isTooOld(this.#source, message)) return DEAD_LETTER
      return this.#levelOf(message)
    }
    if (error !== undefined) return 'leave'
    if (isTooOld(this.#source, message)) return DEAD_LETTER
    if (most === undefined) return 'leave'
    return attempt < most ? 'again' : DEAD_LETTER
  }

  /** The delay level before the next attempt; 0 leaves it to the broker. */
  #levelOf({ reconsumeTimes = 0 }: Pick<PlacedUndecodable, 'reconsumeTimes'>): number {
    const { retryLevels } = this.#source
    // What stands in damaged bytes may be any number.
    const at = Math.max(0, Math.min(reconsumeTimes, retryLevels.length - 1))
    return retryLevels[at] ?? 0
  }

  /** Those that are too old to be handled become dead letters; gives the others. */
  async expire(batch: Batch): Promise<Batch> {
    if (this.#source.maximumAgeMs === undefined) return batch
    const old = new Set(batch.messages.filter((message) => isTooOld(this.#source, message)))
    if (old.size === 0) return batch
    for (const [queue, messages] of batch.parts)
      for (const message of messages)
        if (old.has(message)) queue.sendAway(message, () => this.#sendBack(queue, message, DEAD_LETTER))
    return await this.#inOrder(only(batch, (message) => !old.has(message)))
  }

  /** Those that cannot be given to the handler fail, each for its reason; gives the others. */
  async refuse(batch: Batch, reasons: ReadonlyMap<Message, string>): Promise<Batch> {
    if (reasons.size === 0) return batch
    for (const [queue, messages] of batch.parts) {
      for (const message of messages.filter((each) => reasons.has(each))) {
        const reason = `record ${recordIdOf(message)} ${reasons.get(message)}`
        queue.failure ??= reason
        // Another attempt in this invocation would end in the same way.
        const next = this.#nextOf(message, {}, Infinity)
        if (typeof next !== 'number') queue.leave(message, reason)
        else queue.sendAway(message, () => this.#sendBack(queue, message, next))
        queue.counts.failed += 1
      }
    }
    return await this.#inOrder(only(batch, (message) => !reasons.has(message)))
  }

  /** With `block` nothing is handled that stands behind a record that was left: what can be sent away is so before. */
  async #inOrder(batch: Batch): Promise<Batch> {
    if (this.#source.onFailure !== 'block') return batch
    for (const queue of batch.parts.keys()) await inTurns(queue.takeAway(true), AT_ONCE)
    return only(batch, (message, queue) => {
      const isBehind = queue.isBehindLeft(message)
      if (isBehind) queue.leave(message, 'a record before it has failed')
      return !isBehind
    })
  }

  /** What cannot be decoded fails for the reason that it has. */
  undecodable(queue: QueueProgress, each: PlacedUndecodable): void {
    const { onFailure, maximumRetryAttempts } = this.#source
    const reason = `offset ${each.queueOffset} cannot be decoded: ${each.reason.message}`
    queue.failure ??= reason
    if (onFailure === 'block' && maximumRetryAttempts === undefined) {
      queue.leave(each, reason)
      return
    }
    const message = {
      queue: queue.queue,
      topic: this.#source.topic,
      commitLogOffset: each.commitLogOffset,
      offsetMessageId: each.offsetMessageId,
      reconsumeTimes: each.reconsumeTimes,
    }
    const level = onFailure === 'block' ? DEAD_LETTER : this.#levelOf(each)
    queue.sendAway(each, () => this.#back(queue, each, message as Message, level))
  }

  async #sendBack(queue: QueueProgress, message: Message, delayLevel: number): Promise<void> {
    await this.#back(queue, message, message, delayLevel)
  }

  async #back(
    queue: QueueProgress,
    place: Message | PlacedUndecodable,
    message: Message,
    delayLevel: number,
  ): Promise<void> {
    const { maximumRetryAttempts: most } = this.#source
    try {
      await this.#consumer.sendBack(message, { ...this.limits, delayLevel, maxReconsumeTimes: most })
      const isDead = delayLevel < 0 || (most !== undefined && (message.reconsumeTimes ?? 0) >= most)
      queue.passed(place, isDead ? 'deadLettered' : 'sentBack')
    } catch (error) {
      // Nobody has the record now but its own queue: the offset must not pass it.
      queue.leave(place, `offset ${place.queueOffset} could not be sent back: ${(error as Error).message}`)
      queue.fail(error)
    }
  }

  /** Before a hand-out: ends the work on queues whose lease is another's. With `block` nothing may be committed for long. */
  async claim({ parts }: Batch): Promise<void> {
    const queues = [...parts.keys()]
    await this.#leases?.confirm(
      queues.map(({ queue }) => queue),
      { deadlineMs: this.#end },
    )
    for (const queue of queues) if (this.#isLost(queue)) queue.lose(LOST)
  }

  #isLost({ queue }: QueueProgress): boolean {
    return this.#leases !== undefined && !this.#leases.holds(queue)
  }

  /**
   * Commits what is done with, in every queue, when the leases are still ours. What could not be committed is tried again
   * when it `isLast` only: while a broker is silent the queues of the others would wait for it with each batch.
   */
  async commit(queues: readonly QueueProgress[], isLast = false): Promise<void> {
    const brokers = Map.groupBy(queues, ({ queue }) => queue.brokerName)
    // Each by itself, also behind what was asked of it before: one that does not answer keeps no commit of another back.
    const commit = async ([name, own]: [string, QueueProgress[]]): Promise<void> => {
      const before = this.#committing.get(name)
      const committing = Promise.resolve(before).then(() => this.#commitAtOne(own, isLast))
      this.#committing.set(name, committing)
      await committing
    }
    await Promise.all(Array.from(brokers, commit))
  }

  async #commitAtOne(queues: readonly QueueProgress[], isLast: boolean): Promise<void> {
    await Promise.all(queues.map(sendAway))
    const due = queues.filter((queue) => queue.isDirty && (isLast || !queue.isHalted))
    if (due.length === 0) return
    const leased = due.map(({ queue }) => queue)
    await this.#leases?.renew(leased, this.limits).catch((error: unknown) => {
      for (const queue of due) queue.fail(error)
    })
    await Promise.all(due.map((queue) => this.#commit(queue)))
  }

  async #commit(queue: QueueProgress): Promise<void> {
    if (this.#isLost(queue)) return queue.lose(LOST)
    await queue.commit(this.limits).catch((error: unknown) => queue.halt(error))
  }
}

export const isTooOld = ({ maximumAgeMs }: ResolvedEventSource, { bornTimestamp }: Message): boolean =>
  maximumAgeMs !== undefined && Date.now() - bornTimestamp > maximumAgeMs

const failureOf = (message: Message, { reason }: Verdict): string =>
  `record ${recordIdOf(message)} failed${reason === undefined ? '' : `: ${reason}`}`

/** A batch without some of its messages. */
export function only({ parts }: Batch, keep: (message: Message, queue: QueueProgress) => boolean): Batch {
  const kept = new Map(
    [...parts]
      .map(([queue, messages]) => [queue, messages.filter((each) => keep(each, queue))] as const)
      .filter(([, { length }]) => length > 0),
  )
  return { messages: [...kept.values()].flat(), parts: kept }
}

/** What is sent away may make way for more of it. */
async function sendAway(queue: QueueProgress): Promise<void> {
  for (let due = queue.takeAway(); due.length > 0; due = queue.takeAway()) await inTurns(due, AT_ONCE)
}

/** All of them, so many at once. */
export async function inTurns(works: readonly (() => Promise<void>)[], atOnce: number): Promise<void> {
  for (let at = 0; at < works.length; at += atOnce)
    await Promise.all(works.slice(at, at + atOnce).map((work) => work()))
}
