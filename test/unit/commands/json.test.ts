import { deepStrictEqual, strictEqual, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fastjsonBody, stringifyJson } from '../../../src/commands/fastjson.ts'
import {
  boolean,
  double,
  entries,
  int,
  jsonBody,
  list,
  long,
  object,
  optional,
  orElse,
  type Read,
  record,
  text,
} from '../../../src/commands/json.ts'
import { ProtocolError } from '../../../src/errors.ts'
import { type JsonValue, parseFastjson } from '../../../src/wire/fastjson.ts'

const anything: Read<unknown> = (value) => value

/** Both kinds of body read plain JSON alike. */
const decoders = {
  jsonBody: <T>(raw: string, read: Read<T>): T => jsonBody('doc', read).decode(Buffer.from(raw)),
  fastjsonBody: <T>(raw: string, read: Read<T>): T => fastjsonBody('doc', read).decode(Buffer.from(raw)),
}

for (const [name, decode] of Object.entries(decoders)) {
  describe(name, () => {
    it('reads each kind of value', () => {
      const raw =
        '{"t":"x","i":-5,"l":9007199254740993,"n":7,"d":0.5,"b":false,"a":[1,2],"o":{"k":1},"more":null}'
      const read = object({
        t: text,
        i: int,
        l: long,
        n: long,
        d: double,
        b: boolean,
        a: list(int),
        o: entries(int),
      })
      deepStrictEqual(decode(raw, read), {
        t: 'x',
        i: -5,
        l: 9007199254740993n,
        n: 7n,
        d: 0.5,
        b: false,
        a: [1, 2],
        o: [['k', 1]],
      })
      strictEqual(decode('{"l":9007199254740993}', object({ l: double })).l, 9007199254740992)
    })

    it('reads objects of any keys up to 20,000 members', () => {
      const raw = (count: number): string =>
        JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1])))

      strictEqual(decode(raw(20_000), entries(int)).length, 20_000)
      throws(() => decode(raw(20_001), record(int)), {
        name: 'ProtocolError',
        message: 'doc must be an object of at most 20000 members, got Object',
      })
    })

    it('takes the given value where a member is absent or null, and only there', () => {
      for (const raw of ['{}', '{"x":null}']) {
        deepStrictEqual(decode(raw, object({ x: orElse(text, 'd') })), { x: 'd' })
        deepStrictEqual(decode(raw, object({ x: orElse(long, 2n) })), { x: 2n })
        deepStrictEqual(decode(raw, object({ x: orElse(list(int), []) })), { x: [] })
        deepStrictEqual(decode(raw, object({ x: orElse(record(int), {}) })), { x: Object.create(null) })
        deepStrictEqual(decode(raw, object({ x: optional(text) })), {})
      }
      deepStrictEqual(decode('{"x":1}', object({ x: optional(int) })), { x: 1 })
      throws(() => decode('{"x":1}', object({ x: orElse(text, 'd') })), ProtocolError)
      throws(() => decode('{"x":1}', object({ x: orElse(list(int), []) })), ProtocolError)
    })

    it('gives each reader a list of its own where it is absent', () => {
      const read = object({ x: orElse(list(int), []) })
      decode('{}', read).x.push(1)
      deepStrictEqual(decode('{}', read), { x: [] })
    })

    it('cannot reach a prototype through a key', () => {
      const value = decode('{"__proto__":{"a":1}}', record(anything))
      deepStrictEqual([Object.keys(value), Object.getPrototypeOf(value)], [['__proto__'], null])
    })

    const failures: readonly [raw: string, read: Read<unknown>, field: string][] = [
      ['1', text, 'doc'],
      ['1.5', int, 'doc'],
      ['2147483648', int, 'doc'],
      ['9223372036854775808', long, 'doc'],
      ['1.5', long, 'doc'],
      ['"1"', double, 'doc'],
      ['"true"', boolean, 'doc'],
      ['{}', list(int), 'doc'],
      ['null', object({ x: text }), 'doc'],
      ['[1]', entries(int), 'doc'],
      ['{"a":[0,{"b":null}]}', object({ a: list(object({ b: int })) }), 'doc.a[0]'],
      ['{"a":{"b":1}}', object({ a: record(text) }), 'doc.a[b]'],
      ['{}', object({ toString: text }), 'doc.toString'],
      ['{', anything, 'json'],
      ['', anything, 'json'],
      ['['.repeat(100_000), anything, 'json'],
    ]
    for (const [raw, read, field] of failures) {
      it(`names the place: ${field} of ${raw.slice(0, 40)}`, () => {
        throws(
          () => decode(raw, read),
          (error) => error instanceof ProtocolError && error.field === field,
        )
      })
    }

    it('keeps an error short whatever the key', () => {
      throws(
        () => decode(`{"${'k'.repeat(100_000)}":1}`, entries(text)),
        (error) => error instanceof ProtocolError && error.message.length < 200,
      )
    })
  })
}

describe('jsonBody', () => {
  it('writes a long as bare digits and reads it back, and leaves out what is undefined', () => {
    const codec = jsonBody<unknown>('doc', anything)
    const raw = `{"l":${2n ** 62n},"t":"${2n ** 62n}","list":[-9223372036854775808]}`
    const value = { l: 2n ** 62n, t: String(2n ** 62n), list: [-(2n ** 63n)], gone: undefined }
    strictEqual(String(codec.encode(value)), raw)
    deepStrictEqual(codec.decode(Buffer.from(raw)), {
      l: 2n ** 62n,
      t: String(2n ** 62n),
      list: [-(2n ** 63n)],
    })
  })

  it('reads integer keys that old name servers write bare', () => {
    deepStrictEqual(decoders.jsonBody('{"a":{0:"x:1",-1:"y:2"},"b":[1,2]}', anything), {
      a: { '0': 'x:1', '-1': 'y:2' },
      b: [1, 2],
    })
  })
})

describe('stringifyJson', () => {
  it('writes what the parser reads back', () => {
    const value = { t: 'a"\u0001\u2028主', l: 2n ** 62n, n: -1.5, b: true, z: null, list: [1, [], {}] }
    deepStrictEqual(
      { ...(parseFastjson(stringifyJson(value)) as Record<string, JsonValue>) },
      { ...value, list: [1, [], Object.create(null)] },
    )
  })

  it('leaves out undefined members and writes undefined items as null', () => {
    strictEqual(stringifyJson({ a: undefined, b: [undefined] }), '{"b":[null]}')
  })

  it('writes the keys of a Map as they are: text quoted, numbers and objects bare', () => {
    const table = new Map<unknown, unknown>([
      ['a', 1n],
      [0, 'x'],
      [{ queueId: 1 }, true],
      ['gone', undefined],
    ])
    strictEqual(stringifyJson({ table }), '{"table":{"a":1,0:"x",{"queueId":1}:true}}')
  })
})
