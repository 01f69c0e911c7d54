/**
 * One frame ⇄ bytes (protocol.md 1; upstream RemotingCommand).
 *
 *   length 4 (without itself) | serialisation 1 | header length 3 | header | body
 *
 * Requests are sent with the JSON header, which takes every code; answers are read in either encoding, because a
 * server answers in its own. The binary encoder stands in header-binary.ts, out of bundles that do not use it.
 */
import { malformed } from './checks.ts'
import type { Frame, FrameHeader, FrameInput } from './header.ts'
import { decodeHeaderBinary } from './header-binary.ts'
import { decodeHeaderJson, encodeHeaderJson } from './header-json.ts'

export { FLAG_ONEWAY, FLAG_RESPONSE, type Frame, type FrameInput } from './header.ts'
export { encodeFrameBinary } from './header-binary.ts'

/** Servers close the connection on frames above this, the length field included. */
export const MAX_FRAME_BYTES = 0x100_0000

/**
 * Frame → bytes with the JSON header, the 4 length bytes included; one Buffer, one copy of the body.
 * @throws ProtocolError above 16 MiB.
 */
export function encodeFrame(frame: FrameInput): Buffer {
  const header = encodeHeaderJson(frame)
  const { body } = frame
  // ASCII nearly always: then the length is known without a second look and the write is a plain copy.
  const headerBytes = Buffer.byteLength(header)
  const bodyBytes = body === undefined ? 0 : body.length
  const total = 8 + headerBytes + bodyBytes
  if (total > MAX_FRAME_BYTES) {
    throw malformed('frame', `has ${total} bytes; servers close the connection above 16 MiB`)
  }
  const bytes = Buffer.allocUnsafe(total)
  bytes.writeUInt32BE(total - 4, 0)
  bytes.writeUInt32BE(headerBytes, 4) // its high byte is the serialisation, 0 = JSON
  bytes.write(header, 8, headerBytes === header.length ? 'latin1' : 'utf8')
  if (body !== undefined && bodyBytes !== 0) bytes.set(body, 8 + headerBytes)
  return bytes
}

/** The bytes after the length field → frame; `body` is a view of `bytes`. @throws ProtocolError naming the field. */
export function decodeFrame(bytes: Buffer): Frame {
  const headerEnd = bytes.length < 4 ? 4 : 4 + bytes.readUIntBE(1, 3)
  if (headerEnd > bytes.length)
    throw malformed('headerLength', `does not fit a frame of ${bytes.length} bytes`)
  const header = decodeHeader(bytes, headerEnd) as Frame
  header.body = bytes.subarray(headerEnd)
  return header
}

function decodeHeader(bytes: Buffer, end: number): FrameHeader {
  const serializeType = bytes.readUInt8(0)
  if (serializeType === 0) return decodeHeaderJson(bytes.toString('utf8', 4, end))
  if (serializeType === 1) return decodeHeaderBinary(bytes.subarray(4, end))
  throw malformed('serializeType', `is ${serializeType}; 0 (JSON) and 1 (ROCKETMQ) exist`)
}
