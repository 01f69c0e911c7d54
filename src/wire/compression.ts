/**
 * Compressed bodies (protocol.md 4.3, 5.2; upstream CompressorFactory). zlib and zstd are Node's, LZ4 is ours.
 * The size of the output is limited while it grows: a few bytes can expand to gigabytes.
 */
import { constants, deflateSync, inflateSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { ProtocolError } from '../errors.ts'
import {
  COMPRESSED,
  COMPRESSION_LEGACY_ZLIB,
  COMPRESSION_LZ4,
  COMPRESSION_ZLIB,
  COMPRESSION_ZSTD,
} from './flags.ts'
import { decompressLz4 } from './lz4.ts'

/** The reference's level. */
const ZLIB_LEVEL = 5
/** zstd allocates its window before the first byte: 32 MiB covers every level up to 20. */
const ZSTD_WINDOW_LOG = 25

/**
 * @param type `compressionType(sysFlag)`.
 * @param maxBytes largest output.
 * @throws ProtocolError for an unknown type, bytes that do not decompress, or a larger output.
 */
export function decompress(type: number, bytes: Buffer, maxBytes: number): Buffer {
  if (type === COMPRESSION_LZ4) return decompressLz4(bytes, maxBytes)
  const maxOutputLength = Math.max(1, maxBytes)
  try {
    if (type === COMPRESSION_ZLIB || type === COMPRESSION_LEGACY_ZLIB)
      return inflateSync(bytes, { maxOutputLength })
    if (type === COMPRESSION_ZSTD) {
      const params = { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG }
      return zstdDecompressSync(bytes, { maxOutputLength, params })
    }
  } catch (cause) {
    const tooLarge = cause instanceof RangeError
    throw new ProtocolError(
      tooLarge ? `body is larger than ${maxBytes} bytes when decompressed` : 'body does not decompress',
      { field: 'body', cause },
    )
  }
  throw new ProtocolError(`compression type ${type} is unknown`, { field: 'sysFlag' })
}

export function compress(type: 'zlib' | 'zstd', bytes: Uint8Array): Buffer {
  return type === 'zlib' ? deflateSync(bytes, { level: ZLIB_LEVEL }) : zstdCompressSync(bytes)
}

/** The sysFlag bits of a body from `compress`. */
export function compressionFlags(type: 'zlib' | 'zstd'): number {
  return COMPRESSED | ((type === 'zlib' ? COMPRESSION_ZLIB : COMPRESSION_ZSTD) << 8)
}
