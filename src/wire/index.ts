/**
 * `rocketmq-lambda/wire`: bytes and text of the RocketMQ protocol ⇄ values. Pure functions, lower level than the
 * client: no socket, timer, clock, environment or global state.
 *
 * @module
 */
export { formatHost, parseHost } from './address.ts'
export { type BatchMessage, decodeBatch, encodeBatch } from './batch.ts'
export { compress, compressionFlags } from './compression.ts'
export { decompress } from './decompression.ts'
export { type JsonValue, parseFastjson } from './fastjson.ts'
export {
  BORN_HOST_V6,
  COMPRESSED,
  COMPRESSION_LEGACY_ZLIB,
  COMPRESSION_LZ4,
  COMPRESSION_ZLIB,
  COMPRESSION_ZSTD,
  compressionType,
  INNER_BATCH,
  MULTI_TAGS,
  NEED_UNWRAP,
  STORE_HOST_V6,
  TRANSACTION_COMMIT,
  TRANSACTION_PREPARED,
  TRANSACTION_ROLLBACK,
  transactionType,
} from './flags.ts'
export {
  decodeFrame,
  encodeFrame,
  FLAG_ONEWAY,
  FLAG_RESPONSE,
  type Frame,
  type FrameInput,
  MAX_FRAME_BYTES,
} from './frame.ts'
export { FrameDecoder } from './frame-decoder.ts'
export { javaHashCode, selectQueueIndex } from './hash.ts'
export type { FrameHeader } from './header.ts'
export { encodeFrameBinary } from './header-binary.ts'
export { decompressLz4 } from './lz4-checksums.ts'
export {
  type DecodeOptions,
  decodeMessages,
  MAGIC_V1,
  MAGIC_V2,
  type StoredMessage,
  type UndecodableMessage,
} from './message.ts'
export {
  createUniqKey,
  decodeOffsetMessageId,
  decodeUniqKey,
  encodeOffsetMessageId,
  type UniqKeyParts,
} from './message-id.ts'
export {
  checkGroupName,
  checkTopicName,
  deadLetterTopic,
  isSystemTopic,
  namespaceOf,
  popRetryTopicV1,
  popRetryTopicV2,
  replyTopic,
  retryTopic,
  unwrapNamespace,
  vipAddress,
  wrapNamespace,
} from './names.ts'
export {
  formatAckBits,
  formatMsgOffsetInfo,
  formatOrderCountInfo,
  formatPopReceipt,
  formatStartOffsetInfo,
  ORDER_REVIVE_QUEUE,
  type PopReceipt,
  parseAckBits,
  parseMsgOffsetInfo,
  parseOrderCountInfo,
  parsePopReceipt,
  parseStartOffsetInfo,
  popStoredTopic,
} from './pop-receipt.ts'
export {
  checkPropertiesLength,
  checkUserProperties,
  decodeProperties,
  encodeProperties,
  isReservedProperty,
  MAX_PROPERTIES_BYTES,
} from './properties.ts'
export { formatRecallHandle, parseRecallHandle, type RecallHandle } from './recall-handle.ts'
export { sign } from './signature.ts'
export { parseTagExpression } from './tag-expression.ts'
