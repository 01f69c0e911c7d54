/**
 * The values of this package from JSON: what `toJSON()` and `toJson` write, read again and checked. 64-bit numbers are decimal text,
 * bytes base64. An error names the place in the document.
 */
import {
  ConsumeFromWhere,
  type ConsumerData,
  ConsumeType,
  MessageModel,
  type ProducerData,
  readProducerData,
} from '../commands/heartbeat.ts'
import { boolean, int, list, object, optional, orElse, type Read, record, text } from '../commands/json.ts'
import { type MessageQueue, readMessageQueue } from '../commands/message-queue.ts'
import type { SubscriptionData } from '../commands/subscription.ts'
import { ProtocolError } from '../errors.ts'
import { malformed } from '../wire/checks.ts'
import { QueueReset, ResetPlan } from './admin/offsets.ts'
import { Message, PullResult, type PullStatus, SendResult, type SendStatus, Undecodable } from './values.ts'

const decimal: Read<bigint> = (value, path) => {
  if (typeof value !== 'string' || !/^-?\d{1,19}$/.test(value)) throw malformed(path, 'must be decimal text')
  const long = BigInt(value)
  if (BigInt.asIntN(64, long) !== long) throw malformed(path, 'must fit 64 bits')
  return long
}

const base64: Read<Buffer> = (value, path) => {
  const given = text(value, path)
  const bytes = Buffer.from(given, 'base64')
  // Buffer passes over what is no base64.
  if (bytes.toString('base64') !== given) throw malformed(path, 'must be base64')
  return bytes
}

/** Any that a producer or a broker may have written, also one that is no time and that a number has not got exactly. */
const epochMs: Read<number> = (value, path) => {
  if (Number.isInteger(value) && Math.abs(value as number) <= 2 ** 63) return value as number
  throw malformed(path, 'must be epoch ms')
}

const word =
  <T extends string>(...words: readonly T[]): Read<T> =>
  (value, path) => {
    if (words.includes(value as T)) return value as T
    throw malformed(path, `must be ${words.join(' or ')}`)
  }

/** The same value as the class whose fields it has. */
const as =
  <T extends object>(create: () => T, read: Read<Omit<T, 'toJSON'>>): Read<T> =>
  (value, path) =>
    Object.assign(create(), read(value, path))

const readMessageFields: Read<Omit<Message, 'toJSON'>> = /* @__PURE__ */ object<Omit<Message, 'toJSON'>>({
  topic: text,
  body: base64,
  tag: /* @__PURE__ */ optional(text) as Read<string>,
  keys: /* @__PURE__ */ list(text),
  properties: /* @__PURE__ */ record(text),
  systemProperties: /* @__PURE__ */ record(text),
  messageId: text,
  offsetMessageId: text,
  queue: readMessageQueue,
  queueOffset: decimal,
  commitLogOffset: decimal,
  bornTimestamp: epochMs,
  storeTimestamp: epochMs,
  bornHost: text,
  storeHost: text,
  reconsumeTimes: int,
  flag: int,
  sysFlag: int,
})

const readMessage: Read<Message> = (value, path) => {
  const fields = readMessageFields(value, path)
  // Tag, keys and messageId are read from the properties, as those of a message from a broker are.
  const stored = {
    ...fields,
    bornTimestamp: BigInt(fields.bornTimestamp),
    storeTimestamp: BigInt(fields.storeTimestamp),
    properties: { ...fields.systemProperties, ...fields.properties },
  }
  return new Message(stored, fields.queue, (name) => name)
}

const readUndecodable: Read<Undecodable> = /* @__PURE__ */ as(
  () => new Undecodable(),
  /* @__PURE__ */ object<Omit<Undecodable, 'toJSON'>>({
    queueOffset: /* @__PURE__ */ optional(decimal) as Read<bigint>,
    commitLogOffset: /* @__PURE__ */ optional(decimal) as Read<bigint>,
    offsetMessageId: /* @__PURE__ */ optional(text) as Read<string>,
    reconsumeTimes: /* @__PURE__ */ optional(int) as Read<number>,
    reason: (value, path) => new ProtocolError(text(value, path)),
    bytes: base64,
  }),
)

const readPullResult: Read<PullResult> = /* @__PURE__ */ as(
  () => new PullResult(),
  /* @__PURE__ */ object<Omit<PullResult, 'toJSON'>>({
    status: /* @__PURE__ */ word<PullStatus>('FOUND', 'NO_NEW_MESSAGE', 'NO_MATCHED_MESSAGE', 'OFFSET_MOVED'),
    messages: /* @__PURE__ */ list(readMessage),
    undecodable: /* @__PURE__ */ list(readUndecodable),
    nextBeginOffset: decimal,
    minOffset: decimal,
    maxOffset: decimal,
    suggestedBrokerId: int,
  }),
)

const readSendResult: Read<SendResult> = /* @__PURE__ */ as(
  () => Object.create(SendResult.prototype) as SendResult,
  /* @__PURE__ */ object<Omit<SendResult, 'toJSON'>>({
    status: /* @__PURE__ */ word<SendStatus>(
      'SEND_OK',
      'FLUSH_DISK_TIMEOUT',
      'FLUSH_SLAVE_TIMEOUT',
      'SLAVE_NOT_AVAILABLE',
    ),
    messageId: text,
    offsetMessageId: text,
    queue: readMessageQueue,
    queueOffset: decimal,
    recallHandle: /* @__PURE__ */ optional(text) as Read<string>,
  }),
)

const readSubscription: Read<SubscriptionData> = /* @__PURE__ */ object<SubscriptionData>({
  topic: text,
  subString: text,
  expressionType: /* @__PURE__ */ word('TAG', 'SQL92'),
  tagsSet: /* @__PURE__ */ list(text),
  codeSet: /* @__PURE__ */ list(int),
  subVersion: decimal,
  classFilterMode: /* @__PURE__ */ orElse(boolean, false),
})

const readConsumer: Read<ConsumerData> = /* @__PURE__ */ object<ConsumerData>({
  groupName: text,
  consumeType: /* @__PURE__ */ word(.../* @__PURE__ */ Object.values(ConsumeType)),
  messageModel: /* @__PURE__ */ word(.../* @__PURE__ */ Object.values(MessageModel)),
  consumeFromWhere: /* @__PURE__ */ word(.../* @__PURE__ */ Object.values(ConsumeFromWhere)),
  subscriptionDataSet: /* @__PURE__ */ list(readSubscription),
  unitMode: /* @__PURE__ */ orElse(boolean, false),
})

const readQueueReset: Read<QueueReset> = /* @__PURE__ */ as(
  () => new QueueReset(),
  /* @__PURE__ */ object<Omit<QueueReset, 'toJSON'>>({
    queue: readMessageQueue,
    from: /* @__PURE__ */ optional(decimal) as Read<bigint>,
    to: decimal,
    minOffset: decimal,
    maxOffset: decimal,
  }),
)

const readResetPlan: Read<ResetPlan> = /* @__PURE__ */ as(
  () => new ResetPlan(),
  /* @__PURE__ */ object<Omit<ResetPlan, 'toJSON'>>({
    consumerGroup: text,
    queues: /* @__PURE__ */ list(readQueueReset),
  }),
)

/** All of these take a parsed document. @throws ProtocolError naming the place */
export const messageQueueFromJson = (value: unknown): MessageQueue => readMessageQueue(value, 'queue')
export const messageFromJson = (value: unknown): Message => readMessage(value, 'message')
export const sendResultFromJson = (value: unknown): SendResult => readSendResult(value, 'sendResult')
export const pullResultFromJson = (value: unknown): PullResult => readPullResult(value, 'pullResult')
export const producerDataFromJson = (value: unknown): ProducerData => readProducerData(value, 'producer')
export const consumerDataFromJson = (value: unknown): ConsumerData => readConsumer(value, 'consumer')
export const subscriptionDataFromJson = (value: unknown): SubscriptionData =>
  readSubscription(value, 'subscription')
export const resetPlanFromJson = (value: unknown): ResetPlan => readResetPlan(value, 'plan')

/** Any value as a document that `JSON.stringify` takes: 64-bit numbers as decimal text, bytes as base64, maps as objects. */
export const toJson = (value: unknown): unknown => {
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(toJson)
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') return toJson((value as { toJSON(): unknown }).toJSON())
  const entries = value instanceof Map ? [...value] : Object.entries(value)
  return Object.fromEntries(entries.map(([name, member]) => [String(name), toJson(member)]))
}
