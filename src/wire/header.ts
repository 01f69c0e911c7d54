/**
 * What both header encodings share: the frame's fields, the flag bits and the language numbers
 * (protocol.md 1.1; upstream RemotingCommand, LanguageCode).
 */
import { malformed } from './checks.ts'

/** Bit of `flag`: the frame is an answer. */
export const FLAG_RESPONSE = 1
/** Bit of `flag`: no answer is wanted, and none will come. */
export const FLAG_ONEWAY = 2

/** V5_5_0 of the reference's version list; servers behave differently below 401 and 413 (protocol.md 1.4). */
export const PROTOCOL_VERSION = 513

/** Accepted by every server, old ones too; a name newer than a server's list becomes null there. */
export const LANGUAGE = 'OTHER'

export interface FrameHeader {
  /** Request code, or response code in an answer. */
  code: number
  /** Name from the reference's list; `OTHER` where the number or name is unknown. */
  language: string
  /** Version number of the other side. */
  version: number
  /** Correlation id, signed 32 bit. */
  opaque: number
  /** `FLAG_RESPONSE`, `FLAG_ONEWAY`; other bits are kept and mean nothing. */
  flag: number
  /** Human text; absent, null and empty are the same. */
  remark?: string
  /** Header fields as text, without prototype. Empty when there are none. */
  ext: Readonly<Record<string, string>>
}

/** One request or answer. */
export interface Frame extends FrameHeader {
  /** Empty when there is none. A view of the bytes that were decoded, not a copy. */
  body: Buffer
}

/** What an encoder takes. */
export interface FrameInput {
  code: number
  /** @default "OTHER" */
  language?: string | undefined
  /** @default 513 */
  version?: number | undefined
  opaque: number
  /** @default 0 */
  flag?: number | undefined
  remark?: string | undefined
  ext?: Readonly<Record<string, string>> | undefined
  body?: Uint8Array | undefined
}

/** The one error of frames: which field, and what it must be. @throws ProtocolError */
export function refuseFrame(field: string, expected: string, cause?: unknown): never {
  throw malformed(field, `of the frame must be ${expected}`, cause)
}
