/**
 * Bodies of stored messages, decompressed (protocol.md 5.2; upstream CompressorFactory). zlib and zstd are Node's, LZ4
 * is ours. LZ4's own checksums are not looked at: the CRC of the message covers the same bytes. The size of the output is limited while it grows: a few bytes can expand to gigabytes. Apart from
 * compression.ts, so that a bundle which only sends does not import it.
 */
import { inflateSync, zstdDecompressSync } from 'node:zlib'
import { malformed } from './checks.ts'
import { COMPRESSION_LEGACY_ZLIB, COMPRESSION_LZ4, COMPRESSION_ZLIB, COMPRESSION_ZSTD } from './flags.ts'
import { readLz4, tooLarge } from './lz4.ts'

/** Of node:zlib's constants. zstd allocates its window before the first byte: 2^25 covers every level up to 20. */
const ZSTD_D_WINDOW_LOG_MAX = 100

/**
 * @param type `compressionType(sysFlag)`.
 * @param maxBytes largest output.
 * @throws ProtocolError for an unknown type, bytes that do not decompress, or a larger output.
 */
export const decompress = (type: number, bytes: Buffer, maxBytes: number): Buffer => {
  if (type === COMPRESSION_LZ4) return readLz4(bytes, maxBytes)
  const maxOutputLength = Math.max(1, maxBytes)
  try {
    if (type === COMPRESSION_ZLIB || type === COMPRESSION_LEGACY_ZLIB)
      return inflateSync(bytes, { maxOutputLength })
    if (type === COMPRESSION_ZSTD) {
      return zstdDecompressSync(bytes, { maxOutputLength, params: { [ZSTD_D_WINDOW_LOG_MAX]: 25 } })
    }
  } catch (cause) {
    throw cause instanceof RangeError ? tooLarge(maxBytes) : malformed('body', 'does not decompress', cause)
  }
  throw malformed('sysFlag', `has the unknown compression type ${type}`)
}
