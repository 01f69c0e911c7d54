/**
 * A mutational fuzzer for everything that decodes bytes from the network. It starts from the golden vectors, is
 * seeded, and runs in one process: the same seed and count give the same inputs.
 *
 * The invariant: a result, or an error of this package; and no output larger than its limit.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RocketMQError } from '../../src/errors.ts'
import { fieldsOf } from '../../src/wire/fields.ts'
import * as wire from '../../src/wire/index.ts'
import { vectorCases } from './vectors.ts'

const MAX_BODY_BYTES = 1 << 16

/** mulberry32: 32 bits of state are enough to walk the inputs. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed | 0
  return (below) => {
    state = (state + 0x6d2b_79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return ((value ^ (value >>> 14)) >>> 0) % below
  }
}

interface Target {
  name: string
  inputs: readonly Buffer[]
  run(input: Buffer): void
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}

function decodeMessages(input: Buffer): void {
  const { messages, undecodable } = wire.decodeMessages(input, { maxBodyBytes: MAX_BODY_BYTES })
  // Each field is read only when it is asked for.
  for (const message of messages) fieldsOf(message)
  for (const { body, storeSize } of messages)
    expect(body.length <= Math.max(MAX_BODY_BYTES, storeSize), 'body above its limit')
  for (const { reason } of undecodable) expect(reason instanceof RocketMQError, 'a reason that is not ours')
  expect(
    undecodable.reduce((sum, { bytes }) => sum + bytes.length, 0) <= input.length,
    'more undecodable than input',
  )
}

/** Also in two pieces: what a frame decodes to must not depend on the split. */
function decodeStream(input: Buffer): void {
  const run = (pieces: Buffer[]): string => {
    const decoder = new wire.FrameDecoder(1 << 20)
    const frames: string[] = []
    try {
      for (const piece of pieces) {
        decoder.push(piece, (frame) => frames.push(`${frame.code} ${frame.opaque} ${frame.body.length}`))
      }
    } catch (error) {
      if (!(error instanceof RocketMQError)) throw error
      frames.push('failed')
    }
    return frames.join()
  }
  const middle = input.length >> 1
  const whole = run([input])
  const split = run([input.subarray(0, middle), input.subarray(middle)])
  expect(whole === split, `split at ${middle} gives ${split} for ${whole}`)
}

function decodeBatch(input: Buffer): void {
  const messages = wire.decodeBatch(input)
  for (const { properties } of messages) wire.decodeProperties(properties)
}

function targets(): Target[] {
  const hex = (file: string, member: string, most = 2000): Buffer[] =>
    vectorCases(file)
      .map((vector) => Buffer.from(vector[member], 'hex'))
      .filter((input) => input.length <= most)
  const frames = [
    ...hex('remoting-command-json.json', 'frameHex'),
    ...hex('remoting-command-rocketmq.json', 'frameHex'),
  ]
  const lz4 = ['one', 'one-bare', 'empty-content-size', 'period', 'zeros', 'zeros-linked'].map((file) =>
    readFileSync(join(import.meta.dirname, `../golden/lz4/${file}.lz4`)),
  )
  const documents = vectorCases('fastjson-bodies.json').map(({ raw }) => Buffer.from(raw))
  const receipts = vectorCases('pop-receipt.json')
    .flatMap(({ receipt, text, handle }) => [receipt, text, handle])
    .filter((text) => typeof text === 'string')
    .map((text) => Buffer.from(text))
  return [
    { name: 'frame', inputs: frames, run: (input) => void wire.decodeFrame(input.subarray(4)) },
    { name: 'stream', inputs: frames, run: decodeStream },
    { name: 'messages', inputs: hex('message-decode.json', 'hex'), run: decodeMessages },
    { name: 'batch', inputs: hex('batch-encode.json', 'hex'), run: decodeBatch },
    { name: 'fastjson', inputs: documents, run: (input) => void wire.parseFastjson(input.toString()) },
    {
      name: 'lz4',
      inputs: lz4,
      run: (input) =>
        expect(wire.decompressLz4(input, MAX_BODY_BYTES).length <= MAX_BODY_BYTES, 'output above its limit'),
    },
    {
      name: 'receipt',
      inputs: receipts,
      run: (input) => {
        const text = input.toString()
        const attempts = [
          wire.parsePopReceipt,
          wire.parseStartOffsetInfo,
          wire.parseMsgOffsetInfo,
          wire.parseOrderCountInfo,
          wire.parseRecallHandle,
        ]
        for (const parse of attempts) survive(() => void parse(text))
      },
    },
  ]
}

/** Values that break decoders: the edges of each width. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

/** One to four changes: bits, bytes, integers at the edges, cuts, inserts, parts of another input. */
function mutate(source: Buffer, other: Buffer, random: (below: number) => number): Buffer {
  let bytes = Buffer.from(source)
  for (let times = 1 + random(4); times > 0; times--) {
    const at = random(bytes.length + 1)
    switch (random(7)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
        break
      case 1:
        if (at < bytes.length) bytes[at] = random(256)
        break
      case 2:
        if (at + 4 <= bytes.length) bytes.writeUInt32BE(EDGES[random(EDGES.length)] ?? 0, at)
        break
      case 3:
        if (at + 4 <= bytes.length) bytes.writeInt32BE((bytes.readInt32BE(at) + random(9) - 4) | 0, at)
        break
      case 4:
        bytes = bytes.subarray(0, at)
        break
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(0, random(64)), bytes.subarray(at)])
        break
      default:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random(16))])
    }
  }
  return bytes
}

function survive(run: () => void): void {
  try {
    run()
  } catch (error) {
    if (!(error instanceof RocketMQError)) throw error
  }
}

export interface FuzzResult {
  /** Inputs that were run. */
  count: number
  /** The first input that broke the invariant. */
  failure?: { target: string; hex: string; error: unknown }
}

/** Runs `count` inputs, the targets by turns. */
export function fuzz(count: number, seed: number): FuzzResult {
  const random = randomFrom(seed)
  const all = targets()
  for (let index = 0; index < count; index++) {
    const target = all[index % all.length] as Target
    const pick = (): Buffer => target.inputs[random(target.inputs.length)] as Buffer
    const input = mutate(pick(), pick(), random)
    try {
      survive(() => target.run(input))
    } catch (error) {
      return { count: index + 1, failure: { target: target.name, hex: input.toString('hex'), error } }
    }
  }
  return { count }
}
