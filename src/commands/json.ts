/**
 * JSON bodies: a checked view over what the tolerant parser returns, and the writer.
 *
 * Bodies come from brokers that may be old, patched or hostile, so every value is checked where it is read and an
 * error names its path (`route.queueDatas[3].perm`).
 */
import { ProtocolError } from '../errors.ts'
import { type JsonValue, parseFastjson } from '../wire/fastjson.ts'
import type { BodyCodec } from './define.ts'

/** One value of a JSON document and the path that led to it. */
export class JsonView {
  readonly #value: JsonValue | undefined
  readonly #path: string

  constructor(value: JsonValue | undefined, path: string) {
    this.#value = value
    this.#path = path
  }

  /** Whether the value is there and not null. */
  get present(): boolean {
    return this.#value !== undefined && this.#value !== null
  }

  at(name: string): JsonView {
    const value = this.#object()
    return new JsonView(value[name], `${this.#path}.${name}`)
  }

  // `otherwise` is the value of a member that is absent or null: writers leave out what their language calls a default.

  text(otherwise?: string): string {
    if (otherwise !== undefined && !this.present) return otherwise
    return typeof this.#value === 'string' ? this.#value : this.#fail('text')
  }

  int(otherwise?: number): number {
    const value = this.present ? this.#value : otherwise
    return typeof value === 'number' && value === (value | 0) ? value : this.#fail('an int')
  }

  long(otherwise?: bigint): bigint {
    const value = this.present ? this.#value : otherwise
    if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value)
    return typeof value === 'bigint' && BigInt.asIntN(64, value) === value ? value : this.#fail('a long')
  }

  double(otherwise?: number): number {
    const value = this.present ? this.#value : otherwise
    return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : this.#fail('a number')
  }

  boolean(otherwise?: boolean): boolean {
    const value = this.present ? this.#value : otherwise
    return typeof value === 'boolean' ? value : this.#fail('true or false')
  }

  list<T>(read: (item: JsonView) => T, otherwise?: T[]): T[] {
    if (otherwise && !this.present) return otherwise
    if (!Array.isArray(this.#value)) return this.#fail('a list')
    return this.#value.map((item, index) => read(new JsonView(item, `${this.#path}[${index}]`)))
  }

  /** `{ [name]: value }` to spread into a result when the member is there, `{}` when it is absent or null. */
  optional<K extends string, T>(name: K, read: (value: JsonView) => T): { [P in K]?: T } {
    const member = this.at(name)
    return member.present ? ({ [name]: read(member) } as { [P in K]: T }) : {}
  }

  /** The entries of an object in their order; a key that was not text is given as its own JSON text. */
  entries<T>(read: (value: JsonView, key: string) => T): T[] {
    return Object.entries(this.#object()).map(([key, value]) =>
      read(new JsonView(value, `${this.#path}[${key.slice(0, 80)}]`), key),
    )
  }

  /** An object of any keys, as a record without prototype; an absent one is empty. */
  record<T>(read: (value: JsonView) => T): Record<string, T> {
    const record: Record<string, T> = Object.create(null)
    if (this.present) this.entries((value, key) => (record[key] = read(value)))
    return record
  }

  #object(): Record<string, JsonValue> {
    const value = this.#value
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? value
      : this.#fail('an object')
  }

  #fail(expected: string): never {
    const value = this.#value
    const got = value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value
    throw new ProtocolError(`${this.#path}: expected ${expected}, got ${got}`, { field: this.#path })
  }
}

/**
 * Value → JSON text. A `bigint` is written as a bare integer, as Java reads a long; a Map as an object whose keys are
 * written as they are, so that a MessageQueue or a number becomes a bare key as from a broker (protocol.md 1.5).
 */
export function stringifyJson(value: unknown): string {
  switch (typeof value) {
    case 'bigint':
      return value.toString()
    case 'object': {
      if (value === null) return 'null'
      if (Array.isArray(value)) return `[${value.map(stringifyJson).join(',')}]`
      const members = [...(value instanceof Map ? value : Object.entries(value))]
      return `{${members
        .filter(([, member]) => member !== undefined)
        .map(([name, member]) => `${stringifyJson(name)}:${stringifyJson(member)}`)
        .join(',')}}`
    }
    default:
      return JSON.stringify(value) ?? 'null'
  }
}

/** A JSON body: `read` checks and shapes what was parsed, `write` gives what is stringified (the value itself). */
export function jsonBody<T>(
  name: string,
  read: (root: JsonView) => T,
  write: (value: T) => unknown = (value) => value,
): BodyCodec<T> {
  return {
    encode: (value) => Buffer.from(stringifyJson(write(value))),
    decode: (bytes) => read(new JsonView(parseFastjson(bytes.toString()), name)),
  }
}
