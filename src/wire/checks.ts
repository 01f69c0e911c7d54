/**
 * The checks that every layer makes, each with one wording: of arguments (ConfigError) and of bytes (ProtocolError).
 * The text names the field and the rule, and shows what was given unless it may be large or secret.
 */
import { ConfigError, ProtocolError } from '../errors.ts'

/** The error for bytes or text from the network that break a rule. */
export function malformed(field: string, rule: string, cause?: unknown): ProtocolError {
  return new ProtocolError(`${field} ${rule}`, { field, cause })
}

/** @throws ConfigError unless it is a whole number from `least` to `most` */
export function checkInt(field: string, value: unknown, least = 0, most = 0x7fff_ffff): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number
  throw new ConfigError(field, `takes a whole number from ${least} to ${most}, got ${String(value)}`)
}

/** @throws ConfigError unless it is text, not empty, and without what `forbidden` matches */
export function checkText(field: string, value: unknown, forbidden?: RegExp): string {
  if (typeof value !== 'string' || value === '') throw new ConfigError(field, 'takes non-empty text')
  if (forbidden?.test(value)) throw new ConfigError(field, `must not contain ${forbidden.source}`)
  return value
}

/** @throws ConfigError unless it is a Date or epoch ms; gives epoch ms */
export function checkTime(field: string, value: unknown): number {
  const ms = value instanceof Date ? value.getTime() : value
  if (Number.isSafeInteger(ms) && (ms as number) >= 0) return ms as number
  throw new ConfigError(field, `takes a Date or epoch ms, got ${String(value)}`)
}

/** @throws ConfigError unless it is one of the words */
export function checkChoice(field: string, value: unknown, ...words: string[]): void {
  if (!words.includes(value as string))
    throw new ConfigError(field, `takes ${words.join(' or ')}, got ${String(value)}`)
}
