import { deepStrictEqual, strictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { compress, compressionFlags } from '../../../src/wire/compression.ts'
import { decompress } from '../../../src/wire/decompression.ts'
import { compressionType } from '../../../src/wire/flags.ts'

const body = Buffer.from('{"order":1}'.repeat(1000))

for (const type of ['zlib', 'zstd'] as const) {
  test(`${type} comes back, up to the limit and not above it`, () => {
    const bytes = compress(type, body)
    const number = compressionType(compressionFlags(type))

    deepStrictEqual(decompress(number, bytes, body.length), body)
    throws(() => decompress(number, bytes, body.length - 1), {
      name: 'ProtocolError',
      field: 'body',
      message: /larger than 10999 bytes when decompressed/,
    })
  })

  test(`${type} that is cut or not ${type} is refused`, () => {
    const bytes = compress(type, body)
    const number = compressionType(compressionFlags(type))

    for (const broken of [bytes.subarray(0, bytes.length - 5), Buffer.from('nonsense'), Buffer.alloc(0)]) {
      throws(() => decompress(number, broken, 1 << 20), { name: 'ProtocolError', field: 'body' })
    }
  })
}

test('the bits are those of the Java client', () => {
  deepStrictEqual([compressionFlags('zlib'), compressionFlags('zstd')], [0x301, 0x201])
})

test('an old producer’s zlib body has no type', () => {
  strictEqual(decompress(0, compress('zlib', body), body.length).length, body.length)
})

test('unknown types are refused', () => {
  for (const type of [4, 5, 6, 7]) throws(() => decompress(type, body, 1), { field: 'sysFlag' })
})

test('a zstd frame may ask for a window of 32 MiB, and for no larger one, not to speak of gigabytes', () => {
  /** Of a frame with one empty block: 2^(10 + the upper five bits), and eighths of that. */
  const frame = (window: number): Buffer => Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0)

  strictEqual(decompress(2, frame(0x78), 1 << 20).length, 0)
  for (const window of [0x79, 0x80, 0xa8])
    throws(() => decompress(2, frame(window), 1 << 20), { name: 'ProtocolError', field: 'body' })
})
