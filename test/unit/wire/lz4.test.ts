import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ProtocolError } from '../../../src/errors.ts'
import { readLz4 } from '../../../src/wire/lz4.ts'
import { decompressLz4, xxHash32 } from '../../../src/wire/lz4-checksums.ts'

const FOLDER = join(import.meta.dirname, '../../golden/lz4')
const { cases } = JSON.parse(readFileSync(join(FOLDER, 'manifest.json'), 'utf8'))
const file = (name: string): Buffer => readFileSync(join(FOLDER, `${name}.lz4`))
const LIMIT = 1 << 20

for (const { file: name, options, bytes, sha256 } of cases) {
  test(`${name}, made by lz4 ${options}, gives its input`, () => {
    const input = decompressLz4(readFileSync(join(FOLDER, name)), LIMIT)

    deepStrictEqual([input.length, createHash('sha256').update(input).digest('hex')], [bytes, sha256])
    deepStrictEqual(readLz4(readFileSync(join(FOLDER, name)), LIMIT), input)
  })

  test(`${name} decompresses up to its exact size and not under it`, () => {
    const frame = readFileSync(join(FOLDER, name))

    strictEqual(decompressLz4(frame, bytes).length, bytes)
    if (bytes > 0) throws(() => decompressLz4(frame, bytes - 1), /larger than \d+ bytes when decompressed/)
  })
}

test('concatenated and skippable frames are one output', () => {
  const skippable = Buffer.from([0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
  const text = decompressLz4(file('text-B4-linked'), LIMIT)

  const output = decompressLz4(
    Buffer.concat([skippable, file('one'), file('text-B4-linked'), skippable, file('empty'), file('one')]),
    LIMIT,
  )

  deepStrictEqual(output, Buffer.concat([Buffer.from('x'), text, Buffer.from('x')]))
})

test('a linked block does not reach into the frame before', () => {
  const frame = Buffer.from('04224d18404000', 'hex')
  frame[6] = (xxHash32(frame, 4, 6) >>> 8) & 0xff
  // No literal, then a match 1 byte back.
  const block = Buffer.from('0400000000010010' + '00000000', 'hex')

  throws(() => decompressLz4(Buffer.concat([file('one'), frame, block]), LIMIT), /match before the start/)
})

test('any byte of a frame with every checksum that is flipped is noticed', () => {
  const frame = file('one')
  const everything = file('text-everything').subarray(0)
  for (let at = 0; at < frame.length; at++) {
    const broken = Buffer.from(frame)
    broken[at] = (broken[at] ?? 0) ^ 0x04
    throws(() => decompressLz4(broken, LIMIT), ProtocolError)
  }
  for (let at = 0; at < everything.length; at += 509) {
    const broken = Buffer.from(everything)
    broken[at] = (broken[at] ?? 0) ^ 0x04
    throws(() => decompressLz4(broken, LIMIT), ProtocolError)
  }
})

test('a frame cut at any byte is refused', () => {
  const frame = file('period').subarray(0)
  for (let length = 0; length < frame.length; length++) {
    throws(() => decompressLz4(frame.subarray(0, length), LIMIT), ProtocolError)
  }
})

test('dictionaries, the legacy format and unknown versions are refused', () => {
  const header = (flags: number, descriptor: number): Buffer => {
    const bytes = Buffer.from([4, 0x22, 0x4d, 0x18, flags, descriptor, 0, 0, 0, 0, 0])
    bytes[6] = (xxHash32(bytes, 4, 6) >>> 8) & 0xff
    return bytes
  }

  strictEqual(decompressLz4(header(0x60, 0x40), LIMIT).length, 0)
  throws(() => decompressLz4(header(0x61, 0x40), LIMIT), /dictionaries/)
  throws(() => decompressLz4(Buffer.from('02214c18', 'hex'), LIMIT), /not a frame/)
  for (const [flags, descriptor] of [
    [0x20, 0x40],
    [0xa0, 0x40],
    [0x62, 0x40],
    [0x60, 0x30],
    [0x60, 0xc0],
    [0x60, 0x41],
  ] as const) {
    throws(() => decompressLz4(header(flags, descriptor), LIMIT), /unknown frame version/)
  }
})

/** A frame without checksums, of blocks of up to 64 KiB that do not reach into each other. */
const frameOf = (
  words: readonly (readonly [size: number, block: Buffer])[],
  contentBytes?: bigint,
): Buffer => {
  const header = Buffer.from([4, 0x22, 0x4d, 0x18, contentBytes === undefined ? 0x60 : 0x68, 0x40])
  const content = Buffer.alloc(contentBytes === undefined ? 0 : 8)
  if (contentBytes !== undefined) content.writeBigUInt64LE(contentBytes)
  const blocks = words.flatMap(([size, block]) => {
    const word = Buffer.alloc(4)
    word.writeUInt32LE(size)
    return [word, block]
  })
  return Buffer.concat([header, content, Buffer.alloc(1), ...blocks, Buffer.alloc(4)])
}
const block = (hex: string): [number, Buffer] => [hex.length / 2, Buffer.from(hex, 'hex')]
const STORED = 0x8000_0000
const BLOCK_BYTES = 0x1_0000

test('a block may be as large as its frame says, compressed or stored, and no larger', () => {
  const [full, more] = [BLOCK_BYTES, BLOCK_BYTES + 1].map((size) => Buffer.alloc(size, 'x'))
  /** One literal, repeated from 1 byte back up to so many bytes in all. */
  const repeated = (count: number): [number, Buffer] => {
    const rest = count - 1 - 4 - 15
    const run = 'ff'.repeat(Math.floor(rest / 255)) + (rest % 255).toString(16).padStart(2, '0')
    return block(`1f780100${run}00`)
  }

  deepStrictEqual(readLz4(frameOf([[STORED + BLOCK_BYTES, full as Buffer]]), LIMIT), full)
  deepStrictEqual(readLz4(frameOf([repeated(BLOCK_BYTES)]), LIMIT), full)
  for (const broken of [
    [STORED + BLOCK_BYTES + 1, more as Buffer] as const,
    repeated(BLOCK_BYTES + 1),
    // 270 literals and a match of 4 bytes take 275: its output would fit.
    block(`${`f0ff00${'78'.repeat(270)}0100`.repeat(239)}1078`),
  ])
    throws(() => readLz4(frameOf([broken]), LIMIT), /a length leads beyond its bounds/)
})

test('a block that is cut, or whose match lies where nothing is, is refused', () => {
  for (const [hex, reason] of [
    ['5061626364', /a length leads beyond its bounds/], // five literals, four there
    ['f0ffff', /a length leads beyond its bounds/], // a run without an end
    ['106101', /a length leads beyond its bounds/], // half a match offset
    ['10610100', /a length leads beyond its bounds/], // no literals behind the match
    ['10610000', /match before the start/],
    ['1061000000', /match before the start/],
    ['10610200', /match before the start/],
  ] as const)
    throws(() => readLz4(frameOf([block(hex)]), LIMIT), reason, hex)
})

test('a frame has as many bytes as it says, in both words of its content size', () => {
  const one = block('1061')

  strictEqual(readLz4(frameOf([one], 1n), LIMIT).toString(), 'a')
  for (const wrong of [0n, 2n, 0x1_0000_0001n])
    throws(() => readLz4(frameOf([one], wrong), LIMIT), /wrong content size/)
})

test('a small frame that promises much allocates little', () => {
  const before = process.memoryUsage().arrayBuffers
  const frame = file('one')

  const outputs = Array.from({ length: 200 }, () => decompressLz4(frame, 0x100_0000))

  ok(outputs.every((output) => output.length === 1))
  ok(process.memoryUsage().arrayBuffers - before < 32 * 1024 * 1024)
})

test('xxHash32 gives the published values', () => {
  const hash = (text: string): string => xxHash32(Buffer.from(text), 0, text.length).toString(16)

  deepStrictEqual(['', 'a', 'abc', 'Nobody inspects the spammish repetition'].map(hash), [
    '2cc5d05',
    '550d7456',
    '32d153ff',
    'e2293b2f',
  ])
})
