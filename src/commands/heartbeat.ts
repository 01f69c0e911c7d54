/**
 * HEART_BEAT 34, UNREGISTER_CLIENT 35, GET_CONSUMER_LIST_BY_GROUP 38 and NOTIFY_CONSUMER_IDS_CHANGED 40 (protocol.md 13;
 * upstream HeartbeatData and the headers of the same names). Left out: HEART_BEAT V2, which sends fingerprints only.
 */
import { type BodyCodec, type Command, defineCommand, type NoFields, STRING } from './define.ts'
import { boolean, int, jsonBody, list, object, orElse, type Read, text } from './json.ts'
import { readSubscriptionData, type SubscriptionData } from './subscription.ts'

export interface ConsumerData {
  groupName: string
  /** `CONSUME_ACTIVELY` (pull), `CONSUME_PASSIVELY` (push) or `CONSUME_POP`. */
  consumeType: string
  /** `CLUSTERING` or `BROADCASTING`. */
  messageModel: string
  /** `CONSUME_FROM_LAST_OFFSET`, `CONSUME_FROM_FIRST_OFFSET` or `CONSUME_FROM_TIMESTAMP`. */
  consumeFromWhere: string
  subscriptionDataSet: SubscriptionData[]
  unitMode: boolean
}

export interface HeartbeatData {
  /** Identifies this client to the broker; unique among all that are connected. */
  clientID: string
  producerDataSet: { groupName: string }[]
  consumerDataSet: ConsumerData[]
  /** 0 is a full heartbeat. @default 0 */
  heartbeatFingerprint?: number
  /** @default false */
  withoutSub?: boolean
}

export interface HeartbeatResponse {
  IS_SUPPORT_HEART_BEAT_V2?: boolean
  IS_SUB_CHANGE?: boolean
}

const readConsumerData: Read<ConsumerData> = /* @__PURE__ */ object<ConsumerData>({
  groupName: text,
  consumeType: text,
  messageModel: text,
  consumeFromWhere: text,
  subscriptionDataSet: orElse(list(readSubscriptionData), []),
  unitMode: orElse(boolean, false),
})

const heartbeatBody: BodyCodec<HeartbeatData> = /* @__PURE__ */ jsonBody<HeartbeatData>(
  'heartbeat',
  /* @__PURE__ */ object<HeartbeatData>({
    clientID: text,
    producerDataSet: orElse(list(object({ groupName: text })), []),
    consumerDataSet: orElse(list(readConsumerData), []),
    heartbeatFingerprint: orElse(int, 0),
    withoutSub: orElse(boolean, false),
  }),
  (data) => ({
    ...data,
    heartbeatFingerprint: data.heartbeatFingerprint ?? 0,
    withoutSub: data.withoutSub ?? false,
  }),
)

/**
 * Registers producer and consumer groups for the connection it is sent on, until that closes or is silent for 120 s.
 * Creates the group and its retry topic; other members of a consumer group are told and rebalance.
 */
export const HeartBeat: Command<NoFields, HeartbeatResponse, HeartbeatData> = /* @__PURE__ */ defineCommand({
  code: 34,
  name: 'HEART_BEAT',
  effect: 'idempotent',
  response: { IS_SUPPORT_HEART_BEAT_V2: 'boolean?', IS_SUB_CHANGE: 'boolean?' },
  requestBody: heartbeatBody,
})

export interface UnregisterClientRequest {
  clientID: string
  producerGroup?: string | undefined
  consumerGroup?: string | undefined
}

/** Takes one group's registration back. */
export const UnregisterClient: Command<UnregisterClientRequest> = /* @__PURE__ */ defineCommand({
  code: 35,
  name: 'UNREGISTER_CLIENT',
  effect: 'idempotent',
  request: { clientID: STRING, producerGroup: 'string?', consumerGroup: 'string?' },
})

export interface ConsumerList {
  consumerIdList: string[]
}

const consumerListBody: BodyCodec<ConsumerList> = /* @__PURE__ */ jsonBody<ConsumerList>(
  'consumers',
  /* @__PURE__ */ object<ConsumerList>({
    consumerIdList: orElse(list(text), []),
  }),
)

/** The client ids that are registered for a consumer group. None at all answers code 1. */
export const GetConsumerListByGroup: Command<{ consumerGroup: string }, NoFields, undefined, ConsumerList> =
  /* @__PURE__ */ defineCommand({
    code: 38,
    name: 'GET_CONSUMER_LIST_BY_GROUP',
    effect: 'read',
    request: { consumerGroup: STRING },
    responseBody: consumerListBody,
  })

/** A broker tells the members of a consumer group that others came or went. Never answered. */
export const NotifyConsumerIdsChanged: Command<{ consumerGroup: string }> = /* @__PURE__ */ defineCommand({
  code: 40,
  name: 'NOTIFY_CONSUMER_IDS_CHANGED',
  to: 'client',
  effect: 'idempotent',
  oneway: true,
  request: { consumerGroup: STRING },
})
