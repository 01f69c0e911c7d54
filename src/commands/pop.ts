/**
 * POP_MESSAGE 200050, ACK_MESSAGE 200051, CHANGE_MESSAGE_INVISIBLETIME 200053 and BATCH_ACK_MESSAGE 200151 (protocol.md 14;
 * upstream PopMessageRequestHeader, AckMessageRequestHeader, ChangeInvisibleTimeRequestHeader, BatchAck). The codes do not
 * fit the binary header: JSON only. Left out: PEEK, NOTIFICATION, POLLING_INFO and the lite topics of 5.5.
 */
import {
  type BodyCodec,
  bytesBody,
  type Command,
  defineCommand,
  type Fields,
  INT,
  LONG,
  type NoFields,
  STRING,
} from './define.ts'
import { int, jsonBody, list, long, object, orElse, type Read, text } from './json.ts'

/** initMode: a group without an offset starts at the beginning. */
export const POP_INIT_MIN = 0
/** initMode: a group without an offset starts at the end (not for a small queue that is still in memory). */
export const POP_INIT_MAX = 1

export interface PopMessageRequest {
  consumerGroup: string
  topic: string
  /** -1 is every queue of the topic on this broker. */
  queueId: number
  /** Above 32: code 29. */
  maxMsgNums: number
  /** Ms until an unacknowledged message comes back, counted from popTime on the broker's clock. */
  invisibleTime: bigint
  /** Ms to wait for a message, counted from `bornTime`; 0 returns at once. @default 0n */
  pollTime?: bigint | undefined
  /** Epoch ms by this client's clock, which must agree with the broker's; 0 takes the broker's. @default 0n */
  bornTime?: bigint | undefined
  /** POP_INIT_MIN or POP_INIT_MAX. */
  initMode: number
  /** `TAG` or `SQL92`. */
  expType?: string | undefined
  /** Filter expression. */
  exp?: string | undefined
  /** In order: a queue gives nothing more until every popped message is acknowledged. The broker's default is false. */
  order?: boolean | undefined
  /** Same text for a repeat of the same pop, in order only. */
  attemptId?: string | undefined
}

export interface PopMessageResponse {
  /** Epoch ms by the broker's clock. */
  popTime: bigint
  invisibleTime: bigint
  reviveQid: number
  /** Messages left behind. */
  restNum: bigint
  /** The three texts are read with `parseStartOffsetInfo` and its sisters of `./wire`. */
  startOffsetInfo?: string
  msgOffsetInfo?: string
  orderCountInfo?: string
}

const popRequest: Fields<PopMessageRequest> = {
  consumerGroup: STRING,
  topic: STRING,
  queueId: INT,
  maxMsgNums: INT,
  invisibleTime: LONG,
  pollTime: LONG,
  bornTime: 'long?',
  initMode: INT,
  expType: 'string?',
  exp: 'string?',
  order: 'boolean?',
  attemptId: 'string?',
}

/**
 * Takes messages; each is invisible to others until acknowledged or `invisibleTime` is over. The body is stored messages.
 * 210: none (in time). 209: too many waiting pops. 26: unknown group.
 */
export const PopMessage: Command<PopMessageRequest, PopMessageResponse, undefined, Buffer> =
  /* @__PURE__ */ defineCommand({
    code: 200050,
    name: 'POP_MESSAGE',
    effect: 'once',
    request: popRequest,
    defaults: { pollTime: 0n, bornTime: 0n },
    response: {
      popTime: LONG,
      invisibleTime: LONG,
      reviveQid: INT,
      restNum: LONG,
      startOffsetInfo: 'string?',
      msgOffsetInfo: 'string?',
      orderCountInfo: 'string?',
    },
    responseBody: bytesBody,
    answers: { 23: 'fix', 26: 'create', 209: 'empty', 210: 'empty' },
  })

export interface AckMessageRequest {
  consumerGroup: string
  /** The stored topic: a receipt from a retry topic acknowledged under the plain topic answers 0 and is lost. */
  topic: string
  /** Of the stored topic, from the receipt. */
  queueId: number
  /** The receipt (POP_CK). */
  extraInfo: string
  /** Queue offset in the stored topic, from the receipt. */
  offset: bigint
}

/**
 * Acknowledges one popped message. Code 0 is no proof that it was in time: an expired receipt, or one replaced by
 * CHANGE_MESSAGE_INVISIBLETIME, answers 0 as well. 208: the offset is outside the queue; drop the receipt.
 */
export const AckMessage: Command<AckMessageRequest> = /* @__PURE__ */ defineCommand({
  code: 200051,
  name: 'ACK_MESSAGE',
  effect: 'idempotent',
  request: { consumerGroup: STRING, topic: STRING, queueId: INT, extraInfo: STRING, offset: LONG },
  answers: { 208: 'fix' },
})

export interface ChangeInvisibleTimeRequest extends AckMessageRequest {
  /** Ms from the broker's now. */
  invisibleTime: bigint
  /** 5.5 and later. */
  suspend?: boolean | undefined
}

export interface ChangeInvisibleTimeResponse {
  popTime: bigint
  invisibleTime: bigint
  reviveQid: number
}

/** Gives a popped message more or less time. The old receipt is dead; the answer makes the new one. 208 as for an ack. */
export const ChangeMessageInvisibleTime: Command<ChangeInvisibleTimeRequest, ChangeInvisibleTimeResponse> =
  /* @__PURE__ */ defineCommand({
    code: 200053,
    name: 'CHANGE_MESSAGE_INVISIBLETIME',
    effect: 'once',
    request: {
      consumerGroup: STRING,
      topic: STRING,
      queueId: INT,
      extraInfo: STRING,
      offset: LONG,
      invisibleTime: LONG,
      suspend: 'boolean?',
    },
    response: { popTime: LONG, invisibleTime: LONG, reviveQid: INT },
    answers: { 208: 'fix' },
  })

/** Acknowledgements of one pop (one checkpoint) of one queue. */
export interface BatchAck {
  consumerGroup: string
  /** The plain topic, also for messages of a retry topic. */
  topic: string
  /** retryFlag of the receipt: "0" the topic itself, "1" or "2" a retry topic. */
  retry: string
  /** ckQueueOffset of the receipt. */
  startOffset: bigint
  queueId: number
  reviveQueueId: number
  popTime: bigint
  invisibleTime: bigint
  /** Bit n, little-endian, is the message at startOffset + n. */
  bitSet: Uint8Array
}

export interface BatchAckMessageBody {
  brokerName: string
  acks: readonly BatchAck[]
}

const readWireAck = /* @__PURE__ */ object({
  c: text,
  t: text,
  r: text,
  so: long,
  q: int,
  rq: int,
  pt: long,
  it: long,
  b: text,
})

const toBatchAck = (ack: ReturnType<typeof readWireAck>): BatchAck => ({
  consumerGroup: ack.c,
  topic: ack.t,
  retry: ack.r,
  startOffset: ack.so,
  queueId: ack.q,
  reviveQueueId: ack.rq,
  popTime: ack.pt,
  invisibleTime: ack.it,
  bitSet: Buffer.from(ack.b, 'base64'),
})

const readBatchAck: Read<BatchAck> = (value, path) => toBatchAck(readWireAck(value, path))

const writeBatchAck = (ack: BatchAck): unknown => ({
  c: ack.consumerGroup,
  t: ack.topic,
  r: ack.retry,
  so: ack.startOffset,
  q: ack.queueId,
  rq: ack.reviveQueueId,
  pt: ack.popTime,
  it: ack.invisibleTime,
  b: Buffer.from(ack.bitSet).toString('base64'),
})

const batchAckBody: BodyCodec<BatchAckMessageBody> = /* @__PURE__ */ jsonBody<BatchAckMessageBody>(
  'batchAck',
  /* @__PURE__ */ object<BatchAckMessageBody>({ brokerName: text, acks: orElse(list(readBatchAck), []) }),
  (body) => ({ brokerName: body.brokerName, acks: body.acks.map(writeBatchAck) }),
)

/** Acknowledges many popped messages. Code 0 whatever became of each. */
export const BatchAckMessage: Command<NoFields, NoFields, BatchAckMessageBody> =
  /* @__PURE__ */ defineCommand({
    code: 200151,
    name: 'BATCH_ACK_MESSAGE',
    effect: 'idempotent',
    requestBody: batchAckBody,
  })
