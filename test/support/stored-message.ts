/** Stored messages as a broker's pull answer has them (protocol.md 5.1), for tests: version 1, IPv4 hosts. */
import { crc32 } from 'node:zlib'

export interface StoredFields {
  topic?: string
  queueId?: number
  queueOffset?: bigint
  commitLogOffset?: bigint
  body?: Uint8Array | string
  flag?: number
  sysFlag?: number
  reconsumeTimes?: number
  properties?: Readonly<Record<string, string>>
  bornTimestamp?: bigint
  storeTimestamp?: bigint
}

export function storedMessage(fields: StoredFields = {}): Buffer {
  const {
    topic = 'orders',
    queueId = 0,
    queueOffset = 0n,
    commitLogOffset = 0n,
    flag = 0,
    sysFlag = 0,
  } = fields
  const {
    reconsumeTimes = 0,
    bornTimestamp = 1_700_000_000_000n,
    storeTimestamp = 1_700_000_000_001n,
  } = fields
  const body = Buffer.from(fields.body ?? 'body')
  const properties = Buffer.from(
    Object.entries(fields.properties ?? {})
      .map(([name, value]) => `${name}\u0001${value}\u0002`)
      .join(''),
  )
  const fixed = Buffer.alloc(88)
  fixed.writeInt32BE(-626_843_481, 4)
  fixed.writeInt32BE(crc32(body) & 0x7fff_ffff, 8)
  fixed.writeInt32BE(queueId, 12)
  fixed.writeInt32BE(flag, 16)
  fixed.writeBigInt64BE(queueOffset, 20)
  fixed.writeBigInt64BE(commitLogOffset, 28)
  fixed.writeInt32BE(sysFlag, 36)
  fixed.writeBigInt64BE(bornTimestamp, 40)
  fixed.set([10, 0, 0, 7], 48)
  fixed.writeInt32BE(50_000, 52)
  fixed.writeBigInt64BE(storeTimestamp, 56)
  fixed.set([10, 0, 0, 1], 64)
  fixed.writeInt32BE(10_911, 68)
  fixed.writeInt32BE(reconsumeTimes, 72)
  fixed.writeInt32BE(body.length, 84)
  const propertiesLength = Buffer.alloc(2)
  propertiesLength.writeInt16BE(properties.length)
  const bytes = Buffer.concat([
    fixed,
    body,
    Buffer.of(Buffer.byteLength(topic)),
    Buffer.from(topic),
    propertiesLength,
    properties,
  ])
  bytes.writeInt32BE(bytes.length, 0)
  return bytes
}
