/** Bits of a message's `sysFlag` (protocol.md 5.2; upstream MessageSysFlag). */

/** The body is compressed; `compressionType` says how. */
export const COMPRESSED = 0x1
export const MULTI_TAGS = 0x2
/** The two transaction bits; 0 is an ordinary message. */
export const TRANSACTION_PREPARED = 0x4
export const TRANSACTION_COMMIT = 0x8
export const TRANSACTION_ROLLBACK = 0xc
export const BORN_HOST_V6 = 0x10
export const STORE_HOST_V6 = 0x20
/** Both together: the body holds messages in batch format. */
export const NEED_UNWRAP = 0x40
export const INNER_BATCH = 0x80

/** Values of `compressionType`. */
export const COMPRESSION_LEGACY_ZLIB = 0
export const COMPRESSION_LZ4 = 1
export const COMPRESSION_ZSTD = 2
export const COMPRESSION_ZLIB = 3

/** Bits 8 to 10: 0 (before there were types) or 3 zlib, 1 LZ4 frame, 2 zstd. */
export const compressionType = (sysFlag: number): number => (sysFlag >> 8) & 7

/** 0, `TRANSACTION_PREPARED`, `TRANSACTION_COMMIT` or `TRANSACTION_ROLLBACK`. */
export const transactionType = (sysFlag: number): number => sysFlag & TRANSACTION_ROLLBACK
