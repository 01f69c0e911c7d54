/**
 * UPDATE_AND_CREATE_SUBSCRIPTIONGROUP 200, GET_ALL_SUBSCRIPTIONGROUP_CONFIG 201, DELETE_SUBSCRIPTIONGROUP 207, GET_CONSUME_STATS
 * 208 and GET_SUBSCRIPTIONGROUP_CONFIG 352 (protocol.md 9.3, 16; upstream SubscriptionGroupConfig, SubscriptionGroupWrapper,
 * GroupRetryPolicy, ConsumeStats).
 * Each request concerns one broker and must be repeated on every master.
 */
import { type BodyCodec, type Command, defineCommand, type NoFields, STRING } from './define.ts'
import { fastjsonBody } from './fastjson.ts'
import {
  boolean,
  double,
  entries,
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

/** When popped messages come back; all times in ms. */
export interface GroupRetryPolicy {
  /** `CUSTOMIZED` or `EXPONENTIAL`. */
  type: string
  exponentialRetryPolicy?: { initial: bigint; max: bigint; multiplier: bigint }
  customizedRetryPolicy?: { next: bigint[] }
}

/** What a group may subscribe to, where the broker restricts it. */
export interface SimpleSubscriptionData {
  topic: string
  expressionType: string
  expression: string
  version: bigint
}

export interface SubscriptionGroupConfig {
  groupName: string
  /** @default true */
  consumeEnable: boolean
  /** @default true */
  consumeFromMinEnable: boolean
  /** @default true */
  consumeBroadcastEnable: boolean
  /** @default false */
  consumeMessageOrderly: boolean
  /** Queues of %RETRY%group; 0 turns send-backs off. @default 1 */
  retryQueueNums: number
  /** Attempts before the dead-letter topic. @default 16 */
  retryMaxTimes: number
  /** @default { type: "CUSTOMIZED" } */
  groupRetryPolicy: GroupRetryPolicy
  /** @default 0n */
  brokerId: bigint
  /** The replica that a slow consumer is sent to. @default 1n */
  whichBrokerWhenConsumeSlowly: bigint
  /** Tell members when others come and go (code 40). @default true */
  notifyConsumerIdsChangedEnable: boolean
  /** @default 0 */
  groupSysFlag: number
  /** Minutes. @default 15 */
  consumeTimeoutMinute: number
  subscriptionDataSet?: SimpleSubscriptionData[]
  /** @default {} */
  attributes: Readonly<Record<string, string>>
}

/** As a broker fills in what is left out. */
export const groupConfig = (groupName: string): SubscriptionGroupConfig => ({
  groupName,
  consumeEnable: true,
  consumeFromMinEnable: true,
  consumeBroadcastEnable: true,
  consumeMessageOrderly: false,
  retryQueueNums: 1,
  retryMaxTimes: 16,
  groupRetryPolicy: { type: 'CUSTOMIZED' },
  brokerId: 0n,
  whichBrokerWhenConsumeSlowly: 1n,
  notifyConsumerIdsChangedEnable: true,
  groupSysFlag: 0,
  consumeTimeoutMinute: 15,
  attributes: {},
})

/** A group to create: what is left out becomes the default, also where the group has another value now. */
export type SubscriptionGroupSettings = Partial<SubscriptionGroupConfig> & { groupName: string }

const readRetryPolicy: Read<GroupRetryPolicy> = /* @__PURE__ */ object<GroupRetryPolicy>({
  type: orElse(text, 'CUSTOMIZED'),
  exponentialRetryPolicy: optional(object({ initial: long, max: long, multiplier: long })),
  customizedRetryPolicy: optional(object({ next: list(long) })),
})

const readSimpleSubscription: Read<SimpleSubscriptionData> = /* @__PURE__ */ object<SimpleSubscriptionData>({
  topic: text,
  expressionType: orElse(text, ''),
  expression: orElse(text, ''),
  version: orElse(long, 0n),
})

const readGroupConfig: Read<SubscriptionGroupConfig> = /* @__PURE__ */ object<SubscriptionGroupConfig>({
  groupName: text,
  consumeEnable: orElse(boolean, true),
  consumeFromMinEnable: orElse(boolean, true),
  consumeBroadcastEnable: orElse(boolean, true),
  consumeMessageOrderly: orElse(boolean, false),
  retryQueueNums: orElse(int, 1),
  retryMaxTimes: orElse(int, 16),
  groupRetryPolicy: orElse(readRetryPolicy, {}),
  brokerId: orElse(long, 0n),
  whichBrokerWhenConsumeSlowly: orElse(long, 1n),
  notifyConsumerIdsChangedEnable: orElse(boolean, true),
  groupSysFlag: orElse(int, 0),
  consumeTimeoutMinute: orElse(int, 15),
  subscriptionDataSet: optional(list(readSimpleSubscription)),
  attributes: orElse(record(text), {}),
})

const groupConfigBody: BodyCodec<SubscriptionGroupConfig> =
  /* @__PURE__ */ fastjsonBody<SubscriptionGroupConfig>('groupConfig', readGroupConfig)

export interface SubscriptionGroupTable {
  /** By group, in the order of the wire. */
  subscriptionGroupTable: ReadonlyMap<string, SubscriptionGroupConfig>
  /** By group and topic. */
  forbiddenTable: Readonly<Record<string, Readonly<Record<string, number>>>>
  /** Counts with each change. */
  dataVersion: { counter: bigint; stateVersion: bigint; timestamp: bigint }
}

const groupTableBody: BodyCodec<SubscriptionGroupTable> =
  /* @__PURE__ */ fastjsonBody<SubscriptionGroupTable>(
    'groups',
    /* @__PURE__ */ object<SubscriptionGroupTable>({
      subscriptionGroupTable: (value, path) => new Map(orElse(entries(readGroupConfig), {})(value, path)),
      forbiddenTable: orElse(record(record(int)), {}),
      dataVersion: orElse(
        object({ counter: orElse(long, 0n), stateVersion: orElse(long, 0n), timestamp: orElse(long, 0n) }),
        {},
      ),
    }),
  )

/** Every group of one broker. What GET_SUBSCRIPTIONGROUP_CONFIG is asked for may be created by that; this creates nothing. */
export const GetAllSubscriptionGroupConfig: Command<NoFields, NoFields, undefined, SubscriptionGroupTable> =
  /* @__PURE__ */ defineCommand({
    code: 201,
    name: 'GET_ALL_SUBSCRIPTIONGROUP_CONFIG',
    effect: 'read',
    responseBody: groupTableBody,
  })

/** Creates a group on one broker, or replaces its settings. 29: an illegal name. */
export const UpdateAndCreateSubscriptionGroup: Command<NoFields, NoFields, SubscriptionGroupSettings> =
  /* @__PURE__ */ defineCommand({
    code: 200,
    name: 'UPDATE_AND_CREATE_SUBSCRIPTIONGROUP',
    effect: 'idempotent',
    requestBody: groupConfigBody,
  })

export interface DeleteSubscriptionGroupRequest {
  groupName: string
  /** Forget its committed offsets as well. The broker's default is false. */
  cleanOffset?: boolean | undefined
}

/** Deletes a group on one broker; one that is not there answers 0. */
export const DeleteSubscriptionGroup: Command<DeleteSubscriptionGroupRequest> = /* @__PURE__ */ defineCommand(
  {
    code: 207,
    name: 'DELETE_SUBSCRIPTIONGROUP',
    effect: 'idempotent',
    request: { groupName: STRING, cleanOffset: 'boolean?' },
  },
)

/** The settings of a group on one broker. 26: it is not there; a broker that creates groups by itself creates it. */
export const GetSubscriptionGroupConfig: Command<
  { group: string },
  NoFields,
  undefined,
  SubscriptionGroupConfig
> = /* @__PURE__ */ defineCommand({
  code: 352,
  name: 'GET_SUBSCRIPTIONGROUP_CONFIG',
  effect: 'read',
  request: { group: STRING },
  responseBody: groupConfigBody,
  answers: { 26: 'create' },
})

export interface GetConsumeStatsRequest {
  consumerGroup: string
  /** Absent: every topic that the group has consumed. */
  topic?: string | undefined
  /** Several topics, separated by `;`. */
  topicList?: string | undefined
}

export interface OffsetWrapper {
  /** The offset that the next message will get. The lag is brokerOffset - consumerOffset. */
  brokerOffset: bigint
  /** The committed offset; 0 also when there is none, so that the whole queue looks like lag. */
  consumerOffset: bigint
  /** Where the last pull has got to. */
  pullOffset: bigint
  /** Epoch ms: store time of the last consumed message. */
  lastTimestamp: bigint
}

export interface ConsumeStats {
  offsetTable: QueueTable<OffsetWrapper>
  /** Messages per second. */
  consumeTps: number
}

const readOffsetWrapper: Read<OffsetWrapper> = /* @__PURE__ */ object<OffsetWrapper>({
  brokerOffset: long,
  consumerOffset: long,
  pullOffset: orElse(long, 0n),
  lastTimestamp: orElse(long, 0n),
})

const consumeStatsBody: BodyCodec<ConsumeStats> = /* @__PURE__ */ fastjsonBody<ConsumeStats>(
  'consumeStats',
  /* @__PURE__ */ object<ConsumeStats>({
    offsetTable: readQueueTable(readOffsetWrapper),
    consumeTps: orElse(double, 0),
  }),
  (stats) => ({ ...stats, offsetTable: writeQueueTable(stats.offsetTable) }),
)

/** How far a group is, per queue of one broker. */
export const GetConsumeStats: Command<GetConsumeStatsRequest, NoFields, undefined, ConsumeStats> =
  /* @__PURE__ */ defineCommand({
    code: 208,
    name: 'GET_CONSUME_STATS',
    effect: 'read',
    request: { consumerGroup: STRING, topic: 'string?', topicList: 'string?' },
    responseBody: consumeStatsBody,
  })
