/**
 * Plain JSON bodies: readers that check what was parsed, and the writer. Bodies whose keys may be numbers or objects
 * are in fastjson.ts.
 *
 * Bodies come from brokers that may be old, patched or hostile, so every value is checked where it is read and an
 * error names its path (`route.queueDatas[3].perm`). A reader is a function, so a bundle holds those that are used.
 */
import { malformed } from '../wire/checks.ts'
import type { BodyCodec } from './define.ts'

/** Checks a parsed value and gives it its type. @throws ProtocolError naming the path */
export type Read<T> = (value: unknown, path: string) => T

function unexpected(value: unknown, path: string, expected: string): never {
  const got = value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value
  throw malformed(path, `must be ${expected}, got ${got}`)
}

export const text: Read<string> = (value, path) =>
  typeof value === 'string' ? value : unexpected(value, path, 'text')

export const int: Read<number> = (value, path) =>
  typeof value === 'number' && value === (value | 0) ? value : unexpected(value, path, 'an int')

export const long: Read<bigint> = (value, path) => {
  if (Number.isSafeInteger(value)) return BigInt(value as number)
  return typeof value === 'bigint' && BigInt.asIntN(64, value) === value
    ? value
    : unexpected(value, path, 'a long')
}

export const double: Read<number> = (value, path) =>
  typeof value === 'number' || typeof value === 'bigint' ? Number(value) : unexpected(value, path, 'a number')

export const boolean: Read<boolean> = (value, path) =>
  typeof value === 'boolean' ? value : unexpected(value, path, 'true or false')

export const list =
  <T>(read: Read<T>): Read<T[]> =>
  (value, path) =>
    Array.isArray(value)
      ? value.map((item, index) => read(item, `${path}[${index}]`))
      : unexpected(value, path, 'a list')

/** An object of any keys, as its entries in their order. */
export const entries =
  <T>(read: Read<T>): Read<[string, T][]> =>
  (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return unexpected(value, path, 'an object')
    return Object.entries(value).map(([key, member]) => [key, read(member, `${path}[${key.slice(0, 80)}]`)])
  }

/** An object of any keys, as a record without prototype. */
export const record =
  <T>(read: Read<T>): Read<Record<string, T>> =>
  (value, path) => {
    const result: Record<string, T> = Object.create(null)
    for (const [key, member] of entries(read)(value, path)) result[key] = member
    return result
  }

/** An object by the readers of its members; a member that reads as undefined is left out, others are not looked at. */
export const object =
  <T>(members: { readonly [K in keyof T]-?: Read<T[K]> }): Read<T> =>
  (value, path) => {
    const given = new Map(entries((member) => member)(value, path))
    const result: Partial<T> = {}
    for (const name in members) {
      const member = members[name](given.get(name), `${path}.${name}`)
      if (member !== undefined) result[name] = member
    }
    return result as T
  }

/** A member that may be absent or null. */
export const optional =
  <T>(read: Read<T>): Read<T | undefined> =>
  (value, path) =>
    value === undefined || value === null ? undefined : read(value, path)

/** A member that is read as `otherwise` where it is absent or null: writers leave out what their language calls a default. */
export const orElse =
  <T>(read: Read<T>, otherwise: unknown): Read<T> =>
  (value, path) =>
    read(value ?? otherwise, path)

/** Longs beyond 2^53 as a bigint, from their own digits; a Java long has 19. */
function exact(_name: string, value: unknown, context?: { source?: string }): unknown {
  const digits = context?.source ?? ''
  return typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d{1,40}$/.test(digits)
    ? BigInt(digits)
    : value
}

/** The reverse: a bigint as bare digits, as Java reads a long. */
function bareLong(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? (JSON as RawJson).rawJSON(String(value)) : value
}

/** Node has had it since 21; TypeScript's library does not know it yet. */
type RawJson = JSON & { rawJSON(json: string): unknown }

/** A plain JSON body: `read` checks and shapes what was parsed, `write` gives what is stringified (the value itself). */
export function jsonBody<T>(
  name: string,
  read: Read<T>,
  write: (value: T) => unknown = (value) => value,
): BodyCodec<T> {
  return {
    encode: (value) => Buffer.from(JSON.stringify(write(value), bareLong)),
    decode: (bytes) => read(parse(bytes.toString(), name), name),
  }
}

/** Name servers before 4.9.4 write the integer keys of a route bare, whatever they are asked for. */
function parse(json: string, name: string): unknown {
  try {
    return JSON.parse(json, exact)
  } catch {
    try {
      return JSON.parse(json.replace(/([{,])(-?\d+):/g, '$1"$2":'), exact)
    } catch (cause) {
      throw malformed('json', `of ${name} does not parse`, cause)
    }
  }
}
