/**
 * Checks what comes from outside (events, HTTP bodies, mappings) by a zod/mini schema and words what is wrong.
 * zod/mini is 15 KB in a bundle and its own messages are bare, so each issue is formatted here: the field, what it
 * takes, what it got, and for an unknown key the nearest one that is known.
 */
import type * as z from 'zod/mini'
import { checkKeys } from '../client/options.ts'
import { ConfigError } from '../errors.ts'

type Issue = z.core.$ZodIssue

export interface ParseOptions {
  /** The value in errors that are about all of it. */
  what: string
  /** Before the names of its fields, such as `messages[3].`. @default '' */
  prefix?: string
  /** Its own keys, from which the nearest to an unknown one is taken. */
  keys?: readonly string[]
}

/** @throws ConfigError whose `field` is the path of the first issue */
export function parseWith<T>(schema: z.ZodMiniType<T>, value: unknown, options: ParseOptions): T {
  const { what, prefix = '', keys = [] } = options
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { issues } = result.error
  const issue = nearest(issues)
  if (!issue) throw new ConfigError(what, 'is not valid')
  const path = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys
    throw new ConfigError(
      `${prefix}${path && `${path}.`}${key}`,
      unknownKey(key, path || what, path ? [] : keys),
    )
  }
  const got = valueAt(value, issue.path)
  // All of it may be a body in the wrong place, so that only its type is told.
  const name = path === '' && typeof got === 'string' ? 'a string' : nameOf(got)
  throw new ConfigError(path === '' ? what : prefix + path, describe(issue, got === undefined, name))
}

/** Which issue says most: a misspelt key is a missing one as well, and of several forms one was meant. */
function nearest(issues: readonly Issue[]): Issue | undefined {
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]
  if (issue?.code !== 'invalid_union') return issue
  const isInside = ({ code, path }: Issue): boolean => code === 'unrecognized_keys' || path.length > 0
  const meant = nearest(issue.errors.find((some) => some.some(isInside)) ?? [])
  return meant ? { ...meant, path: [...issue.path, ...meant.path] } : issue
}

/** With the known keys at hand the core's own check words it, nearest name included. */
function unknownKey(key: string, what: string, known: readonly string[]): string {
  try {
    if (known.length > 0) checkKeys(what, { [key]: true }, known)
  } catch (error) {
    if (error instanceof ConfigError) return error.message.slice(key.length + 2)
    throw error
  }
  return `is not a field of ${what}`
}

function describe(issue: Issue, isMissing: boolean, got: string): string {
  switch (issue.code) {
    case 'invalid_type':
      if (isMissing)
        return issue.expected === 'nonoptional' ? 'is required' : `is required (${issue.expected})`
      return `takes ${kindOf(issue.expected)}, got ${got}`
    case 'too_small':
      return `must ${sizeOf(issue.origin, 'at least', issue.minimum)}, got ${got}`
    case 'too_big':
      return `must ${sizeOf(issue.origin, 'at most', issue.maximum)}, got ${got}`
    case 'invalid_value':
      return `takes ${issue.values.map(String).join(', ')}; got ${got}`
    case 'invalid_union': {
      const forms = issue.errors.map(([first]) =>
        first?.code === 'invalid_type' ? kindOf(first.expected) : first?.message,
      )
      return `takes ${[...new Set(forms)].join(' or ')}, got ${got}`
    }
    case 'custom':
      return issue.message
    default:
      return `${issue.message}, got ${got}`
  }
}

function sizeOf(origin: string, bound: string, size: number | bigint): string {
  const unit = origin === 'string' ? 'character' : origin === 'array' ? 'element' : ''
  return unit ? `have ${bound} ${size} ${unit}${Number(size) === 1 ? '' : 's'}` : `be ${bound} ${size}`
}

function kindOf(type: string): string {
  if (type === 'int') return 'a whole number'
  return `${/^[aeiou]/.test(type) ? 'an' : 'a'} ${type}`
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, key) =>
      typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[key] : undefined,
    value,
  )
}

/** ISO 8601 as epoch ms; NaN for what else Date.parse makes a guess at, such as '1' (in 2001). */
export function isoTime(text: string): number {
  return /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
}

/** A number or a short word as it is; of anything else its type only: it may hold what must not be logged. */
function nameOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string' && value.length <= 40) return JSON.stringify(value)
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
