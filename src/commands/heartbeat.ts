/**
 * HEART_BEAT 34, UNREGISTER_CLIENT 35, GET_CONSUMER_LIST_BY_GROUP 38 and NOTIFY_CONSUMER_IDS_CHANGED 40 (protocol.md 13;
 * upstream HeartbeatData and the headers of the same names). Left out: HEART_BEAT V2, which sends fingerprints only.
 */
import { type BodyCodec, type Command, defineCommand, type NoFields, STRING } from './define.ts'
import { boolean, int, jsonBody, list, object, orElse, plainBody, type Read, text } from './json.ts'
import { readSubscriptionData, type SubscriptionData } from './subscription.ts'

/** How a consumer gets its messages: by pulling, by a client that pulls for its listener, by popping. */
export const ConsumeType = {
  CONSUME_ACTIVELY: 'CONSUME_ACTIVELY',
  CONSUME_PASSIVELY: 'CONSUME_PASSIVELY',
  CONSUME_POP: 'CONSUME_POP',
} as const
export type ConsumeType = keyof typeof ConsumeType

/** Whether the members of a group share the messages, or each gets all. */
export const MessageModel = { CLUSTERING: 'CLUSTERING', BROADCASTING: 'BROADCASTING' } as const
export type MessageModel = keyof typeof MessageModel

/** Where a group without an offset begins. Brokers do nothing with it: the client applies it. */
export const ConsumeFromWhere = {
  CONSUME_FROM_LAST_OFFSET: 'CONSUME_FROM_LAST_OFFSET',
  CONSUME_FROM_FIRST_OFFSET: 'CONSUME_FROM_FIRST_OFFSET',
  CONSUME_FROM_TIMESTAMP: 'CONSUME_FROM_TIMESTAMP',
} as const
export type ConsumeFromWhere = keyof typeof ConsumeFromWhere

export interface ProducerData {
  groupName: string
}

export interface ConsumerData {
  groupName: string
  /** One of {@link ConsumeType}; text, as newer clients have others. */
  consumeType: string
  /** One of {@link MessageModel}. */
  messageModel: string
  /** One of {@link ConsumeFromWhere}; Java has deprecated ones, too. */
  consumeFromWhere: string
  subscriptionDataSet: SubscriptionData[]
  unitMode: boolean
}

export interface HeartbeatData {
  /** Identifies this client to the broker; unique among all that are connected. */
  clientID: string
  producerDataSet: ProducerData[]
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

export const readConsumerData: Read<ConsumerData> = /* @__PURE__ */ object<ConsumerData>({
  groupName: text,
  consumeType: text,
  messageModel: text,
  consumeFromWhere: text,
  subscriptionDataSet: orElse(list(readSubscriptionData), []),
  unitMode: orElse(boolean, false),
})

export const readProducerData: Read<ProducerData> = /* @__PURE__ */ object<ProducerData>({ groupName: text })

const heartbeatBody: BodyCodec<HeartbeatData> = /* @__PURE__ */ jsonBody<HeartbeatData>(
  'heartbeat',
  /* @__PURE__ */ object<HeartbeatData>({
    clientID: text,
    producerDataSet: orElse(list(readProducerData), []),
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

const consumerListBody: BodyCodec<ConsumerList> = /* @__PURE__ */ plainBody<ConsumerList>(
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
