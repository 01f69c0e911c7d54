import { deepStrictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { ProtocolError } from '../../../src/errors.ts'
import { decodeFrame, encodeFrame, encodeFrameBinary, FLAG_ONEWAY } from '../../../src/wire/frame.ts'
import { type Case, describeFrame, expectedFrame, readVectors, vectorCases } from '../../support/vectors.ts'

const jsonFrame = (header: string, body = ''): Buffer => {
  const bytes = Buffer.from(`    ${header}${body}`)
  bytes.writeUInt32BE(Buffer.byteLength(header), 0)
  return bytes
}

const fails = (bytes: Buffer, field: string): void =>
  throws(
    () => decodeFrame(bytes),
    (error) => error instanceof ProtocolError && error.field === field,
  )

test('frames of the Java client decode and come back in both encodings', () => {
  const { files } = readVectors()

  const failures = files
    .filter(({ name }) => name.startsWith('remoting-command'))
    .flatMap(({ cases, check }) => cases.map((vector) => check(vector)))

  deepStrictEqual(new Set(failures), new Set([undefined]))
})

test('a frame inside a larger Buffer decodes the same', () => {
  for (const vector of vectorCases('remoting-command-json.json')) {
    const bytes = Buffer.from(vector.frameHex, 'hex')
    const larger = Buffer.concat([Buffer.alloc(13, 0xff), bytes, Buffer.alloc(7, 0xff)])

    const frame = decodeFrame(larger.subarray(13 + 4, 13 + bytes.length))

    deepStrictEqual(describeFrame(frame), expectedFrame(vector))
  }
})

test('every frame that is cut short is refused with an error of ours, or has lost only its body', () => {
  const cases: Case[] = [
    ...vectorCases('remoting-command-json.json'),
    ...vectorCases('remoting-command-rocketmq.json'),
  ].filter(({ frameLength }) => frameLength < 1000)
  for (const { frameHex, headerLength } of cases) {
    const bytes = Buffer.from(frameHex, 'hex').subarray(4)
    for (let length = 0; length < 4 + headerLength; length++) {
      throws(() => decodeFrame(bytes.subarray(0, length)), ProtocolError)
    }
  }
})

test('a request is written with the defaults of this client', () => {
  const bytes = encodeFrame({ code: 105, opaque: 7 })

  deepStrictEqual(decodeFrame(bytes.subarray(4)), {
    code: 105,
    language: 'OTHER',
    version: 513,
    opaque: 7,
    flag: 0,
    ext: Object.create(null),
    body: Buffer.alloc(0),
  })
})

test('text that is not ASCII, quotes and control characters survive both headers', () => {
  const ext = { i: 'TAGS\u0001标签\u0002', quote: '"\\\n', ['__proto__']: 'x', é: '😀' }
  const frame = { code: 310, opaque: -1, flag: FLAG_ONEWAY, remark: '错误', ext, body: Buffer.from('ü') }

  for (const encode of [encodeFrame, encodeFrameBinary]) {
    const decoded = decodeFrame(encode(frame).subarray(4))

    deepStrictEqual(decoded.ext, Object.assign(Object.create(null), Object.fromEntries(Object.entries(ext))))
    deepStrictEqual([decoded.remark, decoded.opaque, decoded.body], ['错误', -1, Buffer.from('ü')])
  }
})

test('a code that the binary header would cut is refused', () => {
  for (const code of [32_768, 200_050, -32_769]) {
    throws(() => encodeFrameBinary({ code, opaque: 1 }), {
      name: 'ProtocolError',
      field: 'code',
      message: /use JSON/,
    })
  }
  throws(() => encodeFrameBinary({ code: 1, opaque: 1, version: 40_000 }), { field: 'version' })
})

test('header fields that are numbers or booleans become text, null is absent', () => {
  const frame = decodeFrame(
    jsonFrame('{"code":0,"opaque":1,"extFields":{"a":1,"b":true,"c":null,"d":-1.5},"unknown":[1]}'),
  )

  deepStrictEqual({ ...frame.ext }, { a: '1', b: 'true', d: '-1.5' })
})

test('an unknown language is OTHER, absent flag and version are 0', () => {
  const binary = encodeFrameBinary({ code: 1, opaque: 2 })
  binary[10] = 99

  deepStrictEqual(decodeFrame(binary.subarray(4)).language, 'OTHER')
  const { language, flag, version } = decodeFrame(jsonFrame('{"code":0,"opaque":1,"language":null}'))
  deepStrictEqual([language, flag, version], ['OTHER', 0, 0])
})

test('headers that break a rule are refused, with the field', () => {
  fails(Buffer.alloc(0), 'headerLength')
  fails(Buffer.from([0, 0xff, 0xff, 0xff]), 'headerLength')
  fails(Buffer.from([2, 0, 0, 0]), 'serializeType')
  fails(jsonFrame('{"code":0'), 'header')
  fails(jsonFrame('[1]'), 'header')
  fails(jsonFrame('null'), 'header')
  fails(jsonFrame('{"opaque":1}'), 'code')
  fails(jsonFrame('{"code":"0","opaque":1}'), 'code')
  fails(jsonFrame('{"code":1.5,"opaque":1}'), 'code')
  fails(jsonFrame('{"code":0}'), 'opaque')
  fails(jsonFrame('{"code":0,"opaque":2147483648}'), 'opaque')
  fails(jsonFrame('{"code":0,"opaque":1,"flag":{}}'), 'flag')
  fails(jsonFrame('{"code":0,"opaque":1,"remark":7}'), 'remark')
  fails(jsonFrame('{"code":0,"opaque":1,"extFields":[]}'), 'extFields')
  fails(jsonFrame('{"code":0,"opaque":1,"extFields":{"a":{}}}'), 'extFields.a')
  fails(jsonFrame('{"code":0,"opaque":1,"extFields":{"offset":9007199254740993}}'), 'extFields.offset')
})

test('a frame of 16 MiB is written, and one that is a byte longer is refused with both sizes', () => {
  const head = { code: 1, opaque: 2 }
  const most = 16 * 1024 * 1024
  const body = Buffer.alloc(most - encodeFrame(head).length)

  deepStrictEqual(encodeFrame({ ...head, body }).length, most)
  throws(() => encodeFrame({ ...head, body: Buffer.alloc(body.length + 1) }), {
    message: `frame has ${most + 1} bytes; servers take ${most}`,
  })
})

test('lengths and kinds of a header are refused with what is allowed', () => {
  throws(() => decodeFrame(Buffer.from([0, 0xff, 0xff, 0xff])), {
    message: 'headerLength of the frame must be within its 4 bytes',
  })
  throws(() => decodeFrame(Buffer.from([2, 0, 0, 0])), {
    message: 'serializeType of the frame must be 0 or 1, got 2',
  })
})

test('binary lengths that point outside are refused', () => {
  const frame = encodeFrameBinary({ code: 1, opaque: 2, remark: 'r', ext: { key: 'value' } }).subarray(4)
  const set = (at: number, value: number, width: 2 | 4): Buffer => {
    const bytes = Buffer.from(frame)
    if (width === 2) bytes.writeInt16BE(value, at)
    else bytes.writeInt32BE(value, at)
    return bytes
  }

  for (const value of [-1, 19, 0x7fff_ffff]) fails(set(17, value, 4), 'remark')
  for (const value of [-1, 15, 0x7fff_ffff]) fails(set(22, value, 4), 'extFields')
  for (const value of [-1, 9, 0x7fff]) fails(set(26, value, 2), 'extFields')
  for (const value of [-1, 6, 0x7fff_ffff]) fails(set(31, value, 4), 'extFields')
})

test('a header of 200,000 brackets is refused without harm', () => {
  fails(jsonFrame('['.repeat(170_000)), 'header')
  fails(jsonFrame('['.repeat(200_000)), 'json')
})

test('a header above 4 MiB, or a binary one above 256 KiB, is refused before it is read', () => {
  const header = (bytes: number): string => {
    const head = '{"code":0,"opaque":1,"x":"'
    return `${head}${'x'.repeat(bytes - head.length - 2)}"}`
  }

  deepStrictEqual(decodeFrame(jsonFrame(header(0x40_0000), 'body')).body.toString(), 'body')
  throws(() => decodeFrame(jsonFrame(header(0x40_0001), 'body')), {
    name: 'ProtocolError',
    field: 'headerLength',
    message: 'headerLength of the frame must be at most 4194304',
  })
  const binary = encodeFrameBinary({ code: 1, opaque: 2, ext: { key: 'x'.repeat(0x4_0000) } })
  fails(binary.subarray(4), 'headerLength')
})
