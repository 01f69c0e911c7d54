/**
 * The JSON header (protocol.md 1.1; upstream RemotingSerializable): what servers answer in by default.
 * Members it does not know are ignored, `serializeTypeCurrentRPC` among them.
 */
import { malformed } from './checks.ts'
import { type FrameHeader, type FrameInput, LANGUAGE, PROTOCOL_VERSION } from './header.ts'

const NO_EXT: Readonly<Record<string, string>> = /* @__PURE__ */ Object.freeze(
  /* @__PURE__ */ Object.create(null) as Record<string, string>,
)

/** Numbers are put together by hand: one stringify of the whole header takes a third longer (bench/micro/wire.ts). */
export function encodeHeaderJson(frame: FrameInput): string {
  const { language = LANGUAGE, version = PROTOCOL_VERSION, flag = 0, remark, ext } = frame
  let text = `{"code":${frame.code},"language":${JSON.stringify(language)},"version":${version},"opaque":${frame.opaque},"flag":${flag}`
  if (remark !== undefined) text += `,"remark":${JSON.stringify(remark)}`
  if (ext !== undefined) text += `,"extFields":${JSON.stringify(ext)}`
  return `${text}}`
}

/** @throws ProtocolError naming the member. */
export function decodeHeaderJson(text: string): FrameHeader {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw malformed('header', 'of the frame is not JSON', cause)
  }
  if (!isRecord(parsed)) throw malformed('header', 'of the frame is not an object')
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
  if (typeof remark !== 'string') throw malformed('remark', 'of the frame is not text')
  if (remark !== '') header.remark = remark
  return header
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function int(header: Record<string, unknown>, name: string, absent?: number): number {
  const value = header[name] ?? absent
  if (typeof value === 'number' && value === (value | 0)) return value
  throw malformed(name, `of the frame must be an int, got ${typeof value}`)
}

function decodeExt(fields: unknown): Readonly<Record<string, string>> {
  if (fields === undefined || fields === null) return NO_EXT
  if (!isRecord(fields)) throw malformed('extFields', 'of the frame is not an object')
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
  throw malformed(`extFields.${name.slice(0, 80)}`, 'is neither text nor a number within 2^53')
}
