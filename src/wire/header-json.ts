/**
 * The JSON header (protocol.md 1.1; upstream RemotingSerializable): what servers answer in by default.
 * Members it does not know are ignored, `serializeTypeCurrentRPC` among them.
 */
import { readInt } from './checks.ts'
import { type FrameHeader, type FrameInput, LANGUAGE, PROTOCOL_VERSION, refuseFrame } from './header.ts'
import { jsonText } from './json-text.ts'

/** Numbers are put together by hand: one stringify of the whole header takes longer (bench/micro/wire.ts). */
export function encodeHeaderJson(frame: FrameInput): string {
  const { language = LANGUAGE, version = PROTOCOL_VERSION, flag = 0, remark, ext = {} } = frame
  const more = remark === undefined ? '' : `,"remark":${JSON.stringify(remark)}`
  return `{"code":${frame.code},"language":${JSON.stringify(language)},"version":${version},"opaque":${frame.opaque},"flag":${flag},"extFields":${JSON.stringify(ext)}${more}}`
}

/** So short a text is not worth counting its values. */
const UNCOUNTED = 0x1_0000

/** @throws ProtocolError naming the member. */
export function decodeHeaderJson(text: string): FrameHeader {
  let parsed: unknown
  const json = text.length > UNCOUNTED ? jsonText(text) : text
  try {
    parsed = JSON.parse(json)
  } catch (cause) {
    refuseFrame('header', 'JSON', cause)
  }
  const { code, language, version, opaque, flag, remark, extFields } = object('header', parsed)
  const header: FrameHeader = {
    code: readInt(code, 'code'),
    language: typeof language === 'string' ? language : LANGUAGE,
    version: readInt(version ?? 0, 'version'),
    opaque: readInt(opaque, 'opaque'),
    flag: readInt(flag ?? 0, 'flag'),
    ext: decodeExt(object('extFields', extFields ?? {})),
  }
  if (typeof (remark ?? '') !== 'string') refuseFrame('remark', 'text')
  if (remark) header.remark = remark as string
  return header
}

function object(name: string, value: unknown): Record<string, unknown> {
  if (value instanceof Object && !Array.isArray(value)) return value as Record<string, unknown>
  refuseFrame(name, 'an object')
}

/**
 * What was parsed becomes the record itself, so that nothing is copied. Not every server writes text. A number that
 * JSON.parse may have rounded is refused rather than passed on.
 */
function decodeExt(ext: Record<string, unknown>): Record<string, string> {
  Object.setPrototypeOf(ext, null)
  for (const name in ext) {
    const value = ext[name]
    if (typeof value === 'string') continue
    if (value === null) delete ext[name]
    else if (value instanceof Object || Math.abs(value as number) >= 2 ** 53)
      refuseFrame(`extFields.${name.slice(0, 80)}`, 'text or a number within 2^53')
    else ext[name] = `${value as number | boolean}`
  }
  return ext as Record<string, string>
}
