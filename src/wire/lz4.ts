/**
 * LZ4 frames → bytes (lz4_Frame_format.md 1.6.4; what upstream's Lz4Compressor writes). Node has no LZ4 of its own.
 *
 *   magic 4 | FLG 1 | BD 1 | content size 8? | header checksum 1 | (block size 4 | block | checksum 4?)* | 0 | checksum 4?
 *
 * Linked and independent blocks, stored blocks, skippable and concatenated frames. Left out, with an error:
 * dictionaries and the legacy format. All integers are little-endian. Checksums are for whoever has no other one: a
 * stored message has its CRC, so the client leaves them out of its bundle (lz4-checksums.ts has them).
 */
import type { ProtocolError } from '../errors.ts'
import { malformed } from './checks.ts'

const MAGIC = 0x184d_2204
/** Without its last four bits, which are free. */
const SKIPPABLE = 0x184d_2a5

/** The error of every decompression: the output would be larger than the caller allows. */
export const tooLarge = (maxBytes: number): ProtocolError =>
  malformed('body', `is larger than ${maxBytes} bytes when decompressed`)

export function refuseLz4(what: string): never {
  throw malformed('body', `of LZ4: ${what}`)
}
const refuseLength = (): never => refuseLz4('a length leads beyond its bounds')

/** Compares the checksum that a frame has of `bytes[start, end)`; of the header it is the second byte only. */
export type Verify = (
  of: 'header' | 'block' | 'content',
  given: number,
  bytes: Buffer,
  start: number,
  end: number,
) => void

/** @throws ProtocolError for bytes that are not LZ4 frames, whatever `verify` throws, or an output above `maxBytes`. */
export const readLz4 = (bytes: Buffer, maxBytes: number, verify: Verify = () => undefined): Buffer => {
  /** The next byte to read. */
  let at = 0
  /** Holds `length` bytes so far; grows by doubling, never above the limit. */
  let output = Buffer.allocUnsafe(Math.min(maxBytes, bytes.length * 4))
  let length = 0

  const pass = (count: number): number => {
    const start = at
    at += count
    if (at > bytes.length) refuseLength()
    return start
  }
  const uint = (count: number): number => bytes.readUIntLE(pass(count), count)

  /** Makes room for up to `more` bytes, or as many as the limit leaves. */
  const reserve = (more: number): void => {
    const wanted = Math.min(length + more, maxBytes)
    if (wanted <= output.length) return
    const grown = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(wanted, output.length * 2)))
    output.copy(grown, 0, 0, length)
    output = grown
  }

  const readBlocks = (blockBytes: number, isLinked: boolean, hasChecksum: boolean): void => {
    const frameStart = length
    for (let word = uint(4); word !== 0; word = uint(4)) {
      const isStored = word > 0x7fff_ffff
      const size = word & 0x7fff_ffff
      const start = pass(size)
      if (size > blockBytes) refuseLength()
      // Nothing expands more than 255 times, so a small block cannot ask for a large Buffer.
      reserve(isStored ? size : Math.min(blockBytes, size * 255))
      const limit = Math.min(length + blockBytes, output.length)
      const end = isStored
        ? length + size
        : readBlock(bytes, start, at, output, length, isLinked ? frameStart : length, limit)
      if (end > limit) throw output.length < maxBytes ? refuseLength() : tooLarge(maxBytes)
      if (isStored) bytes.copy(output, length, start, at)
      length = end
      if (hasChecksum) verify('block', uint(4), bytes, start, start + size)
    }
  }

  const readFrame = (): void => {
    const magic = uint(4)
    if (magic >>> 4 === SKIPPABLE) {
      pass(uint(4))
      return
    }
    if (magic !== MAGIC) refuseLz4('not a frame')
    const start = at
    const frameStart = length
    const flags = uint(1)
    const descriptor = uint(1)
    if ((flags & 0xc2) !== 0x40 || (descriptor & 0xcf) !== 0x40)
      refuseLz4('unknown frame version or block size')
    if (flags & 1) refuseLz4('dictionaries are not supported')
    const contentBytes = flags & 8 ? uint(4) + uint(4) * 0x1_0000_0000 : undefined
    verify('header', uint(1), bytes, start, at - 1)
    readBlocks(1 << (8 + 2 * (descriptor >> 4)), !(flags & 0x20), !!(flags & 0x10))
    if ((contentBytes ?? length - frameStart) !== length - frameStart) refuseLz4('wrong content size')
    if (flags & 4) verify('content', uint(4), output, frameStart, length)
  }

  do readFrame()
  while (at < bytes.length)
  return output.subarray(0, length)
}

/**
 * One compressed block: (token 1 | literal length… | literals | match offset 2 | match length…)*, the last one
 * without a match. Returns where its output ends, or something above `limit` when it does not fit. Hot, hence one
 * function: lengths are checked once for each run, not for each byte.
 */
const readBlock = (
  from: Buffer,
  start: number,
  end: number,
  to: Buffer,
  outStart: number,
  windowStart: number,
  limit: number,
): number => {
  let at = start
  let out = outStart
  for (;;) {
    if (at >= end) refuseLength()
    const token = from[at++] as number
    let length = token >> 4
    if (length === 15) {
      const last = endOfRun(from, at, end)
      length += (last - at) * 255 + (from[last] as number)
      at = last + 1
    }
    if (length > end - at) refuseLength()
    let stop = out + length
    if (stop > limit) return stop
    if (length > 24) {
      from.copy(to, out, at, at + length)
      at += length
      out = stop
    } else while (out < stop) to[out++] = from[at++] as number
    if (at === end) return out
    if (end - at < 2) refuseLength()
    const offset = (from[at] as number) | ((from[at + 1] as number) << 8)
    at += 2
    if (offset === 0 || offset > out - windowStart) refuseLz4('match before the start')
    length = token & 15
    if (length === 15) {
      const last = endOfRun(from, at, end)
      length += (last - at) * 255 + (from[last] as number)
      at = last + 1
    }
    length += 4
    stop = out + length
    if (stop > limit) return stop
    let match = out - offset
    if (length > 24 && (offset >= 8 || length > 256)) {
      // A match may run into what it is writing: copy what is there, then twice as much, and so on.
      while (out < stop) {
        const count = Math.min(out - match, stop - out)
        to.copyWithin(out, match, match + count)
        out += count
      }
    } else while (out < stop) to[out++] = to[match++] as number
  }
}

/** A length of 15 goes on in bytes of 255 and one below, which is at the index returned. */
const endOfRun = (bytes: Buffer, start: number, end: number): number => {
  let at = start
  while (bytes[at] === 255) at++
  if (at < end) return at
  return refuseLength()
}
