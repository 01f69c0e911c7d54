/**
 * Bytes as a socket delivers them → frames (protocol.md 1; upstream NettyDecoder).
 *
 * A frame that lies whole in a chunk is decoded in place, and only its body copied. One that spans chunks is collected
 * in a Buffer that doubles: linear work however small the chunks, and no more memory than twice what really arrived,
 * whatever the length field promises.
 */
import { decodeFrame, MAX_FRAME_BYTES } from './frame.ts'
import { type Frame, refuseFrame } from './header.ts'

/** First size of the collecting Buffer: a pull answer is 256 KiB at most, unless one message is larger. */
const FIRST_BYTES = 0x5_0000

export class FrameDecoder {
  /**
   * Takes the next bytes and calls `onFrame` for each frame that they complete. `chunk` may be overwritten afterwards.
   * @throws ProtocolError after the frames before the bad one have been delivered. The stream has lost its place
   * then, so every further call throws the same.
   */
  declare readonly push: (chunk: Buffer, onFrame: (frame: Frame) => void) => void

  /** @param maxFrameBytes largest length field that is accepted. @default 16 MiB */
  constructor(maxFrameBytes: number = MAX_FRAME_BYTES) {
    let failure: unknown
    /** The frame under way, with its length field: `have` of `need` bytes are in `partial`; 4 are needed at first. */
    let partial: Buffer | undefined
    let have = 0
    let need = 0

    const sizeAt = (bytes: Buffer, at: number): number => {
      const length = bytes.readUInt32BE(at)
      if (length >= 4 && length <= maxFrameBytes) return length + 4
      refuseFrame('length', `4 to ${maxFrameBytes}, got ${length}`)
    }

    this.push = (chunk, onFrame) => {
      if (failure) throw failure
      try {
        read(chunk, onFrame)
      } catch (error) {
        failure = error
        throw error
      }
    }

    const read: FrameDecoder['push'] = (chunk, onFrame) => {
      for (let at = 0, end = 0; at < chunk.length; at = end) {
        const left = chunk.length - at
        if (have === 0) need = left < 4 ? 4 : sizeAt(chunk, at)
        end = at + Math.min(left, need - have)
        if (end - at === need) {
          const frame = decodeFrame(chunk.subarray(at + 4, end))
          if (frame.body.length > 0) frame.body = Buffer.from(frame.body)
          onFrame(frame)
          continue
        }
        const size = have + end - at
        if (!partial || partial.length < size) {
          const grown = Buffer.allocUnsafe(Math.min(need, Math.max(FIRST_BYTES, size * 2)))
          partial?.copy(grown, 0, 0, have)
          partial = grown
        }
        chunk.copy(partial, have, at, end)
        have = size
        if (size < need) return
        if (need === 4) need = sizeAt(partial, 0)
        else {
          const whole = partial.subarray(4)
          partial = undefined
          have = 0
          onFrame(decodeFrame(whole))
        }
      }
    }
  }
}
