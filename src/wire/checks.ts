/**
 * The checks that every layer makes, each with one wording: of arguments (ConfigError) and of bytes (ProtocolError).
 * The text names the field and the rule, and shows what was given unless it may be large or secret.
 */
import { ConfigError, type ErrorFacts, ProtocolError } from '../errors.ts'

/** The error for bytes or text from the network that break a rule. */
export const malformed = (field: string, rule: string, cause?: unknown): ProtocolError =>
  new ProtocolError(`${field} ${rule}`, { field, cause })

/** An int32 that was parsed from JSON. */
export const readInt = (value: unknown, field: string): number => {
  if (typeof value === 'number' && value === (value | 0)) return value
  throw malformed(field, `must be an int, got ${kindOf(value)}`)
}

/** Of text that was given, in characters. */
const MOST_SHOWN = 100

/** `Null`, `Array`, `Object`, `Map`, `String`, … */
export const kindOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1)

/** An option or an argument breaks a rule. @throws ConfigError */
export function refuse(field: string, rule: string, facts?: ErrorFacts): never {
  throw new ConfigError(field, rule, facts)
}

/**
 * Checks a part of something, and names it by its place in the whole when it breaks a rule.
 * @param prefix with its dot: `messages[3].`
 */
export const inside = <T>(prefix: string, check: () => T): T => {
  try {
    return check()
  } catch (cause) {
    if (!(cause instanceof ConfigError)) throw cause
    const { field = '', message } = cause
    return refuse(field === 'message' ? prefix.slice(0, -1) : prefix + field, message.slice(field.length + 2))
  }
}

/** An object may hold anything, and its own `toString` may be none. */
const unfit = (field: string, expected: string, value: unknown): never =>
  refuse(
    field,
    `takes ${expected}, got ${Object(value) === value ? kindOf(value) : String(value).slice(0, MOST_SHOWN)}`,
  )

/** @throws ConfigError unless it is a whole number from `least` to `most` */
export const checkInt = (
  field: string,
  value: unknown,
  least = 0,
  most = 0x7fff_ffff,
  expected?: string,
): number => {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number
  return unfit(field, expected ?? `a whole number from ${least} to ${most}`, value)
}

/**
 * @param forbidden what it must not contain, `what` in words
 * @throws ConfigError unless it is text that UTF-8 can hold, not empty, and without what is forbidden
 */
export const checkText = (field: string, value: unknown, forbidden?: RegExp, what?: string): string => {
  if (typeof value !== 'string' || !value || !value.isWellFormed())
    refuse(field, 'takes non-empty text, no unpaired surrogates')
  if (forbidden?.test(value)) refuse(field, `must not contain ${what}`)
  return value
}

/** @throws ConfigError unless it is an object of members: of a Map or a list they would be others, or none */
export const checkObject = <T>(field: string, value: T): T =>
  kindOf(value) === 'Object' ? value : unfit(field, 'an object', kindOf(value))

/** @throws ConfigError unless it is an array */
export const checkArray = <T>(field: string, value: T): T & readonly unknown[] =>
  Array.isArray(value) ? value : unfit(field, 'an array', kindOf(value))

/** @throws ConfigError unless it is a Date or epoch ms; gives epoch ms */
export const checkTime = (field: string, value: unknown): number => {
  const ms = value instanceof Date ? value.getTime() : value
  return checkInt(field, ms, 0, 2 ** 53 - 1, 'a Date or epoch ms')
}

/** @throws ConfigError unless it is one of the words */
export const checkChoice = <Word extends string | boolean>(
  field: string,
  value: unknown,
  ...words: Word[]
): Word => (words.includes(value as Word) ? (value as Word) : unfit(field, words.join(' or '), value))
