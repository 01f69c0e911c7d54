/**
 * Routes of an HTTP API: which function takes a request. As API Gateway chooses: a path without variables before one with
 * variables, that before a greedy one (`{proxy+}`), the one that spells out more before the other, a method before any, and
 * `$default` last.
 */
import { ConfigError } from '../../errors.ts'
import type { HttpApiRoute } from './options.ts'

export interface Route {
  /** `POST /topics/{topic}/messages`, `ANY /files/{name+}` or `$default`. */
  routeKey: string
  functionName: string
}

interface ParsedRoute extends Route {
  method: string
  pattern: RegExp
  /** The lower the sooner. */
  rank: number
}

export interface RouteMatch extends Route {
  pathParameters?: Record<string, string>
}

export interface Routes {
  find(method: string, path: string): RouteMatch | undefined
}

const METHODS: readonly string[] = ['ANY', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']

const SEGMENT = /^([^{}]+|\{[\w.-]+\})$/
const LAST_SEGMENT = /^([^{}]*|\{[\w.-]+\+?\})$/

/** The key of a route, as API Gateway has it. */
export function routeOf(
  functionName: string,
  { method, path }: HttpApiRoute['httpApi'],
  field: string,
): Route {
  if (typeof method !== 'string' || typeof path !== 'string')
    throw new ConfigError(field, 'takes { method: "POST", path: "/orders" }')
  const verb = method === '*' ? 'ANY' : method.toUpperCase()
  if (path === '*' || path === '$default') return { functionName, routeKey: '$default' }
  if (!METHODS.includes(verb))
    throw new ConfigError(`${field}.method`, `${JSON.stringify(method)} is none of *, ${METHODS.join(', ')}`)
  const [root, ...segments] = path.split('/')
  const isPath = segments.every((each, at) => (at < segments.length - 1 ? SEGMENT : LAST_SEGMENT).test(each))
  if (root !== '' || segments.length === 0 || !isPath)
    throw new ConfigError(
      `${field}.path`,
      `${JSON.stringify(path)} is no path; it takes /topics/{topic}, /files/{name+} or *`,
    )
  return { functionName, routeKey: `${verb} ${path}` }
}

/** @param routes each key once */
export function createRoutes(routes: readonly Route[]): Routes {
  const parsed = routes.map(parse).sort((a, b) => a.rank - b.rank)
  for (const [at, { routeKey, functionName }] of routes.entries()) {
    const other = routes.slice(0, at).find((each) => each.routeKey === routeKey)
    if (other)
      throw new ConfigError(
        `functions.${functionName}.events`,
        `${routeKey} is a route of ${other.functionName} already`,
      )
  }
  return {
    find(method, path) {
      for (const { routeKey, functionName, method: wanted, pattern } of parsed) {
        const match = wanted === 'ANY' || wanted === method ? pattern.exec(path) : null
        if (!match) continue
        const pathParameters = match.groups === undefined ? {} : parametersOf(routeKey, match)
        return {
          routeKey,
          functionName,
          ...(Object.keys(pathParameters).length > 0 ? { pathParameters } : {}),
        }
      }
      return undefined
    },
  }
}

const VARIABLE = /\{([\w.-]+)(\+?)\}/g

function parse({ routeKey, functionName }: Route): ParsedRoute {
  if (routeKey === '$default')
    return { routeKey, functionName, method: 'ANY', pattern: /^/, rank: Number.POSITIVE_INFINITY }
  const [method = '', path = ''] = routeKey.split(' ')
  let at = 0
  const source = path
    .split(/(\{[\w.-]+\+?\})/)
    .map((part) =>
      part.startsWith('{')
        ? `(?<p${at++}>${part.endsWith('+}') ? '.+' : '[^/]+'})`
        : part.replaceAll(/[^\w/-]/g, '\\$&'),
    )
    .join('')
  const kind = path.includes('+}') ? 2 : path.includes('{') ? 1 : 0
  const spelledOut = path.replaceAll(VARIABLE, '').length
  const rank = kind * 1_000_000 - spelledOut + (method === 'ANY' ? 0.5 : 0)
  return { routeKey, functionName, method, pattern: new RegExp(`^${source}/?$`), rank }
}

function parametersOf(routeKey: string, match: RegExpExecArray): Record<string, string> {
  const names = [...routeKey.matchAll(VARIABLE)].map(([, name = '']) => name)
  return Object.fromEntries(names.map((name, at) => [name, decode(match.groups?.[`p${at}`] ?? '')]))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // a lone % is no escape, and stays what it is
  }
}
