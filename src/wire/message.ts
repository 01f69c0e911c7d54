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
import { type BatchMessage, decodeBatch, takes } from './batch.ts'
import { malformed } from './checks.ts'
import { decompress } from './decompression.ts'
import { showFields } from './fields.ts'
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
/** Room for the messages of inner batches of one answer, beside their bodies. */
const INNER_ROOM = 0x80_0000
const DEFAULT_MAX_BODY_BYTES = 0x100_0000
const DEFAULT_MAX_TOTAL_BYTES = 0x400_0000
const UNWRAP = NEED_UNWRAP | INNER_BATCH

/** Read from the decoded bytes when a field is asked for, which must not be changed until then. */
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
 * of the rest is one of these: `reason.field` is `totalLength` then. With `maxTotalBytes` the message may be sound, and
 * is decoded when its bytes come first in a call.
 */
export interface UndecodableMessage {
  queueOffset?: bigint
  commitLogOffset?: bigint
  offsetMessageId?: string
  /** How often it was sent back. */
  reconsumeTimes?: number
  reason: ProtocolError
  bytes: Buffer
}

export interface DecodeOptions {
  /** Largest body after decompression. @default 16 MiB */
  maxBodyBytes?: number | undefined
  /**
   * Largest sum of what is decompressed in one call, where a body that fails counts as the largest it could have been.
   * Never below `maxBodyBytes`, so that the first compressed body has all the room it may use. @default 64 MiB
   */
  maxTotalBytes?: number | undefined
  /**
   * The offset behind the last message, `nextBeginOffset` of a pull. A batch says itself how many messages it holds, and
   * producers may write what they like: one that reaches beyond this, or beyond the message behind it, is undecodable,
   * because its messages would take the places of others. @default no bound but the message behind it
   */
  endOffset?: bigint | number | undefined
}

/** Whether a message was in a batch that is stored as one. */
export const isInner = (message?: Pick<StoredMessage, 'sysFlag'>): boolean =>
  message !== undefined && (message.sysFlag & UNWRAP) === UNWRAP

/** Never throws for bad bytes: every byte ends up in a message or in `undecodable`. */
export function decodeMessages(
  bytes: Buffer,
  {
    maxBodyBytes = DEFAULT_MAX_BODY_BYTES,
    maxTotalBytes = DEFAULT_MAX_TOTAL_BYTES,
    endOffset = Infinity,
  }: DecodeOptions = {},
): { messages: StoredMessage[]; undecodable: UndecodableMessage[] } {
  const messages: StoredMessage[] = []
  const undecodable: UndecodableMessage[] = []
  const decode = createDecoder(bytes, createDecompressor(maxBodyBytes, maxTotalBytes))
  let room = INNER_ROOM
  for (let at = 0, end = 0; at < bytes.length; at = end) {
    end = bytes.length
    try {
      end = messageEnd(bytes, at)
      const message = decode(at, end)
      if (isInner(message)) {
        // One that does not fit leaves no room: the next would be made in vain as well.
        const given = room
        room = 0
        const batch = decodeBatch(message.body, given, given === INNER_ROOM ? 'batch' : 'maxTotalBytes')
        room = given
        for (const each of batch) room -= takes(each)
        const behind = message.queueOffset + BigInt(batch.length)
        if (batch.length === 0 || behind > offsetBehind(bytes, at, end, endOffset))
          throw malformed('batch', `holds ${batch.length} messages, which is not how many places it has`)
        messages.push(...message.inner(batch))
      } else messages.push(message)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      undecodable.push(describe(bytes.subarray(at, end), error))
    }
  }
  return { messages, undecodable }
}

/** A message all but whose body can be read, with the body as it is stored: neither compared with its CRC nor decompressed. */
export function decodeStored(bytes: Buffer): StoredMessage | undefined {
  if (bytes.length < LEAST_BYTES) return undefined
  try {
    return createDecoder(bytes)(0, bytes.length)
  } catch {
    return undefined
  }
}

/** Where the message at `at` ends, by its total length. */
function messageEnd(bytes: Buffer, at: number): number {
  const left = bytes.length - at
  const total = left < 4 ? 0 : bytes.readInt32BE(at)
  if (total >= LEAST_BYTES && total <= left) return at + total
  throw malformed('totalLength', `of the message is ${total}, with ${left} bytes left`)
}

/** Where the places of the message in `[at, end)` end at the latest. */
function offsetBehind(bytes: Buffer, at: number, end: number, endOffset: bigint | number): bigint | number {
  const isOfQueue = end + 16 <= bytes.length && bytes.readInt32BE(end + 12) === bytes.readInt32BE(at + 12)
  const next = isOfQueue ? queueOffsetOf(bytes.subarray(end)) : undefined
  // What is looked up comes in another order.
  return next !== undefined && next > bytes.readBigInt64BE(at + 20) && next < endOffset ? next : endOffset
}

function wrong(field: string, value: number): ProtocolError {
  return malformed(field, `of the message cannot be ${value}`)
}

/** Whether the message has a magic that says where its fields are. */
const isKnown = (magic: number): boolean => magic === MAGIC_V1 || magic === MAGIC_V2

const hostBytes = (sysFlag: number, isV6: number): number => (sysFlag & isV6 ? 20 : 8)

type Reader = (at: number, length: number) => string

/**
 * Reads what neighbours in one answer nearly always have in common: as long as the bytes are the same as before, so
 * is the text.
 */
function createReader(bytes: Buffer, read: (bytes: Buffer, at: number, length: number) => string): Reader {
  let before = 0
  let lengthBefore = -1
  let value: string
  return (at, length) => {
    let i = length === lengthBefore ? 0 : -1
    while (i >= 0 && i < length && bytes[at + i] === bytes[before + i]) i++
    if (i !== length) {
      value = read(bytes, at, length)
      before = at
      lengthBefore = length
    }
    return value
  }
}

/** Decompresses as long as the sum for one answer allows: a few kilobytes of it can hold many large bodies. */
function createDecompressor(
  maxBodyBytes: number,
  maxTotalBytes: number,
): (type: number, bytes: Buffer) => Buffer {
  let left = Math.max(maxBodyBytes, maxTotalBytes)
  return (type, bytes) => {
    const limit = Math.min(maxBodyBytes, left)
    left -= limit
    try {
      if (limit > 0) {
        const body = decompress(type, bytes, limit)
        left += limit - body.length
        return body
      }
    } catch (error) {
      if (limit === maxBodyBytes) throw error
    }
    throw malformed('maxTotalBytes', `(${maxTotalBytes}) of decompressed bodies is spent`)
  }
}

/** The bytes of one answer, and how to read what neighbours have in common. */
interface Source {
  bytes: Buffer
  view: DataView
  bornHost: Reader
  storeHost: Reader
  storeHex: Reader
  topic: Reader
}

/**
 * A message whose bytes were found sound. Most who read messages want few fields of each, and those that wait for a handler
 * are many: a field is read when it is asked for, and only what is asked for again and again is kept.
 */
class ReadMessage implements StoredMessage {
  readonly queueOffset: bigint
  readonly flag: number
  readonly body: Buffer
  readonly #source: Source
  readonly #at: number
  readonly #storeAt: number
  readonly #bodyAt: number
  readonly #topicAt: number
  readonly #propertiesAt: number
  readonly #end: number
  readonly #innerProperties: string | undefined
  #properties: Readonly<Record<string, string>> | undefined

  /** @param inner with it, the message of that place in a batch, whose bytes these are */
  constructor(
    source: Source,
    at: number,
    storeAt: number,
    bodyAt: number,
    topicAt: number,
    propertiesAt: number,
    end: number,
    body: Buffer,
    inner?: { index: number; flag: number; properties: string },
  ) {
    const { view } = source
    const queueOffset = view.getBigInt64(at + 20)
    this.queueOffset = inner ? queueOffset + BigInt(inner.index) : queueOffset
    this.flag = inner ? inner.flag : view.getInt32(at + 16)
    this.body = body
    this.#source = source
    this.#at = at
    this.#storeAt = storeAt
    this.#bodyAt = bodyAt
    this.#topicAt = topicAt
    this.#propertiesAt = propertiesAt
    this.#end = end
    this.#innerProperties = inner?.properties
  }

  get storeSize(): number {
    return this.#end - this.#at
  }
  get magic(): number {
    return this.#source.view.getInt32(this.#at + 4)
  }
  get bodyCrc(): number {
    return this.#source.view.getInt32(this.#at + 8)
  }
  get queueId(): number {
    return this.#source.view.getInt32(this.#at + 12)
  }
  get commitLogOffset(): bigint {
    return this.#source.view.getBigInt64(this.#at + 28)
  }
  get sysFlag(): number {
    return this.#source.view.getInt32(this.#at + 36)
  }
  get bornTimestamp(): bigint {
    return this.#source.view.getBigInt64(this.#at + 40)
  }
  get bornHost(): string {
    return this.#source.bornHost(this.#at + 48, this.#storeAt - this.#at - 56)
  }
  get storeTimestamp(): bigint {
    return this.#source.view.getBigInt64(this.#storeAt - 8)
  }
  get storeHost(): string {
    return this.#source.storeHost(this.#storeAt, this.#storeBytes)
  }
  get reconsumeTimes(): number {
    return this.#source.view.getInt32(this.#bodyAt - 16)
  }
  get preparedTransactionOffset(): bigint {
    return this.#source.view.getBigInt64(this.#bodyAt - 12)
  }
  get topic(): string {
    return this.#source.topic(this.#topicAt, this.#propertiesAt - 2 - this.#topicAt)
  }
  get properties(): Readonly<Record<string, string>> {
    const { bytes } = this.#source
    const inner = this.#innerProperties
    this.#properties ??= decodeProperties(inner ?? bytes.toString('utf8', this.#propertiesAt, this.#end))
    return this.#properties
  }
  get offsetMessageId(): string {
    const { bytes, storeHex } = this.#source
    return storeHex(this.#storeAt, this.#storeBytes) + hex(bytes, this.#at + 28, 8)
  }

  get #storeBytes(): number {
    return this.#bodyAt - 16 - this.#storeAt
  }

  /** The messages of a batch that is stored as one, with consecutive queue offsets. */
  inner(batch: readonly BatchMessage[]): StoredMessage[] {
    return batch.map(
      ({ flag, body, properties }, index) =>
        new SoundMessage(
          this.#source,
          this.#at,
          this.#storeAt,
          this.#bodyAt,
          this.#topicAt,
          this.#propertiesAt,
          this.#end,
          body as Buffer,
          { index, flag, properties },
        ),
    )
  }
}

const SoundMessage: typeof ReadMessage = /* @__PURE__ */ showFields(ReadMessage)

/**
 * Gives the decoder of the message in `[at, end)`, at least 91 bytes. One function with plain offsets, because it runs
 * for every message of every pull; the bench is bench/micro/wire.ts. A DataView reads 64 bit several times faster than
 * Buffer's methods.
 *
 * @param decompressBody left out: bodies stay as they are
 */
function createDecoder(
  bytes: Buffer,
  decompressBody?: (type: number, bytes: Buffer) => Buffer,
): (at: number, end: number) => ReadMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const source: Source = {
    bytes,
    view,
    bornHost: createReader(bytes, readHost),
    storeHost: createReader(bytes, readHost),
    storeHex: createReader(bytes, hex),
    topic: createReader(bytes, utf8),
  }

  return (at, end) => {
    const magic = view.getInt32(at + 4)
    if (!isKnown(magic)) throw wrong('magic', magic)
    const sysFlag = view.getInt32(at + 36)
    const bornBytes = hostBytes(sysFlag, BORN_HOST_V6)
    const storeAt = at + 56 + bornBytes
    const storeBytes = hostBytes(sysFlag, STORE_HOST_V6)
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
    if (decompressBody && bodyBytes !== 0) {
      if ((crc32(body) ^ bodyCrc) & 0x7fff_ffff)
        throw malformed('body', 'of the message does not match its CRC')
      if (sysFlag & COMPRESSED) body = decompressBody(compressionType(sysFlag), body)
    }
    return new SoundMessage(source, at, storeAt, bodyAt, topicAt, propertiesAt, end, body)
  }
}

function readHost(bytes: Buffer, at: number, length: number): string {
  return formatHost(readIp(bytes, at, length === 20), bytes.readUInt32BE(at + length - 4))
}

function hex(bytes: Buffer, at: number, length: number): string {
  return bytes.toString('hex', at, at + length).toUpperCase()
}

function utf8(bytes: Buffer, at: number, length: number): string {
  return bytes.toString('utf8', at, at + length)
}

function queueOffsetOf(bytes: Buffer): bigint | undefined {
  return bytes.length < 36 || !isKnown(bytes.readInt32BE(4)) ? undefined : bytes.readBigInt64BE(20)
}

function describe(bytes: Buffer, reason: ProtocolError): UndecodableMessage {
  const found: UndecodableMessage = { reason, bytes }
  const { length } = bytes
  const queueOffset = queueOffsetOf(bytes)
  if (queueOffset === undefined) return found
  found.queueOffset = queueOffset
  found.commitLogOffset = bytes.readBigInt64BE(28)
  const sysFlag = length < 40 ? 0 : bytes.readInt32BE(36)
  const storeAt = 56 + hostBytes(sysFlag, BORN_HOST_V6)
  const storeBytes = hostBytes(sysFlag, STORE_HOST_V6)
  const behind = storeAt + storeBytes
  if (length >= behind) found.offsetMessageId = hex(bytes, storeAt, storeBytes) + hex(bytes, 28, 8)
  if (length >= behind + 4) found.reconsumeTimes = bytes.readInt32BE(behind)
  return found
}
