import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { crc32, deflateSync } from 'node:zlib'
import { ProtocolError } from '../../../src/errors.ts'
import { fieldsOf } from '../../../src/wire/fields.ts'
import {
  type DecodeOptions,
  decodeBatch,
  decodeMessages,
  encodeBatch,
  type StoredMessage,
} from '../../../src/wire/message.ts'
import { encodeProperties } from '../../../src/wire/properties.ts'
import { type Case, expectedMessage, vectorCases } from '../../support/vectors.ts'

const cases: Case[] = vectorCases('message-decode.json')
const whole = cases.filter(({ name }) => !name.includes('truncated'))
const plain = Buffer.from(cases[0].hex, 'hex')

/** A message of the golden file with another body. */
function withBody(body: Buffer, sysFlag: number): Buffer {
  const [head, tail] = [plain.subarray(0, 84), plain.subarray(88 + 5)]
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  const bytes = Buffer.concat([head, length, body, tail])
  bytes.writeInt32BE(bytes.length, 0)
  bytes.writeInt32BE(crc32(body) & 0x7fff_ffff, 8)
  bytes.writeInt32BE(sysFlag, 36)
  return bytes
}

function change(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeInt32BE(value, at)
  return copy
}

test('answers of the Java broker decode to the whole message', () => {
  for (const { hex, messages } of whole) {
    const decoded = decodeMessages(Buffer.from(hex, 'hex'))

    deepStrictEqual(decoded.messages.map(fieldsOf), messages.map(expectedMessage))
    deepStrictEqual(decoded.undecodable, [])
  }
})

test('messages inside a larger Buffer decode the same', () => {
  for (const { hex, messages } of whole) {
    const bytes = Buffer.from(hex, 'hex')
    const larger = Buffer.concat([Buffer.alloc(13, 0xff), bytes, Buffer.alloc(5, 0xff)])

    deepStrictEqual(
      decodeMessages(larger.subarray(13, 13 + bytes.length)).messages.map(fieldsOf),
      messages.map(expectedMessage),
    )
  }
})

test('an answer cut at any byte gives the whole messages before the cut and the rest as one undecodable', () => {
  const three = whole.find(({ name }) => name.includes('three plain'))
  const bytes = Buffer.from(three.hex, 'hex')
  const expected: StoredMessage[] = three.messages.map(expectedMessage)
  const ends = expected.map((_, index) =>
    expected.slice(0, index + 1).reduce((sum, one) => sum + one.storeSize, 0),
  )

  for (let length = 0; length < bytes.length; length++) {
    const { messages, undecodable } = decodeMessages(bytes.subarray(0, length))

    const complete = ends.filter((end) => end <= length).length
    deepStrictEqual(messages.map(fieldsOf), expected.slice(0, complete))
    const start = ends[complete - 1] ?? 0
    deepStrictEqual(
      undecodable.map(({ bytes: rest, reason }) => [rest.length, reason.field]),
      length === start ? [] : [[length - start, 'totalLength']],
    )
    deepStrictEqual(
      undecodable[0]?.queueOffset,
      length - start >= 36 ? expected[complete]?.queueOffset : undefined,
    )
  }
})

test('a message with a wrong CRC is reported with its place, and those around it decode', () => {
  const bad = Buffer.from(plain)
  bad[88] = 0x58

  const { messages, undecodable } = decodeMessages(Buffer.concat([plain, bad, plain]))

  strictEqual(messages.length, 2)
  deepStrictEqual(
    undecodable.map(({ reason, ...rest }) => ({ ...rest, field: reason.field })),
    [
      {
        bytes: bad,
        queueOffset: 327n,
        commitLogOffset: 1_073_590_880n,
        offsetMessageId: '0A00000200002A9F000000003FFDB260',
        reconsumeTimes: 0,
        field: 'body',
      },
    ],
  )
})

test('a message with an unknown magic is reported without a place', () => {
  const { messages, undecodable } = decodeMessages(Buffer.concat([change(plain, 4, -875_286_124), plain]))

  deepStrictEqual(messages.length, 1)
  deepStrictEqual(
    undecodable.map(({ reason, queueOffset }) => [reason.field, queueOffset]),
    [['magic', undefined]],
  )
})

test('a total length that makes no sense ends the decoding', () => {
  for (const total of [-1, 0, 4, 90, 0x7fff_ffff]) {
    const { messages, undecodable } = decodeMessages(Buffer.concat([plain, change(plain, 0, total), plain]))

    strictEqual(messages.length, 1)
    deepStrictEqual(
      undecodable.map(({ bytes, reason, queueOffset }) => [bytes.length, reason.field, queueOffset]),
      [[plain.length * 2, 'totalLength', 327n]],
    )
  }
})

test('lengths inside a message that do not fill it are refused', () => {
  const fields = (bytes: Buffer): (string | undefined)[] =>
    decodeMessages(bytes).undecodable.map(({ reason }) => reason.field)

  for (const length of [-1, 0x7fff_ffff, 200])
    deepStrictEqual(fields(change(plain, 84, length)), ['body length'])
  const topic = Buffer.from(plain)
  topic[93] = 0xff
  deepStrictEqual(fields(topic), ['topic length'])
  topic[93] = 10
  deepStrictEqual(fields(topic), ['properties length'])
})

test('a compressed body that is broken, of an unknown type, or too large is refused', () => {
  const bomb = deflateSync(Buffer.alloc(2_000_000))
  const reasons = (bytes: Buffer, maxBodyBytes?: number): (string | undefined)[] =>
    decodeMessages(bytes, { maxBodyBytes }).undecodable.map(({ reason }) => reason.field)

  deepStrictEqual(reasons(withBody(bomb, 0x301), 1_999_999), ['body'])
  deepStrictEqual(reasons(withBody(bomb, 0x301), 2_000_000), [])
  deepStrictEqual(reasons(withBody(bomb.subarray(0, 50), 0x301)), ['body'])
  for (const type of [0x401, 0x501, 0x701]) deepStrictEqual(reasons(withBody(bomb, type)), ['sysFlag'])
})

test('bodies that would be too much together are left, with their place, and those that are not compressed are not', () => {
  const bomb = withBody(deflateSync(Buffer.alloc(1_000_000)), 0x301)
  const answer = Buffer.concat([bomb, bomb, bomb, plain, bomb])
  const decode = (options?: DecodeOptions): unknown => {
    const { messages, undecodable } = decodeMessages(answer, options)
    return [messages.length, undecodable.map(({ queueOffset, reason }) => [queueOffset, reason.field])]
  }
  const left = [327n, 'maxTotalBytes']

  deepStrictEqual(decode(), [5, []])
  deepStrictEqual(decode({ maxTotalBytes: 4_000_000 }), [5, []])
  deepStrictEqual(decode({ maxBodyBytes: 1_000_000, maxTotalBytes: 2_500_000 }), [3, [left, left]])
  // The first always has the room that one body may have; a body that fails uses it up.
  deepStrictEqual(decode({ maxBodyBytes: 1_000_000, maxTotalBytes: 1 }), [2, [left, left, left]])
  deepStrictEqual(decode({ maxBodyBytes: 999_999, maxTotalBytes: 1 }), [
    1,
    [[327n, 'body'], left, left, left],
  ])
})

/** The same message at another place of its queue. */
const atOffset = (bytes: Buffer, queueOffset: bigint): Buffer => {
  const moved = Buffer.from(bytes)
  moved.writeBigInt64BE(queueOffset, 20)
  return moved
}

test('an inner batch becomes its messages, with consecutive offsets', () => {
  const inner = encodeBatch([
    { flag: 1, body: Buffer.from('one'), properties: 'A\u00011\u0002' },
    { flag: 2, body: Buffer.from('two'), properties: '' },
  ])
  const [outer] = decodeMessages(withBody(inner, 0)).messages

  for (const bytes of [withBody(inner, 0xc0), withBody(deflateSync(inner), 0x3c1)]) {
    const { messages, undecodable } = decodeMessages(Buffer.concat([bytes, atOffset(plain, 329n)]))

    deepStrictEqual(undecodable, [])
    strictEqual(messages.length, 3)
    deepStrictEqual(
      messages
        .slice(0, 2)
        .map(({ flag, queueOffset, body, properties }) => [
          flag,
          queueOffset,
          body.toString(),
          { ...properties },
        ]),
      [
        [1, 327n, 'one', { A: '1' }],
        [2, 328n, 'two', {}],
      ],
    )
    strictEqual(messages[1]?.offsetMessageId, outer?.offsetMessageId)
  }
})

test('inner batches of very many messages are not all unwrapped in one answer', () => {
  const inner = encodeBatch(
    Array.from({ length: 20_000 }, () => ({ flag: 0, body: Buffer.alloc(0), properties: '' })),
  )
  const outer = withBody(deflateSync(inner), 0x3c1)

  const batches = [0n, 20_000n, 40_000n, 60_000n].map((offset) => atOffset(outer, offset))
  const { messages, undecodable } = decodeMessages(Buffer.concat(batches))

  deepStrictEqual(
    [messages.length, undecodable.map(({ queueOffset, reason }) => [queueOffset, reason.field])],
    [60_000, [[60_000n, 'maxTotalBytes']]],
  )
})

test('an inner batch whose messages would take too much memory is none', () => {
  const properties = encodeProperties(Array.from({ length: 3_000 }, (_, n) => [`k${n}`, 'x'] as const))
  for (const [count, inner] of [
    [400, { flag: 0, body: Buffer.alloc(0), properties }],
    [65_537, { flag: 0, body: Buffer.alloc(0), properties: '' }],
  ] as const) {
    const bytes = withBody(deflateSync(encodeBatch(Array(count).fill(inner))), 0x3c1)

    const { messages, undecodable } = decodeMessages(bytes, { endOffset: 1_000_000n })

    deepStrictEqual(
      [messages.length, undecodable.map(({ queueOffset, reason }) => [queueOffset, reason.field])],
      [0, [[327n, 'batch']]],
    )
  }
})

test('an inner batch that holds more messages than its broker gave it places is none', () => {
  const inner = encodeBatch(
    ['one', 'two', 'three'].map((body) => ({ flag: 0, body: Buffer.from(body), properties: '' })),
  )
  const outer = withBody(inner, 0xc0)
  const countOf = (bytes: Buffer[], endOffset?: bigint): unknown => {
    const { messages, undecodable } = decodeMessages(Buffer.concat(bytes), { endOffset })
    return [messages.map(({ queueOffset }) => queueOffset), undecodable.map(({ queueOffset }) => queueOffset)]
  }
  const otherQueue = atOffset(plain, 328n)
  otherQueue.writeInt32BE(99, 12)

  deepStrictEqual(
    [
      countOf([outer]),
      countOf([outer], 330n),
      countOf([outer], 329n),
      countOf([outer], -1n),
      countOf([outer, atOffset(plain, 330n)], 331n),
      countOf([outer, atOffset(plain, 329n)], 331n),
      countOf([outer, atOffset(plain, 330n)], 329n),
      countOf([outer, otherQueue]),
      countOf([outer, atOffset(plain, 5n)]),
    ],
    [
      [[327n, 328n, 329n], []],
      [[327n, 328n, 329n], []],
      [[], [327n]],
      [[], [327n]],
      [[327n, 328n, 329n, 330n], []],
      [[329n], [327n]],
      [[330n], [327n]],
      [[327n, 328n, 329n, 328n], []],
      [[327n, 328n, 329n, 5n], []],
    ],
  )
})

test('an inner batch without a message is undecodable: it would be passed over without a word', () => {
  const { messages, undecodable } = decodeMessages(withBody(Buffer.alloc(0), 0xc0))

  deepStrictEqual([messages, undecodable.map(({ queueOffset }) => queueOffset)], [[], [327n]])
})

test('an inner batch with a broken message is undecodable as a whole', () => {
  const inner = encodeBatch([{ flag: 1, body: Buffer.from('one'), properties: '' }])

  const { messages, undecodable } = decodeMessages(withBody(inner.subarray(0, 20), 0xc0))

  deepStrictEqual([messages.length, undecodable[0]?.queueOffset], [0, 327n])
})

test('one of the two inner batch bits alone leaves the body as it is', () => {
  for (const sysFlag of [0x40, 0x80]) {
    strictEqual(decodeMessages(withBody(Buffer.from('x'), sysFlag)).messages[0]?.body.toString(), 'x')
  }
})

test('an uncompressed body is a view of the answer', () => {
  const [message] = decodeMessages(plain).messages

  strictEqual(message?.body.buffer, plain.buffer)
})

test('batch bodies are those of the Java client', () => {
  for (const { messages, hex } of vectorCases('batch-encode.json')) {
    const batch = messages.map((message: Case) => ({
      flag: message.flag,
      body: Buffer.from(message.bodyHex, 'hex'),
      properties: message.propertiesString,
    }))

    strictEqual(encodeBatch(batch).toString('hex'), hex)
    deepStrictEqual(decodeBatch(Buffer.from(hex, 'hex')), batch)
  }
})

test('a batch cut at any byte that is not the end of a message is refused', () => {
  const batch = [
    { flag: 1, body: Buffer.from('one'), properties: 'A\u00011\u0002' },
    { flag: 2, body: Buffer.alloc(0), properties: '' },
  ]
  const bytes = encodeBatch(batch)
  const end = encodeBatch(batch.slice(0, 1)).length

  for (let length = 1; length < bytes.length; length++) {
    if (length === end) deepStrictEqual(decodeBatch(bytes.subarray(0, length)), batch.slice(0, 1))
    else throws(() => decodeBatch(bytes.subarray(0, length)), ProtocolError)
  }
})

test('batch properties longer than a short are refused', () => {
  const properties = `a\u0001${'é'.repeat(16_383)}\u0002`

  throws(() => encodeBatch([{ flag: 0, body: Buffer.alloc(1), properties }]), { field: 'properties' })
  ok(encodeBatch([{ flag: 0, body: Buffer.alloc(1), properties: properties.slice(2) }]).length > 32_767)
})
