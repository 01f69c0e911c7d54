/**
 * The golden vectors of Apache's own Java classes, checked case by case. The unit tests of src/wire and
 * `npm run vectors` share this.
 *
 * A file is known by its name. Its check returns what is wrong with one case, in one line, or nothing.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { GetBrokerConfig } from '../../src/commands/broker.ts'
import { decodeFields, encodeFields, type Fields } from '../../src/commands/define.ts'
import { HeartBeat } from '../../src/commands/heartbeat.ts'
import { SendMessage, type SendMessageRequest, SendMessageV2 } from '../../src/commands/send.ts'
import { fieldsOf } from '../../src/wire/fields.ts'
import * as wire from '../../src/wire/index.ts'

/** One case: its shape is whatever its file says. */
export type Case = ReturnType<typeof JSON.parse>

/** Throws when the case does not hold. */
type Check = (vector: Case) => void

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const plain = (record: object): Record<string, string> => ({ ...record })
/** Java writes IPv6 with all its groups; ids of the reference even with leading zeros. */
const shortIp = (ip: string): string =>
  ip.includes(':') ? wire.parseHost(new URL(`http://[${ip}]:81/`).host).host : ip

/** A frame as the vector files describe it, where absent, null and empty are alike. */
export function expectedFrame({ decoded }: Case): object {
  const ext = Object.entries(decoded.extFields ?? {}).filter(([, value]) => value !== null && value !== '')
  const { code, language, version, opaque, flag, remark, bodyHex } = decoded
  return {
    code,
    language,
    version,
    opaque,
    flag,
    remark: remark || undefined,
    ext: Object.fromEntries(ext),
    bodyHex,
  }
}

export function describeFrame(frame: wire.Frame): object {
  const { code, language, version, opaque, flag, remark, ext, body } = frame
  const some = Object.fromEntries(Object.entries(ext).filter(([, value]) => value !== ''))
  return { code, language, version, opaque, flag, remark, ext: some, bodyHex: body.toString('hex') }
}

function checkFrame(vector: Case): void {
  const bytes = hex(vector.frameHex)
  const frame = wire.decodeFrame(bytes.subarray(4))
  deepStrictEqual(describeFrame(frame), expectedFrame(vector))
  const again = vector.serializeType === 0 ? wire.encodeFrame(frame) : wire.encodeFrameBinary(frame)
  deepStrictEqual(again.readUInt32BE(0), again.length - 4)
  deepStrictEqual(wire.decodeFrame(again.subarray(4)), frame)
}

export function expectedMessage(message: Case): object {
  return {
    storeSize: message.storeSize,
    magic: message.magic,
    bodyCrc: message.bodyCRC,
    queueId: message.queueId,
    flag: message.flag,
    queueOffset: BigInt(message.queueOffset),
    commitLogOffset: BigInt(message.commitLogOffset),
    sysFlag: message.storedSysFlag,
    bornTimestamp: BigInt(message.bornTimestamp),
    bornHost: wire.formatHost(shortIp(message.bornHost), message.bornPort),
    storeTimestamp: BigInt(message.storeTimestamp),
    storeHost: wire.formatHost(shortIp(message.storeHost), message.storePort),
    reconsumeTimes: message.reconsumeTimes,
    preparedTransactionOffset: BigInt(message.preparedTransactionOffset),
    topic: message.topic,
    body: hex(message.bodyHex),
    properties: Object.assign(Object.create(null), message.properties),
    offsetMessageId: message.offsetMsgId,
  }
}

function checkMessages(vector: Case): void {
  const { messages, undecodable } = wire.decodeMessages(hex(vector.hex))
  deepStrictEqual(messages.map(fieldsOf), vector.messages.map(expectedMessage))
  // The reference drops a truncated end without a word; here it is reported.
  deepStrictEqual(undecodable.length, vector.name.includes('truncated') ? 1 : 0)
  for (const { storeHost, commitLogOffset, offsetMessageId } of messages) {
    deepStrictEqual(wire.encodeOffsetMessageId(storeHost, commitLogOffset), offsetMessageId)
  }
}

function checkBatch(vector: Case): void {
  const messages = vector.messages.map((message: Case) => ({
    flag: message.flag,
    body: hex(message.bodyHex),
    properties: wire.encodeProperties(message.propertiesInOrder),
  }))
  deepStrictEqual(
    messages.map((message: Case) => message.properties),
    vector.messages.map((message: Case) => message.propertiesString),
  )
  deepStrictEqual(wire.encodeBatch(messages).toString('hex'), vector.hex)
  deepStrictEqual(wire.decodeBatch(hex(vector.hex)), messages)
}

function checkFastjson(vector: Case): void {
  deepStrictEqual(wire.parseFastjson(vector.raw), wire.parseFastjson(vector.strict))
  const lossy = (value: wire.JsonValue): string =>
    JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? Number(item) : item))
  deepStrictEqual(JSON.parse(lossy(wire.parseFastjson(vector.raw))), JSON.parse(vector.strict))
  // Integers must be exact: all of them, as text, must come back out.
  const exact = (value: wire.JsonValue): string[] =>
    typeof value === 'object' && value !== null
      ? Object.values(value).flatMap(exact)
      : typeof value === 'bigint'
        ? [`${value}`]
        : []
  const large = [...vector.raw.matchAll(/[^\w".](-?\d{16,})(?![\w".])/g)].map((match) => match[1])
  deepStrictEqual(
    exact(wire.parseFastjson(vector.raw)),
    large.filter((digits) => !Number.isSafeInteger(Number(digits))),
  )
}

function checkId(vector: Case): void {
  const { kind, id } = vector
  if (kind === 'offsetMsgId') {
    const address = wire.formatHost(shortIp(vector.ip), vector.port)
    const commitLogOffset = BigInt(vector.commitLogOffset)
    deepStrictEqual(wire.decodeOffsetMessageId(id), { address, commitLogOffset })
    // Port 0 cannot be connected to, so it is no address that an id may be made for.
    if (vector.port !== 0) deepStrictEqual(wire.encodeOffsetMessageId(address, commitLogOffset), id)
  } else if (kind === 'uniqKey') {
    const { ip, pid, loaderHash, millisSinceMonthStart, counter } = vector
    deepStrictEqual(wire.decodeUniqKey(id), {
      ip: shortIp(ip),
      pid,
      loaderHash,
      millisSinceMonthStart,
      counter,
    })
  } else {
    deepStrictEqual(kind, 'hex')
    const bytes = hex(vector.bytesHexLower)
    deepStrictEqual(bytes.toString('hex').toUpperCase(), id)
    if (bytes.length === 16) deepStrictEqual(wire.createUniqKey(bytes), id)
  }
}

function checkName(vector: Case): void {
  const { kind, group, topic, namespace, resource } = vector
  if (kind === 'retryNames') {
    deepStrictEqual(
      [
        wire.retryTopic(group),
        wire.deadLetterTopic(group),
        wire.replyTopic(group),
        wire.popRetryTopicV1(group, topic),
        wire.popRetryTopicV2(group, topic),
      ],
      [vector.retry, vector.dlq, vector.reply, vector.popRetryV1, vector.popRetryV2],
    )
  } else if (kind === 'namespace') {
    deepStrictEqual(
      [
        wire.wrapNamespace(namespace, resource),
        wire.unwrapNamespace(namespace, resource),
        wire.namespaceOf(resource),
      ],
      [vector.wrapped, vector.unwrapped, vector.namespaceOf],
    )
  } else {
    deepStrictEqual(kind, 'vipChannel')
    deepStrictEqual(wire.vipAddress(vector.address), vector.vip)
  }
}

function checkReceipt(vector: Case): void {
  const { reviveQid, retryFlag, brokerName, queueId } = vector
  const receipt = {
    ckQueueOffset: BigInt(vector.ckQueueOffset),
    popTime: BigInt(vector.popTime),
    invisibleTime: BigInt(vector.invisibleTime),
    reviveQid,
    retryFlag,
    brokerName,
    queueId,
    queueOffset: BigInt(vector.queueOffset),
  }
  deepStrictEqual(wire.parsePopReceipt(vector.receipt), receipt)
  deepStrictEqual(wire.formatPopReceipt(receipt), vector.receipt)
  deepStrictEqual(wire.popStoredTopic(vector.group, vector.topic, retryFlag), vector.storedTopic)
  deepStrictEqual(vector.ackTopic, vector.storedTopic)
  deepStrictEqual(reviveQid === wire.ORDER_REVIVE_QUEUE, vector.isOrder)
}

function checkBatchAck(vector: Case): void {
  const { offsetsFromStart, bitsetBase64, bitsetLittleEndianHex, bodyText } = vector
  deepStrictEqual(wire.formatAckBits(offsetsFromStart), bitsetBase64)
  deepStrictEqual(wire.parseAckBits(bitsetBase64), offsetsFromStart)
  deepStrictEqual(Buffer.from(bitsetBase64, 'base64').toString('hex'), bitsetLittleEndianHex)
  deepStrictEqual(JSON.parse(bodyText).acks[0].b, bitsetBase64)
}

function checkPop(vector: Case): void {
  const { kind, text, parsed } = vector
  const expected = <T>(read: (value: Case) => T): Map<string, T> =>
    new Map(Object.entries<Case>(parsed ?? {}).map(([key, value]) => [key, read(value)]))
  if (kind === 'receipt') checkReceipt(vector)
  else if (kind === 'batchAck') checkBatchAck(vector)
  else if (kind === 'recallHandle') {
    const { topic, brokerName, messageId, handle } = vector
    const parts = { topic, brokerName, deliverTimeMs: BigInt(vector.deliverTimeMs), messageId }
    deepStrictEqual(wire.parseRecallHandle(handle), parts)
    deepStrictEqual(wire.formatRecallHandle(parts), handle)
  } else if (kind === 'startOffsetInfo') {
    deepStrictEqual(wire.parseStartOffsetInfo(text), expected(BigInt))
    deepStrictEqual(wire.formatStartOffsetInfo(wire.parseStartOffsetInfo(text)), text)
  } else if (kind === 'msgOffsetInfo') {
    deepStrictEqual(
      wire.parseMsgOffsetInfo(text),
      expected((list) => list.map(BigInt)),
    )
    deepStrictEqual(wire.formatMsgOffsetInfo(wire.parseMsgOffsetInfo(text)), text)
  } else {
    deepStrictEqual(kind, 'orderCountInfo')
    deepStrictEqual(wire.parseOrderCountInfo(text), expected(Number))
    deepStrictEqual(wire.formatOrderCountInfo(wire.parseOrderCountInfo(text)), text)
  }
}

function checkProperties(vector: Case): void {
  const text = hex(vector.utf8Hex).toString()
  deepStrictEqual(text, vector.text)
  if (vector.kind === 'decode') deepStrictEqual(plain(wire.decodeProperties(text)), vector.decoded)
  else {
    deepStrictEqual(plain(wire.decodeProperties(text)), vector.decodedBack)
    // The reference writes a property without a name, which no reader sees; here it is refused.
    const nameless = vector.propertiesInOrder.some(([name]: string[]) => name === '')
    if (!nameless) deepStrictEqual(wire.encodeProperties(vector.propertiesInOrder), text)
  }
}

function checkQueue({ key, javaHashCode, queueCount, selectedIndex }: Case): void {
  deepStrictEqual(wire.javaHashCode(key), javaHashCode)
  deepStrictEqual(wire.selectQueueIndex(key, queueCount), selectedIndex)
}

function checkTags(vector: Case): void {
  if (vector.kind === 'hash') {
    deepStrictEqual(wire.javaHashCode(vector.text), vector.javaHashCode)
    deepStrictEqual(`${wire.javaHashCode(vector.text)}`, vector.tagsCode)
  } else {
    const { tags, codes } = wire.parseTagExpression(vector.expression)
    deepStrictEqual(tags.toSorted(), vector.tagsSet.toSorted())
    deepStrictEqual(new Set(codes), new Set(vector.codeSet))
    deepStrictEqual(codes.length, vector.codeSet.length)
  }
}

function checkSignature({ secretKey, extFields, bodyHex, signature }: Case): void {
  deepStrictEqual(wire.sign(secretKey, extFields, hex(bodyHex)), signature)
  deepStrictEqual(
    wire.sign(secretKey, Object.fromEntries(Object.entries<string>(extFields).reverse()), hex(bodyHex)),
    signature,
  )
}

function checkHeartbeat({ bodyText }: Case): void {
  const decoded = HeartBeat.requestBody.decode(Buffer.from(bodyText))
  const encoded = HeartBeat.requestBody.encode(decoded)
  deepStrictEqual(JSON.parse(Buffer.from(encoded ?? []).toString()), JSON.parse(bodyText))
}

/** The fields that every request to a topic may have; the V2 header has one of them under a letter of its own. */
const COMMON_FIELDS = new Set(['ns', 'nsd', 'bname', 'oway', 'lo'])

function checkSendHeader({ v1ExtFields, v2ExtFields }: Case): void {
  const request: Fields<SendMessageRequest> = SendMessage.request
  const { wireNames } = SendMessageV2
  const v1 = decodeFields('SEND_MESSAGE', request, v1ExtFields)
  const v2 = decodeFields('SEND_MESSAGE_V2', request, v2ExtFields, wireNames)
  // What the long header leaves out, the reference's short one writes as 0 and false.
  const filled = { reconsumeTimes: 0, unitMode: false, batch: false, ...v1 }
  if (v1ExtFields.bname !== undefined) filled.brokerName = v1ExtFields.bname
  deepStrictEqual(v2, filled)
  deepStrictEqual(plain(encodeFields('SEND_MESSAGE_V2', request, v2, undefined, wireNames)), v2ExtFields)
  const own = Object.entries(v1ExtFields).filter(([name]) => !COMMON_FIELDS.has(name))
  deepStrictEqual(plain(encodeFields('SEND_MESSAGE', request, v1)), Object.fromEntries(own))
}

function checkBrokerConfig({ raw, values }: Case): void {
  const { responseBody } = GetBrokerConfig
  const decoded = responseBody.decode(Buffer.from(raw))
  const trimmed = Object.entries(decoded).map(([name, value]) => [name, value.trimEnd()])
  deepStrictEqual(Object.fromEntries(trimmed), values)
  deepStrictEqual(String(responseBody.encode(decoded)), raw)
}

const CHECKS: ReadonlyMap<string, Check> = new Map([
  ['acl-signature.json', checkSignature],
  ['batch-encode.json', checkBatch],
  ['broker-config.json', checkBrokerConfig],
  ['fastjson-bodies.json', checkFastjson],
  ['heartbeat.json', checkHeartbeat],
  ['message-decode.json', checkMessages],
  ['message-id.json', checkId],
  ['names.json', checkName],
  ['pop-receipt.json', checkPop],
  ['properties.json', checkProperties],
  ['queue-select.json', checkQueue],
  ['remoting-command-json.json', checkFrame],
  ['remoting-command-rocketmq.json', checkFrame],
  ['send-header-v2.json', checkSendHeader],
  ['tag-hash.json', checkTags],
])

export const VECTOR_FOLDER: string = join(import.meta.dirname, '../golden/vectors')

export interface VectorFile {
  name: string
  cases: Case[]
  /** One line, or nothing when the case holds. */
  check: (vector: Case) => string | undefined
}

/** The known files of a folder, and the names of the .json files that are not. */
export function readVectors(folder: string = VECTOR_FOLDER): { files: VectorFile[]; unknown: string[] } {
  const files: VectorFile[] = []
  const unknown: string[] = []
  for (const name of readdirSync(folder).sort()) {
    const check = CHECKS.get(name)
    if (check) files.push(readVectorFile(join(folder, name), check))
    else if (name.endsWith('.json')) unknown.push(name)
  }
  return { files, unknown }
}

function readVectorFile(path: string, check: Check): VectorFile {
  const name = basename(path)
  try {
    const { cases } = JSON.parse(readFileSync(path, 'utf8'))
    if (!Array.isArray(cases)) throw new Error('the file has no list "cases"')
    return { name, cases, check: (vector) => wrong(check, vector) }
  } catch (error) {
    // Counts as one failed case, so that the other files are still checked.
    return { name, cases: [undefined], check: () => line(error) }
  }
}

function wrong(check: Check, vector: Case): string | undefined {
  try {
    check(vector)
    return undefined
  } catch (error) {
    return line(error)
  }
}

function line(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ').slice(0, 400)
}

/** The cases of one golden file. */
export function vectorCases(name: string): Case[] {
  return JSON.parse(readFileSync(join(VECTOR_FOLDER, name), 'utf8')).cases
}
