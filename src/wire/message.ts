/**
 * Stored messages as pull, pop, view, query and transaction checks return them, back to back
 * (protocol.md 5; upstream MessageDecoder).
 *
 *   0 total length 4 | 4 magic 4 | 8 body CRC 4 | 12 queueId 4 | 16 flag 4 | 20 queueOffset 8 | 28 commitLogOffset 8
 *   36 sysFlag 4 | 40 bornTimestamp 8 | 48 bornHost 8 or 20 | storeTimestamp 8 | storeHost 8 or 20 | reconsumeTimes 4
 *   preparedTransactionOffset 8 | body 4 + n | topic 1 + n (V1) or 2 + n (V2) | properties 2 + n
 *
 * Unlike the reference it checks the CRC and that the fields fill the total length, and it does not drop silently
 * what it cannot decode.
 */
import { crc32 } from 'node:zlib'
import { ProtocolError } from '../errors.ts'
import { formatHost, readIp } from './address.ts'
import { decodeBatch } from './batch.ts'
import { decompress } from './compression.ts'
import {
  BORN_HOST_V6,
  COMPRESSED,
  compressionType,
  INNER_BATCH,
  NEED_UNWRAP,
  STORE_HOST_V6,
} from './flags.ts'
import { decodeProperties } from './properties.ts'

export { type BatchMessage, decodeBatch, encodeBatch } from './batch.ts'

/** 0xDAA320A7. */
export const MAGIC_V1 = -626_843_481
/** 0xDAA320AB: the topic's length has two bytes. */
export const MAGIC_V2 = -626_843_477

/** Fields and length fields of a V1 message with IPv4 hosts and nothing in it. */
const LEAST_BYTES = 91
/** INNER_NUM of a batch is a Java short. */
const MAX_INNER = 32_767
const DEFAULT_MAX_BODY_BYTES = 0x100_0000
const UNWRAP = NEED_UNWRAP | INNER_BATCH

export interface StoredMessage {
  /** Bytes in the commit log. Of a message from an inner batch: those of the batch, as for all the fields around it. */
  storeSize: number
  magic: number
  /** CRC-32 of the body as stored, without its sign bit. */
  bodyCrc: number
  queueId: number
  /** The application's own. */
  flag: number
  queueOffset: bigint
  commitLogOffset: bigint
  /** As stored: a body that arrived compressed still has the bit. */
  sysFlag: number
  /** Epoch ms, the producer's clock. */
  bornTimestamp: bigint
  /** `10.0.0.1:50000`, `[2001:db8::1]:50000`. */
  bornHost: string
  /** Epoch ms, the broker's clock. */
  storeTimestamp: bigint
  storeHost: string
  reconsumeTimes: number
  preparedTransactionOffset: bigint
  /** The topic it is stored under, which is `%RETRY%group` for a redelivery. */
  topic: string
  /** Decompressed. A view of the decoded bytes when it was not compressed. */
  body: Buffer
  /** All of them, RocketMQ's own too; without prototype. */
  properties: Readonly<Record<string, string>>
  offsetMessageId: string
}

/**
 * Bytes that are no message, for the failure policy of whoever reads them.
 *
 * The offsets are set when the magic is right and the bytes reach that far. Without them the place in the queue is
 * unknown. When the total length makes no sense, or the bytes end early, nothing after can be found either and all
 * of the rest is one of these: `reason.field` is `totalLength` then.
 */
export interface UndecodableMessage {
  queueOffset?: bigint
  commitLogOffset?: bigint
  offsetMessageId?: string
  reason: ProtocolError
  bytes: Buffer
}

export interface DecodeOptions {
  /** Largest body after decompression. @default 16 MiB */
  maxBodyBytes?: number | undefined
}

/** Never throws for bad bytes: every byte ends up in a message or in `undecodable`. */
export function decodeMessages(
  bytes: Buffer,
  options: DecodeOptions = {},
): { messages: StoredMessage[]; undecodable: UndecodableMessage[] } {
  const messages: StoredMessage[] = []
  const undecodable: UndecodableMessage[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const shared: Shared = {
    bornAt: 0,
    bornBytes: 0,
    bornHost: '',
    storeAt: 0,
    storeBytes: 0,
    storeHost: '',
    storeHex: '',
    topicAt: 0,
    topicBytes: -1,
    topic: '',
  }
  const maxBodyBytes = options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES
  for (let at = 0, end = 0; at < bytes.length; at = end) {
    end = bytes.length
    try {
      end = messageEnd(view, at)
      const message = decodeOne(bytes, view, at, end, maxBodyBytes, shared)
      if ((message.sysFlag & UNWRAP) === UNWRAP) unwrap(message, messages)
      else messages.push(message)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      undecodable.push(describe(bytes.subarray(at, end), error))
    }
  }
  return { messages, undecodable }
}

/** What neighbours in one answer nearly always have in common: where it was last read, and the text. */
interface Shared {
  bornAt: number
  bornBytes: number
  bornHost: string
  storeAt: number
  storeBytes: number
  storeHost: string
  /** The host's part of the offset message id. */
  storeHex: string
  topicAt: number
  topicBytes: number
  topic: string
}

function same(bytes: Buffer, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return false
  return true
}

/** Where the message at `at` ends, by its total length. */
function messageEnd(view: DataView, at: number): number {
  const left = view.byteLength - at
  const total = left < 4 ? 0 : view.getInt32(at)
  if (total < LEAST_BYTES || total > left) {
    throw new ProtocolError(
      total > left || left < 4
        ? `message is cut off after ${left} bytes`
        : `message has the total length ${total}`,
      { field: 'totalLength' },
    )
  }
  return at + total
}

function wrong(field: string, length: number): ProtocolError {
  return new ProtocolError(`message has an impossible ${field} ${length}`, { field })
}

/**
 * The message in `[at, end)`, at least 91 bytes. One function with plain offsets, because it runs for every message
 * of every pull; the bench is bench/micro/wire.ts. A DataView reads 64 bit several times faster than Buffer's methods.
 */
function decodeOne(
  bytes: Buffer,
  view: DataView,
  at: number,
  end: number,
  maxBodyBytes: number,
  shared: Shared,
): StoredMessage {
  const magic = view.getInt32(at + 4)
  if (magic !== MAGIC_V1 && magic !== MAGIC_V2) throw wrong('magic', magic)
  const sysFlag = view.getInt32(at + 36)

  const bornAt = at + 48
  const bornBytes = (sysFlag & BORN_HOST_V6) === 0 ? 8 : 20
  const storeAt = bornAt + bornBytes + 8
  const storeBytes = (sysFlag & STORE_HOST_V6) === 0 ? 8 : 20
  const bodyAt = storeAt + storeBytes + 16
  const topicLengthBytes = magic === MAGIC_V1 ? 1 : 2
  const rest = end - bodyAt - topicLengthBytes - 2
  const bodyBytes = rest < 0 ? -1 : view.getInt32(bodyAt - 4)
  if (bodyBytes < 0 || bodyBytes > rest) throw wrong('body length', bodyBytes)
  const topicAt = bodyAt + bodyBytes + topicLengthBytes
  const topicBytes = magic === MAGIC_V1 ? view.getUint8(topicAt - 1) : view.getUint16(topicAt - 2)
  if (topicBytes > rest - bodyBytes) throw wrong('topic length', topicBytes)
  const propertiesAt = topicAt + topicBytes + 2
  const propertiesBytes = view.getInt16(propertiesAt - 2)
  if (propertiesBytes !== end - propertiesAt) throw wrong('properties length', propertiesBytes)

  let body = bytes.subarray(bodyAt, bodyAt + bodyBytes)
  const bodyCrc = view.getInt32(at + 8)
  if (bodyBytes !== 0) {
    if (((crc32(body) ^ bodyCrc) & 0x7fff_ffff) !== 0) {
      throw new ProtocolError('message has a body that does not match its CRC', { field: 'body' })
    }
    if ((sysFlag & COMPRESSED) !== 0) body = decompress(compressionType(sysFlag), body, maxBodyBytes)
  }

  if (shared.bornBytes !== bornBytes || !same(bytes, bornAt, shared.bornAt, bornBytes)) {
    shared.bornHost = readHost(bytes, bornAt, bornBytes)
    shared.bornBytes = bornBytes
    shared.bornAt = bornAt
  }
  if (shared.storeBytes !== storeBytes || !same(bytes, storeAt, shared.storeAt, storeBytes)) {
    shared.storeHost = readHost(bytes, storeAt, storeBytes)
    shared.storeHex = hex(bytes, storeAt, storeBytes)
    shared.storeBytes = storeBytes
    shared.storeAt = storeAt
  }
  if (shared.topicBytes !== topicBytes || !same(bytes, topicAt, shared.topicAt, topicBytes)) {
    shared.topic = bytes.toString('utf8', topicAt, topicAt + topicBytes)
    shared.topicBytes = topicBytes
    shared.topicAt = topicAt
  }
  return {
    storeSize: end - at,
    magic,
    bodyCrc,
    queueId: view.getInt32(at + 12),
    flag: view.getInt32(at + 16),
    queueOffset: view.getBigInt64(at + 20),
    commitLogOffset: view.getBigInt64(at + 28),
    sysFlag,
    bornTimestamp: view.getBigInt64(at + 40),
    bornHost: shared.bornHost,
    storeTimestamp: view.getBigInt64(storeAt - 8),
    storeHost: shared.storeHost,
    reconsumeTimes: view.getInt32(bodyAt - 16),
    preparedTransactionOffset: view.getBigInt64(bodyAt - 12),
    topic: shared.topic,
    body,
    properties: decodeProperties(bytes.toString('utf8', propertiesAt, end)),
    offsetMessageId: shared.storeHex + hex(bytes, at + 28, 8),
  }
}

function readHost(bytes: Buffer, at: number, length: number): string {
  return formatHost(readIp(bytes, at, length === 20), bytes.readUInt32BE(at + length - 4))
}

function hex(bytes: Buffer, at: number, length: number): string {
  return bytes.toString('hex', at, at + length).toUpperCase()
}

/** An inner batch: one stored message whose body holds several, with consecutive queue offsets. */
function unwrap(outer: StoredMessage, messages: StoredMessage[]): void {
  const batch = decodeBatch(outer.body)
  if (batch.length > MAX_INNER) throw wrong('number of inner messages', batch.length)
  for (const [index, { flag, body, properties }] of batch.entries()) {
    messages.push({
      ...outer,
      flag,
      queueOffset: outer.queueOffset + BigInt(index),
      body: body as Buffer,
      properties: decodeProperties(properties),
    })
  }
}

function describe(bytes: Buffer, reason: ProtocolError): UndecodableMessage {
  const found: UndecodableMessage = { reason, bytes }
  const magic = bytes.length < 36 ? 0 : bytes.readInt32BE(4)
  if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return found
  found.queueOffset = bytes.readBigInt64BE(20)
  found.commitLogOffset = bytes.readBigInt64BE(28)
  if (bytes.length < 40) return found
  const sysFlag = bytes.readInt32BE(36)
  const storeAt = (sysFlag & BORN_HOST_V6) === 0 ? 64 : 76
  const storeBytes = (sysFlag & STORE_HOST_V6) === 0 ? 8 : 20
  if (bytes.length >= storeAt + storeBytes)
    found.offsetMessageId = hex(bytes, storeAt, storeBytes) + hex(bytes, 28, 8)
  return found
}
