/**
 * Where batches come from: pulls all queues side by side, ahead of the handler but within bounds, and deals out batches
 * that take from the queues in turn. With several batches at once a sharding key is in one of them only.
 *
 * Nothing of it runs outside of an invocation: `close` ends what is under way.
 */
import type { Message } from '../client/values.ts'
import { AbortError, DeadlineError } from '../errors.ts'
import { retryTopic } from '../wire/names.ts'
import { queueKey } from './event.ts'
import type { PlacedUndecodable, QueueProgress } from './queue-progress.ts'

/** What brokers give in one pull at most: messages, and bytes of several. */
const PULL_MESSAGES = 32
const PULL_BYTES = 256 * 1024
/** What waits in memory at most, in bytes; what pulls under way may bring counts too. */
const MAX_BYTES = 32 * 1024 * 1024
/** A queue at its end is asked again after so long, as long as there is other work. */
const LOOK_AGAIN_MS = 1_000
/** A batch that is not full waits so long for pulls under way: one slow broker must not hold up the others. */
const GATHER_MS = 50
/** How long an answer that is under way is waited for at the end: a broker tells of a reset only once. */
const GRACE_MS = 50

export interface IntakeOptions {
  batchSize: number
  /** How long a batch that is not full is kept open, in ms. */
  windowMs: number
  /** Batches at once. */
  parallelizationFactor: number
  /** How often a record may be sent back. */
  mostAttempts: number
  /** When the work must be over, epoch ms. */
  end: number
  /** Queues of one batch have the same; undefined: any go together. */
  groupOf?: ((queue: QueueProgress) => string) | undefined
  /** What cannot be decoded, before anything behind it can be committed. */
  onUndecodable(queue: QueueProgress, each: PlacedUndecodable): void
}

/** A message and the queue it came from. */
export interface Batch {
  messages: readonly Message[]
  /** The queues that it took from. */
  parts: ReadonlyMap<QueueProgress, readonly Message[]>
}

/** What a batch takes of a queue: `count` of `free`. */
interface Part {
  queue: QueueProgress
  free: number
  count: number
}

interface Plan {
  parts: readonly Part[]
  /** How many more there could be in the batch. */
  room: number
}

export class Intake {
  /** Those that were not dealt from for the longest time come first. */
  #queues: readonly QueueProgress[]
  readonly #options: IntakeOptions
  readonly #abort = new AbortController()
  readonly #pulls = new Set<Promise<void>>()
  /** How many answers these will bring. */
  #asked = 0
  /** Sharding keys that are being handled, by queue. Undefined: one batch at a time needs none of it. */
  readonly #busy: Set<string> | undefined
  readonly #lastCall: number
  #running = 0
  #isClosed = false
  /** Set when it is being closed. */
  #grace: NodeJS.Timeout | undefined
  #changed = Promise.withResolvers<void>()

  constructor(queues: readonly QueueProgress[], options: IntakeOptions) {
    // Which queue is the first must not be the same in every invocation.
    const first = Math.floor(Math.random() * queues.length)
    this.#queues = [...queues.slice(first), ...queues.slice(0, first)]
    this.#options = options
    this.#lastCall = lastCall(options.end)
    this.#busy = options.parallelizationFactor > 1 ? new Set() : undefined
  }

  /**
   * The next batch, when it is full, when its window is over, or when there is no more. Undefined: the queues are drained or
   * stopped, or the time is over. Each batch is given to `release` when it is done with.
   */
  async next(): Promise<Batch | undefined> {
    let since: number | undefined
    while (!this.isOver) {
      this.#pump()
      const plan = this.#plan()
      const now = Date.now()
      since = plan.parts.length === 0 ? undefined : (since ?? now)
      if (since !== undefined) {
        const mayGather = now < since + GATHER_MS
        const isWaiting =
          plan.room === 0
            ? mayGather && plan.parts.some((part) => this.#isGrowing(part))
            : now < this.#closing(since) || (mayGather && this.#pulls.size > 0)
        if (!isWaiting) return this.#deal(plan)
      } else if (this.#pulls.size === 0 && this.#running === 0) return undefined
      await this.#change(since === undefined ? undefined : Math.max(this.#closing(since), since + GATHER_MS))
    }
    return undefined
  }

  /** Until when a batch is kept open whose first record was there at `since`. */
  #closing(since: number): number {
    const closing = since + this.#options.windowMs
    return since < this.#lastCall ? Math.min(closing, this.#lastCall) : closing
  }

  /** The batch is settled: its sharding keys may be dealt out again. */
  release({ parts }: Batch): void {
    this.#running -= 1
    for (const [queue, messages] of parts)
      for (const message of messages) this.#busy?.delete(laneOf(queue, message))
    this.#wake()
  }

  /** No further batch is dealt out. */
  stop(): void {
    this.#isClosed = true
    this.#wake()
  }

  /** Takes what the pulls under way bring at once, and ends them, and with them every wait. Nothing of what waited was handed out. */
  async close(): Promise<void> {
    this.stop()
    this.#grace = setTimeout(() => this.#abort.abort(), GRACE_MS)
    await Promise.all(this.#pulls)
    clearTimeout(this.#grace)
    this.#abort.abort() // what was asked for ahead just before the end, too
  }

  /** Whether the time is over, or it was stopped. */
  get isOver(): boolean {
    return this.#isClosed || Date.now() >= this.#options.end
  }

  /** How many messages of a queue are dealt at once, as long as others have some: of all together two batches. */
  get #share(): number {
    return Math.ceil((2 * this.#options.batchSize) / this.#queues.length)
  }

  /** Up to how many it is read ahead: so that no pull has to wait while a batch is handled and committed. */
  get #most(): number {
    return 2 * this.#share
  }

  /** Begins every pull that has room. */
  #pump(): void {
    if (this.isOver) return
    const now = Date.now()
    const { batchSize } = this.#options
    let count = this.#queues.reduce((sum, { waiting }) => sum + waiting.length, this.#asked * PULL_MESSAGES)
    let bytes = this.#asked * PULL_BYTES + this.#queues.reduce((sum, queue) => sum + queue.bytes, 0)
    for (const queue of this.#queues) {
      const { isPulling, isAhead, isStopped, isDrained, lookedAt, waiting } = queue
      if (isPulling || isStopped || (isDrained && now < lookedAt + LOOK_AGAIN_MS)) continue
      // Beyond that a queue is read only for a batch that the others do not fill.
      const isFull = bytes >= MAX_BYTES || (waiting.length >= this.#most && count >= batchSize)
      if (isFull && !isAhead) continue
      const readAhead = !isFull && waiting.length + PULL_MESSAGES < this.#most
      const answers = readAhead ? 2 : 1
      this.#begin(queue, readAhead, answers)
      bytes += answers * PULL_BYTES
      count += answers * PULL_MESSAGES
    }
  }

  #begin(queue: QueueProgress, readAhead: boolean, answers: number): void {
    this.#asked += answers
    const pull = this.#pull(queue, readAhead).finally(() => {
      this.#pulls.delete(pull)
      this.#asked -= answers
      this.#pump()
      this.#wake()
    })
    this.#pulls.add(pull)
  }

  async #pull(queue: QueueProgress, readAhead: boolean): Promise<void> {
    try {
      const options = this.#options
      const limits = {
        deadlineMs: options.end,
        signal: this.#abort.signal,
        // Nobody would take it behind a queue that is left, or at the end.
        readAhead: () => {
          queue.isAhead = readAhead && !this.isOver && !queue.isStopped
          return queue.isAhead
        },
      }
      for (const each of await queue.pull(limits)) options.onUndecodable(queue, each)
    } catch (error) {
      // What the end of the invocation cuts off is no failure: nothing of it was handed out. A queue that was never read shows it.
      if (error instanceof DeadlineError || error instanceof AbortError || this.#grace) queue.cutOff = error
      else queue.fail(error)
    }
  }

  /** The queues of the next batch: what was sent back is not mixed with what was not. */
  #inTurn(): QueueProgress[] {
    const { groupOf = () => '' } = this.#options
    const ready = this.#queues.filter((queue) => this.#free(queue) > 0)
    const group = (queue: QueueProgress): string => `${isRetry(queue)} ${groupOf(queue)}`
    return ready.filter((queue) => group(queue) === group(ready[0] as QueueProgress))
  }

  #sizeOf(queues: readonly QueueProgress[]): number {
    const { batchSize, mostAttempts } = this.#options
    let most = 0
    for (const { waiting } of queues.filter(isRetry))
      for (const { reconsumeTimes } of waiting.slice(0, batchSize)) most = Math.max(most, reconsumeTimes)
    return batchSizeAt(most, batchSize, mostAttempts)
  }

  #free(queue: QueueProgress): number {
    if (!this.#busy) return queue.waiting.length
    return queue.waiting.filter((message) => this.#isFree(queue, message)).length
  }

  #isFree(queue: QueueProgress, message: Message): boolean {
    return !this.#busy?.has(laneOf(queue, message))
  }

  /**
   * As many as there may be: of the queues that waited longest their share each, and only then more of them. Each queue that a
   * batch took from costs a query and a commit.
   */
  #plan(): Plan {
    const queues = this.#inTurn()
    const parts = queues.map((queue) => ({ queue, free: this.#free(queue), count: 0 }))
    let room = this.#sizeOf(queues)
    for (const most of [this.#share, Infinity])
      for (const part of parts) {
        const more = Math.min(part.free, most, part.count + room) - part.count
        part.count += more
        room -= more
      }
    return { parts: parts.filter(({ count }) => count > 0), room }
  }

  /** Whether a pull that is under way may bring what the queue's share of a batch lacks. */
  #isGrowing({ queue, free }: Part): boolean {
    return queue.isPulling && free < this.#share
  }

  #deal(plan: Plan): Batch {
    const parts = new Map<QueueProgress, readonly Message[]>()
    for (const { queue, count } of plan.parts) {
      const isFree = this.#busy && ((message: Message) => this.#isFree(queue, message))
      parts.set(queue, queue.take(count, isFree))
    }
    for (const [queue, messages] of parts)
      for (const message of messages) this.#busy?.add(laneOf(queue, message))
    this.#queues = [...this.#queues.filter((queue) => !parts.has(queue)), ...parts.keys()]
    this.#running += 1
    return { messages: [...parts.values()].flat(), parts }
  }

  #wake(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  /** Waits until something changes, or until `time`, and never for long. */
  async #change(time: number | undefined): Promise<void> {
    const until = Math.min(time ?? Infinity, this.#options.end, Date.now() + LOOK_AGAIN_MS)
    const timer = setTimeout(() => this.#wake(), Math.max(1, until - Date.now()))
    await this.#changed.promise
    clearTimeout(timer)
  }
}

/**
 * When a window closes at the latest, or one that is nearly as long as the invocation would leave no time to handle what it
 * gathered, each time again.
 */
export const lastCall = (end: number): number => end - Math.floor(Math.max(0, end - Date.now()) / 4)

/**
 * Smaller with each attempt, and one record at the last: those that failed together come again together, and a handler
 * that throws because of one of them must not take the others to the dead-letter topic.
 */
export function batchSizeAt(attempt: number, batchSize: number, mostAttempts: number): number {
  if (attempt > 0 && attempt >= mostAttempts) return 1
  return Math.max(1, Math.floor(batchSize / 4 ** attempt))
}

/** What keeps its order: the messages of one sharding key in one queue. One without a key has no order to keep. */
export function laneOf({ queue }: QueueProgress, { systemProperties, queueOffset }: Message): string {
  return `${queueKey(queue)} ${systemProperties['__SHARDINGKEY'] ?? `#${queueOffset}`}`
}

const isRetry = ({ queue }: QueueProgress): boolean => queue.topic.startsWith(retryTopic(''))
