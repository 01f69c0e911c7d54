/**
 * Payload format 2.0 of HTTP APIs: request → event, what the function returned → response.
 *
 * https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
 */
import { randomUUID } from 'node:crypto'
import { type IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http'
import type { HttpApiEvent } from '../index.ts'
import type { RouteMatch } from './http-routes.ts'
import { ACCOUNT_ID } from './service.ts'

/** The event with all that API Gateway puts into it. */
export interface HttpRequestEvent extends HttpApiEvent {
  cookies?: string[]
  queryStringParameters?: Record<string, string>
  pathParameters?: Record<string, string>
}

/** What goes out. */
export interface HttpAnswer {
  statusCode: number
  headers: Record<string, string | string[]>
  body: Buffer
}

const TEXT_TYPE = /^(text\/|application\/(json|javascript|xml|[\w.-]+\+(json|xml)|x-www-form-urlencoded))/i

/** A path that begins with `//` names no host. */
export const urlOf = ({ url = '/' }: IncomingMessage): URL => new URL(`http://localhost${url}`)

export function eventOf(
  request: IncomingMessage,
  body: Buffer,
  route: RouteMatch,
  now: number,
): HttpRequestEvent {
  const { pathname, search, searchParams } = urlOf(request)
  const { cookie, ...others } = request.headers
  const headers = Object.fromEntries(
    Object.entries(others).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(',') : (value ?? ''),
    ]),
  )
  const query = [...new Set(searchParams.keys())].map((name) => [name, searchParams.getAll(name).join(',')])
  const host = headers['host'] ?? 'localhost'
  const isBase64Encoded = body.length > 0 && !TEXT_TYPE.test(headers['content-type'] ?? 'text/plain')
  return {
    version: '2.0',
    routeKey: route.routeKey,
    rawPath: pathname,
    rawQueryString: search.slice(1),
    ...(cookie === undefined ? {} : { cookies: cookie.split(/;\s*/) }),
    headers,
    ...(query.length === 0
      ? {}
      : { queryStringParameters: Object.fromEntries(query) as Record<string, string> }),
    requestContext: {
      accountId: ACCOUNT_ID,
      apiId: 'local',
      domainName: host,
      domainPrefix: host.split(/[.:]/)[0] ?? 'local',
      http: {
        method: request.method ?? 'GET',
        path: pathname,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: request.socket.remoteAddress ?? '127.0.0.1',
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: randomUUID(),
      routeKey: route.routeKey,
      stage: '$default',
      time: timeOf(new Date(now)),
      timeEpoch: now,
    },
    ...(route.pathParameters ? { pathParameters: route.pathParameters } : {}),
    ...(body.length === 0 ? {} : { body: body.toString(isBase64Encoded ? 'base64' : 'utf8') }),
    isBase64Encoded,
  }
}

/** `01/Jan/2026:00:00:00 +0000` */
function timeOf(date: Date): string {
  const [, day, month, year, time] = /^\w+, (\d+) (\w+) (\d+) (\S+)/.exec(date.toUTCString()) ?? []
  return `${day}/${month}/${year}:${time} +0000`
}

/** A value without `statusCode` is the body of a 200. Undefined: no answer that API Gateway takes. */
export function answerOf(payload: Buffer): HttpAnswer | undefined {
  const value = JSON.parse(payload.toString()) as unknown
  const result = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  if (result['statusCode'] === undefined) {
    const body = typeof value === 'string' ? value : JSON.stringify(value)
    return { statusCode: 200, headers: { 'content-type': 'application/json' }, body: Buffer.from(body) }
  }
  const { statusCode, headers = {}, cookies = [], body = '', isBase64Encoded = false } = result
  const isValid =
    Number.isInteger(Number(statusCode)) &&
    Number(statusCode) >= 200 &&
    Number(statusCode) <= 599 &&
    typeof headers === 'object' &&
    Array.isArray(cookies) &&
    (typeof body === 'string' || body === null)
  if (!isValid) return undefined
  const named = Object.entries(headers ?? {}).map(([name, each]) => [name.toLowerCase(), String(each)])
  const all = {
    'content-type': 'text/plain;charset=UTF-8',
    ...(Object.fromEntries(named) as Record<string, string>),
    ...(cookies.length > 0 ? { 'set-cookie': cookies.map(String) } : {}),
  }
  if (!areHeaders(all)) return undefined
  return {
    statusCode: Number(statusCode),
    headers: all,
    body: Buffer.from(body ?? '', isBase64Encoded === true ? 'base64' : 'utf8'),
  }
}

/** Whether Node sends them. */
function areHeaders(headers: HttpAnswer['headers']): boolean {
  try {
    for (const [name, values] of Object.entries(headers)) {
      validateHeaderName(name)
      for (const value of [values].flat()) validateHeaderValue(name, value)
    }
    return true
  } catch {
    return false
  }
}

/** What API Gateway says by itself. */
export const messageAnswer = (statusCode: number, message: string): HttpAnswer => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(JSON.stringify({ message })),
})
