/**
 * Messages of one broker: the log, and a consume queue for each queue of each topic (upstream DefaultMessageStore). In
 * memory only, and the oldest messages go when the log has reached its limit, as they go from a disk.
 */
import { TRANSACTION_COMMIT, transactionType } from '../../wire/flags.ts'
import { javaHashCode } from '../../wire/hash.ts'
import { MAGIC_V1, MAGIC_V2 } from '../../wire/message.ts'
import { MessageLog } from './log.ts'
import { QueueIndex } from './queue.ts'
import { type NewMessage, readLong, readStoreTimestamp, recordBytes, writeRecord } from './record.ts'

/** Caps of one read from memory (protocol.md 8). */
const MOST_MESSAGES = 32
const MOST_BYTES = 256 << 10
/** How many entries of a queue one read looks at: 16,000 bytes of its file, 20 for each. */
const MOST_SCANNED = 800

/** Upstream's GetMessageStatus, which is the remark of a pull's answer. */
export type ReadStatus =
  | 'FOUND'
  | 'NO_MATCHED_MESSAGE'
  | 'NO_MESSAGE_IN_QUEUE'
  | 'OFFSET_TOO_SMALL'
  | 'OFFSET_OVERFLOW_ONE'
  | 'OFFSET_OVERFLOW_BADLY'

export interface ReadResult {
  status: ReadStatus
  next: number
  records: Buffer[]
}

export interface Appended {
  position: number
  queueOffset: number
}

export class MessageStore {
  readonly #log: MessageLog
  readonly #queues = new Map<string, Map<number, QueueIndex>>()
  readonly #now: () => number
  readonly #storeHost: Buffer

  constructor(retentionBytes: number, now: () => number, storeHost: Buffer) {
    this.#log = new MessageLog(retentionBytes)
    this.#now = now
    this.#storeHost = storeHost
  }

  append(message: NewMessage, tag: string | undefined): Appended {
    const queue = this.#queueFor(message.topic, message.queueId)
    const size = recordBytes(message, Buffer.byteLength(message.properties), Buffer.byteLength(message.topic))
    const { segment, at, position, dropped } = this.#log.reserve(size)
    const type = transactionType(message.sysFlag)
    // A half message in a topic of its own, or one that was rolled back, is in no queue: nobody ever reads it.
    const isQueued = type === 0 || type === TRANSACTION_COMMIT
    const queueOffset = isQueued ? queue.max : 0
    writeRecord(segment, at, size, message, {
      queueOffset,
      position,
      storeTimestamp: this.#now(),
      storeHost: this.#storeHost,
    })
    if (isQueued) queue.append(position, size, tag === undefined ? 0 : javaHashCode(tag))
    if (dropped) this.#dropOld()
    return { position, queueOffset }
  }

  #queueFor(topic: string, queueId: number): QueueIndex {
    const queues = this.#queues.get(topic) ?? new Map<number, QueueIndex>()
    const queue = queues.get(queueId) ?? new QueueIndex()
    if (queue.max === 0) this.#queues.set(topic, queues.set(queueId, queue))
    return queue
  }

  #dropOld(): void {
    for (const queues of this.#queues.values())
      for (const queue of queues.values()) queue.dropBefore(this.#log.begin)
  }

  queue(topic: string, queueId: number): QueueIndex | undefined {
    return this.#queues.get(topic)?.get(queueId)
  }

  deleteTopic(topic: string): void {
    this.#queues.delete(topic)
  }

  /** The record that starts at a position; nothing where none does. */
  record(position: number): Buffer | undefined {
    const start = this.#log.read(position, 36)
    if (!start) return undefined
    const magic = start.readInt32BE(4)
    if ((magic !== MAGIC_V1 && magic !== MAGIC_V2) || readLong(start, 28) !== position) return undefined
    return this.#log.read(position, start.readInt32BE(0))
  }

  /** The record at an offset that the queue has. */
  recordAt(queue: QueueIndex, offset: number): Buffer {
    const record = this.#log.read(queue.position(offset), queue.size(offset))
    if (!record) throw new Error(`the log has lost the message at ${queue.position(offset)}`)
    return record
  }

  /** All records of a topic, queue by queue. */
  *records(topic: string): Generator<Buffer> {
    const queues = [...(this.#queues.get(topic) ?? [])].sort(([a], [b]) => a - b)
    for (const [, queue] of queues)
      for (let offset = queue.min; offset < queue.max; offset++) yield this.recordAt(queue, offset)
  }

  /** @param matches by the hash of the tag */
  read(
    topic: string,
    queueId: number,
    offset: bigint,
    most: number,
    matches: (tag: number) => boolean,
  ): ReadResult {
    const queue = this.queue(topic, queueId)
    if (!queue) return { status: 'NO_MESSAGE_IN_QUEUE', next: 0, records: [] }
    const { min, max } = queue
    if (offset < min) return { status: 'OFFSET_TOO_SMALL', next: min, records: [] }
    if (offset > max) return { status: 'OFFSET_OVERFLOW_BADLY', next: max, records: [] }
    if (offset === BigInt(max)) return { status: 'OFFSET_OVERFLOW_ONE', next: max, records: [] }
    const records: Buffer[] = []
    let bytes = 0
    let next = Number(offset)
    const end = Math.min(max, next + MOST_SCANNED + 1)
    for (; next < end; next++) {
      const isFull = records.length >= Math.min(most, MOST_MESSAGES) || bytes + queue.size(next) > MOST_BYTES
      if (records.length > 0 && isFull) break
      if (!matches(queue.tag(next))) continue
      const record = this.recordAt(queue, next)
      records.push(record)
      bytes += record.length
    }
    return { status: records.length > 0 ? 'FOUND' : 'NO_MATCHED_MESSAGE', next, records }
  }

  /** Epoch ms at which the message of an offset was stored; 0 when there is none. */
  storeTimestamp(topic: string, queueId: number, offset: bigint): number {
    const queue = this.queue(topic, queueId)
    if (!queue || offset < queue.min || offset >= queue.max) return 0
    return readStoreTimestamp(this.recordAt(queue, Number(offset)))
  }

  /** lower: the first offset stored at or after the time, or `max`. upper: the last one at or before it, or `min`. */
  search(topic: string, queueId: number, time: number, isUpper: boolean): number {
    const queue = this.queue(topic, queueId)
    if (!queue) return 0
    let [low, high] = [queue.min, queue.max]
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const stored = readStoreTimestamp(this.recordAt(queue, middle))
      if (stored < time || (isUpper && stored === time)) low = middle + 1
      else high = middle
    }
    return isUpper ? Math.max(queue.min, low - 1) : low
  }
}
