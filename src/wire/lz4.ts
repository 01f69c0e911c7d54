/**
 * LZ4 frames → bytes (lz4_Frame_format.md 1.6.4; what upstream's Lz4Compressor writes). Node has no LZ4 of its own.
 *
 *   magic 4 | FLG 1 | BD 1 | content size 8? | header checksum 1 | (block size 4 | block | checksum 4?)* | 0 | checksum 4?
 *
 * Linked and independent blocks, every checksum, stored blocks, skippable and concatenated frames. Left out, with an
 * error: dictionaries and the legacy format. All integers are little-endian.
 */
import { ProtocolError } from '../errors.ts'

const MAGIC = 0x184d_2204
const SKIPPABLE = 0x184d_2a50

/** @throws ProtocolError for bytes that are not LZ4 frames, a wrong checksum, or an output above `maxBytes`. */
export function decompressLz4(bytes: Buffer, maxBytes: number): Buffer {
  const output = new Output(maxBytes, Math.min(maxBytes, bytes.length * 4))
  let at = 0
  do at = readFrame(bytes, at, output)
  while (at < bytes.length)
  return output.bytes.subarray(0, output.length)
}

/** The decompressed bytes so far: grows by doubling, never above the limit. */
class Output {
  bytes: Buffer
  length = 0
  readonly #maxBytes: number

  constructor(maxBytes: number, firstBytes: number) {
    this.#maxBytes = maxBytes
    this.bytes = Buffer.allocUnsafe(firstBytes)
  }

  /** Makes room for up to `more` bytes, or as many as the limit leaves. */
  reserve(more: number): void {
    const wanted = Math.min(this.length + more, this.#maxBytes)
    if (wanted <= this.bytes.length) return
    const grown = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(wanted, this.bytes.length * 2)))
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
  }

  /** The end of what one block may write. */
  limit(blockBytes: number): number {
    return Math.min(this.length + blockBytes, this.bytes.length)
  }

  /** Why a block did not fit. */
  overflow(): ProtocolError {
    return this.bytes.length >= this.#maxBytes
      ? new ProtocolError(`body is larger than ${this.#maxBytes} bytes when decompressed`, { field: 'body' })
      : broken('block is larger than its frame allows')
  }
}

function broken(what: string): ProtocolError {
  return new ProtocolError(`LZ4: ${what}`, { field: 'body' })
}

const cutOff = (): ProtocolError => broken('a length leads beyond the data')
const wrongChecksum = (of: string): ProtocolError => broken(`wrong ${of} checksum`)

/** `count` little-endian bytes. */
function uint(bytes: Buffer, at: number, count: number): number {
  if (at + count > bytes.length) throw cutOff()
  return bytes.readUIntLE(at, count)
}

/** Reads one frame into `output` and returns where it ends. */
function readFrame(bytes: Buffer, start: number, output: Output): number {
  const magic = uint(bytes, start, 4)
  if (magic >= SKIPPABLE && magic < SKIPPABLE + 16) {
    const end = start + 8 + uint(bytes, start + 4, 4)
    if (end > bytes.length) throw cutOff()
    return end
  }
  if (magic !== MAGIC) throw broken(`not a frame (magic ${magic.toString(16)})`)
  const flags = uint(bytes, start + 4, 1)
  const descriptor = uint(bytes, start + 5, 1)
  if (flags >> 6 !== 1 || (flags & 2) !== 0 || (descriptor & 0x8f) !== 0 || descriptor < 0x40) {
    throw broken('unknown frame version or block size')
  }
  if ((flags & 1) !== 0) throw broken('dictionaries are not supported')
  const hasSize = (flags & 8) !== 0
  let at = start + (hasSize ? 14 : 6)
  if (uint(bytes, at, 1) !== ((xxHash32(bytes, start + 4, at) >>> 8) & 0xff)) throw wrongChecksum('header')
  const frameStart = output.length
  at = readBlocks(bytes, at + 1, output, {
    blockBytes: 1 << (8 + 2 * (descriptor >> 4)),
    isLinked: (flags & 0x20) === 0,
    hasChecksum: (flags & 0x10) !== 0,
  })
  if (hasSize && bytes.readBigUInt64LE(start + 6) !== BigInt(output.length - frameStart)) {
    throw broken('content size does not match')
  }
  if ((flags & 4) === 0) return at
  if (uint(bytes, at, 4) !== xxHash32(output.bytes, frameStart, output.length)) throw wrongChecksum('content')
  return at + 4
}

interface Blocks {
  blockBytes: number
  isLinked: boolean
  hasChecksum: boolean
}

/** All blocks of a frame, up to and with the end mark. */
function readBlocks(
  bytes: Buffer,
  start: number,
  output: Output,
  { blockBytes, isLinked, hasChecksum }: Blocks,
): number {
  const frameStart = output.length
  let at = start
  for (;;) {
    const word = uint(bytes, at, 4)
    at += 4
    if (word === 0) return at
    const isStored = word >= 0x8000_0000
    const size = word % 0x8000_0000
    const end = at + size
    if (size > blockBytes || end > bytes.length) throw cutOff()
    // Nothing expands more than 255 times, so a small block cannot ask for a large Buffer.
    output.reserve(isStored ? size : Math.min(blockBytes, size * 255))
    if (!isStored)
      readBlock(bytes, at, end, output, isLinked ? frameStart : output.length, output.limit(blockBytes))
    else {
      if (output.length + size > output.bytes.length) throw output.overflow()
      output.length += bytes.copy(output.bytes, output.length, at, end)
    }
    at = end
    if (hasChecksum) {
      if (uint(bytes, at, 4) !== xxHash32(bytes, end - size, end)) throw wrongChecksum('block')
      at += 4
    }
  }
}

/**
 * One compressed block: (token 1 | literal length… | literals | match offset 2 | match length…)*, the last one
 * without a match. Hot, hence one function: lengths are checked once for each run, not for each byte.
 */
function readBlock(
  from: Buffer,
  start: number,
  end: number,
  output: Output,
  windowStart: number,
  limit: number,
): void {
  const to = output.bytes
  let at = start
  let out = output.length
  for (;;) {
    if (at >= end) throw cutOff()
    const token = from[at++] as number
    let length = token >> 4
    if (length === 15) {
      let more: number
      do {
        if (at >= end) throw cutOff()
        more = from[at++] as number
        length += more
      } while (more === 255)
    }
    if (length > end - at) throw cutOff()
    if (length > limit - out) throw output.overflow()
    if (length > 24) {
      from.copy(to, out, at, at + length)
      at += length
      out += length
    } else for (const stop = out + length; out < stop; ) to[out++] = from[at++] as number
    if (at === end) break
    if (end - at < 2) throw cutOff()
    const offset = (from[at] as number) | ((from[at + 1] as number) << 8)
    at += 2
    if (offset === 0 || offset > out - windowStart) throw broken('match before the start')
    length = token & 15
    if (length === 15) {
      let more: number
      do {
        if (at >= end) throw cutOff()
        more = from[at++] as number
        length += more
      } while (more === 255)
    }
    length += 4
    if (length > limit - out) throw output.overflow()
    const stop = out + length
    if (length > 24 && (offset >= 8 || length > 256)) {
      // A match may run into what it is writing: copy what is there, then twice as much, and so on.
      const source = out - offset
      for (let step = offset; out < stop; step = out - source) {
        const count = Math.min(step, stop - out)
        to.copyWithin(out, source, source + count)
        out += count
      }
    } else for (let match = out - offset; out < stop; ) to[out++] = to[match++] as number
  }
  output.length = out
}

const PRIME_1 = 0x9e37_79b1
const PRIME_2 = 0x85eb_ca77
const PRIME_3 = 0xc2b2_ae3d
const PRIME_4 = 0x27d4_eb2f
const PRIME_5 = 0x1656_67b1

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))
const round = (lane: number, word: number): number =>
  Math.imul(rotate((lane + Math.imul(word, PRIME_2)) | 0, 13), PRIME_1)

/** xxHash32 with seed 0 of `bytes[start, end)`, unsigned. */
export function xxHash32(bytes: Buffer, start: number, end: number): number {
  let at = start
  let hash = PRIME_5
  if (end - start >= 16) {
    let a = (PRIME_1 + PRIME_2) | 0
    let b = PRIME_2 | 0
    let c = 0
    let d = -PRIME_1 | 0
    for (; at <= end - 16; at += 16) {
      a = round(a, bytes.readInt32LE(at))
      b = round(b, bytes.readInt32LE(at + 4))
      c = round(c, bytes.readInt32LE(at + 8))
      d = round(d, bytes.readInt32LE(at + 12))
    }
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0
  }
  hash = (hash + end - start) | 0
  for (; at <= end - 4; at += 4) {
    hash = Math.imul(rotate((hash + Math.imul(bytes.readInt32LE(at), PRIME_3)) | 0, 17), PRIME_4)
  }
  for (; at < end; at++) {
    hash = Math.imul(rotate((hash + Math.imul(bytes[at] as number, PRIME_5)) | 0, 11), PRIME_1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3)
  return (hash ^ (hash >>> 16)) >>> 0
}
