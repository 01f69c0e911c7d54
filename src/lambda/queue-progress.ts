/**
 * How far one queue has come in this invocation: where the group stands, what has been pulled and not yet handed out,
 * what is being handled, and up to where it may be committed. Offsets only move here, and only over what was handled,
 * sent back or filtered out.
 */
import type { PullConsumer, ReadAheadOptions } from '../client/puller.ts'
import type { Message, PullResult } from '../client/values.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { BrokerError, OffsetResetError } from '../errors.ts'
import { type CallOptions, pause } from '../net/deadline.ts'
import type { UndecodableMessage } from '../wire/message.ts'
import type { ResolvedEventSource } from './options.ts'

/** One queue in the result of an invocation. */
export interface QueueSummary extends MessageQueue {
  /** Decimal: the next offset to read. */
  committedOffset: string
  /** Messages behind it, as far as the last pull tells; left out when no pull was answered. */
  lag?: number
  /** Why the queue was left before its end. */
  stopped?: string
  /** Why a record failed that no function was given. */
  failure?: string
  /** Where the group was moved to, and why, when its offset lay outside of the queue or was reset. */
  moved?: string
}

/** What is counted per queue and summed up in the result. */
export interface QueueCounts {
  /** Read: whether it matched the filter and could be decoded or not. */
  polled: number
  /** Handed to the handler, each attempt. */
  invoked: number
  /** Places that the committed offset has passed. */
  committed: number
  handled: number
  failed: number
  filtered: number
  sentBack: number
  deadLettered: number
  skipped: number
}

export const noCounts = (): QueueCounts => ({
  polled: 0,
  invoked: 0,
  committed: 0,
  handled: 0,
  failed: 0,
  filtered: 0,
  sentBack: 0,
  deadLettered: 0,
  skipped: 0,
})

/** A message whose bytes make no sense, with its place. */
export type PlacedUndecodable = UndecodableMessage & { queueOffset: bigint; commitLogOffset: bigint }

/** Before a commit is sent again that a broker was too busy for, in ms. */
const BUSY_PAUSE_MS = 100
/** How often a queue is followed to another place in one invocation. */
const MAX_MOVES = 3
/** Of a queue whose broker has not answered in time, or that was not asked: nothing is known of its lag. */
const UNREAD = 'it was not read before the invocation ended'
/** What a message takes in memory besides its body, roughly. */
const MESSAGE_BYTES = 1_024

export class QueueProgress {
  readonly queue: MessageQueue
  readonly counts: QueueCounts = noCounts()
  /** Bytes of what waits. */
  bytes = 0
  /** When it was last asked for messages, epoch ms. */
  lookedAt = 0
  isPulling = false
  /** What follows was asked for with the last pull: it has to be taken, as it may tell of a reset. */
  isAhead = false
  /** A commit has failed. */
  isHalted = false
  /** Of what was handed out: the longest time since it was stored, in ms. */
  oldestAgeMs = 0
  /** Why a record failed that no function was given. */
  failure: string | undefined
  /** What has gone wrong here and lets the invocation fail. */
  error: unknown
  /** What was under way when the invocation had to end: by itself no failure. */
  cutOff: unknown
  readonly #consumer: PullConsumer
  readonly #source: ResolvedEventSource
  /** Pulled and not yet handed out, in order. */
  #waiting: Message[] = []
  /** Places that are being dealt with: handed out, or undecodable. */
  readonly #open = new Set<Message | PlacedUndecodable>()
  /** What nobody can handle, with what sends it away. */
  readonly #away = new Map<Message | PlacedUndecodable, () => Promise<void>>()
  /** Handled, but perhaps behind something that is not. */
  #finished: bigint[] = []
  /** The first place that has to be read again. */
  #left: bigint | undefined
  /** Where the group stands as long as nothing is known to be committed. */
  #start: bigint
  /** Where to pull next. */
  #next: bigint
  #committed: bigint | undefined
  /** What was sent to be committed last, whether its answer came or not. */
  #sent: bigint | undefined
  #max: bigint
  #isRead = false
  #isDrained = false
  #stopped: string | undefined
  /** Another's by now: nothing more is committed here. */
  #isLost = false
  #isReset = false
  #moves = 0
  #moved: string | undefined

  constructor(
    consumer: PullConsumer,
    queue: MessageQueue,
    source: ResolvedEventSource,
    committed: bigint | undefined,
    start: bigint,
  ) {
    this.#consumer = consumer
    this.#source = source
    this.queue = queue
    this.#committed = committed
    this.#start = start
    this.#next = start
    this.#max = start
  }

  /** What may be handed out. */
  get waiting(): readonly Message[] {
    return this.#waiting
  }

  /** At its end when it was last asked, so that asking again at once is of no use. */
  get isDrained(): boolean {
    return this.#isDrained
  }

  /** Whether a broker has answered a pull of it. */
  get isRead(): boolean {
    return this.#isRead
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined
  }

  /** Whether a record before it has been left: it comes again behind that. */
  isBehindLeft({ queueOffset }: Message): boolean {
    return this.#left !== undefined && queueOffset > this.#left
  }

  /** Whether it is still to be handled here: the queue may be another's by now, or stand at another place. */
  isDue(message: Message): boolean {
    return this.#open.has(message) && !this.#isLost && !this.isBehindLeft(message)
  }

  /** Whether there is something to commit. */
  get isDirty(): boolean {
    return !this.#isLost && this.#position !== this.#committed
  }

  /** Everything before it is done with. */
  get #position(): bigint {
    let position = this.#waiting[0]?.queueOffset ?? this.#next
    if (this.#left !== undefined && this.#left < position) position = this.#left
    for (const { queueOffset } of this.#open) if (queueOffset < position) position = queueOffset
    return position
  }

  /** Asks for messages. Resolves to those that cannot be decoded: they are open until they are finished or left. */
  async pull(limits: ReadAheadOptions): Promise<PlacedUndecodable[]> {
    const from = this.#next
    this.isPulling = true
    this.isAhead = false
    try {
      const result = await this.#consumer.pull(this.queue, from, limits)
      // Reset or stopped meanwhile: what came belongs to another place. A reset is told only once.
      if (this.isStopped ? !isReset(result, from) : this.#next !== from) return []
      return await this.#take(result, from, limits)
    } finally {
      this.isPulling = false
      this.lookedAt = Date.now()
    }
  }

  async #take(result: PullResult, from: bigint, limits: CallOptions): Promise<PlacedUndecodable[]> {
    this.#isRead = true
    this.#max = result.maxOffset
    // An answer that does not move on, whatever its reason, must not keep the loop going.
    this.#isDrained = result.nextBeginOffset >= result.maxOffset || result.nextBeginOffset <= from
    if (result.status === 'OFFSET_MOVED') {
      await this.#move(result, from, limits)
      return []
    }
    const { messages, undecodable, limit, reason } = soundPart(result, from)
    this.#next = limit
    for (const message of messages) {
      this.#waiting.push(message)
      this.bytes += sizeOf(message)
    }
    for (const each of undecodable) this.#open.add(each)
    this.counts.polled += Number(limit - from)
    this.counts.failed += undecodable.length
    this.counts.filtered += Number(limit - from) - messages.length - undecodable.length
    if (reason !== undefined) {
      this.counts.failed += 1
      this.#seal(`offset ${limit} cannot be decoded: ${reason}`)
    }
    return undecodable
  }

  /** The offset is outside of the queue, or an administrator has reset it. */
  async #move(result: PullResult, from: bigint, limits: CallOptions): Promise<void> {
    const { nextBeginOffset, minOffset, maxOffset } = result
    let to = nextBeginOffset
    let reason = 'it was reset'
    if (isReset(result, from)) {
      // As a commit does that learns of it: what was read before belongs to another place. A commit may have been written over the
      // reset while this answer was under way: it is to be committed, whatever is known.
      this.#restart(to)
      this.#start = to
      this.#committed = undefined
    } else if (from < minOffset) {
      reason = `what came before ${minOffset} has expired`
      this.counts.skipped += to > from ? Number(to - from) : 0
    } else {
      // The topic was made anew, or its broker has lost messages: what is there now was not read.
      const { startingPosition, startingPositionTimestamp } = this.#source
      to = await this.#consumer.startOffset(this.queue, startingPosition, startingPositionTimestamp, limits)
      // What it still has is counted; what went with its former end nobody can count.
      const passed = to > minOffset ? Number(to - minOffset) : 0
      this.counts.skipped += passed
      reason = `the queue ends at ${maxOffset}; ${passed} skipped, what it has lost is not known`
    }
    // Where it stands already, it is only told so once; a broker that goes on telling must not keep the loop going.
    this.#moves += 1
    this.#isDrained = to >= maxOffset || this.#moves > MAX_MOVES
    this.#moved ??= `from ${from} to ${to}: ${reason}`
    this.#next = to
  }

  /** Hands out: in order, the first `count` of those that `isFree` accepts. */
  take(count: number, isFree?: (message: Message) => boolean): Message[] {
    const taken: Message[] = []
    if (!isFree) taken.push(...this.#waiting.splice(0, count))
    else
      this.#waiting = this.#waiting.filter((message) => {
        const isTaken = taken.length < count && isFree(message)
        if (isTaken) taken.push(message)
        return !isTaken
      })
    // In a queue the first is the oldest.
    if (taken[0]) this.oldestAgeMs = Math.max(this.oldestAgeMs, Date.now() - taken[0].storeTimestamp)
    for (const message of taken) {
      this.#open.add(message)
      this.bytes -= sizeOf(message)
    }
    return taken
  }

  /** It was handled. */
  handled(message: Message): void {
    if (this.#open.delete(message)) this.#finished.push(message.queueOffset)
  }

  /** A broker has acknowledged that it comes again, or that it is a dead letter now. */
  passed(message: Message | PlacedUndecodable, as: 'sentBack' | 'deadLettered'): void {
    if (this.#open.delete(message)) this.counts[as] += 1
  }

  /** Nobody can handle it: `send` is due when everything before it is done with, or each invocation would make a copy. */
  sendAway(place: Message | PlacedUndecodable, send: () => Promise<void>): void {
    if (this.#open.has(place)) this.#away.set(place, send)
  }

  /** What is due to be sent away now. @param all what is not due, too */
  takeAway(all = false): (() => Promise<void>)[] {
    if (this.#isLost || this.#away.size === 0) return []
    let end = this.#waiting[0]?.queueOffset ?? this.#next
    if (this.#left !== undefined && this.#left < end) end = this.#left
    for (const place of this.#open)
      if (!this.#away.has(place) && place.queueOffset < end) end = place.queueOffset
    const due = [...this.#away].filter(([{ queueOffset }]) => all || queueOffset < end)
    for (const [place] of due) this.#away.delete(place)
    return due.map(([, send]) => send)
  }

  /** It has to be read again, with everything behind it: the queue is left for the next invocation. */
  leave(message: Message | PlacedUndecodable, reason: string): void {
    if (!this.#open.delete(message)) return
    const { queueOffset } = message
    if (this.#left === undefined || queueOffset < this.#left) this.#left = queueOffset
    this.#drop(queueOffset)
    this.#seal(reason)
  }

  /** The lease, or the group's offset, is another's: nothing more is committed here. */
  lose(reason: string): void {
    this.#isLost = true
    this.#stop(reason)
  }

  /** The invocation will fail with this error, when the other queues are done. */
  fail(error: unknown): void {
    this.error ??= error
    this.#seal(error instanceof Error ? error.message : String(error))
  }

  /** As after `fail`, and nothing more is handed out: it could not be committed. */
  halt(error: unknown): void {
    this.fail(error)
    this.isHalted = true
    this.#stop('it could not be committed')
  }

  /** Nothing more is read; what waits is still handed out. The first reason stands. */
  #seal(reason: string): void {
    this.#stopped ??= reason
  }

  /** Nothing more is read or handed out; what is open may still be finished. */
  #stop(reason: string): void {
    this.#seal(reason)
    this.#next = this.#waiting[0]?.queueOffset ?? this.#next // or a commit would pass over what is dropped here
    this.#drop(this.#next)
  }

  /** What waits from an offset on is not handed out. */
  #drop(from: bigint): void {
    this.#waiting = this.#waiting.filter(({ queueOffset }) => queueOffset < from)
    this.bytes = this.#waiting.reduce((sum, message) => sum + sizeOf(message), 0)
  }

  /**
   * Commits up to the first place that is not done with. Before that it looks where the group stands: the lease is no
   * fence (protocol.md 11). Lower than what was committed here: a broker was killed and has lost commits, so that ours
   * are written again. Higher: somebody else has worked here, and the queue is left.
   */
  async commit(limits: CallOptions): Promise<void> {
    if (this.#position === this.#committed) return
    const found = await this.#consumer.committedOffset(this.queue, limits)
    // It was committed here, and the answer was lost.
    if (found !== undefined && found === this.#sent) this.#know(found)
    if (found !== undefined && found > (this.#committed ?? this.#start)) {
      this.#committed = found
      return this.lose(`somebody else has moved the group to ${found}`)
    }
    // A pull may have learned of a reset meanwhile: where it stands now counts.
    await this.begin(this.#position, limits)
  }

  /** `offset` is the committed one now. */
  #know(offset: bigint): void {
    if (this.#committed !== undefined && offset > this.#committed)
      this.counts.committed += Number(offset - this.#committed)
    this.#committed = offset
  }

  /** Makes `offset` the committed one. */
  async begin(offset: bigint, limits: CallOptions): Promise<void> {
    this.#sent = offset
    try {
      await this.#write(offset, limits)
      this.#know(offset)
    } catch (error) {
      if (!(error instanceof OffsetResetError)) throw error
      // An administrator's word counts more than ours.
      await this.#adopt(offset, limits)
    }
    const before = this.#finished.length
    this.#finished = this.#finished.filter((each) => each >= offset)
    this.counts.handled += before - this.#finished.length
  }

  /** Once more after a moment when the broker was busy: the same offset twice does no harm. */
  async #write(offset: bigint, limits: CallOptions): Promise<void> {
    await this.#consumer.commitOffset(this.queue, offset, limits).catch(async (error: unknown) => {
      if (!(error instanceof BrokerError && error.retryable)) throw error
      await pause(BUSY_PAUSE_MS, { at: Infinity, explicit: false })
      await this.#consumer.commitOffset(this.queue, offset, limits)
    })
  }

  async #adopt(offset: bigint, limits: CallOptions): Promise<void> {
    const at = (await this.#consumer.committedOffset(this.queue, limits)) ?? offset
    // Once in an invocation: a broker that answers nothing else must not keep the loop going.
    if (this.#isReset) this.#stop('its offset was reset again')
    this.#isReset = true
    this.#moved = `to ${at}: it was reset`
    this.#committed = at
    this.#restart(at)
    this.#isDrained = false
  }

  /** Forgets what was read: neither what waits nor what is being handled counts any more. */
  #restart(offset: bigint): void {
    this.#next = offset
    this.#left = undefined
    this.#finished = []
    this.#open.clear()
    this.#away.clear()
    this.#drop(0n)
  }

  summary(): QueueSummary {
    const committed = this.#committed ?? this.#start
    const stopped = this.#stopped ?? (this.#isRead ? undefined : UNREAD)
    return {
      ...this.queue,
      committedOffset: committed.toString(),
      ...(this.#isRead ? { lag: Math.max(0, Number(this.#max - committed)) } : {}),
      ...(stopped === undefined ? {} : { stopped }),
      ...(this.failure === undefined ? {} : { failure: this.failure }),
      ...(this.#moved === undefined ? {} : { moved: this.#moved }),
    }
  }
}

/** Whether an administrator has reset a queue that was read from `from`. */
const isReset = ({ status, minOffset, maxOffset }: PullResult, from: bigint): boolean =>
  status === 'OFFSET_MOVED' && from >= minOffset && from <= maxOffset

const sizeOf = ({ body }: Message): number => body.length + MESSAGE_BYTES

/**
 * What may be handed out of a pull, and up to where the offset may go: never to an offset that a message out of order
 * claims for itself, nor over one without a known place. `reason`: why it ends there.
 */
function soundPart(
  { messages, undecodable, nextBeginOffset }: PullResult,
  from: bigint,
): { messages: Message[]; undecodable: PlacedUndecodable[]; limit: bigint; reason?: string } {
  let limit = nextBeginOffset > from ? nextBeginOffset : from
  let reason: string | undefined
  let next = from
  let count = 0
  for (const { queueOffset } of messages) {
    if (queueOffset < next || queueOffset >= nextBeginOffset) {
      limit = next
      reason = 'the answer is not in the order of the queue'
      break
    }
    next = queueOffset + 1n
    count += 1
  }
  const placed: PlacedUndecodable[] = []
  for (const each of undecodable) {
    if (isPlaced(each) && each.queueOffset >= from && each.queueOffset < limit) placed.push(each)
    else reason ??= each.reason.message
  }
  return {
    messages: messages.slice(0, count),
    undecodable: placed,
    limit,
    ...(reason === undefined ? {} : { reason }),
  }
}

const isPlaced = (each: UndecodableMessage): each is PlacedUndecodable =>
  each.queueOffset !== undefined && each.commitLogOffset !== undefined
