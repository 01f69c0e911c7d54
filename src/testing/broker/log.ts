/**
 * The commit log: messages one behind the other in large Buffers, addressed by their position from the beginning of
 * time. When it has grown beyond its limit the oldest Buffer goes, and its messages with it.
 */
import { ConfigError } from '../../errors.ts'

/** Larger than the largest message, which never spans two segments. */
export const SEGMENT_BYTES: number = 8 << 20

export class MessageLog {
  readonly #segments: Buffer[] = []
  readonly #most: number
  #first = 0
  /** Where the next message goes. */
  #end = 0

  /** @throws ConfigError below two segments: the one that is written to, and the one before. */
  constructor(retentionBytes: number) {
    if (!(retentionBytes >= 2 * SEGMENT_BYTES))
      throw new ConfigError('retentionBytes', `takes at least ${2 * SEGMENT_BYTES}, got ${retentionBytes}`)
    this.#most = Math.floor(retentionBytes / SEGMENT_BYTES)
  }

  /** Where the oldest message is that is still there. */
  get begin(): number {
    return this.#first * SEGMENT_BYTES
  }

  /** Room for one message; `dropped` says that older ones had to go for it. */
  reserve(size: number): { segment: Buffer; at: number; position: number; dropped: boolean } {
    const left = SEGMENT_BYTES - (this.#end % SEGMENT_BYTES)
    if (left < size) this.#end += left
    const index = Math.floor(this.#end / SEGMENT_BYTES) - this.#first
    let segment = this.#segments[index]
    let dropped = false
    if (!segment) {
      segment = Buffer.allocUnsafeSlow(SEGMENT_BYTES)
      this.#segments.push(segment)
      if (this.#segments.length > this.#most) {
        this.#segments.shift()
        this.#first++
        dropped = true
      }
    }
    const position = this.#end
    this.#end += size
    return { segment, at: position % SEGMENT_BYTES, position, dropped }
  }

  /** A view of the bytes. Nothing when they are not there (any more). */
  read(position: number, size: number): Buffer | undefined {
    if (position < this.begin || position + size > this.#end) return undefined
    const at = position % SEGMENT_BYTES
    const segment = this.#segments[Math.floor(position / SEGMENT_BYTES) - this.#first]
    return at + size > SEGMENT_BYTES ? undefined : segment?.subarray(at, at + size)
  }
}
