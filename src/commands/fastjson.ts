/** Bodies that are JSON but for their keys, which may be numbers and objects (protocol.md 1.5). */
import { parseFastjson } from '../wire/fastjson.ts'
import type { BodyCodec } from './define.ts'
import type { Read } from './json.ts'

/**
 * Value → JSON text. A `bigint` is written as a bare integer, as Java reads a long; a Map as an object whose keys are
 * written as they are, so that a MessageQueue or a number becomes a bare key as from a broker (protocol.md 1.5).
 */
export const stringifyJson = (value: unknown): string => {
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

/** As `jsonBody`; to the reader a key that was not text is its own JSON text. */
export const fastjsonBody = <T>(
  name: string,
  read: Read<T>,
  write: (value: T) => unknown = (value) => value,
): BodyCodec<T> => ({
  encode: (value) => Buffer.from(stringifyJson(write(value))),
  decode: (bytes) => read(parseFastjson(bytes), name),
})
