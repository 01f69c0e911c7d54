/**
 * The checksums of LZ4 frames, xxHash32 (xxhash_spec.md 0.1.1): for frames that are not the body of a stored message,
 * whose CRC covers them already.
 */
import { readLz4, refuseLz4, type Verify } from './lz4.ts'

/** @throws ProtocolError for bytes that are not LZ4 frames, a wrong checksum, or an output above `maxBytes`. */
export const decompressLz4 = (bytes: Buffer, maxBytes: number): Buffer => readLz4(bytes, maxBytes, verify)

const verify: Verify = (of, given, bytes, start, end) => {
  const hash = xxHash32(bytes, start, end)
  if (given !== (of === 'header' ? (hash >>> 8) & 0xff : hash)) refuseLz4(`wrong ${of} checksum`)
}

const PRIME_1 = 0x9e37_79b1
const PRIME_2 = 0x85eb_ca77
const PRIME_3 = 0xc2b2_ae3d
const PRIME_4 = 0x27d4_eb2f
const PRIME_5 = 0x1656_67b1

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits))
const mix = (hash: number, word: number, by: number, bits: number, then: number): number =>
  Math.imul(rotate((hash + Math.imul(word, by)) | 0, bits), then)

/** xxHash32 with seed 0 of `bytes[start, end)`, unsigned. */
export const xxHash32 = (bytes: Buffer, start: number, end: number): number => {
  let at = start
  let hash = PRIME_5
  const round = (lane: number, from: number): number =>
    mix(lane, bytes.readInt32LE(from), PRIME_2, 13, PRIME_1)
  if (end - start >= 16) {
    let a = (PRIME_1 + PRIME_2) | 0
    let b = PRIME_2 | 0
    let c = 0
    let d = -PRIME_1 | 0
    for (; at <= end - 16; at += 16) {
      a = round(a, at)
      b = round(b, at + 4)
      c = round(c, at + 8)
      d = round(d, at + 12)
    }
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0
  }
  hash = (hash + end - start) | 0
  for (; at <= end - 4; at += 4) hash = mix(hash, bytes.readInt32LE(at), PRIME_3, 17, PRIME_4)
  for (; at < end; at++) hash = mix(hash, bytes[at] as number, PRIME_5, 11, PRIME_1)
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3)
  return (hash ^ (hash >>> 16)) >>> 0
}
