/**
 * Plain JSON bodies: readers that check what was parsed, and the writer. Bodies whose keys may be numbers or objects
 * are in fastjson.ts.
 *
 * Bodies come from brokers that may be old, patched or hostile, so every value is checked where it is read and an
 * error names its path (`route.queueDatas[3].perm`). A reader is a function, so a bundle holds those that are used.
 */
import { kindOf, malformed, readInt } from '../wire/checks.ts'
import { jsonText } from '../wire/json-text.ts'
import type { BodyCodec } from './define.ts'

/** Checks a parsed value and gives it its type. @throws ProtocolError naming the path */
export type Read<T> = (value: unknown, path: string) => T

function unexpected(value: unknown, path: string, expected: string): never {
  throw malformed(path, `must be ${expected}, got ${kindOf(value)}`)
}

const primitive =
  <T>(type: string): Read<T> =>
  (value, path) =>
    typeof value === type ? (value as T) : unexpected(value, path, type)

export const text: Read<string> = /* @__PURE__ */ primitive<string>('string')

export const boolean: Read<boolean> = /* @__PURE__ */ primitive<boolean>('boolean')

export const int: Read<number> = readInt

export const long: Read<bigint> = (value, path) => {
  if (Number.isSafeInteger(value)) return BigInt(value as number)
  return typeof value === 'bigint' && BigInt.asIntN(64, value) === value
    ? value
    : unexpected(value, path, 'a long')
}

export const double: Read<number> = (value, path) =>
  typeof value === 'number' || typeof value === 'bigint' ? Number(value) : unexpected(value, path, 'a number')

export const list =
  <T>(read: Read<T>): Read<T[]> =>
  (value, path) =>
    Array.isArray(value)
      ? value.map((item, index) => read(item, `${path}[${index}]`))
      : unexpected(value, path, 'a list')

const members = (value: unknown, path: string): Readonly<Record<string, unknown>> =>
  kindOf(value) === 'Object' ? (value as Record<string, unknown>) : unexpected(value, path, 'an object')

/** More topics, groups or queues than what is parsed has room for (json-text.ts); each is read into more than it was. */
const MOST_ENTRIES = 20_000

/** An object of any keys, as its entries in their order. */
export const entries =
  <T>(read: Read<T>): Read<[string, T][]> =>
  (value, path) => {
    const all = Object.entries(members(value, path))
    if (all.length > MOST_ENTRIES)
      return unexpected(value, path, `an object of at most ${MOST_ENTRIES} members`)
    return all.map(([key, member]) => [key, read(member, `${path}[${key.slice(0, 80)}]`)])
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
  <T>(readers: { readonly [K in keyof T]-?: Read<T[K]> }): Read<T> =>
  (value, path) => {
    const given = members(value, path)
    const result: Partial<T> = {}
    for (const name in readers) {
      const member = readers[name](given[name], `${path}.${name}`)
      if (member !== undefined) result[name] = member
    }
    return result as T
  }

/** A member that is read as `otherwise` where it is absent or null: writers leave out what their language calls a default. */
export const orElse =
  <T>(read: Read<T>, otherwise?: unknown): Read<T> =>
  (value, path) => {
    const given = value ?? otherwise
    return given === undefined ? (given as T) : read(given, path)
  }

/** A member that may be absent or null. */
export const optional: <T>(read: Read<T>) => Read<T | undefined> = orElse

/** Longs beyond 2^53 as a bigint, from their own digits; a Java long has 19. */
const exact = (_name: string, value: unknown, { source = '' }: { source?: string } = {}): unknown =>
  !Number.isSafeInteger(value) && /^-?\d{1,40}$/.test(source) ? BigInt(source) : value

/** The reverse: a bigint as bare digits, as Java reads a long. A Map is written as an object. */
const writable = (_name: string, value: unknown): unknown => {
  if (value instanceof Map) return Object.fromEntries(value)
  return typeof value === 'bigint' ? (JSON as RawJson).rawJSON(String(value)) : value
}

/** Node has had it since 21; TypeScript's library does not know it yet. */
type RawJson = JSON & { rawJSON(json: string): unknown }

/** A plain JSON body: `read` checks and shapes what was parsed, `write` gives what is stringified (the value itself). */
export const jsonBody = <T>(
  name: string,
  read: Read<T>,
  write: (value: T) => unknown = (value) => value,
): BodyCodec<T> => ({
  encode: (value) => writeJson(write(value)),
  decode: readJson(name, read, exact),
})

/** The body of a request without longs and Maps, for those who only send it: what reads it stays out of their bundle. */
export const jsonRequest: { encode(value: unknown): Buffer; decode(): never } = {
  encode: (value) => Buffer.from(JSON.stringify(value)),
  decode() {
    throw malformed('body', 'is written only')
  },
}

/** A plain JSON body without longs. What keeps those exact takes more memory than all else of a large body. */
export const plainBody = <T>(name: string, read: Read<T>): BodyCodec<T> => ({
  encode: writeJson,
  decode: readJson(name, read),
})

export const writeJson = (value: unknown): Buffer => Buffer.from(JSON.stringify(value, writable))

/** Name servers before 4.9.4 write the integer keys of a route bare, whatever they are asked for. */
const parse = (json: string, name: string, reviver: Reviver, bareKeys?: boolean): unknown => {
  try {
    return JSON.parse(bareKeys ? json.replace(/([{,])(-?\d+):/g, '$1"$2":') : json, reviver)
  } catch (cause) {
    if (bareKeys) throw malformed('json', `of ${name} does not parse`, cause)
    return parse(json, name, reviver, true)
  }
}

type Reviver = typeof exact | undefined

/** Reads a body without longs: whoever needs no others does not bundle what keeps longs exact. */
export const readJson =
  <T>(name: string, read: Read<T>, reviver?: Reviver): ((bytes: Buffer) => T) =>
  (bytes) =>
    read(parse(jsonText(bytes), name, reviver), name)

/** The body of an answer, without longs, for those who only read it: what writes it stays out of their bundle. */
export const jsonAnswer = <T>(name: string, read: Read<T>): BodyCodec<T> => ({
  encode: () => undefined,
  decode: readJson(name, read),
})
