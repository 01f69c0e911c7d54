/**
 * Checks what comes from outside (events, mappings) by a zod/mini schema and words what is wrong.
 * zod/mini is 15 KB in a bundle and its own messages are bare, so each issue is formatted here: the field, what it
 * takes, what it got, and for an unknown key the nearest one that is known.
 */
import type * as z from 'zod/mini'
import { checkKeys } from '../client/options.ts'
import { refuse } from '../wire/checks.ts'

export type Issue = z.core.$ZodIssue

export interface ParseOptions {
  /** The value in errors that are about all of it. */
  what: string
  /** Its own keys, from which the nearest to an unknown one is taken. */
  keys?: readonly string[]
  /** For schemas that say more of a value than its keys and types: `schema-rules.ts`. */
  rules?: Rules
}

/** What is told of the issues that not every schema has; apart, so that who has none does not load it. */
export interface Rules {
  /** Of several forms the one that was meant. */
  meant(issue: Issue): Issue
  /** Undefined: there is no other text than the issue's own. */
  describe(issue: Issue, got: string): string | undefined
}

/** @throws ConfigError whose `field` is the path of the first issue */
export function parseWith<T>(schema: z.ZodMiniType<T>, value: unknown, options: ParseOptions): T {
  const { what, keys = [], rules } = options
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const { issues } = result.error
  const issue = nearest(issues, rules)
  if (!issue) refuse(what, 'is not valid')
  const path = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys
    // With the known keys at hand the core's own check words it, nearest name included.
    if (path === '' && keys.length > 0) checkKeys(what, { [key]: true }, keys)
    refuse(`${path && `${path}.`}${key}`, `is not a field of ${path || what}`)
  }
  const got = valueAt(value, issue.path)
  // All of it may be a body in the wrong place, so that only its type is told.
  const name = path === '' && typeof got === 'string' ? 'a string' : nameOf(got)
  refuse(path === '' ? what : path, describe(issue, got === undefined, name, rules))
}

/** Which issue says most: a misspelt key is a missing one as well. */
export function nearest(issues: readonly Issue[], rules?: Rules): Issue | undefined {
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]
  return issue && rules ? rules.meant(issue) : issue
}

function describe(issue: Issue, isMissing: boolean, got: string, rules: Rules | undefined): string {
  if (issue.code !== 'invalid_type') return rules?.describe(issue, got) ?? `${issue.message}, got ${got}`
  if (!isMissing) return `takes ${kindOf(issue.expected)}, got ${got}`
  return issue.expected === 'nonoptional' ? 'is required' : `is required (${issue.expected})`
}

export function kindOf(type: string): string {
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
