/**
 * What a command is: one request code with the types of its headers and bodies, and what each answer means.
 *
 * A command is data. The client encodes requests and decodes answers by it, a broker (the local one in `./testing`)
 * does the reverse, and tests iterate over the catalogue. Header values are text on the wire whatever their type:
 * numbers decimal, booleans `true`/`false` (protocol.md 1.1). Nothing here knows a connection.
 */
import { ConfigError, ProtocolError } from '../errors.ts'

/** How a header field is written; `?` marks one that may be absent. */
export type FieldKind = 'string' | 'int' | 'long' | 'boolean'

type KindOf<T> = [T] extends [string]
  ? 'string'
  : [T] extends [boolean]
    ? 'boolean'
    : [T] extends [bigint]
      ? 'long'
      : [T] extends [number]
        ? 'int'
        : never

/**
 * One entry for each field of the header type `H`: `int` is 32 bit signed, `long` a 64 bit `bigint`. A field that
 * callers may leave out stands here without `?` when `defaults` has its value: the wire always carries it.
 */
export type Fields<H> = {
  readonly [K in keyof H]-?: undefined extends H[K]
    ? `${KindOf<NonNullable<H[K]>>}?` | KindOf<NonNullable<H[K]>>
    : KindOf<H[K]>
}

/** A header without fields. */
export type NoFields = Record<never, never>

/** Body bytes ⇄ value, for both directions of the wire. `decode` throws ProtocolError on bytes that do not fit. */
export interface BodyCodec<T> {
  encode(value: T): Uint8Array | undefined
  decode(bytes: Buffer): T
}

/**
 * What an answer means to the caller. The first five are results, the others reject with a BrokerError.
 * - `done`: it worked.
 * - `stored`: a send was stored, with a weaker guarantee than the broker is set up for.
 * - `empty`: nothing there (no message at the offset, no committed offset, no match).
 * - `skip`: messages were there and the filter removed them; go on from `nextBeginOffset`.
 * - `moved`: the offset is outside the queue, or was reset; adopt `nextBeginOffset`.
 * - `refresh-route`: the route that led here is out of date, or the topic is unknown; fetch it and try once more.
 * - `other-broker`: this broker cannot do it now; a send goes to another one.
 * - `back-off`: not executed, the broker is busy; try again after a pause.
 * - `reconnect`: the broker is draining; repeat once on a new connection.
 * - `create`: something that must exist does not; create the group or topic first.
 * - `fix`: the request is wrong; never repeat it as it is.
 * - `denied`: credentials or permission.
 * - `fail`: anything else; the remark is all there is.
 */
export type Meaning =
  | 'done'
  | 'stored'
  | 'empty'
  | 'skip'
  | 'moved'
  | 'refresh-route'
  | 'other-broker'
  | 'back-off'
  | 'reconnect'
  | 'create'
  | 'fix'
  | 'denied'
  | 'fail'

/**
 * What repeating a request does.
 * - `read`: changes nothing.
 * - `idempotent`: a second time changes nothing more; safe to repeat when the outcome of the first is unknown.
 * - `once`: a second time does it twice (another copy, another delivery).
 */
export type Effect = 'read' | 'idempotent' | 'once'

export interface Command<Request, Response = NoFields, RequestBody = undefined, ResponseBody = undefined> {
  readonly code: number
  /** The constant's name in upstream's RequestCode. */
  readonly name: string
  readonly to: 'broker' | 'name-server' | 'client'
  readonly effect: Effect
  /** The receiver never answers, so the request is sent with the one-way flag. */
  readonly oneway?: boolean
  /** Exists on private forks only: refused unless the client was created with this extension. */
  readonly extension?: 'messageNumbers'
  readonly request: Fields<Request>
  /** Written where the caller gives nothing. Not applied when decoding. */
  readonly defaults?: Partial<Request>
  /** Names on the wire where they differ from the fields' own (SEND_MESSAGE_V2). */
  readonly wireNames?: Readonly<Record<keyof Request, string>>
  readonly response: Fields<Response>
  readonly requestBody: BodyCodec<RequestBody>
  readonly responseBody: BodyCodec<ResponseBody>
  /** Meanings of response codes where they differ from {@link COMMON_ANSWERS}. */
  readonly answers: Readonly<Record<number, Meaning>>
}

/** The fields of any header. */
export type AnyFields = Readonly<Record<string, FieldKind | `${FieldKind}?`>>

// biome-ignore lint/suspicious/noExplicitAny: a command is invariant in its bodies, so only `any` covers all of them
type LooseCommand = Command<any, any, any, any> // oxlint-disable-line typescript/no-explicit-any

/** Any command, for code that iterates over the catalogue. */
export interface AnyCommand extends Omit<LooseCommand, 'request' | 'response'> {
  readonly request: AnyFields
  readonly response: AnyFields
}

/** The meaning of a response code where a command says nothing else (protocol.md 3). */
export const COMMON_ANSWERS: Readonly<Record<number, Meaning>> = {
  0: 'done',
  2: 'back-off',
  13: 'fix',
  14: 'other-broker',
  16: 'denied',
  17: 'refresh-route',
  29: 'fix',
  215: 'back-off',
  501: 'refresh-route',
  1500: 'reconnect',
}

export function meaningOf(command: AnyCommand, responseCode: number): Meaning {
  return command.answers[responseCode] ?? COMMON_ANSWERS[responseCode] ?? 'fail'
}

/** Whether the call resolves with this answer instead of rejecting. */
export function isResult(meaning: Meaning): boolean {
  return (
    meaning === 'done' ||
    meaning === 'stored' ||
    meaning === 'empty' ||
    meaning === 'skip' ||
    meaning === 'moved'
  )
}

export const noBody: BodyCodec<undefined> = { encode: () => undefined, decode: () => undefined }

/** The bytes as they are. An empty Buffer is the same as no body (protocol.md 1). */
export const bytesBody: BodyCodec<Buffer> = { encode: (value) => value, decode: (bytes) => bytes }

const INT_MIN = -0x8000_0000
const INT_MAX = 0x7fff_ffff
const LONG_MIN = -(2n ** 63n)
const LONG_MAX = 2n ** 63n - 1n
const INTEGER = /^-?\d{1,19}$/

/** Header values → text. @throws ConfigError naming the field that is missing or out of range. */
export function encodeFields<H>(
  command: string,
  fields: Fields<H>,
  values: H,
  defaults?: Partial<H>,
  wireNames?: Readonly<Record<keyof H, string>>,
): Record<string, string> {
  const ext: Record<string, string> = Object.create(null)
  for (const name in fields) {
    const kind: string = fields[name]
    const value: unknown = values[name] ?? defaults?.[name]
    if (value === undefined || value === null) {
      if (kind.endsWith('?')) continue
      throw new ConfigError(name, `required by ${command}`)
    }
    if (!fits(kind, value)) {
      throw new ConfigError(
        name,
        `${command} takes ${kind.replace('?', '')} here, got ${typeof value} ${clip(value)}`,
      )
    }
    ext[wireNames ? wireNames[name] : name] = String(value as string | number | bigint | boolean)
  }
  return ext
}

function fits(kind: string, value: unknown): boolean {
  switch (kind.charAt(0)) {
    case 's':
      return typeof value === 'string'
    case 'b':
      return typeof value === 'boolean'
    case 'i':
      return Number.isInteger(value) && (value as number) >= INT_MIN && (value as number) <= INT_MAX
    default:
      return typeof value === 'bigint' && value >= LONG_MIN && value <= LONG_MAX
  }
}

/** Text → header values. Absent, `null` and empty are alike. @throws ProtocolError naming the field. */
export function decodeFields<H>(
  command: string,
  fields: Fields<H>,
  ext: Readonly<Record<string, string>>,
  wireNames?: Readonly<Record<keyof H, string>>,
): H {
  const header: Record<string, unknown> = {}
  for (const name in fields) {
    const kind: string = fields[name]
    const text = ext[wireNames ? wireNames[name] : name]
    if (text === undefined || text === '') {
      if (kind.endsWith('?')) continue
      if (text === '' && kind === 'string') {
        header[name] = ''
        continue
      }
      throw new ProtocolError(`${command}: header field ${name} is missing`, { field: name })
    }
    header[name] = parse(kind, text)
    if (header[name] === undefined) {
      throw new ProtocolError(
        `${command}: header field ${name} is not ${kind.replace('?', '')}: ${clip(text)}`,
        {
          field: name,
        },
      )
    }
  }
  return header as H
}

function parse(kind: string, text: string): string | number | bigint | boolean | undefined {
  switch (kind.charAt(0)) {
    case 's':
      return text
    case 'b':
      return text === 'true' ? true : text === 'false' ? false : undefined
    default: {
      if (!INTEGER.test(text)) return undefined
      if (kind.charAt(0) === 'l') {
        const long = BigInt(text)
        return long >= LONG_MIN && long <= LONG_MAX ? long : undefined
      }
      const int = Number(text)
      return int >= INT_MIN && int <= INT_MAX ? int : undefined
    }
  }
}

function clip(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 80))
}
