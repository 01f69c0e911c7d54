/**
 * HTTP for Lambda: payload v2 of HTTP APIs and function URLs, and errors as application/problem+json (RFC 9457).
 */
import { AuthError, BrokerError, ConfigError, RocketMQError } from '../errors.ts'
import { TOPIC_NOT_EXIST } from '../routing/name-servers.ts'
import { refuse } from '../wire/checks.ts'

/** What is read of a payload v2 event. */
export interface HttpEvent {
  rawPath: string
  /** Names in lower case. */
  headers?: Readonly<Record<string, unknown>> | undefined
  body?: string | undefined
  isBase64Encoded?: boolean | undefined
  requestContext: { http: { method: string } }
}

export interface HttpResponse {
  statusCode: number
  headers: Record<string, string>
  body: string
}

/** The members of a problem document. */
export interface Problem {
  /** A heading of docs/errors.md, or about:blank. */
  type: string
  title: string
  status: number
  detail: string
  /** The stable code of the error. */
  code?: string
  /** The part of the request that is wrong. */
  field?: string
  /** Set where the outcome of a send is not `stored`. */
  outcome?: string
  /** Send it as `messageId` when trying again, so that consumers recognise a copy. */
  messageId?: string
}

export function isHttpEvent(event: unknown): event is HttpEvent {
  const context = (event as { requestContext?: { http?: { method?: unknown } } } | null | undefined)
    ?.requestContext
  return (
    typeof context?.http?.method === 'string' && typeof (event as { rawPath?: unknown }).rawPath === 'string'
  )
}

/** With or without padding; one digit too many would be dropped silently. */
export const isBase64 = (value: unknown): boolean =>
  typeof value === 'string' &&
  /^[A-Za-z0-9+/]*={0,2}$/.test(value) &&
  value.replace(/=+$/, '').length % 4 !== 1

/** @throws HttpError, ConfigError */
export function readBody(event: HttpEvent): unknown {
  const { body = '', isBase64Encoded } = event
  if (isBase64Encoded && !isBase64(body)) checked(() => refuse('body', 'is not base64'))
  try {
    if (!isBase64Encoded) return JSON.parse(body)
    // Strict: bytes that are no UTF-8 would be stored as something else.
    const decoder = new TextDecoder('utf-8', { fatal: true })
    return JSON.parse(decoder.decode(Buffer.from(body, 'base64')))
  } catch {
    throw new HttpError(400, 'Invalid JSON', 'the request body is not JSON in UTF-8', 'body')
  }
}

/** The topic in a path. @throws HttpError */
export function decodePath(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch {
    throw new HttpError(400, 'Invalid path', 'the topic in the path is not URL-encoded', 'topic')
  }
}

/** Whoever may invoke a function can give it an event whose headers are no texts. */
function headerOf({ headers }: HttpEvent, name: string): string {
  const value = headers?.[name]
  return typeof value === 'string' ? value : ''
}

/** The W3C trace context of a request, as message properties: a handler finds it in `record.properties`. */
export function traceOf(event: HttpEvent): Readonly<Record<string, string>> | undefined {
  const traceparent = headerOf(event, 'traceparent')
  const tracestate = headerOf(event, 'tracestate')
  if (!/^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/.test(traceparent)) return undefined
  return /^[\x20-\x7e]{1,512}$/.test(tracestate) ? { traceparent, tracestate } : { traceparent }
}

/** @throws HttpError 415 unless the request says that it is JSON */
export function checkJsonType(event: HttpEvent): void {
  if (/^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(headerOf(event, 'content-type'))) return
  throw new HttpError(415, 'Not JSON', 'send JSON with content-type: application/json', 'content-type')
}

/**
 * The key by which a client's retry is recognised (draft-ietf-httpapi-idempotency-key-header), which says that it is in
 * quotes; many send it without. Of the characters that it may have none needs to be escaped.
 * @throws HttpError
 */
export function idempotencyKeyOf(event: HttpEvent): string | undefined {
  if (event.headers?.['idempotency-key'] === undefined) return undefined
  const [, , key] = /^("?)([\w.:~+/=-]{1,128})\1$/.exec(headerOf(event, 'idempotency-key')) ?? []
  if (key !== undefined) return key
  throw new HttpError(
    400,
    'Invalid header',
    'takes 1 to 128 letters, digits or any of _ . : ~ + / = -',
    'idempotency-key',
  )
}

export function json(statusCode: number, value: unknown): HttpResponse {
  return { statusCode, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}

/** What RFC 9110 wants to be said along with a status. */
const HEADERS: Readonly<Record<number, Record<string, string>>> = {
  405: { allow: 'POST' },
  415: { accept: 'application/json' },
  503: { 'retry-after': '1' },
}

export function problem(value: Problem): HttpResponse {
  const headers = { 'content-type': 'application/problem+json', ...HEADERS[value.status] }
  return { statusCode: value.status, headers, body: JSON.stringify(value) }
}

/** A request that is refused before RocketMQ is asked. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly status: number
  readonly title: string
  readonly field: string | undefined
  constructor(status: number, title: string, detail: string, field?: string) {
    super(detail)
    this.status = status
    this.title = title
    this.field = field
  }
}

/** A message is larger than a broker takes, or there are too many. */
export class TooLargeError extends ConfigError {}

/** A name or a text of the request may be of any length; an answer must fit into 6 MB. */
const MOST_SHOWN = 500
/** No broker takes an id that is longer. */
const MOST_ID = 32_767
const MESSAGE_ILLEGAL = 13

export type Refusal = Pick<Problem, 'title' | 'status'>

/** The words of a problem that go by what was asked for. */
export interface Wording {
  /** When a field of the request is wrong. */
  refused: (error: ConfigError) => Refusal
  whenNotDone: string
  /** What to do when it may be done. */
  whenUnknown: string
}

export const PUBLISHING: Wording = {
  refused: (error) =>
    error instanceof TooLargeError
      ? { title: 'Message too large', status: 413 }
      : { title: 'Invalid message', status: 400 },
  whenNotDone: 'nothing was stored; try again later',
  whenUnknown:
    'the broker may have stored the message; to try again without a second copy counting, send the same messageId',
}

/** One that was refused may be anything. */
const isShown = (messageId: unknown): messageId is string =>
  typeof messageId === 'string' && messageId !== '' && messageId.length <= MOST_ID

/** What was found wrong where requests are checked: they may have fields of any name, so that the name does not tell. */
const wrong = new WeakSet<object>()

/** Checks a part of a request: a ConfigError from elsewhere is a fault of the function, which its caller cannot correct. */
export function checked<T>(check: () => T): T {
  try {
    return check()
  } catch (error) {
    wrong.add(error as object)
    throw error
  }
}

/** What a request was about, once it was checked. */
export interface Asked {
  readonly messageId?: unknown
}

const FAILED = { title: 'Internal error', status: 500, detail: 'the function failed; see its log' }

/**
 * What a failed request is to an HTTP caller. Addresses of brokers are not told.
 * @param asked has the message's id, where there is one
 */
export function toProblem(error: unknown, asked: Asked = {}, wording: Wording = PUBLISHING): Problem {
  if (error instanceof HttpError) {
    const { status, title, message: detail, field } = error
    return { type: 'about:blank', title, status, detail, ...(field === undefined ? {} : { field }) }
  }
  if (!RocketMQError.is(error)) return { type: 'about:blank', ...FAILED }
  const { code, outcome } = error
  const { messageId } = asked
  const facts = {
    type: `urn:rocketmq-lambda:error:${code}`,
    code,
    ...(outcome ? { outcome } : {}),
    ...(isShown(messageId) ? { messageId } : {}),
  }
  if (error instanceof ConfigError) {
    const { message, field = '' } = error
    // Of what was checked, the client or a broker may refuse a member later: no option of the function has its name.
    const [member = ''] = field.split(/\W/)
    if (!wrong.has(error) && !Object.hasOwn(asked, member)) return { ...facts, ...FAILED }
    return {
      ...facts,
      ...wording.refused(error),
      detail: message.slice(0, MOST_SHOWN),
      field: field.slice(0, MOST_SHOWN),
    }
  }
  // Of the name servers, or of a broker that an older route led to.
  if (error.responseCode === TOPIC_NOT_EXIST) {
    return {
      ...facts,
      title: 'No such topic',
      status: 404,
      detail: `topic ${error.topic} does not exist`,
      field: 'topic',
    }
  }
  if (outcome === 'unknown')
    return { ...facts, title: 'Outcome unknown', status: 504, detail: wording.whenUnknown }
  if (error instanceof AuthError) {
    // It could not be asked: the function did not get its credentials.
    if (outcome === 'not-sent') return { ...facts, ...FAILED }
    const detail = 'the broker refused this function’s credentials'
    return { ...facts, title: 'Not permitted', status: 500, detail }
  }
  if (error instanceof BrokerError && error.responseCode === MESSAGE_ILLEGAL) {
    return { ...facts, title: 'Message refused', status: 400, detail: error.remark }
  }
  return { ...facts, title: 'Broker unavailable', status: 503, detail: wording.whenNotDone }
}
