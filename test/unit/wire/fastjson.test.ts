import { deepStrictEqual, strictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolError } from '../../../src/errors.ts'
import { type JsonValue, parseFastjson } from '../../../src/wire/fastjson.ts'
import { vectorCases } from '../../support/vectors.ts'

const record = (members: Record<string, JsonValue>): JsonValue => Object.assign(Object.create(null), members)

test('a key that is not text becomes its own JSON text', () => {
  deepStrictEqual(
    parseFastjson('{0:"a", -1:"b",{"topic":"t","queueId":1} : 5,[1, 2]:null,true:1}'),
    record({ '0': 'a', '-1': 'b', '{"topic":"t","queueId":1}': 5, '[1, 2]': null, true: 1 }),
  )
})

test('integers beyond 2^53 - 1 are exact', () => {
  deepStrictEqual(
    parseFastjson('[9007199254740991,9007199254740992,9007199254740993,-9223372036854775808]'),
    [9_007_199_254_740_991, 9_007_199_254_740_992n, 9_007_199_254_740_993n, -(2n ** 63n)],
  )
})

test('other numbers, words and escapes are those of JSON', () => {
  const text = String.raw`["\u4e2d\n\"\\\/\b\f\r\t",1.5,-2e3,1E+2,0.0,true,false,null,"😀",{},[]]`

  deepStrictEqual(JSON.stringify(parseFastjson(text)), JSON.stringify(JSON.parse(text)))
})

test('__proto__ is a key like any other', () => {
  const value = parseFastjson('{"__proto__":{"polluted":1},"constructor":2}') as Record<string, JsonValue>

  deepStrictEqual(Object.getPrototypeOf(value), null)
  deepStrictEqual(Object.keys(value), ['__proto__', 'constructor'])
  strictEqual(({} as Record<string, unknown>)['polluted'], undefined)
})

test('white space is allowed between any two parts', () => {
  deepStrictEqual(
    parseFastjson(' \t\r\n{ "a" : [ 1 , 2 ] , 3 : { } } '),
    record({ a: [1, 2], '3': record({}) }),
  )
})

test('control characters that a server left unescaped are kept', () => {
  deepStrictEqual(parseFastjson('"a\u0001b\n"'), 'a\u0001b\n')
})

test('every document of the golden file that is cut short is refused', () => {
  for (const { raw } of vectorCases('fastjson-bodies.json')) {
    for (let length = 0; length < raw.length; length++) {
      throws(() => parseFastjson(raw.slice(0, length)), ProtocolError)
    }
  }
})

test('text that is not JSON is refused with the position', () => {
  const refused: Record<string, number> = {
    '': 0,
    '{': 1,
    '{"a"}': 4,
    '{"a":1,}': 7,
    '[1,]': 3,
    '[1 2]': 3,
    '"a': 2,
    '"\\x41"': 2,
    '"\\u00g0"': 2,
    '"\\': 2,
    tru: 0,
    nul: 0,
    '1 2': 2,
    '-': 0,
    '.5': 0,
    NaN: 0,
    "{'a':1}": 1,
    '{"a":undefined}': 5,
    '[1]]': 3,
  }
  for (const [text, position] of Object.entries(refused)) {
    throws(
      () => parseFastjson(text),
      (error) => error instanceof ProtocolError && error.message.endsWith(`at position ${position}`),
      text,
    )
  }
})

test('depth is limited, in values and in keys', () => {
  deepStrictEqual(
    JSON.stringify(parseFastjson('['.repeat(100) + ']'.repeat(100))),
    '['.repeat(100) + ']'.repeat(100),
  )
  throws(() => parseFastjson('['.repeat(100_000)), /more than 100 levels/)
  throws(() => parseFastjson('{"a":'.repeat(100_000)), /more than 100 levels/)
  throws(() => parseFastjson(`{${'['.repeat(100_000)}`), /more than 100 levels/)
})

test('a key within a key is text: each level of others would be copied with all that is in it', () => {
  deepStrictEqual(
    parseFastjson('{[{"a":{"b":1}}]:2,{"c":3}:4}'),
    record({ '[{"a":{"b":1}}]': 2, '{"c":3}': 4 }),
  )
  throws(() => parseFastjson('{{{"a":1}:2}:3}'), /unexpected "{" at position 2/)
  throws(() => parseFastjson('{{1:2}:3}'), /unexpected "1" at position 2/)
})

test('text of more bytes or values than any server writes is not parsed', () => {
  const refused = {
    name: 'ProtocolError',
    field: 'json',
    message: 'json must have at most 5242880 bytes and 180000 values',
  }
  for (const value of ['1', '[]', '{}', '"\\n"', '{"a":1}', '{1:2}']) {
    const text = (count: number): string => `[${Array<string>(count).fill(value).join()}]`
    const each = value.length > 1 ? 2 : 1
    const most = 180_000 / each
    deepStrictEqual((parseFastjson(text(most)) as JsonValue[]).length, most, value)
    throws(() => parseFastjson(text(most + 1)), refused, value)
  }
  const long = (bytes: number): string => `"${'x'.repeat(bytes - 2)}"`
  deepStrictEqual(parseFastjson(Buffer.from(long(0x50_0000))), 'x'.repeat(0x50_0000 - 2))
  throws(() => parseFastjson(Buffer.from(long(0x50_0001))), refused)
})

test('a number of a million digits is refused instead of converted', () => {
  throws(() => parseFastjson('9'.repeat(1_000_000)), ProtocolError)
})
