/**
 * `npm run bench:micro`: the hot parts of the codec without a socket or a broker, so that a regression shows by itself.
 * The least time matters: everything else that runs on the machine only adds.
 */
import { crc32 } from 'node:zlib'
import { Bench } from 'tinybench'
import { prepare } from '../../src/client/outgoing.ts'
import { Message } from '../../src/client/values.ts'
import { encodeFields } from '../../src/commands/define.ts'
import { SendMessageV2 } from '../../src/commands/index.ts'
import * as wire from '../../src/wire/index.ts'
import { storedMessage } from '../../test/support/stored-message.ts'

const body = Buffer.alloc(1024, '0123456789abcdef')
const properties = {
  origin: 'bench',
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
const { code, name, request, defaults, wireNames } = SendMessageV2
const values = {
  producerGroup: 'bench',
  topic: 'bench',
  queueId: 3,
  sysFlag: 0,
  bornTimestamp: 1_790_000_000_000n,
  flag: 0,
  properties: text,
  reconsumeTimes: 0,
  unitMode: false,
  batch: false,
}
const ext = encodeFields(name, request, values, defaults, wireNames)
const send = wire.encodeFrame({ code, opaque: 1, ext, body })
const stored = wire.encodeFrame({
  code: 0,
  opaque: 1,
  flag: 1,
  ext: {
    msgId: '7F00000100002A9F0000000000001234',
    queueId: '3',
    queueOffset: '17',
    MSG_REGION: 'DefaultRegion',
  },
})
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
const batch = Array.from({ length: 32 }, () => ({ flag: 0, body, properties: text }))
const message = { topic: 'bench', body, tag: 'created', keys: 'order-1', properties: { origin: 'bench' } }
const decoder = new wire.FrameDecoder()
const ignore = (): void => {}
const same = (topic: string): string => topic
const queue = { topic: 'bench', brokerName: 'broker-a', queueId: 0 }

const bench = new Bench({ time: 300, warmupTime: 200 })
  .add('message → checked and encoded properties', () => prepare('bench', message))
  .add('header values → text', () => encodeFields(name, request, values, defaults, wireNames))
  .add('encodeFrame, a send of 1 KiB', () => wire.encodeFrame({ code, opaque: 1, ext, body }))
  .add('encodeFrameBinary, the same', () => wire.encodeFrameBinary({ code, opaque: 1, ext, body }))
  .add('encodeBatch, 32 × 1 KiB', () => wire.encodeBatch(batch))
  .add('sign, a send of 1 KiB', () => wire.sign('12345678', ext, body))
  .add('decodeFrame, a send of 1 KiB', () => wire.decodeFrame(send.subarray(4)))
  .add('decodeFrame, the answer to a send', () => wire.decodeFrame(stored.subarray(4)))
  .add('FrameDecoder, 32 × 1 KiB in one chunk', () => decoder.push(pull, ignore))
  .add('FrameDecoder, the same in pieces of 1400', () => {
    for (const piece of pieces) decoder.push(piece, ignore)
  })
  .add('decodeMessages, 32 × 1 KiB', () => wire.decodeMessages(answer))
  .add('the same, as Messages with their properties', () =>
    wire.decodeMessages(answer).messages.map((each) => new Message(each, queue, same).properties),
  )
  .add('decodeProperties of one message', () => wire.decodeProperties(text))
  .add('CRC of 1 KiB', () => crc32(body))

await bench.run()
console.log(`node ${process.version}, ${process.arch}; nanoseconds\n`)
for (const { name: what, result } of bench.tasks) {
  if (!('latency' in result)) throw new Error(`${what} did not run`, { cause: result })
  const { min, p50, p99 } = result.latency
  const cells = [min, p50, p99].map((ms) => (ms * 1e6).toFixed(0).padStart(9))
  console.log(`${what.padEnd(44)} least ${cells[0]}  median ${cells[1]}  99 % ${cells[2]}`)
}
