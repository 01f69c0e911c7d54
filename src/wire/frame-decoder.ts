/**
 * Bytes as a socket delivers them → frames (protocol.md 1; upstream NettyDecoder).
 *
 * A frame that lies whole in a chunk is decoded in place, without a copy. One that spans chunks is collected in a
 * Buffer that doubles: linear work however small the chunks, and no more memory than twice what really arrived,
 * whatever the length field promises.
 */
import { malformed } from './checks.ts'
import { decodeFrame, MAX_FRAME_BYTES } from './frame.ts'
import type { Frame } from './header.ts'

/** First size of the collecting Buffer: a pull answer is 256 KiB at most, unless one message is larger. */
const FIRST_BYTES = 0x5_0000

export class FrameDecoder {
  readonly #maxFrameBytes: number
  /** Bytes of the length field that have arrived, 0 to 4, and their value so far. */
  #lengthBytes = 0
  #length = 0
  /** The part of the current frame that has arrived: `#have` bytes of `#partial`. */
  #partial: Buffer | undefined
  #have = 0
  #failure: unknown

  /** @param maxFrameBytes largest length field that is accepted. @default 16 MiB */
  constructor(maxFrameBytes: number = MAX_FRAME_BYTES) {
    this.#maxFrameBytes = maxFrameBytes
  }

  /**
   * Takes the next bytes and calls `onFrame` for each frame that they complete. A frame may keep `chunk` in use.
   * @throws ProtocolError after the frames before the bad one have been delivered. The stream has lost its place
   * then, so every further call throws the same.
   */
  push(chunk: Buffer, onFrame: (frame: Frame) => void): void {
    if (this.#failure !== undefined) throw this.#failure
    try {
      let at = 0
      while (at < chunk.length) at = this.#step(chunk, at, onFrame)
    } catch (error) {
      this.#failure = error
      this.#partial = undefined
      throw error
    }
  }

  /** Reads on from `at`: a whole frame, or whatever of one is there. Returns where the next begins. */
  #step(chunk: Buffer, start: number, onFrame: (frame: Frame) => void): number {
    let at = start
    if (this.#lengthBytes === 0 && chunk.length - at >= 4) {
      this.#length = chunk.readUInt32BE(at)
      this.#lengthBytes = 4
      at += 4
    } else {
      while (this.#lengthBytes < 4 && at < chunk.length) {
        this.#length = this.#length * 256 + chunk.readUInt8(at++)
        this.#lengthBytes++
      }
      if (this.#lengthBytes < 4) return at
    }
    const length = this.#length
    if (this.#have === 0) {
      if (length < 4 || length > this.#maxFrameBytes) {
        throw malformed('length', `of a frame is ${length}; 4 to ${this.#maxFrameBytes} is accepted`)
      }
      if (chunk.length - at >= length) {
        this.#lengthBytes = this.#length = 0
        onFrame(decodeFrame(chunk.subarray(at, at + length)))
        return at + length
      }
    }
    return this.#collect(chunk, at, onFrame)
  }

  #collect(chunk: Buffer, at: number, onFrame: (frame: Frame) => void): number {
    const end = Math.min(chunk.length, at + this.#length - this.#have)
    const have = this.#have + end - at
    let partial = this.#partial
    if (partial === undefined || partial.length < have) {
      const grown = Buffer.allocUnsafe(Math.min(this.#length, Math.max(FIRST_BYTES, have * 2)))
      partial?.copy(grown, 0, 0, this.#have)
      this.#partial = partial = grown
    }
    chunk.copy(partial, this.#have, at, end)
    this.#have = have
    if (have === this.#length) {
      this.#partial = undefined
      this.#lengthBytes = this.#length = this.#have = 0
      onFrame(decodeFrame(partial))
    }
    return end
  }
}
