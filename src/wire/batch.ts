/**
 * The body of a batch send, and of a stored inner batch (protocol.md 4.2; upstream MessageDecoder.encodeMessages).
 *
 *   (total length 4 | magic 4 = 0 | crc 4 = 0 | flag 4 | body 4 + n | properties 2 + n)*
 *
 * Magic and CRC are written as the reference does and not looked at.
 */
import { malformed } from './checks.ts'
import { MAX_PROPERTIES_BYTES } from './properties.ts'

const FIXED_BYTES = 22
/** What a decoded message takes in memory beside its body and properties, as `room` counts it. */
const OBJECT_BYTES = 128

export interface BatchMessage {
  /** The application's own, any int32. */
  flag: number
  body: Uint8Array
  /** Encoded by `encodeProperties`. UNIQ_KEY must be among them: the broker adds nothing to messages of a batch. */
  properties: string
}

/** How many bytes one message takes in a batch. */
export const batchedBytes = ({ body, properties }: Pick<BatchMessage, 'body' | 'properties'>): number =>
  FIXED_BYTES + body.length + Buffer.byteLength(properties)

/** @param total the sum of `batchedBytes`. @throws ProtocolError when a message's properties are longer than 32767 bytes. */
export const encodeBatch = (
  messages: readonly BatchMessage[],
  total: number = messages.reduce((sum, message) => sum + batchedBytes(message), 0),
): Buffer => {
  const bytes = Buffer.allocUnsafe(total)
  let at = 0
  for (const { flag, body, properties } of messages) {
    const propertiesAt = at + FIXED_BYTES + body.length
    const propertiesBytes = bytes.write(properties, propertiesAt)
    if (propertiesBytes > MAX_PROPERTIES_BYTES) {
      throw malformed('properties', `have ${propertiesBytes} bytes; ${MAX_PROPERTIES_BYTES} fit`)
    }
    const end = propertiesAt + propertiesBytes
    bytes.writeInt32BE(end - at, at)
    bytes.writeInt32BE(0, at + 4)
    bytes.writeInt32BE(0, at + 8)
    bytes.writeInt32BE(flag, at + 12)
    bytes.writeInt32BE(body.length, at + 16)
    bytes.set(body, at + 20)
    bytes.writeInt16BE(propertiesBytes, propertiesAt - 2)
    at = end
  }
  return bytes.subarray(0, at) // a body may have become shorter since its bytes were counted
}

/** What a message takes in memory beside its body. */
export const takes = ({ properties }: BatchMessage): number => OBJECT_BYTES + properties.length

/**
 * Bodies are views of `bytes`.
 * @param room for all of them, each as `takes` says: a few bytes can hold very many. @default no bound
 * @param field of the error where there is not enough
 * @throws ProtocolError unless the lengths fill the bytes exactly, or without room
 */
export const decodeBatch = (bytes: Buffer, room: number = Infinity, field = 'batch'): BatchMessage[] => {
  const messages: BatchMessage[] = []
  let at = 0
  while (at < bytes.length) {
    const left = bytes.length - at
    const total = left < FIXED_BYTES ? 0 : bytes.readInt32BE(at)
    if (total < FIXED_BYTES || total > left) refuseBatch(at, 'total length')
    const bodyBytes = bytes.readInt32BE(at + 16)
    if (bodyBytes < 0 || bodyBytes > total - FIXED_BYTES) refuseBatch(at, 'body length')
    const propertiesAt = at + FIXED_BYTES + bodyBytes
    const end = at + total
    if (bytes.readInt16BE(propertiesAt - 2) !== end - propertiesAt) refuseBatch(at, 'properties length')
    const message = {
      flag: bytes.readInt32BE(at + 12),
      body: bytes.subarray(at + 20, at + 20 + bodyBytes),
      properties: bytes.toString('utf8', propertiesAt, end),
    }
    room -= takes(message)
    if (room < 0)
      throw malformed(field, `holds more than ${messages.length} messages, or too many properties`)
    messages.push(message)
    at = end
  }
  return messages
}

function refuseBatch(at: number, field: string): never {
  throw malformed(field, `of the batched message at byte ${at} is impossible`)
}
