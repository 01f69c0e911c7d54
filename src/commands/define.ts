/**
 * What a command is: one request code with the types of its headers and bodies, and what each answer means.
 *
 * A command is data. The client encodes requests and decodes answers by it, a broker (the local one in `./testing`)
 * does the reverse, and tests iterate over the catalogue. Header values are text on the wire whatever their type:
 * numbers decimal, booleans `true`/`false` (protocol.md 1.1). Nothing here knows a connection.
 */
import { malformed, refuse } from '../wire/checks.ts'

/** How a header field is written; `?` marks one that may be absent. */
export type FieldKind = 'string' | 'int' | 'long' | 'boolean'

/** The commonest kinds under a name, which a bundle shortens. */
export const STRING = 'string'
export const INT = 'int'
export const LONG = 'long'

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
  readonly [K in keyof H]-?: unknown extends H[K]
    ? FieldKind | `${FieldKind}?`
    : undefined extends H[K]
      ? `${KindOf<NonNullable<H[K]>>}?` | KindOf<NonNullable<H[K]>>
      : KindOf<H[K]>
}

/** Names on the wire of the fields that have another one there. */
export type WireNames<H> = Readonly<{ [K in keyof H]?: string }>

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
  /** Names on the wire where they differ from the fields' own. */
  readonly wireNames?: WireNames<Request>
  readonly response: Fields<Response>
  readonly requestBody: BodyCodec<RequestBody>
  readonly responseBody: BodyCodec<ResponseBody>
  /** Meanings of response codes where they differ from {@link COMMON_ANSWERS}. */
  readonly answers: Readonly<Record<number, Meaning>>
}

/** The fields of any header. */
export type AnyFields = Fields<Record<string, unknown>>

/** Any command, for code that iterates over the catalogue. */
// biome-ignore lint/suspicious/noExplicitAny: a command is invariant in its types, so only `any` covers all of them
export type AnyCommand = Command<any, any, any, any> // oxlint-disable-line typescript/no-explicit-any

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
  return RESULTS.includes(meaning)
}

const RESULTS: readonly Meaning[] = ['done', 'stored', 'empty', 'skip', 'moved']

export const noBody: BodyCodec<undefined> = { encode: () => undefined, decode: () => undefined }

/** The bytes as they are. An empty Buffer is the same as no body (protocol.md 1). */
export const bytesBody: BodyCodec<Buffer> = { encode: (value) => value, decode: (bytes) => bytes }

/** The parts that a command cannot do without: those whose type says that there is something to describe. */
type Parts<Q, S, QB, SB> = Partial<Command<Q, S, QB, SB>> &
  Pick<Command<Q, S, QB, SB>, 'code' | 'name' | 'effect'> &
  ([keyof Q] extends [never] ? unknown : Pick<Command<Q, S, QB, SB>, 'request'>) &
  ([keyof S] extends [never] ? unknown : Pick<Command<Q, S, QB, SB>, 'response'>) &
  ([QB] extends [undefined] ? unknown : Pick<Command<Q, S, QB, SB>, 'requestBody'>) &
  ([SB] extends [undefined] ? unknown : Pick<Command<Q, S, QB, SB>, 'responseBody'>)

/** A command to brokers without the parts that it does not have: no fields, no bodies, no answers of its own. */
export function defineCommand<Q, S = NoFields, QB = undefined, SB = undefined>(
  parts: NoInfer<Parts<Q, S, QB, SB>>,
): Command<Q, S, QB, SB> {
  return {
    to: 'broker',
    request: {},
    response: {},
    requestBody: noBody,
    responseBody: noBody,
    answers: {},
    ...parts,
  } as Command<Q, S, QB, SB>
}

/** Header values → text. @throws ConfigError naming the field that is missing or out of range. */
export function encodeFields<H>(
  command: string,
  fields: Fields<H>,
  values: H,
  defaults?: Partial<H>,
  wireNames?: WireNames<H>,
): Record<string, string> {
  // The names are the command's own, so a prototype does no harm; without one it would be a hash table, and slow.
  const ext: Record<string, string> = {}
  for (const name in fields) {
    const kind: string = fields[name]
    const value: unknown = values[name] ?? defaults?.[name] ?? undefined
    if (value === undefined && kind.endsWith('?')) continue
    if (!fits(kind, value)) refuse(name, misfit(command, kind, value))
    ext[wireNames?.[name] ?? name] = typeof value === 'string' ? value : String(value)
  }
  return ext
}

/** Whether a value is of its kind and within its range. */
function fits(kind: string, value: unknown): boolean {
  const first = kind[0]
  if (typeof value === 'number') return first === 'i' && value === (value | 0)
  if (typeof value === 'bigint') return first === 'l' && BigInt.asIntN(64, value) === value
  return kind.startsWith(typeof value)
}

/** Text → header values. Absent, `null` and empty are alike. @throws ProtocolError naming the field. */
export function decodeFields<H>(
  command: string,
  fields: Fields<H>,
  ext: Readonly<Record<string, string>>,
  wireNames?: WireNames<H>,
): H {
  const header: Record<string, unknown> = {}
  for (const name in fields) {
    const kind: string = fields[name]
    const text = ext[wireNames?.[name] ?? name]
    if (!text && kind.endsWith('?')) continue
    const value = parse(kind, text)
    if (value === null) throw malformed(name, misfit(command, kind, text))
    header[name] = value
  }
  return header as H
}

/** The value that a text stands for: null when it is none of its kind, or out of range. */
function parse(kind: string, text: string | undefined): string | number | bigint | boolean | null {
  const first = kind[0]
  if (first === 's' || text === undefined) return text ?? null
  if (first === 'b') return text === 'true' || (text === 'false' ? false : null)
  if (!/^-?\d{1,19}$/.test(text)) return null
  const int = Number(text)
  if (first === 'i') return int === (int | 0) ? int : null
  const long = BigInt(text)
  return BigInt.asIntN(64, long) === long ? long : null
}

const misfit = (command: string, kind: string, value: unknown): string =>
  `in ${command} takes ${kind}, got ${typeof value} ${JSON.stringify(String(value).slice(0, 80))}`
