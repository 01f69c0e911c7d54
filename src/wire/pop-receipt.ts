/**
 * What pop consumption writes as text (protocol.md 14; upstream ExtraInfoUtil, BatchAck): receipts, and where the
 * messages of an answer stand. Fields are separated by one space, entries by `;`. Maps have the keys
 * `retryFlag@queueId`.
 */
import { ProtocolError } from '../errors.ts'
import { popRetryTopicV1, popRetryTopicV2 } from './names.ts'

/** `reviveQid` of messages popped in order. */
export const ORDER_REVIVE_QUEUE = 999

/** A list of offsets far above what one pop returns (32), and small enough for a bit set. */
const MAX_ACK_OFFSET = 65_535

/** POP_CK, or `extraInfo` of an acknowledgement: which delivery of which message. */
export interface PopReceipt {
  /** Where the pop began; after a change of the invisible time, the message's own offset. */
  ckQueueOffset: bigint
  /** Epoch ms, the broker's clock. */
  popTime: bigint
  /** Milliseconds from `popTime`. */
  invisibleTime: bigint
  reviveQid: number
  /** The stored topic: `0` the topic itself, `1` and `2` its two kinds of retry topic. */
  retryFlag: string
  brokerName: string
  queueId: number
  queueOffset: bigint
}

/** @throws ProtocolError naming the part. */
export const parsePopReceipt = (text: string): PopReceipt => {
  const parts = split(text, ' ', 8, 'receipt')
  const [ckQueueOffset, popTime, invisibleTime, reviveQid, retryFlag, brokerName, queueId, queueOffset] =
    parts
  return {
    ckQueueOffset: long(ckQueueOffset, 'receipt.ckQueueOffset'),
    popTime: long(popTime, 'receipt.popTime'),
    invisibleTime: long(invisibleTime, 'receipt.invisibleTime'),
    reviveQid: int(reviveQid, 'receipt.reviveQid'),
    retryFlag: flag(retryFlag, 'receipt.retryFlag'),
    brokerName: brokerName || fail('receipt.brokerName', brokerName),
    queueId: int(queueId, 'receipt.queueId'),
    queueOffset: long(queueOffset, 'receipt.queueOffset'),
  }
}

export const formatPopReceipt = (receipt: PopReceipt): string => {
  const { ckQueueOffset, popTime, invisibleTime, reviveQid, retryFlag, brokerName, queueId, queueOffset } =
    receipt
  return `${ckQueueOffset} ${popTime} ${invisibleTime} ${reviveQid} ${retryFlag} ${brokerName} ${queueId} ${queueOffset}`
}

/**
 * The topic that a message with this retry flag is stored under: it goes into ACK_MESSAGE and
 * CHANGE_MESSAGE_INVISIBLETIME. Acknowledged under the plain topic, a retry message comes back in spite of code 0.
 */
export const popStoredTopic = (consumerGroup: string, topic: string, retryFlag: string): string => {
  if (retryFlag === '1') return popRetryTopicV1(consumerGroup, topic)
  return retryFlag === '2' ? popRetryTopicV2(consumerGroup, topic) : topic
}

/** `retryFlag queueId startOffset;…` → first offset of each queue. @throws ProtocolError */
export const parseStartOffsetInfo = (text: string): Map<string, bigint> =>
  entries(text, 'startOffsetInfo', (key, value, field) => [key, long(value, field)])

export const formatStartOffsetInfo = (offsets: ReadonlyMap<string, bigint>): string => join(offsets, String)

/** `retryFlag queueId o1,o2,…;…` → offsets of the messages of each queue, in order. @throws ProtocolError */
export const parseMsgOffsetInfo = (text: string): Map<string, bigint[]> =>
  entries(text, 'msgOffsetInfo', (key, value, field) => [
    key,
    value.split(',').map((offset) => long(offset, field)),
  ])

export const formatMsgOffsetInfo = (offsets: ReadonlyMap<string, readonly bigint[]>): string =>
  join(offsets, (list) => list.join(','))

/**
 * `retryFlag queueId count;retryFlag qo<queueId>%<offset> count;…` → earlier deliveries of each queue, under
 * `retryFlag@queueId`, and of single messages, under `retryFlag@qo<queueId>%<offset>`. @throws ProtocolError
 */
export const parseOrderCountInfo = (text: string): Map<string, number> =>
  entries(text, 'orderCountInfo', (key, value, field) => [key, int(value, field)])

export const formatOrderCountInfo = (counts: ReadonlyMap<string, number>): string => join(counts, String)

/**
 * BATCH_ACK's `b`: the bit set of offsets counted from the pop's start offset, as Base64 of `BitSet.toByteArray`.
 * @throws ProtocolError for an offset that is not within 0 and 65535.
 */
export const formatAckBits = (offsetsFromStart: readonly number[]): string => {
  let highest = -1
  for (const offset of offsetsFromStart) {
    if (!Number.isInteger(offset) || offset < 0 || offset > MAX_ACK_OFFSET) fail('ack offset', String(offset))
    if (offset > highest) highest = offset
  }
  const bits = Buffer.alloc((highest >> 3) + 1)
  for (const offset of offsetsFromStart)
    bits[offset >> 3] = (bits[offset >> 3] as number) | (1 << (offset & 7))
  return bits.toString('base64')
}

/** The reverse of `formatAckBits`, ascending. @throws ProtocolError */
export const parseAckBits = (text: string): number[] => {
  const bits =
    text.length > 12_000 || !/^[\w+/-]*={0,2}$/.test(text) ? undefined : Buffer.from(text, 'base64')
  if (bits === undefined || bits.length > (MAX_ACK_OFFSET >> 3) + 1) return fail('ack bits', text)
  const offsets: number[] = []
  for (const [index, byte] of bits.entries()) {
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) offsets.push(index * 8 + bit)
  }
  return offsets
}

const entries = <T>(
  text: string,
  field: string,
  read: (key: string, value: string, field: string) => [string, T],
): Map<string, T> => {
  const found = new Map<string, T>()
  for (const entry of text === '' ? [] : text.split(';')) {
    if (entry === '') continue
    const [retryFlag, queue = '', value = ''] = split(entry, ' ', 3, field)
    found.set(...read(`${flag(retryFlag, field)}@${queue}`, value, field))
  }
  return found
}

const join = <T>(values: ReadonlyMap<string, T>, write: (value: T) => string): string =>
  Array.from(values, ([key, value]) => `${key.replace('@', ' ')} ${write(value)}`).join(';')

const split = (text: string, separator: string, count: number, field: string): string[] => {
  const parts = text.split(separator, count + 1)
  return parts.length === count ? parts : fail(field, text)
}

const flag = (text: string | undefined, field: string): string =>
  text === '0' || text === '1' || text === '2' ? text : fail(field, text)

const long = (text: string | undefined, field: string): bigint => {
  const value = /^-?\d{1,19}$/.test(text ?? '') ? BigInt(text as string) : 1n << 64n
  return BigInt.asIntN(64, value) === value ? value : fail(field, text)
}

const int = (text: string | undefined, field: string): number => {
  const value = /^-?\d{1,10}$/.test(text ?? '') ? Number(text) : Number.NaN
  return value === (value | 0) ? value : fail(field, text)
}

function fail(field: string, text: string | undefined): never {
  throw new ProtocolError(`pop: ${field} cannot be read: ${JSON.stringify(String(text).slice(0, 80))}`, {
    field,
  })
}
