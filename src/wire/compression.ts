/** Bodies compressed before sending (protocol.md 4.3; upstream CompressorFactory), by Node's zlib and zstd. */
import { deflateSync, zstdCompressSync } from 'node:zlib'
import { COMPRESSED, COMPRESSION_ZLIB, COMPRESSION_ZSTD } from './flags.ts'

/** The reference's level. */
const ZLIB_LEVEL = 5

export function compress(type: 'zlib' | 'zstd', bytes: Uint8Array): Buffer {
  return type === 'zlib' ? deflateSync(bytes, { level: ZLIB_LEVEL }) : zstdCompressSync(bytes)
}

/** The sysFlag bits of a body from `compress`. */
export function compressionFlags(type: 'zlib' | 'zstd'): number {
  return COMPRESSED | ((type === 'zlib' ? COMPRESSION_ZLIB : COMPRESSION_ZSTD) << 8)
}
