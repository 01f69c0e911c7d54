/**
 * A tolerant JSON parser for what brokers and name servers write (protocol.md 1.5; upstream fastjson).
 *
 * On top of JSON it takes object keys that are not text (integers, objects, lists): such a key becomes its own JSON
 * text. Integers beyond 2^53 - 1 become `bigint`, because offsets get there. It leaves out what no server writes:
 * single quotes, comments, trailing commas, class names, keys within keys that are not text.
 */
import { ProtocolError } from '../errors.ts'
import { jsonText } from './json-text.ts'

export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | { [key: string]: JsonValue }

/** Deeper than any body of the protocol, and far from the end of the stack. */
const MAX_DEPTH = 100
/** A Java long has 19 digits; converting a number of a million digits would take minutes. */
const MAX_DIGITS = 40

const ESCAPES = '"\\/\'bfnrt'
const ESCAPED = '"\\/\'\b\f\n\r\t'

/**
 * Text → value. Objects have no prototype, so that `__proto__` is a key like any other; of equal keys the last wins.
 * @throws ProtocolError with the position, or the limits of `jsonText`.
 */
export const parseFastjson = (json: string | Buffer): JsonValue => {
  const text = jsonText(json)
  const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y
  let at = 0
  let depth = 0
  let isInKey = false
  const value = read()
  if (next() !== '') fail()
  return value

  function fail(): never {
    const found = at < text.length ? JSON.stringify(text.charAt(at)) : 'end of text'
    throw new ProtocolError(`JSON: unexpected ${found} at position ${at}`, { field: 'json' })
  }

  /** The next character that is not white space; it is not consumed. */
  function next(): string {
    for (;;) {
      const char = text.charAt(at)
      if (char !== ' ' && char !== '\n' && char !== '\r' && char !== '\t') return char
      at++
    }
  }

  function read(): JsonValue {
    const char = next()
    switch (char) {
      case '{':
        return readObject()
      case '[':
        return readList()
      case '"':
        return readText()
      case 't':
        return word('true', true)
      case 'f':
        return word('false', false)
      case 'n':
        return word('null', null)
      default:
        return readNumber()
    }
  }

  function word<T>(name: string, meaning: T): T {
    if (!text.startsWith(name, at)) fail()
    at += name.length
    return meaning
  }

  function readNumber(): number | bigint {
    number.lastIndex = at
    const digits = number.exec(text)?.[0]
    if (digits === undefined) return fail()
    const double = Number(digits)
    if (!Number.isSafeInteger(double) && /^-?\d+$/.test(digits)) {
      if (digits.length > MAX_DIGITS) fail()
      at += digits.length
      return BigInt(digits)
    }
    at += digits.length
    return double
  }

  function enter(): void {
    if (++depth > MAX_DEPTH) {
      throw new ProtocolError(`JSON: more than ${MAX_DEPTH} levels at position ${at}`, { field: 'json' })
    }
    at++
  }

  /** After a member: true when another follows a comma, false after the closing mark. */
  function more(close: string): boolean {
    const char = next()
    if (char !== ',' && char !== close) fail()
    at++
    return char === ','
  }

  function readObject(): JsonValue {
    const object: { [key: string]: JsonValue } = Object.create(null)
    enter()
    if (next() === '}') at++
    else {
      do {
        const key = readKey()
        if (next() !== ':') fail()
        at++
        object[key] = read()
      } while (more('}'))
    }
    depth--
    return object
  }

  function readKey(): string {
    if (next() === '"') return readText()
    // Each level of keys in keys would copy those inside it.
    if (isInKey) fail()
    isInKey = true
    const start = at
    read()
    isInKey = false
    return text.slice(start, at)
  }

  function readList(): JsonValue[] {
    const list: JsonValue[] = []
    enter()
    if (next() === ']') at++
    else {
      do list.push(read())
      while (more(']'))
    }
    depth--
    return list
  }

  function readText(): string {
    let result = ''
    let start = ++at
    for (;;) {
      const char = text.charAt(at)
      if (char === '"') {
        result += text.slice(start, at++)
        return result
      }
      if (char === '') fail()
      if (char === '\\') {
        result += text.slice(start, at++) + readEscape()
        start = at
      } else at++
    }
  }

  function readEscape(): string {
    const char = text.charAt(at)
    if (char === 'u') {
      const hex = text.slice(at + 1, at + 5)
      if (!/^[\da-fA-F]{4}$/.test(hex)) fail()
      at += 5
      return String.fromCharCode(Number.parseInt(hex, 16))
    }
    const index = char === '' ? -1 : ESCAPES.indexOf(char)
    if (index < 0) fail()
    at++
    return ESCAPED.charAt(index)
  }
}
