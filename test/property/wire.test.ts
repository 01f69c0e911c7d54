/** Round trips of everything in src/wire, and hostile input: whatever the bytes, a result or an error of ours. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { messageOf } from '../../src/client/values.ts'
import { RocketMQError } from '../../src/errors.ts'
import { messageFromJson } from '../../src/index.ts'
import { fieldsOf } from '../../src/wire/fields.ts'
import * as wire from '../../src/wire/index.ts'
import { decodeStored } from '../../src/wire/message.ts'
import { storedMessage } from '../support/stored-message.ts'
import { vectorCases } from '../support/vectors.ts'

/** fast-check's records have no prototype unless told otherwise. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(model, { noNullPrototype: true }) as fc.Arbitrary<T>
const int32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff })
const int16 = fc.integer({ min: -0x8000, max: 0x7fff })
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const offset = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })
/** Any text that UTF-8 can hold. */
const text = fc.string({ unit: 'grapheme' }).filter((value) => value.isWellFormed())
const bytes = fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value))
const nullRecord = (entries: Iterable<readonly [string, string]>): Record<string, string> => {
  const record: Record<string, string> = Object.create(null)
  for (const [name, value] of entries) record[name] = value
  return record
}
const ext = fc.array(fc.tuple(text, text.filter(Boolean)), { maxLength: 8 }).map(nullRecord)
const name = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/)

const frame = (code: fc.Arbitrary<number>, version: fc.Arbitrary<number>): fc.Arbitrary<wire.Frame> =>
  record({
    code,
    version,
    opaque: int32,
    flag: int32,
    ext,
    body: bytes,
    language: fc.constantFrom('JAVA', 'OTHER', 'GO'),
  }).chain((value) => text.map((remark) => (remark === '' ? value : { ...value, remark })))

const holds = <T>(arbitrary: fc.Arbitrary<T>, check: (value: T) => void): void =>
  fc.assert(fc.property(arbitrary, check))

test('a message goes to JSON and comes back, whatever was decoded', () => {
  const names = fc.oneof(fc.constantFrom('__proto__', 'KEYS', 'TAGS', 'UNIQ_KEY', 'RETRY_TOPIC', ''), text)
  const fields = record({
    ...{ topic: text, queueId: int32, flag: int32, reconsumeTimes: int32, body: bytes },
    ...{ queueOffset: int64, commitLogOffset: int64, bornTimestamp: int64, storeTimestamp: int64 },
    properties: fc.dictionary(names, text, { maxKeys: 5 }),
  }).filter(({ topic }) => Buffer.byteLength(topic) < 128)
  holds(fields, (value) => {
    for (const stored of wire.decodeMessages(storedMessage(value)).messages) {
      const message = messageOf(stored, 'broker-a', String)
      deepStrictEqual(messageFromJson(JSON.parse(JSON.stringify(message))), message)
    }
  })
})

test('a frame comes back from the JSON header', () => {
  holds(frame(int32, int32), (value) =>
    deepStrictEqual(wire.decodeFrame(wire.encodeFrame(value).subarray(4)), value),
  )
})

test('a frame comes back from the binary header', () => {
  holds(frame(int16, int16), (value) =>
    deepStrictEqual(wire.decodeFrame(wire.encodeFrameBinary(value).subarray(4)), value),
  )
})

test('frames come back from a stream that is split anywhere', () => {
  const chunks = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 })
  holds(fc.tuple(fc.array(frame(int16, int16), { maxLength: 5 }), chunks), ([frames, sizes]) => {
    const stream = Buffer.concat(
      frames.map((value, index) =>
        index % 2 === 0 ? wire.encodeFrame(value) : wire.encodeFrameBinary(value),
      ),
    )
    const decoder = new wire.FrameDecoder()
    const found: wire.Frame[] = []
    for (let at = 0, turn = 0; at < stream.length; turn++) {
      const size = sizes[turn % sizes.length] ?? 1
      decoder.push(stream.subarray(at, at + size), (value) => found.push(value))
      at += size
    }
    deepStrictEqual(found, frames)
  })
})

test('properties come back, as far as the reference reads them', () => {
  const part = text.filter((value) => value !== '' && !value.includes('\u0001') && !value.includes('\u0002'))
  holds(fc.array(fc.tuple(part, part)), (entries) => {
    deepStrictEqual(wire.decodeProperties(wire.encodeProperties(entries)), nullRecord(entries))
  })
})

test('a batch comes back', () => {
  holds(fc.array(record({ flag: int32, body: bytes, properties: text }), { maxLength: 10 }), (messages) =>
    deepStrictEqual(wire.decodeBatch(wire.encodeBatch(messages)), messages),
  )
})

test('stored messages decode to what was stored, with any of the compressions this package writes', () => {
  const message = record({
    topic: name,
    queueId: int32,
    queueOffset: int64,
    commitLogOffset: offset,
    body: bytes,
    flag: int32,
    reconsumeTimes: int32,
    compression: fc.constantFrom('none', 'zlib', 'zstd'),
  })
  holds(fc.array(message, { maxLength: 6 }), (stored) => {
    const answer = stored.map(({ compression, body, ...fields }) =>
      compression === 'none'
        ? storedMessage({ ...fields, body })
        : storedMessage({
            ...fields,
            body: wire.compress(compression as 'zlib', body),
            sysFlag: wire.compressionFlags(compression as 'zlib'),
          }),
    )
    const { messages, undecodable } = wire.decodeMessages(Buffer.concat(answer))
    deepStrictEqual(undecodable, [])
    deepStrictEqual(
      messages.map(
        ({
          topic,
          queueId,
          queueOffset,
          commitLogOffset,
          body,
          flag,
          reconsumeTimes,
          storeHost,
          offsetMessageId,
        }) => {
          strictEqual(wire.encodeOffsetMessageId(storeHost, commitLogOffset), offsetMessageId)
          return { topic, queueId, queueOffset, commitLogOffset, body, flag, reconsumeTimes }
        },
      ),
      stored.map(({ topic, queueId, queueOffset, commitLogOffset, body, flag, reconsumeTimes }) => ({
        topic,
        queueId,
        queueOffset,
        commitLogOffset,
        body,
        flag,
        reconsumeTimes,
      })),
    )
  })
})

test('the tolerant parser agrees with JSON.parse on JSON', () => {
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
  holds(fc.json({ maxDepth: 6 }), (json) => {
    const exact = JSON.stringify(wire.parseFastjson(json), (_, value) =>
      typeof value === 'bigint' ? Number(value) : value,
    )
    deepStrictEqual(JSON.parse(exact), plain(JSON.parse(json)))
  })
})

test('integers and keys of any kind come back from the tolerant parser', () => {
  holds(fc.array(fc.tuple(fc.oneof(int64.map(String), fc.json({ maxDepth: 2 })), int64)), (members) => {
    const json = `{${members.map(([key, value]) => `${key}:${value}`).join(',')}}`
    const expected = Object.create(null)
    for (const [key, value] of members) {
      const number = Number(value)
      expected[key.startsWith('"') ? JSON.parse(key) : key] = Number.isSafeInteger(number) ? number : value
    }
    deepStrictEqual(wire.parseFastjson(json), expected)
  })
})

test('ids and addresses come back', () => {
  const address = fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65_535 }))
  holds(fc.tuple(address, offset), ([[ip, port], commitLogOffset]) => {
    const id = wire.encodeOffsetMessageId(wire.formatHost(ip, port), commitLogOffset)
    const decoded = wire.decodeOffsetMessageId(id)
    strictEqual(decoded.commitLogOffset, commitLogOffset)
    strictEqual(wire.encodeOffsetMessageId(decoded.address, commitLogOffset), id)
    strictEqual(wire.parseHost(decoded.address).port, port)
  })
})

test('receipts, offset lists, bit sets and recall handles come back', () => {
  const receipt = record({
    ckQueueOffset: int64,
    popTime: int64,
    invisibleTime: int64,
    reviveQid: int32,
    retryFlag: fc.constantFrom('0', '1', '2'),
    brokerName: name,
    queueId: int32,
    queueOffset: int64,
  })
  holds(receipt, (value) => deepStrictEqual(wire.parsePopReceipt(wire.formatPopReceipt(value)), value))
  const key = fc
    .tuple(fc.constantFrom('0', '1', '2'), fc.nat())
    .map(([flag, queueId]) => `${flag}@${queueId}`)
  const mapOf = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Map<string, T>> =>
    fc.array(fc.tuple(key, value)).map((entries) => new Map(entries))
  holds(mapOf(int64), (map) =>
    deepStrictEqual(wire.parseStartOffsetInfo(wire.formatStartOffsetInfo(map)), map),
  )
  holds(mapOf(fc.array(int64, { minLength: 1 })), (map) =>
    deepStrictEqual(wire.parseMsgOffsetInfo(wire.formatMsgOffsetInfo(map)), map),
  )
  holds(mapOf(int32), (map) => deepStrictEqual(wire.parseOrderCountInfo(wire.formatOrderCountInfo(map)), map))
  holds(fc.uniqueArray(fc.integer({ min: 0, max: 65_535 })), (offsets) =>
    deepStrictEqual(
      wire.parseAckBits(wire.formatAckBits(offsets)),
      offsets.toSorted((a, b) => a - b),
    ),
  )
  const deliverTimeMs = fc.bigInt({ min: 0n, max: 10n ** 18n - 1n })
  holds(record({ topic: name, brokerName: name, deliverTimeMs, messageId: name }), (value) =>
    deepStrictEqual(wire.parseRecallHandle(wire.formatRecallHandle(value)), value),
  )
})

test('a namespace that was wrapped around a name comes off again', () => {
  holds(fc.tuple(name, name, fc.constantFrom('', '%RETRY%', '%DLQ%')), ([namespace, resource, prefix]) => {
    const wrapped = wire.wrapNamespace(namespace, prefix + resource)
    strictEqual(wire.unwrapNamespace(namespace, wrapped), prefix + resource)
    strictEqual(wire.wrapNamespace(namespace, wrapped), wrapped)
  })
})

test('a sharding key picks a queue that exists', () => {
  holds(fc.tuple(fc.string(), fc.integer({ min: 1, max: 1024 })), ([key, count]) => {
    const index = wire.selectQueueIndex(key, count)
    ok(Number.isInteger(index) && index >= 0 && index < count)
  })
})

/** A golden input that was cut, changed in some bytes and had some inserted. */
function hostile(inputs: readonly Buffer[]): fc.Arbitrary<Buffer> {
  const edit = record({
    at: fc.nat(),
    kind: fc.constantFrom('set', 'insert', 'remove'),
    value: fc.integer({ min: 0, max: 255 }),
  })
  return fc
    .tuple(fc.constantFrom(...inputs), fc.array(edit, { maxLength: 6 }), fc.option(fc.nat(), { freq: 3 }))
    .map(([input, edits, cut]) => {
      const list = [...input]
      for (const { at, kind, value } of edits) {
        if (kind === 'set') list[at % (list.length + 1)] = value
        else if (kind === 'insert') list.splice(at % (list.length + 1), 0, value)
        else list.splice(at % (list.length + 1), 1 + (value % 8))
      }
      return Buffer.from(cut === null ? list : list.slice(0, cut % (list.length + 1)))
    })
}

/** Either it works or it says so with an error of this package. */
function survives(inputs: readonly Buffer[], decode: (input: Buffer) => unknown): void {
  fc.assert(
    fc.property(hostile(inputs), (input) => {
      try {
        decode(input)
      } catch (error) {
        if (!RocketMQError.is(error)) throw error
      }
    }),
    { numRuns: 1000 },
  )
}

const golden = (file: string, member: string): Buffer[] =>
  vectorCases(file)
    .map((vector) => Buffer.from(vector[member], 'hex'))
    .filter((input) => input.length < 1000)
const texts = (file: string, member: string): Buffer[] =>
  vectorCases(file)
    .filter((vector) => typeof vector[member] === 'string')
    .map((vector) => Buffer.from(vector[member]))
const lz4 = ['one', 'empty-content-size', 'period', 'zeros'].map((file) =>
  readFileSync(join(import.meta.dirname, `../golden/lz4/${file}.lz4`)),
)

test('hostile frames are decoded or refused', () => {
  const inputs = [
    ...golden('remoting-command-json.json', 'frameHex'),
    ...golden('remoting-command-rocketmq.json', 'frameHex'),
  ]
  survives(inputs, (input) => wire.decodeFrame(input.subarray(4)))
  survives(inputs, (input) => new wire.FrameDecoder(1 << 20).push(input, () => {}))
})

test('hostile messages and batches end up decoded or reported, every byte of them', () => {
  survives(golden('message-decode.json', 'hex'), (input) => {
    const { messages, undecodable } = wire.decodeMessages(input, { maxBodyBytes: 1 << 16 })
    // Each field is read only when it is asked for.
    for (const message of messages) fieldsOf(message)
    const plain = messages.filter(({ sysFlag }) => (sysFlag & (wire.NEED_UNWRAP | wire.INNER_BATCH)) === 0)
    if (plain.length === messages.length) {
      const total = [
        ...messages.map(({ storeSize }) => storeSize),
        ...undecodable.map((one) => one.bytes.length),
      ]
      strictEqual(
        total.reduce((sum, one) => sum + one, 0),
        input.length,
      )
    }
  })
  survives(golden('message-decode.json', 'hex'), decodeStored)
  survives(golden('batch-encode.json', 'hex'), wire.decodeBatch)
})

test('hostile LZ4 frames stay within the limit', () => {
  survives(lz4, (input) => ok(wire.decompressLz4(input, 100_000).length <= 100_000))
})

test('hostile text is parsed or refused', () => {
  const parsers: [string, string, (text: string) => unknown][] = [
    ['fastjson-bodies.json', 'raw', wire.parseFastjson],
    ['properties.json', 'text', wire.decodeProperties],
    ['message-id.json', 'id', wire.decodeOffsetMessageId],
    ['message-id.json', 'id', wire.decodeUniqKey],
    ['names.json', 'address', wire.parseHost],
    ['names.json', 'address', wire.vipAddress],
    ['pop-receipt.json', 'receipt', wire.parsePopReceipt],
    ['pop-receipt.json', 'text', wire.parseStartOffsetInfo],
    ['pop-receipt.json', 'text', wire.parseMsgOffsetInfo],
    ['pop-receipt.json', 'text', wire.parseOrderCountInfo],
    ['pop-receipt.json', 'bitsetBase64', wire.parseAckBits],
    ['pop-receipt.json', 'handle', wire.parseRecallHandle],
    ['tag-hash.json', 'expression', wire.parseTagExpression],
  ]
  for (const [file, member, parse] of parsers)
    survives(texts(file, member), (input) => parse(input.toString()))
})
