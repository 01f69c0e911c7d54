/**
 * One frame ⇄ bytes (protocol.md 1; upstream RemotingCommand).
 *
 *   length 4 (without itself) | serialisation 1 | header length 3 | header | body
 *
 * Requests are sent with the JSON header, which takes every code; answers are read in either encoding, because a
 * server answers in its own. The binary encoder stands in header-binary.ts, out of bundles that do not use it.
 */
import { malformed } from './checks.ts'
import { type Frame, type FrameInput, refuseFrame } from './header.ts'
import { decodeHeaderBinary } from './header-binary.ts'
import { decodeHeaderJson, encodeHeaderJson } from './header-json.ts'

export { FLAG_ONEWAY, FLAG_RESPONSE, type Frame, type FrameInput } from './header.ts'
export { encodeFrameBinary } from './header-binary.ts'

/** Servers close the connection on frames above this, the length field included. */
export const MAX_FRAME_BYTES = 0x100_0000

/**
 * Largest header that is read: the answer to a batch of 4 MiB has an id of 57 bytes for each of up to 60,000 messages. Its
 * values are counted before it is parsed: 16 MiB of small ones, as many as its length can say, became 600 MB of objects.
 */
export const MAX_HEADER_BYTES = 0x40_0000
/** Servers answer in it only who asks in it. The properties of a message, the most that stands in one, take 32 KiB. */
const MAX_BINARY_HEADER_BYTES = 0x4_0000

/**
 * Frame → bytes with the JSON header, the 4 length bytes included; one copy of the body.
 * @param allocate gives the Buffer of so many bytes that it is written into. @default a new one
 * @throws ProtocolError above 16 MiB.
 */
export const encodeFrame = (
  frame: FrameInput,
  allocate: (bytes: number) => Buffer = (bytes) => Buffer.allocUnsafe(bytes),
): Buffer => {
  const header = encodeHeaderJson(frame)
  const { body } = frame
  const headerBytes = Buffer.byteLength(header)
  const bodyAt = 8 + headerBytes
  const total = bodyAt + (body?.length ?? 0)
  if (total > MAX_FRAME_BYTES) throw malformed('frame', `has ${total} bytes; servers take ${MAX_FRAME_BYTES}`)
  const bytes = allocate(total)
  bytes.writeUInt32BE(total - 4)
  bytes.writeUInt32BE(headerBytes, 4) // its high byte is the serialisation, 0 = JSON
  bytes.write(header, 8)
  if (body) bytes.set(body, bodyAt)
  return bytes
}

/** The bytes after the length field → frame; `body` is a view of `bytes`. @throws ProtocolError naming the field. */
export const decodeFrame = (bytes: Buffer): Frame => {
  const word = bytes.length < 4 ? 4 : bytes.readUInt32BE()
  const bodyAt = 4 + (word & 0xff_ffff)
  if (bodyAt > bytes.length) refuseFrame('headerLength', `within its ${bytes.length} bytes`)
  const serializeType = word >>> 24
  const most = serializeType ? MAX_BINARY_HEADER_BYTES : MAX_HEADER_BYTES
  if (bodyAt > 4 + most) refuseFrame('headerLength', `at most ${most}`)
  if (serializeType > 1) refuseFrame('serializeType', `0 or 1, got ${serializeType}`)
  const header = serializeType
    ? decodeHeaderBinary(bytes.subarray(4, bodyAt))
    : decodeHeaderJson(bytes.toString('utf8', 4, bodyAt))
  const frame = header as Frame
  frame.body = bytes.subarray(bodyAt)
  return frame
}
