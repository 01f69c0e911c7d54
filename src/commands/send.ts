/**
 * SEND_MESSAGE 10, SEND_MESSAGE_V2 310 and SEND_BATCH_MESSAGE 320 (protocol.md 4; upstream SendMessageRequestHeader
 * and SendMessageRequestHeaderV2). 10 writes the long field names, 310 and 320 one letter each; the values are the same.
 */
import {
  bytesBody,
  type Command,
  defineCommand,
  type Fields,
  INT,
  LONG,
  type Meaning,
  STRING,
  type WireNames,
} from './define.ts'

export interface SendMessageRequest {
  producerGroup: string
  topic: string
  /** The topic whose settings a new topic copies. @default "TBW102" */
  defaultTopic?: string
  /** Queues of a topic that this send creates; the broker caps it at its own default. @default 4 */
  defaultTopicQueueNums?: number
  /** -1 lets the broker choose. */
  queueId: number
  sysFlag: number
  /** Epoch ms. */
  bornTimestamp: bigint
  /** The application's own flag, any int32. */
  flag: number
  /** Encoded by `encodeProperties` of `./wire`. */
  properties?: string | undefined
  reconsumeTimes?: number | undefined
  unitMode?: boolean | undefined
  /** Read for `%RETRY%` topics only. */
  maxReconsumeTimes?: number | undefined
  /** Must be true when the body is a batch, whichever code is used. */
  batch?: boolean | undefined
  brokerName?: string | undefined
}

export interface SendMessageResponse {
  /** Offset message id; of a batch, all of them separated by commas. */
  msgId: string
  queueId: number
  queueOffset: bigint
  /** The UNIQ_KEY as stored; absent for a batch. */
  transactionId?: string
  /** Timer messages only. */
  recallHandle?: string
}

const request: Fields<SendMessageRequest> = {
  producerGroup: STRING,
  topic: STRING,
  defaultTopic: STRING,
  defaultTopicQueueNums: INT,
  queueId: INT,
  sysFlag: INT,
  bornTimestamp: LONG,
  flag: INT,
  properties: 'string?',
  reconsumeTimes: 'int?',
  unitMode: 'boolean?',
  maxReconsumeTimes: 'int?',
  batch: 'boolean?',
  brokerName: 'string?',
}

/** The short form names the fields a, b, c … in this order: the digits of base 36 from 10 on. */
const wireNames: WireNames<SendMessageRequest> = /* @__PURE__ */ Object.fromEntries(
  /* @__PURE__ */ Object.keys(request).map((name, index) => [name, (index + 10).toString(36)]),
)

const response: Fields<SendMessageResponse> = {
  msgId: STRING,
  queueId: INT,
  queueOffset: LONG,
  transactionId: 'string?',
  recallHandle: 'string?',
}

/** The route of a broker that creates topics lists this one; a send that names it copies its settings. */
export const DEFAULT_TOPIC = 'TBW102'

/** Both are required on the wire: a send without them answers code 1. */
const defaults: Partial<SendMessageRequest> = { defaultTopic: DEFAULT_TOPIC, defaultTopicQueueNums: 4 }

const elsewhere: Meaning = 'other-broker'

/** 10, 11 and 12 mean stored; the rest is the reference producer's list of codes to try elsewhere. */
const answers: Readonly<Record<number, Meaning>> = {
  1: elsewhere,
  2: elsewhere,
  10: 'stored',
  11: 'stored',
  12: 'stored',
  204: elsewhere,
  205: elsewhere,
}

/** Stores one message. Not idempotent: a repeated send stores another copy under the same UNIQ_KEY. */
export const SendMessage: Command<SendMessageRequest, SendMessageResponse, Buffer> =
  /* @__PURE__ */ defineCommand({
    code: 10,
    name: 'SEND_MESSAGE',
    effect: 'once',
    request,
    defaults,
    wireNames: { brokerName: 'bname' },
    response,
    requestBody: bytesBody,
    answers,
  })

const shortForm = (code: number, name: string): Command<SendMessageRequest, SendMessageResponse, Buffer> =>
  defineCommand({
    code,
    name,
    effect: 'once',
    request,
    defaults,
    wireNames,
    response,
    requestBody: bytesBody,
    answers,
  })

/** SEND_MESSAGE with one-letter field names. */
export const SendMessageV2: Command<SendMessageRequest, SendMessageResponse, Buffer> =
  /* @__PURE__ */ shortForm(310, 'SEND_MESSAGE_V2')

/** Stores the messages of one batch (`encodeBatch` of `./wire`), all or none. `batch` must be true (protocol.md 4.2). */
export const SendBatchMessage: Command<SendMessageRequest, SendMessageResponse, Buffer> =
  /* @__PURE__ */ shortForm(320, 'SEND_BATCH_MESSAGE')
