/**
 * The loop of an invocation in mode `pop` (RocketMQ 5): no leases, no offsets, any number of invocations at once. A broker
 * hides what it gives for a minute; while it is handled it is hidden for longer, and it is acknowledged when it was handled. What
 * failed is hidden until its next attempt, and what was not tried is given back. Brokers make no dead letters of popped messages, however often they come
 * back (protocol.md 14), so it is done here.
 */
import type { Client } from '../client/client.ts'
import { createPopConsumer, type PopConsumer, type PopOptions } from '../client/popper.ts'
import { createPullConsumer, type PullConsumer } from '../client/puller.ts'
import type { PoppedMessage, PopResult } from '../client/values.ts'
import { InvokeError } from '../errors.ts'
import { type CallOptions, pause } from '../net/deadline.ts'
import { onceMore, repeat } from '../net/repeat.ts'
import { recordIdOf } from './event.ts'
import { batchSizeAt, lastCall } from './intake.ts'
import type { ResolvedEventSource } from './options.ts'
import { noCounts, type QueueCounts } from './queue-progress.ts'
import { publishBatch } from './report.ts'
import { DEAD_LETTER, inTurns, isTooOld, RESERVE_MS, RETRY_MAX_TIMES, type Verdict } from './settle.ts'
import type { Handling } from './worker.ts'

/** Hidden from other invocations for so long, and again before that is over. */
const INVISIBLE_MS = 60_000
const EXTEND_MS = 20_000
/** What is given back is hidden for so long. */
const GIVEN_BACK_MS = 1_000
/** With a window, how long a broker may hold one pop of it. */
const LONGEST_POP_MS = 5_000
/** Within a window, before a broker is asked again that has given nothing. */
const EMPTY_MS = 100
/** Requests about single messages on their way at once. */
const AT_ONCE = 64
/** The delay levels as brokers are shipped, in seconds: 1 s to 2 h. */
const LEVELS = [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1_200, 1_800, 3_600, 7_200]
/** Of the first attempt after a failure: 10 s, as when a record is sent back. */
const FIRST_LEVEL = 3

export class PopWorker {
  readonly counts: QueueCounts = noCounts()
  oldestAgeMs = 0
  /** What lets the invocation fail. */
  error: unknown
  /** Where no function has said it: why the first one failed. */
  failure: string | undefined
  /** What could not be decoded, and why: the first one. One that nobody can acknowledge counts more. */
  undecodable: string | undefined
  readonly #source: ResolvedEventSource
  readonly #consumer: PopConsumer
  /** For dead letters. */
  readonly #puller: Pick<PullConsumer, 'sendBack'>
  readonly #handling: Handling
  readonly #end: number
  readonly #lastCall: number
  /** Popped and neither acknowledged nor hidden until another attempt. */
  readonly #inHand = new Set<PoppedMessage>()
  #timer: NodeJS.Timeout | undefined
  #extending: Promise<void> = Promise.resolve()
  #isStopping = false
  #hasAnswer = false
  #longestMs = 0

  constructor(source: ResolvedEventSource, client: Client, handling: Handling, end: number) {
    this.#handling = handling
    const { consumerGroup, filter } = source
    this.#source = source
    this.#consumer = createPopConsumer(client, { consumerGroup, filter })
    this.#puller = createPullConsumer(client, { consumerGroup })
    this.#end = end
    this.#lastCall = lastCall(end)
  }

  /** Resolves when the topic is drained or the time is over. */
  async run(): Promise<void> {
    this.#extendLater()
    try {
      const works = Array.from({ length: this.#source.parallelizationFactor }, () => this.#work())
      await Promise.allSettled(works)
      await Promise.all(works)
    } finally {
      clearTimeout(this.#timer)
      this.#timer = undefined
      await this.#giveBack([...this.#inHand])
    }
  }

  /** Whether the time was over; what is left is not known. */
  get isOutOfTime(): boolean {
    return this.#handling.signal.aborted || Date.now() + this.#longestMs >= this.#end
  }

  get #limits(): CallOptions {
    return { deadlineMs: this.#end + RESERVE_MS }
  }

  /** A batch that would probably be cut off is better not popped. */
  get #isOver(): boolean {
    return this.#isStopping || this.isOutOfTime
  }

  async #work(): Promise<void> {
    while (!this.#isOver) {
      const messages = await this.#gather()
      if (messages.length === 0) return
      for (const batch of this.#split(await this.#expire(messages))) {
        if (this.#isOver) return
        await this.#handle(batch)
      }
    }
  }

  /** Up to a batch: what there is, and with a window what comes within it. */
  async #gather(): Promise<PoppedMessage[]> {
    const { topic, batchSize, windowMs } = this.#source
    const gathered: PoppedMessage[] = []
    let until = 0
    while (gathered.length < batchSize && !this.#isOver) {
      const maxMessages = batchSize - gathered.length
      const waitMs = Math.max(0, Math.min(until - Date.now(), LONGEST_POP_MS))
      const options = { maxMessages, waitMs, invisibleMs: INVISIBLE_MS, deadlineMs: this.#end }
      const found = await this.#pop(topic, options).catch((error: unknown) => {
        // A broker that is away must not keep what the others gave from being handled.
        this.error ??= error
      })
      if (!found) break
      const { messages, undecodable } = found
      this.#take(messages, undecodable.length)
      await this.#refuse(undecodable)
      // A broker gives 32 at once: only when it gives none is there no more.
      if (messages.length + undecodable.length === 0) {
        if (Date.now() >= until) break
        // One that holds no pops, as too many wait, answers at once.
        await pause(EMPTY_MS, { at: until, explicit: false })
      }
      if (messages.length > 0) until ||= Math.min(Date.now() + windowMs, this.#lastCall)
      gathered.push(...messages)
    }
    return gathered
  }

  /** Until one has answered it is made once more: what a broker gave the first one comes again, as it does for the next invocation. */
  async #pop(topic: string, options: PopOptions): Promise<PopResult> {
    const found = await repeat(
      () => this.#consumer.pop(topic, options),
      (error, turn) => !this.#hasAnswer && !this.#isOver && onceMore(error, turn),
    )
    this.#hasAnswer = true
    return found
  }

  #take(messages: readonly PoppedMessage[], undecodable: number): void {
    const now = Date.now()
    this.counts.polled += messages.length + undecodable
    for (const message of messages) {
      this.#inHand.add(message)
      this.oldestAgeMs = Math.max(this.oldestAgeMs, now - message.storeTimestamp)
    }
  }

  /** What cannot be decoded fails for the reason that it has. Without a receipt nobody can say so: it comes again. */
  async #refuse(undecodable: PopResult['undecodable']): Promise<void> {
    const failed: PoppedMessage[] = []
    const sound: PoppedMessage[] = []
    let left: string | undefined
    for (const { message, reason, queueOffset } of undecodable) {
      // There was no memory left for it besides the others.
      if (message && reason.field === 'maxTotalBytes') {
        sound.push(message)
        continue
      }
      const what = message ? `record ${recordIdOf(message)}` : `what stands at offset ${queueOffset ?? '?'}`
      const text = `${what} cannot be decoded: ${reason.message}`
      this.failure ??= text
      this.undecodable ??= text
      if (message) failed.push(message)
      else left ??= `${text}; nobody can acknowledge it, and it comes again each minute`
    }
    this.undecodable = left ?? this.undecodable
    this.counts.failed += undecodable.length - sound.length
    await this.#giveBack(sound)
    await this.#retryAll(failed)
  }

  /** What came back is not mixed with what did not, and comes in smaller batches with each attempt. */
  #split(messages: readonly PoppedMessage[]): PoppedMessage[][] {
    const { batchSize, maximumRetryAttempts: most = RETRY_MAX_TIMES } = this.#source
    const batches: PoppedMessage[][] = []
    const { groupOf = () => '' } = this.#handling
    const alike = ({ reconsumeTimes, queue }: PoppedMessage): string => `${reconsumeTimes} ${groupOf(queue)}`
    for (const group of Map.groupBy(messages, alike).values()) {
      const size = batchSizeAt(group[0]?.reconsumeTimes ?? 0, batchSize, most)
      for (let at = 0; at < group.length; at += size) batches.push(group.slice(at, at + size))
    }
    return batches
  }

  async #expire(messages: readonly PoppedMessage[]): Promise<PoppedMessage[]> {
    const old = messages.filter((message) => isTooOld(this.#source, message))
    await inTurns(
      old.map((message) => () => this.#bury(message)),
      AT_ONCE,
    )
    return messages.filter((message) => !old.includes(message))
  }

  async #handle(batch: readonly PoppedMessage[]): Promise<void> {
    const refused = await this.#handling.screen(batch)
    if ('failed' in refused) return await this.#settle(batch, refused)
    const unfit = batch.filter((message) => refused.has(message))
    if (unfit[0]) this.failure ??= `record ${recordIdOf(unfit[0])} ${refused.get(unfit[0])}`
    this.counts.failed += unfit.length
    await this.#retryAll(unfit)
    const rest = batch.filter((message) => !refused.has(message))
    // To hide those that are refused may have taken the rest of the time.
    if (rest.length > 0 && !this.#isOver) await this.#call(rest)
  }

  async #call(batch: readonly PoppedMessage[]): Promise<void> {
    const { consumerGroup, topic } = this.#source
    const began = Date.now()
    const verdict = await this.#handling.call(batch)
    if (verdict.isTooLarge && batch.length > 1) {
      const middle = Math.ceil(batch.length / 2)
      await this.#call(batch.slice(0, middle))
      if (!this.#isOver) await this.#call(batch.slice(middle))
      return
    }
    const durationMs = Date.now() - began
    this.#longestMs = Math.max(this.#longestMs, durationMs)
    this.counts.invoked += batch.length
    await this.#settle(batch, verdict)
    const { failed, error } = verdict
    publishBatch({
      consumerGroup,
      topic,
      records: batch.length,
      failed: failed.size,
      durationMs,
      ...(error === undefined ? {} : { error }),
    })
  }

  async #settle(
    batch: readonly PoppedMessage[],
    { failed, error, isCutOff, reason }: Verdict,
  ): Promise<void> {
    if (error !== undefined) {
      this.error ??= error
      this.#isStopping = true
    }
    if (isCutOff) {
      // It may be handled still, and comes again when its time is over. What no target was given is given back.
      if (!(error instanceof InvokeError)) for (const message of batch) this.#inHand.delete(message)
      return
    }
    this.failure ??= reason
    this.counts.failed += failed.size
    this.counts.handled += await this.#acknowledge(batch.filter((message) => !failed.has(message)))
    await this.#retryAll(batch.filter((message) => failed.has(message)))
  }

  async #retryAll(messages: readonly PoppedMessage[]): Promise<void> {
    await inTurns(
      messages.map((message) => () => this.#retry(message)),
      AT_ONCE,
    )
  }

  /** For others, soon. It was not tried: brokers from 5.5 on do not count it as an attempt. */
  async #giveBack(messages: readonly PoppedMessage[]): Promise<void> {
    await this.#letGo(messages)
    const limits = { ...this.#limits, suspend: true }
    // If that fails they come again when their present time is over.
    const giveBack = (message: PoppedMessage): Promise<void> =>
      this.#consumer.changeInvisibleDuration(message, GIVEN_BACK_MS, limits).catch(() => undefined)
    await inTurns(
      messages.map((message) => () => giveBack(message)),
      AT_ONCE,
    )
  }

  /** Resolves to how many a broker has acknowledged that they are done. */
  async #acknowledge(messages: readonly PoppedMessage[]): Promise<number> {
    if (messages.length === 0) return 0
    await this.#letGo(messages)
    return await this.#consumer.ack(messages, this.#limits).then(
      () => messages.length,
      (error: unknown) => {
        // They may be done and may come again.
        this.error ??= error
        this.#isStopping = true
        return 0
      },
    )
  }

  /** Hides it until its next attempt, or makes a dead letter of it. */
  async #retry(message: PoppedMessage): Promise<void> {
    const { maximumRetryAttempts: most = RETRY_MAX_TIMES, retryLevels } = this.#source
    const { reconsumeTimes } = message
    if (reconsumeTimes >= most || isTooOld(this.#source, message)) return await this.#bury(message)
    const level =
      retryLevels[Math.min(reconsumeTimes, retryLevels.length - 1)] ?? FIRST_LEVEL + reconsumeTimes
    const seconds = LEVELS[Math.min(level, LEVELS.length) - 1] ?? 0
    await this.#letGo([message])
    try {
      await this.#consumer.changeInvisibleDuration(message, seconds * 1_000, this.#limits)
      this.counts.sentBack += 1
    } catch (error) {
      // It comes again when its present time is over.
      this.error ??= error
    }
  }

  /** Acknowledged only when the dead letter is stored. */
  async #bury(message: PoppedMessage): Promise<void> {
    // Its route is the topic's: that of a pop's retry topic appears only with the broker's next report.
    const { topic, commitLogOffset, offsetMessageId } = message
    const copy = {
      queue: { ...message.queue, topic: this.#source.topic },
      topic,
      commitLogOffset,
      offsetMessageId,
    }
    try {
      await this.#puller.sendBack(copy, { ...this.#limits, delayLevel: DEAD_LETTER })
      this.counts.deadLettered += await this.#acknowledge([message])
    } catch (error) {
      this.error ??= error
    }
  }

  /** From now on nothing changes their receipts: one that was replaced acknowledges nothing. */
  async #letGo(messages: readonly PoppedMessage[]): Promise<void> {
    for (const message of messages) this.#inHand.delete(message)
    await this.#extending
  }

  /** Hides what is in hand for longer before its time is over, again and again until `run` ends. */
  #extendLater(): void {
    this.#timer = setTimeout(() => {
      const works = [...this.#inHand].map((message) => async () => await this.#extend(message))
      this.#extending = inTurns(works, AT_ONCE).finally(() => {
        if (this.#timer) this.#extendLater()
      })
    }, EXTEND_MS)
  }

  async #extend(message: PoppedMessage): Promise<void> {
    if (!this.#inHand.has(message)) return
    // If that fails it comes again while it is being handled, which handlers are ready for.
    await this.#consumer
      .changeInvisibleDuration(message, INVISIBLE_MS, { deadlineMs: this.#end })
      .catch(() => undefined)
  }
}
