import { deepStrictEqual, strictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { encodeFrame, type Frame } from '../../../src/wire/frame.ts'
import { FrameDecoder } from '../../../src/wire/frame-decoder.ts'
import { type Case, describeFrame, expectedFrame, vectorCases } from '../../support/vectors.ts'

const cases: Case[] = [
  ...vectorCases('remoting-command-json.json'),
  ...vectorCases('remoting-command-rocketmq.json'),
]
const stream = Buffer.concat(cases.map(({ frameHex }) => Buffer.from(frameHex, 'hex')))
const expected = cases.map(expectedFrame)

function decode(chunks: Iterable<Buffer>): object[] {
  const decoder = new FrameDecoder()
  const frames: object[] = []
  for (const chunk of chunks) decoder.push(chunk, (frame) => frames.push(describeFrame(frame)))
  return frames
}

function* pieces(bytes: Buffer, size: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

test('a stream of frames in one chunk gives each of them', () => {
  deepStrictEqual(decode([stream]), expected)
})

test('chunks of every small size give the same frames', () => {
  for (const size of [1, 2, 3, 4, 5, 7, 11, 64, 1021, 65_536])
    deepStrictEqual(decode(pieces(stream, size)), expected)
})

test('every split point of a frame, followed by another, gives both', () => {
  for (const [index, { frameHex }] of cases.entries()) {
    const frame = Buffer.from(frameHex, 'hex')
    const two = Buffer.concat([frame, Buffer.from(cases[0].frameHex, 'hex')])
    // The long ones differ in nothing but length: their edges are enough.
    const points = frame.length < 700 ? frame.length : 200
    for (let at = 0; at <= points; at++) {
      deepStrictEqual(decode([two.subarray(0, at), two.subarray(at)]), [expected[index], expected[0]])
    }
  }
})

test('a frame keeps nothing of its chunks, which may be overwritten by the next ones', () => {
  const body = Buffer.alloc(100_000, 'abc')
  const bytes = encodeFrame({ code: 0, opaque: 1, body })
  for (const size of [bytes.length, 40_000]) {
    const frames: Frame[] = []
    const decoder = new FrameDecoder()

    for (const piece of pieces(bytes, size)) {
      const chunk = Buffer.from(piece)
      decoder.push(chunk, (frame) => frames.push(frame))
      chunk.fill(0)
    }

    strictEqual(frames[0]?.body.equals(body), true)
  }
})

test('a frame over many chunks is collected whole, also when it outgrows the first Buffer', () => {
  const body = Buffer.alloc(3_000_000, 'abcdefg')

  const [frame] = decode(pieces(encodeFrame({ code: 0, opaque: 1, body }), 1400))

  strictEqual((frame as { bodyHex: string }).bodyHex, body.toString('hex'))
})

test('a length outside the limits fails, after the frames before it, and the decoder stays failed', () => {
  for (const length of [0, 3, 0x100_0001, 0xffff_ffff]) {
    const good = encodeFrame({ code: 1, opaque: 9 })
    const bad = Buffer.alloc(4)
    bad.writeUInt32BE(length)
    const decoder = new FrameDecoder()
    const opaques: number[] = []
    const push = (bytes: Buffer): void => decoder.push(bytes, (frame) => opaques.push(frame.opaque))

    throws(() => push(Buffer.concat([good, bad])), { name: 'ProtocolError', field: 'length' })
    throws(() => push(good), { name: 'ProtocolError', field: 'length' })

    deepStrictEqual(opaques, [9])
  }
})

test('the limit is the caller’s', () => {
  const frame = encodeFrame({ code: 1, opaque: 9, body: Buffer.alloc(1000) })

  throws(() => new FrameDecoder(1000).push(frame, () => {}), { field: 'length' })
  throws(() => new FrameDecoder(1000).push(frame.subarray(0, 4), () => {}), { field: 'length' })
})

test('a frame as long as the limit is taken, and for one a byte longer the limit is told', () => {
  const frame = encodeFrame({ code: 1, opaque: 9, body: Buffer.alloc(1000) })
  const length = frame.length - 4
  const opaques: number[] = []

  new FrameDecoder(length).push(frame, ({ opaque }) => opaques.push(opaque))

  deepStrictEqual(opaques, [9])
  throws(() => new FrameDecoder(length - 1).push(frame, () => {}), {
    message: `length of the frame must be 4 to ${length - 1}, got ${length}`,
  })
})

test('a length of 4 leaves it to the header to be too short', () => {
  const shortest = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0])

  throws(() => new FrameDecoder().push(shortest, () => {}), { field: 'header' })
})

test('a promised length allocates nothing like it', () => {
  const before = process.memoryUsage().arrayBuffers
  const head = Buffer.from([0, 0xff, 0xff, 0xff, 0, 0, 0, 1])

  const decoders = Array.from({ length: 100 }, () => {
    const decoder = new FrameDecoder()
    decoder.push(head, () => {})
    return decoder
  })

  strictEqual(decoders.length, 100)
  strictEqual(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024, true)
})

test('a callback that throws fails the decoder, as the rest of its chunk is lost', () => {
  const decoder = new FrameDecoder()
  const frame = encodeFrame({ code: 1, opaque: 9 })
  const stop = new Error('stop')

  throws(
    () =>
      decoder.push(frame, () => {
        throw stop
      }),
    stop,
  )
  throws(() => decoder.push(frame, () => {}), stop)
})
