/**
 * HEART_BEAT 34, UNREGISTER_CLIENT 35, GET_CONSUMER_LIST_BY_GROUP 38 and NOTIFY_CONSUMER_IDS_CHANGED 40 (protocol.md 13;
 * upstream HeartbeatData and the headers of the same names). Left out: HEART_BEAT V2, which sends fingerprints only.
 */
import { type BodyCodec, type Command, type NoFields, noBody } from './define.ts'
import { type JsonView, jsonBody } from './json.ts'
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

function readConsumerData(view: JsonView): ConsumerData {
  return {
    groupName: view.at('groupName').text(),
    consumeType: view.at('consumeType').text(),
    messageModel: view.at('messageModel').text(),
    consumeFromWhere: view.at('consumeFromWhere').text(),
    subscriptionDataSet: view.at('subscriptionDataSet').list(readSubscriptionData, []),
    unitMode: view.at('unitMode').boolean(false),
  }
}

const heartbeatBody: BodyCodec<HeartbeatData> = /* @__PURE__ */ jsonBody<HeartbeatData>(
  'heartbeat',
  (root) => ({
    clientID: root.at('clientID').text(),
    producerDataSet: root
      .at('producerDataSet')
      .list((item) => ({ groupName: item.at('groupName').text() }), []),
    consumerDataSet: root.at('consumerDataSet').list(readConsumerData, []),
    heartbeatFingerprint: root.at('heartbeatFingerprint').int(0),
    withoutSub: root.at('withoutSub').boolean(false),
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
export const HeartBeat: Command<NoFields, HeartbeatResponse, HeartbeatData> = {
  code: 34,
  name: 'HEART_BEAT',
  to: 'broker',
  effect: 'idempotent',
  request: {},
  response: { IS_SUPPORT_HEART_BEAT_V2: 'boolean?', IS_SUB_CHANGE: 'boolean?' },
  requestBody: heartbeatBody,
  responseBody: noBody,
  answers: {},
}

export interface UnregisterClientRequest {
  clientID: string
  producerGroup?: string | undefined
  consumerGroup?: string | undefined
}

/** Takes one group's registration back. */
export const UnregisterClient: Command<UnregisterClientRequest> = {
  code: 35,
  name: 'UNREGISTER_CLIENT',
  to: 'broker',
  effect: 'idempotent',
  request: { clientID: 'string', producerGroup: 'string?', consumerGroup: 'string?' },
  response: {},
  requestBody: noBody,
  responseBody: noBody,
  answers: {},
}

export interface ConsumerList {
  consumerIdList: string[]
}

const consumerListBody: BodyCodec<ConsumerList> = /* @__PURE__ */ jsonBody('consumers', (root) => ({
  consumerIdList: root.at('consumerIdList').list((id) => id.text(), []),
}))

/** The client ids that are registered for a consumer group. None at all answers code 1. */
export const GetConsumerListByGroup: Command<{ consumerGroup: string }, NoFields, undefined, ConsumerList> = {
  code: 38,
  name: 'GET_CONSUMER_LIST_BY_GROUP',
  to: 'broker',
  effect: 'read',
  request: { consumerGroup: 'string' },
  response: {},
  requestBody: noBody,
  responseBody: consumerListBody,
  answers: {},
}

/** A broker tells the members of a consumer group that others came or went. Never answered. */
export const NotifyConsumerIdsChanged: Command<{ consumerGroup: string }> = {
  code: 40,
  name: 'NOTIFY_CONSUMER_IDS_CHANGED',
  to: 'client',
  effect: 'idempotent',
  oneway: true,
  request: { consumerGroup: 'string' },
  response: {},
  requestBody: noBody,
  responseBody: noBody,
  answers: {},
}
