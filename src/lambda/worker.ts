/**
 * The loop of one invocation: a batch at a time (or several, with `parallelizationFactor`), each handled, settled and
 * committed before the next. It ends when the queues are drained, when the time is nearly over, or when the handler has
 * thrown: an outage of what the handler needs must not pump a topic into the dead-letter queue.
 */
import type { Message } from '../client/values.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { pause } from '../net/deadline.ts'
import { recordIdOf } from './event.ts'
import { type Batch, Intake } from './intake.ts'
import type { ResolvedEventSource } from './options.ts'
import type { QueueProgress } from './queue-progress.ts'
import { publishBatch } from './report.ts'
import { only, RETRY_MAX_TIMES, type Settlement, type Verdict } from './settle.ts'

/** Between two attempts at a record that blocks its queue, in ms: what Apache's orderly consumer pauses. */
const BLOCK_PAUSE_MS = 1_000

/** What is done with a batch. Neither throws: a verdict has the error. */
export interface Handling {
  /** Aborted when the handler is warned of the end: from then on nothing is begun. */
  signal: AbortSignal
  /** Queues of one batch have the same; undefined: any go together. */
  groupOf?: ((queue: MessageQueue) => string) | undefined
  /** Which messages the handler cannot be given, and why; a verdict when that could not be found out. */
  screen(messages: readonly Message[]): Promise<ReadonlyMap<Message, string> | Verdict>
  /** Calls the handler. */
  call(messages: readonly Message[]): Promise<Verdict>
}

const isDue = (message: Message, queue: QueueProgress): boolean => queue.isDue(message)

export class Worker {
  /** What the handler has thrown. */
  error: unknown
  readonly #queues: readonly QueueProgress[]
  readonly #settlement: Settlement
  readonly #intake: Intake
  readonly #handling: Handling
  readonly #source: ResolvedEventSource
  readonly #end: number
  #isLate = false
  /** What the longest batch has taken, in ms. */
  #longestMs = 0

  constructor(
    source: ResolvedEventSource,
    queues: readonly QueueProgress[],
    settlement: Settlement,
    handling: Handling,
    end: number,
  ) {
    const { batchSize, windowMs, parallelizationFactor, maximumRetryAttempts } = source
    this.#queues = queues
    this.#settlement = settlement
    this.#handling = handling
    this.#source = source
    this.#end = end
    this.#intake = new Intake(queues, {
      batchSize,
      windowMs,
      parallelizationFactor,
      mostAttempts: maximumRetryAttempts ?? RETRY_MAX_TIMES,
      end,
      groupOf: handling.groupOf && ((queue) => handling.groupOf?.(queue.queue) ?? ''),
      onUndecodable: (queue, each) => {
        if (!source.dryRun) settlement.undecodable(queue, each)
      },
    })
  }

  /** Resolves when everything is settled; `error` and that of the queues say what went wrong. */
  async run(): Promise<void> {
    try {
      const works = Array.from({ length: this.#source.parallelizationFactor }, () => this.#work())
      await Promise.allSettled(works)
      await Promise.all(works)
    } finally {
      await this.#intake.close()
      await this.#settlement.commit(this.#queues, true)
    }
  }

  /** Whether the time was over before the queues were drained. */
  get isOutOfTime(): boolean {
    return this.#isLate || Date.now() >= this.#end
  }

  /** Reads to the end and hands out nothing. Resolves to the number of records that would have been. */
  async count(): Promise<number> {
    let count = 0
    try {
      for (let batch = await this.#intake.next(); batch; batch = await this.#intake.next()) {
        const refused = await this.#handling.screen(batch.messages)
        if ('failed' in refused) throw refused.error
        count += batch.messages.length - refused.size
        for (const [queue, messages] of batch.parts) {
          queue.counts.failed += messages.filter((message) => refused.has(message)).length
          for (const message of messages) queue.handled(message)
        }
        this.#intake.release(batch)
      }
    } finally {
      await this.#intake.close()
    }
    return count
  }

  async #work(): Promise<void> {
    for (let batch = await this.#intake.next(); batch; batch = await this.#intake.next()) {
      // A batch that would probably be cut off is better left where it is.
      if (this.#isTooLate(0)) return this.#intake.stop()
      await this.#handle(await this.#screen(await this.#settlement.expire(await this.#claim(batch))))
      await this.#settlement.commit(this.#queues)
      this.#intake.release(batch)
    }
  }

  /** Gives what is still this invocation's to handle. */
  async #claim(batch: Batch): Promise<Batch> {
    await this.#settlement.claim(batch)
    return only(batch, isDue)
  }

  /** Gives what the handler can be given; the rest goes its way. */
  async #screen(batch: Batch): Promise<Batch> {
    const found = await this.#handling.screen(batch.messages)
    if (!('failed' in found)) return await this.#settlement.refuse(batch, found)
    await this.#settle(batch, found)
    return only(batch, () => false)
  }

  async #handle(batch: Batch): Promise<void> {
    let rest = batch
    const attempts = new Map<Message, number>()
    while (rest.messages.length > 0) {
      // A broker that is slow to say who has the lease takes of the handler's time, and perhaps all of it.
      if (this.#isTooLate(0)) return this.#intake.stop()
      const began = Date.now()
      const verdict = await this.#handling.call(rest.messages)
      if (verdict.isTooLarge && rest.messages.length > 1) return await this.#inHalves(rest)
      for (const [queue, { length }] of rest.parts) queue.counts.invoked += length
      const durationMs = Date.now() - began
      this.#longestMs = Math.max(this.#longestMs, durationMs)
      const again = await this.#settle(rest, verdict, attempts)
      publishBatch({
        consumerGroup: this.#source.consumerGroup,
        topic: this.#source.topic,
        records: rest.messages.length,
        failed: verdict.failed.size,
        durationMs,
        ...(verdict.error === undefined ? {} : { error: verdict.error }),
      })
      if (again.size === 0) return
      rest = only(rest, (message) => again.has(message))
      await this.#pause(rest)
      if (this.#intake.isOver) return
      rest = await this.#claim(rest)
    }
  }

  /** Gives those to be tried again. */
  async #settle(
    batch: Batch,
    verdict: Verdict,
    attempts?: Map<Message, number>,
  ): Promise<ReadonlySet<Message>> {
    if (verdict.error === undefined) return new Set(await this.#settlement.settle(batch, verdict, attempts))
    // Of batches at once, too, only one is sent back: the others stay where they are.
    const isAnother = this.error !== undefined
    this.error ??= verdict.error
    this.#intake.stop()
    const whole = isAnother ? { ...verdict, isCutOff: true, reason: 'the handler has thrown' } : verdict
    return new Set(await this.#settlement.settle(batch, whole, attempts))
  }

  /** One after the other, so that order is kept. What is not begun stays where it is. */
  async #inHalves(batch: Batch): Promise<void> {
    const first = new Set(batch.messages.slice(0, Math.ceil(batch.messages.length / 2)))
    await this.#handle(only(batch, (message) => first.has(message)))
    if (this.#intake.isOver || this.#isTooLate(0)) return this.#intake.stop()
    await this.#settlement.commit(this.#queues)
    await this.#handle(only(batch, (message, queue) => !first.has(message) && isDue(message, queue)))
  }

  /** Before records that block their queues are tried once more, if there is time for it. */
  async #pause({ parts }: Batch): Promise<void> {
    if (this.#isTooLate(BLOCK_PAUSE_MS)) {
      for (const [queue, messages] of parts)
        for (const message of messages) queue.leave(message, `record ${recordIdOf(message)} failed`)
      this.#intake.stop()
      return
    }
    await this.#settlement.commit(this.#queues)
    await pause(BLOCK_PAUSE_MS, { at: this.#end, explicit: false })
  }

  #isTooLate(pauseMs: number): boolean {
    const isLate = this.#handling.signal.aborted || Date.now() + pauseMs + this.#longestMs >= this.#end
    this.#isLate ||= isLate
    return isLate
  }
}
