/**
 * `node bench/micro/wire.ts`: CPU time of the hot parts of src/wire, without a socket. The least of several rounds,
 * because everything else that runs on the machine only adds.
 */
import { crc32 } from 'node:zlib'
import * as wire from '../../src/wire/index.ts'
import { storedMessage } from '../../test/support/stored-message.ts'

const ROUNDS = 9

function bench(name: string, turns: number, unitsPerTurn: number, run: () => unknown): void {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage()
    for (let turn = 0; turn < turns; turn++) run()
    const { user, system } = process.cpuUsage(before)
    least = Math.min(least, ((user + system) * 1000) / turns / unitsPerTurn)
  }
  console.log(`${name.padEnd(44)} ${least.toFixed(0).padStart(8)} ns`)
}

const body = Buffer.alloc(1024, '0123456789abcdef')
const properties = {
  TAGS: 'created',
  KEYS: 'order-1',
  UNIQ_KEY: '00E8B03F73DECEC3B3E580A3F1EA882D',
  MSG_REGION: 'DefaultRegion',
  CLUSTER: 'DefaultCluster',
}
const answer = Buffer.concat(
  Array.from({ length: 32 }, (_, index) =>
    storedMessage({ body, properties, queueOffset: BigInt(index), commitLogOffset: BigInt(index) * 1300n }),
  ),
)
const text = wire.encodeProperties(Object.entries(properties))
const ext: Record<string, string> = Object.create(null)
for (const [index, name] of 'abcdefghijkm'.split('').entries())
  ext[name] = name === 'i' ? text : `value ${index}`
const request = wire.encodeFrame({ code: 310, opaque: 1, ext, body })
const pull = wire.encodeFrame({
  code: 0,
  opaque: 1,
  flag: 1,
  remark: 'FOUND',
  ext: { nextBeginOffset: '32' },
  body: answer,
})
const pieces = Array.from({ length: Math.ceil(pull.length / 1400) }, (_, index) =>
  pull.subarray(index * 1400, (index + 1) * 1400),
)
const decoder = new wire.FrameDecoder()
const ignore = (): void => {}

console.log(`node ${process.version}, ${process.arch}`)
bench('encodeFrame, send of 1 KiB', 20_000, 1, () => wire.encodeFrame({ code: 310, opaque: 1, ext, body }))
bench('encodeFrameBinary, send of 1 KiB', 10_000, 1, () =>
  wire.encodeFrameBinary({ code: 310, opaque: 1, ext, body }),
)
bench('decodeFrame, send of 1 KiB', 20_000, 1, () => wire.decodeFrame(request.subarray(4)))
bench('FrameDecoder, 32 x 1 KiB in one chunk', 5000, 1, () => decoder.push(pull, ignore))
bench('FrameDecoder, 32 x 1 KiB in pieces of 1400', 2000, 1, () => {
  for (const piece of pieces) decoder.push(piece, ignore)
})
bench('decodeMessages, each of 32 x 1 KiB', 2000, 32, () => wire.decodeMessages(answer))
bench('  of which the CRC', 50_000, 1, () => crc32(body))
bench('  of which the properties', 50_000, 1, () => wire.decodeProperties(text))
bench('sign, send of 1 KiB', 10_000, 1, () => wire.sign('12345678', ext, body))
