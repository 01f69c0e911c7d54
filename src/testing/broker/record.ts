/**
 * One stored message ⇄ its bytes in the log (protocol.md 5.1; upstream MessageExtEncoder). The reader gives the body as it
 * is stored, compressed or not: that is what a retry and a delayed delivery store again. Hosts are IPv4, because the
 * broker listens on 127.0.0.1 only.
 */
import { crc32 } from 'node:zlib'
import { BORN_HOST_V6, STORE_HOST_V6 } from '../../wire/flags.ts'
import { MAGIC_V1, MAGIC_V2 } from '../../wire/message.ts'
import { decodeProperties } from '../../wire/properties.ts'

const FIXED_BYTES = 88
const MAX_V1_TOPIC = 127

export type Properties = Record<string, string>

/** What is stored of a message; its place and time are given by the store. */
export interface NewMessage {
  topic: string
  queueId: number
  flag: number
  sysFlag: number
  bornTimestamp: bigint
  /** ip 4 | port 4. */
  bornHost: Buffer
  reconsumeTimes: number
  body: Uint8Array
  /** Of a committed message: where its half message stands in the log. @default 0 */
  preparedTransactionOffset?: number
  /** Encoded. */
  properties: string
}

export interface StoredRecord extends Omit<NewMessage, 'properties'> {
  queueOffset: number
  position: number
  storeTimestamp: number
  properties: Properties
}

/** Text of the properties, as the broker writes them: what is empty is left out. */
export function formatProperties(properties: Properties): string {
  let text = ''
  for (const name in properties) text += `${name}\u0001${properties[name]}\u0002`
  return text
}

export const recordBytes = (message: NewMessage, propertiesBytes: number, topicBytes: number): number =>
  FIXED_BYTES + message.body.length + (topicBytes > MAX_V1_TOPIC ? 2 : 1) + topicBytes + 2 + propertiesBytes

export interface Place {
  queueOffset: number
  position: number
  storeTimestamp: number
  /** ip 4 | port 4. */
  storeHost: Buffer
}

/** Writes `size` bytes, the result of `recordBytes`, at `at`. */
export function writeRecord(
  bytes: Buffer,
  at: number,
  size: number,
  message: NewMessage,
  place: Place,
): void {
  const { body, topic, bornHost } = message
  const topicBytes = Buffer.byteLength(topic)
  const isV2 = topicBytes > MAX_V1_TOPIC
  bytes.writeInt32BE(size, at)
  bytes.writeInt32BE(isV2 ? MAGIC_V2 : MAGIC_V1, at + 4)
  bytes.writeUInt32BE(body.length === 0 ? 0 : crc32(body) & 0x7fff_ffff, at + 8)
  bytes.writeInt32BE(message.queueId, at + 12)
  bytes.writeInt32BE(message.flag, at + 16)
  writeLong(bytes, at + 20, place.queueOffset)
  writeLong(bytes, at + 28, place.position)
  bytes.writeInt32BE(message.sysFlag & ~(BORN_HOST_V6 | STORE_HOST_V6), at + 36)
  bytes.writeBigInt64BE(message.bornTimestamp, at + 40)
  bytes.set(bornHost, at + 48)
  writeLong(bytes, at + 56, place.storeTimestamp)
  bytes.set(place.storeHost, at + 64)
  bytes.writeInt32BE(message.reconsumeTimes, at + 72)
  writeLong(bytes, at + 76, message.preparedTransactionOffset ?? 0)
  bytes.writeInt32BE(body.length, at + 84)
  bytes.set(body, at + FIXED_BYTES)
  let end = at + FIXED_BYTES + body.length
  end = isV2 ? bytes.writeUInt16BE(topicBytes, end) : bytes.writeUInt8(topicBytes, end)
  end += bytes.write(topic, end)
  const propertiesBytes = size - (end + 2 - at)
  bytes.writeInt16BE(propertiesBytes, end)
  bytes.write(message.properties, end + 2)
}

export const readStoreTimestamp = (record: Buffer): number => readLong(record, 56)

/** The properties of a record, as they stand there. */
export function propertiesOf(record: Buffer): Buffer {
  const isV2 = record.readInt32BE(4) === MAGIC_V2
  const topicAt = FIXED_BYTES + record.readInt32BE(84)
  const end = isV2 ? topicAt + 2 + record.readUInt16BE(topicAt) : topicAt + 1 + record.readUInt8(topicAt)
  return record.subarray(end + 2)
}

export function readRecord(record: Buffer): StoredRecord {
  const bodyEnd = FIXED_BYTES + record.readInt32BE(84)
  const isV2 = record.readInt32BE(4) === MAGIC_V2
  const properties = propertiesOf(record)
  const topicEnd = record.length - properties.length - 2
  return {
    topic: record.toString('utf8', bodyEnd + (isV2 ? 2 : 1), topicEnd),
    queueId: record.readInt32BE(12),
    flag: record.readInt32BE(16),
    sysFlag: record.readInt32BE(36),
    bornTimestamp: record.readBigInt64BE(40),
    bornHost: Buffer.from(record.subarray(48, 56)),
    reconsumeTimes: record.readInt32BE(72),
    body: record.subarray(FIXED_BYTES, bodyEnd),
    queueOffset: readLong(record, 20),
    position: readLong(record, 28),
    storeTimestamp: readLong(record, 56),
    properties: decodeProperties(properties.toString()),
  }
}

function writeLong(bytes: Buffer, at: number, value: number): void {
  bytes.writeInt32BE(Math.floor(value / 2 ** 32), at)
  bytes.writeUInt32BE(value % 2 ** 32, at + 4)
}

export const readLong = (bytes: Buffer, at: number): number =>
  bytes.readInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)

/** The same message under another topic and with other properties, which are encoded. */
export function withTopic(record: Buffer, topic: string, properties: string): Buffer {
  const [name, text] = [Buffer.from(topic), Buffer.from(properties)]
  const isV2 = name.length > MAX_V1_TOPIC
  const lengths = Buffer.alloc(4)
  lengths.writeUInt16BE(name.length, 0)
  lengths.writeUInt16BE(text.length, 2)
  const parts = [
    record.subarray(0, FIXED_BYTES + record.readInt32BE(84)),
    lengths.subarray(isV2 ? 0 : 1, 2),
    name,
    lengths.subarray(2),
    text,
  ]
  const bytes = Buffer.concat(parts)
  bytes.writeInt32BE(bytes.length, 0)
  bytes.writeInt32BE(isV2 ? MAGIC_V2 : MAGIC_V1, 4)
  return bytes
}
