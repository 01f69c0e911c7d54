/**
 * The ROCKETMQ binary header (protocol.md 1.2; upstream RocketMQSerializable).
 *
 *   code 2 | language 1 | version 2 | opaque 4 | flag 4 | remark 4 + n | ext block 4 + n
 *   ext block: (name 2 + n | value 4 + n)*
 *
 * Code is 16 bits, so pop requests (200050…) do not fit: the client sends JSON and only reads this.
 */
import { ProtocolError } from '../errors.ts'
import { type FrameHeader, type FrameInput, LANGUAGE, PROTOCOL_VERSION, refuseFrame } from './header.ts'

const OTHER = 7
const FIXED_BYTES = 21

/** The index is the number on the wire. */
const languages = (): string[] =>
  'JAVA CPP DOTNET PYTHON DELPHI ERLANG RUBY OTHER HTTP GO PHP OMS RUST NODE_JS'.split(' ')

/**
 * Frame → bytes with the binary header, the 4 length bytes included.
 * @throws ProtocolError when a field does not fit (`code` and `version` are 16 bit here).
 */
export const encodeFrameBinary = (frame: FrameInput): Buffer => {
  const { code, version = PROTOCOL_VERSION, language = LANGUAGE, flag = 0, remark = '', body } = frame
  if (code !== (code << 16) >> 16) {
    throw new ProtocolError(`code ${code} does not fit the 16 bits of the binary header; use JSON`, {
      field: 'code',
    })
  }
  if (version !== (version << 16) >> 16) {
    throw new ProtocolError(`version ${version} does not fit the 16 bits of the binary header`, {
      field: 'version',
    })
  }
  const entries = Object.entries(frame.ext ?? {})
  const remarkBytes = Buffer.byteLength(remark)
  let extBytes = 0
  for (const [name, value] of entries) {
    const nameBytes = Buffer.byteLength(name)
    if (nameBytes > 0x7fff)
      throw new ProtocolError('ext name is longer than 32767 bytes', { field: 'extFields' })
    extBytes += 6 + nameBytes + Buffer.byteLength(value)
  }
  const headerBytes = FIXED_BYTES + remarkBytes + extBytes
  if (headerBytes > 0xff_ffff) throw new ProtocolError('header is longer than 16 MiB', { field: 'header' })
  const bytes = Buffer.allocUnsafe(8 + headerBytes + (body?.length ?? 0))
  bytes.writeUInt32BE(bytes.length - 4, 0)
  bytes.writeUInt32BE(0x100_0000 + headerBytes, 4)
  bytes.writeInt16BE(code, 8)
  const number = languages().indexOf(language)
  bytes[10] = number < 0 ? OTHER : number
  bytes.writeInt16BE(version, 11)
  bytes.writeInt32BE(frame.opaque, 13)
  bytes.writeInt32BE(flag, 17)
  let at = bytes.writeInt32BE(remarkBytes, 21)
  at += bytes.write(remark, at)
  at = bytes.writeInt32BE(extBytes, at)
  for (const [name, value] of entries) {
    const nameBytes = bytes.write(name, at + 2)
    at = bytes.writeInt16BE(nameBytes, at) + nameBytes
    const valueBytes = bytes.write(value, at + 4)
    at = bytes.writeInt32BE(valueBytes, at) + valueBytes
  }
  if (body) bytes.set(body, at)
  return bytes
}

/** Header bytes → fields. A value of no length is left out, as absent and empty are alike. @throws ProtocolError naming the field. */
export const decodeHeaderBinary = (bytes: Buffer): FrameHeader => {
  if (bytes.length < FIXED_BYTES) refuseFrame('header', 'longer')
  let at = 13
  /** Passes over a length of `width` bytes and what it counts; gives where that begins. */
  const skip = (field: string, width: number, limit: number): number => {
    const start = at + width
    const length = start > limit ? -1 : bytes.readIntBE(at, width)
    at = start + length
    if (length < 0 || at > limit) refuseFrame(field, 'within its bytes')
    return start
  }
  const text = (field: string, width: number, limit: number): string =>
    bytes.toString('utf8', skip(field, width, limit), at)

  const remark = text('remark', 4, bytes.length - 4)
  const extAt = skip('extFields', 4, bytes.length)
  const extEnd = at
  const ext: Record<string, string> = Object.create(null)
  for (at = extAt; at < extEnd; ) {
    const name = text('extFields', 2, extEnd)
    const value = text('extFields', 4, extEnd)
    if (value) ext[name] = value
  }
  const header: FrameHeader = {
    code: bytes.readInt16BE(0),
    language: languages()[bytes.readUInt8(2)] ?? LANGUAGE,
    version: bytes.readInt16BE(3),
    opaque: bytes.readInt32BE(5),
    flag: bytes.readInt32BE(9),
    ext,
  }
  if (remark) header.remark = remark
  return header
}
