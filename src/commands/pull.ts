/**
 * PULL_MESSAGE 11 and CHECK_CLIENT_CONFIG 46 (protocol.md 8; upstream PullMessageRequestHeader, PullMessageResponseHeader,
 * CheckClientRequestBody). Left out: LITE_PULL_MESSAGE 361 and the fields that the proxy adds (requestSource, liteTopic).
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
import { jsonBody, jsonRequest, object, optional, text } from './json.ts'
import { readSubscriptionData, type SubscriptionData } from './subscription.ts'

/** sysFlag of a pull: commit `commitOffset` before reading; it is committed even when the pull answers 21. */
export const PULL_COMMIT_OFFSET = 0x1
/**
 * sysFlag of a pull: wait up to `suspendTimeoutMillis` when there is no message. Brokers look at waiting pulls every
 * 5 s, so the answer may come 5 s late. Never set it with a timeout of 0.
 */
export const PULL_SUSPEND = 0x2
/** sysFlag of a pull: the filter is in this request, so that no heartbeat is needed. Without it: code 24. */
export const PULL_SUBSCRIPTION = 0x4
/** sysFlag of a pull: server-side filter classes, gone since 4.x. */
export const PULL_CLASS_FILTER = 0x8
/** sysFlag of a pull: sent by Apache's lite pull consumer. */
export const PULL_LITE = 0x10

export interface PullMessageRequest {
  consumerGroup: string
  topic: string
  /** At or above the topic's readQueueNums: code 29. */
  queueId: number
  /** The first offset wanted. */
  queueOffset: bigint
  /** Brokers give at most 32 (8 from disk), and at most 256 KiB unless the first message is larger. */
  maxMsgNums: number
  /** The PULL_… bits. */
  sysFlag: number
  /** Used with PULL_COMMIT_OFFSET only: the next offset to read of what was already processed. @default 0n */
  commitOffset?: bigint | undefined
  /** Ms, used with PULL_SUSPEND only; always on the wire: without it the broker answers code 1. @default 0n */
  suspendTimeoutMillis?: bigint | undefined
  /** Filter expression, used with PULL_SUBSCRIPTION; `*` or absent is everything. A wrong SQL92 text filters nothing. */
  subscription?: string | undefined
  /** 0 does with PULL_SUBSCRIPTION; always on the wire: without it the broker answers code 1. @default 0n */
  subVersion?: bigint | undefined
  /** `TAG` or `SQL92`. The broker's default is TAG. */
  expressionType?: string | undefined
  /** Ignored by the local store of 5.5.0. */
  maxMsgBytes?: number | undefined
}

export interface PullMessageResponse {
  /** The replica to ask next: 0 is the master, not 0 when the master is too far behind its memory. */
  suggestWhichBrokerId: bigint
  nextBeginOffset: bigint
  /** The first offset that the queue still has. */
  minOffset: bigint
  /** The offset that the next message will get. */
  maxOffset: bigint
  /** Static topics only. */
  offsetDelta?: bigint
  topicSysFlag?: number
  groupSysFlag?: number
  forbiddenType?: number
}

const request: Fields<PullMessageRequest> = {
  consumerGroup: STRING,
  topic: STRING,
  queueId: INT,
  queueOffset: LONG,
  maxMsgNums: INT,
  sysFlag: INT,
  commitOffset: LONG,
  suspendTimeoutMillis: LONG,
  subscription: 'string?',
  subVersion: LONG,
  expressionType: 'string?',
  maxMsgBytes: 'int?',
}

const response: Fields<PullMessageResponse> = {
  suggestWhichBrokerId: LONG,
  nextBeginOffset: LONG,
  minOffset: LONG,
  maxOffset: LONG,
  offsetDelta: 'long?',
  topicSysFlag: 'int?',
  groupSysFlag: 'int?',
  forbiddenType: 'int?',
}

/**
 * Messages of one queue from an offset on; the body is stored messages (`decodeMessages` of `./wire`).
 * 19: none at the offset. 20: the filter removed all that were read, or a replica points to the master. 21: the offset
 * is outside the queue, or an administrator has reset it. 17: unknown topic (normal for a %RETRY% topic never used).
 */
export const PullMessage: Command<PullMessageRequest, PullMessageResponse, undefined, Buffer> =
  /* @__PURE__ */ defineCommand({
    code: 11,
    name: 'PULL_MESSAGE',
    effect: 'read',
    request,
    defaults: { commitOffset: 0n, suspendTimeoutMillis: 0n, subVersion: 0n },
    response,
    responseBody: bytesBody,
    answers: {
      19: 'empty',
      20: 'skip',
      21: 'moved',
      23: 'fix',
      24: 'fix',
      25: 'fix',
      26: 'create',
      27: 'fix',
      28: 'fix',
    },
  })

export interface CheckClientRequestBody {
  clientId: string
  group: string
  subscriptionData: SubscriptionData
  namespace?: string
}

const checkClientBody: BodyCodec<CheckClientRequestBody> = /* @__PURE__ */ jsonBody(
  'checkClient',
  /* @__PURE__ */ object<CheckClientRequestBody>({
    clientId: text,
    group: text,
    subscriptionData: readSubscriptionData,
    namespace: /* @__PURE__ */ optional(text),
  }),
)

/**
 * Checks a filter: 23 with the parser's message when it is wrong. Worth doing for SQL92, because a pull with a wrong
 * expression delivers everything. Code 1: the broker does not filter by SQL92 (enablePropertyFilter).
 */
export const CheckClientConfig: Command<NoFields, NoFields, CheckClientRequestBody> =
  /* @__PURE__ */ defineCommand({
    code: 46,
    name: 'CHECK_CLIENT_CONFIG',
    effect: 'read',
    requestBody: checkClientBody,
    answers: { 23: 'fix' },
  })

/** CHECK_CLIENT_CONFIG for those who only ask; their subVersion fits a double. */
export const AskCheckClientConfig: Command<
  NoFields,
  NoFields,
  {
    clientId: string
    group: string
    subscriptionData: Omit<SubscriptionData, 'subVersion'> & { subVersion: number }
  }
> = /* @__PURE__ */ defineCommand({
  code: 46,
  name: 'CHECK_CLIENT_CONFIG',
  effect: 'read',
  requestBody: jsonRequest,
  answers: { 23: 'fix' },
})
