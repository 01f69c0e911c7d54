/**
 * The JSON header (protocol.md 1.1; upstream RemotingSerializable): what servers answer in by default.
 * Members it does not know are ignored, `serializeTypeCurrentRPC` among them.
 */
import { ProtocolError } from '../errors.ts'
import { type FrameHeader, type FrameInput, LANGUAGE, PROTOCOL_VERSION } from './header.ts'

const NO_EXT: Readonly<Record<string, string>> = /* @__PURE__ */ Object.freeze(
  /* @__PURE__ */ Object.create(null) as Record<string, string>,
)

export function encodeHeaderJson(frame: FrameInput): string {
  return JSON.stringify({
    code: frame.code,
    language: frame.language ?? LANGUAGE,
    version: frame.version ?? PROTOCOL_VERSION,
    opaque: frame.opaque,
    flag: frame.flag ?? 0,
    remark: frame.remark,
    extFields: frame.ext,
  })
}

/** @throws ProtocolError naming the member. */
export function decodeHeaderJson(text: string): FrameHeader {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw new ProtocolError('frame header is not JSON', { field: 'header', cause })
  }
  if (!isRecord(parsed)) throw new ProtocolError('frame header is not a JSON object', { field: 'header' })
  const language = parsed['language']
  const header: FrameHeader = {
    code: int(parsed, 'code'),
    language: typeof language === 'string' ? language : LANGUAGE,
    version: int(parsed, 'version', 0),
    opaque: int(parsed, 'opaque'),
    flag: int(parsed, 'flag', 0),
    ext: decodeExt(parsed['extFields']),
  }
  const remark = parsed['remark'] ?? ''
  if (typeof remark !== 'string')
    throw new ProtocolError('frame header: remark is not text', { field: 'remark' })
  if (remark !== '') header.remark = remark
  return header
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function int(header: Record<string, unknown>, name: string, absent?: number): number {
  const value = header[name] ?? absent
  if (typeof value === 'number' && value === (value | 0)) return value
  throw new ProtocolError(`frame header: ${name} is ${value === undefined ? 'missing' : 'not an int'}`, {
    field: name,
  })
}

function decodeExt(fields: unknown): Readonly<Record<string, string>> {
  if (fields === undefined || fields === null) return NO_EXT
  if (!isRecord(fields))
    throw new ProtocolError('frame header: extFields is not an object', { field: 'extFields' })
  const ext: Record<string, string> = Object.create(null)
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (typeof value === 'string') ext[name] = value
    else if (value !== null) ext[name] = scalar(name, value)
  }
  return ext
}

/** Not every server writes text. A number that JSON.parse may have rounded is refused rather than passed on. */
function scalar(name: string, value: unknown): string {
  if (
    typeof value === 'boolean' ||
    (typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER)
  ) {
    return String(value)
  }
  const field = `extFields.${name.slice(0, 80)}`
  throw new ProtocolError(`frame header: ${field} is neither text nor a number within 2^53`, { field })
}
