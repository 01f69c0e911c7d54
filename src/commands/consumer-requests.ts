/**
 * What an administrator asks of a group's running clients: INVOKE_BROKER_TO_RESET_OFFSET 222, which a broker may pass on as
 * RESET_CONSUMER_CLIENT_OFFSET 220, GET_CONSUMER_RUNNING_INFO 307 and CONSUME_MESSAGE_DIRECTLY 309 (protocol.md 13.2, 16;
 * upstream ResetOffsetRequestHeader, ConsumerRunningInfo, ConsumeMessageDirectlyResult).
 */
import {
  type BodyCodec,
  bytesBody,
  type Command,
  defineCommand,
  type Fields,
  LONG,
  type NoFields,
  STRING,
} from './define.ts'
import { fastjsonBody } from './fastjson.ts'
import {
  boolean,
  double,
  int,
  list,
  long,
  object,
  optional,
  orElse,
  type Read,
  record,
  text,
} from './json.ts'
import { type QueueTable, readQueueTable, writeQueueTable } from './message-queue.ts'
import { readSubscriptionData, type SubscriptionData } from './subscription.ts'

export interface ResetOffsetRequest {
  topic: string
  group: string
  /** -1 is every queue of the topic on this broker. @default -1 */
  queueId?: number | undefined
  /** The offset to set, which needs one `queueId`; absent: the offset for `timestamp`. */
  offset?: bigint | undefined
  /** Epoch ms; -1 is the end of the queue. Always on the wire, also where `offset` decides. */
  timestamp: bigint
  /** Also move to a later offset than the group has reached. @default false */
  isForce?: boolean | undefined
}

const resetRequest: Fields<ResetOffsetRequest> = {
  topic: STRING,
  group: STRING,
  queueId: 'int?',
  offset: 'long?',
  timestamp: LONG,
  isForce: 'boolean?',
}

const resetDefaults: Partial<ResetOffsetRequest> = { queueId: -1, isForce: false }

export interface ResetOffsetBody {
  /** The offset that was set, per queue. */
  offsetTable: QueueTable<bigint>
}

const resetBody: BodyCodec<ResetOffsetBody> = /* @__PURE__ */ fastjsonBody<ResetOffsetBody>(
  'reset',
  /* @__PURE__ */ object<ResetOffsetBody>({ offsetTable: readQueueTable(long) }),
  (body) => ({ offsetTable: writeQueueTable(body.offsetTable) }),
)

/**
 * Resets a group's offsets on one broker. The next pull of each queue answers 21 with the new offset, and commits are
 * ignored until then. 26: unknown group. 206: the broker resets through its clients and none is online.
 */
export const InvokeBrokerToResetOffset: Command<ResetOffsetRequest, NoFields, undefined, ResetOffsetBody> =
  /* @__PURE__ */ defineCommand({
    code: 222,
    name: 'INVOKE_BROKER_TO_RESET_OFFSET',
    effect: 'idempotent',
    request: resetRequest,
    defaults: resetDefaults,
    responseBody: resetBody,
    answers: { 26: 'create' },
  })

/** A broker tells its clients that their offsets were reset. Never answered; sent to a broker it answers code 3. */
export const ResetConsumerClientOffset: Command<ResetOffsetRequest, NoFields, ResetOffsetBody> =
  /* @__PURE__ */ defineCommand({
    code: 220,
    name: 'RESET_CONSUMER_CLIENT_OFFSET',
    to: 'client',
    effect: 'idempotent',
    oneway: true,
    request: resetRequest,
    defaults: resetDefaults,
    requestBody: resetBody,
  })

export interface GetConsumerRunningInfoRequest {
  consumerGroup: string
  clientId: string
  /** Include a thread dump. */
  jstackEnable?: boolean | undefined
}

/** One queue of a pulling consumer. Times are epoch ms. */
export interface ProcessQueueInfo {
  commitOffset: bigint
  cachedMsgMinOffset: bigint
  cachedMsgMaxOffset: bigint
  cachedMsgCount: number
  cachedMsgSizeInMiB: number
  transactionMsgMinOffset: bigint
  transactionMsgMaxOffset: bigint
  transactionMsgCount: number
  locked: boolean
  tryUnlockTimes: bigint
  lastLockTimestamp: bigint
  /** Upstream's spelling. */
  droped: boolean
  lastPullTimestamp: bigint
  lastConsumeTimestamp: bigint
}

/** One queue of a popping consumer. */
export interface PopProcessQueueInfo {
  waitAckCount: number
  droped: boolean
  lastPopTimestamp: bigint
}

/** Rates of one topic: RT in ms, TPS per second, failed messages of the last hour. */
export interface ConsumeStatus {
  pullRT: number
  pullTPS: number
  consumeRT: number
  consumeOKTPS: number
  consumeFailedTPS: number
  consumeFailedMsgs: bigint
}

export interface ConsumerRunningInfo {
  /** `PROP_CONSUME_TYPE`, `PROP_CONSUME_ORDERLY`, `PROP_CLIENT_VERSION` … as text. */
  properties: Readonly<Record<string, string>>
  subscriptionSet: SubscriptionData[]
  mqTable: QueueTable<ProcessQueueInfo>
  mqPopTable: QueueTable<PopProcessQueueInfo>
  /** By topic. */
  statusTable: Readonly<Record<string, ConsumeStatus>>
  userConsumerInfo: Readonly<Record<string, string>>
  jstack?: string
}

const readProcessQueueInfo: Read<ProcessQueueInfo> = /* @__PURE__ */ object<ProcessQueueInfo>({
  commitOffset: orElse(long, 0n),
  cachedMsgMinOffset: orElse(long, 0n),
  cachedMsgMaxOffset: orElse(long, 0n),
  cachedMsgCount: orElse(int, 0),
  cachedMsgSizeInMiB: orElse(int, 0),
  transactionMsgMinOffset: orElse(long, 0n),
  transactionMsgMaxOffset: orElse(long, 0n),
  transactionMsgCount: orElse(int, 0),
  locked: orElse(boolean, false),
  tryUnlockTimes: orElse(long, 0n),
  lastLockTimestamp: orElse(long, 0n),
  droped: orElse(boolean, false),
  lastPullTimestamp: orElse(long, 0n),
  lastConsumeTimestamp: orElse(long, 0n),
})

const readPopProcessQueueInfo: Read<PopProcessQueueInfo> = /* @__PURE__ */ object<PopProcessQueueInfo>({
  waitAckCount: orElse(int, 0),
  droped: orElse(boolean, false),
  lastPopTimestamp: orElse(long, 0n),
})

const readConsumeStatus: Read<ConsumeStatus> = /* @__PURE__ */ object<ConsumeStatus>({
  pullRT: orElse(double, 0),
  pullTPS: orElse(double, 0),
  consumeRT: orElse(double, 0),
  consumeOKTPS: orElse(double, 0),
  consumeFailedTPS: orElse(double, 0),
  consumeFailedMsgs: orElse(long, 0n),
})

const runningInfoBody: BodyCodec<ConsumerRunningInfo> = /* @__PURE__ */ fastjsonBody<ConsumerRunningInfo>(
  'runningInfo',
  /* @__PURE__ */ object<ConsumerRunningInfo>({
    properties: orElse(record(text), {}),
    subscriptionSet: orElse(list(readSubscriptionData), []),
    mqTable: readQueueTable(readProcessQueueInfo),
    mqPopTable: readQueueTable(readPopProcessQueueInfo),
    statusTable: orElse(record(readConsumeStatus), {}),
    userConsumerInfo: orElse(record(text), {}),
    jstack: optional(text),
  }),
  (info) => ({
    ...info,
    mqTable: writeQueueTable(info.mqTable),
    mqPopTable: writeQueueTable(info.mqPopTable),
  }),
)

/**
 * The state of one client of a group. Must be answered within 10 s, or the administrator who asked sees 207. Sent to a
 * broker it is passed on to the client; 206, or 1 from 5.5.0: the client is not online.
 */
export const GetConsumerRunningInfo: Command<
  GetConsumerRunningInfoRequest,
  NoFields,
  undefined,
  ConsumerRunningInfo
> = /* @__PURE__ */ defineCommand({
  code: 307,
  name: 'GET_CONSUMER_RUNNING_INFO',
  to: 'client',
  effect: 'read',
  request: { consumerGroup: STRING, clientId: STRING, jstackEnable: 'boolean?' },
  responseBody: runningInfoBody,
})

export interface ConsumeMessageDirectlyRequest {
  consumerGroup: string
  clientId?: string | undefined
  msgId?: string | undefined
  brokerName?: string | undefined
  topic?: string | undefined
  topicSysFlag?: number | undefined
  groupSysFlag?: number | undefined
}

export interface ConsumeMessageDirectlyResult {
  order: boolean
  autoCommit: boolean
  /** CR_SUCCESS, CR_LATER, CR_ROLLBACK, CR_COMMIT, CR_THROW_EXCEPTION or CR_RETURN_NULL. */
  consumeResult: string
  /** What went wrong, as text. */
  remark?: string
  /** Ms. Upstream's spelling. */
  spentTimeMills: bigint
}

const directResultBody: BodyCodec<ConsumeMessageDirectlyResult> =
  /* @__PURE__ */ fastjsonBody<ConsumeMessageDirectlyResult>(
    'result',
    /* @__PURE__ */ object<ConsumeMessageDirectlyResult>({
      order: orElse(boolean, false),
      autoCommit: orElse(boolean, true),
      consumeResult: text,
      remark: optional(text),
      spentTimeMills: orElse(long, 0n),
    }),
  )

/**
 * One client of a group handles the stored message in the body now; no offset moves. Answered and passed on as
 * GET_CONSUMER_RUNNING_INFO is. Not idempotent: each call handles the message once more.
 */
export const ConsumeMessageDirectly: Command<
  ConsumeMessageDirectlyRequest,
  NoFields,
  Buffer,
  ConsumeMessageDirectlyResult
> = /* @__PURE__ */ defineCommand({
  code: 309,
  name: 'CONSUME_MESSAGE_DIRECTLY',
  to: 'client',
  effect: 'once',
  request: {
    consumerGroup: STRING,
    clientId: 'string?',
    msgId: 'string?',
    brokerName: 'string?',
    topic: 'string?',
    topicSysFlag: 'int?',
    groupSysFlag: 'int?',
  },
  requestBody: bytesBody,
  responseBody: directResultBody,
})
