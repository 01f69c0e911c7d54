/**
 * Bodies compressed before sending (protocol.md 4.3; upstream CompressorFactory), by Node's zlib and zstd. It is loaded
 * with the first body that is large enough.
 */
import { COMPRESSED, COMPRESSION_ZLIB, COMPRESSION_ZSTD } from './flags.ts'

/** The reference's level. */
const ZLIB_LEVEL = 5

export const compress = (type: 'zlib' | 'zstd', bytes: Uint8Array): Buffer => {
  const zlib = process.getBuiltinModule('node:zlib')
  return type === 'zlib' ? zlib.deflateSync(bytes, { level: ZLIB_LEVEL }) : zlib.zstdCompressSync(bytes)
}

/** The sysFlag bits of a body from `compress`. */
export const compressionFlags = (type: 'zlib' | 'zstd'): number =>
  COMPRESSED | ((type === 'zlib' ? COMPRESSION_ZLIB : COMPRESSION_ZSTD) << 8)
