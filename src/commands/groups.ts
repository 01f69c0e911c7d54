/**
 * UPDATE_AND_CREATE_SUBSCRIPTIONGROUP 200, DELETE_SUBSCRIPTIONGROUP 207, GET_CONSUME_STATS 208 and
 * GET_SUBSCRIPTIONGROUP_CONFIG 352 (protocol.md 9.3, 16; upstream SubscriptionGroupConfig, GroupRetryPolicy, ConsumeStats).
 * Each request concerns one broker and must be repeated on every master.
 */
import { type BodyCodec, type Command, type NoFields, noBody } from './define.ts'
import { type JsonView, jsonBody } from './json.ts'
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

/** A group to create: what is left out becomes the default, also where the group has another value now. */
export type SubscriptionGroupSettings = Partial<SubscriptionGroupConfig> & { groupName: string }

const readRetryPolicy = (policy: JsonView): GroupRetryPolicy => ({
  type: policy.at('type').text('CUSTOMIZED'),
  ...policy.optional('exponentialRetryPolicy', (exponential) => ({
    initial: exponential.at('initial').long(),
    max: exponential.at('max').long(),
    multiplier: exponential.at('multiplier').long(),
  })),
  ...policy.optional('customizedRetryPolicy', (customized) => ({
    next: customized.at('next').list((delay) => delay.long()),
  })),
})

const readSimpleSubscription = (data: JsonView): SimpleSubscriptionData => ({
  topic: data.at('topic').text(),
  expressionType: data.at('expressionType').text(''),
  expression: data.at('expression').text(''),
  version: data.at('version').long(0n),
})

const groupConfigBody: BodyCodec<SubscriptionGroupConfig> = /* @__PURE__ */ jsonBody<SubscriptionGroupConfig>(
  'groupConfig',
  (root) => {
    const policy = root.at('groupRetryPolicy')
    return {
      groupName: root.at('groupName').text(),
      consumeEnable: root.at('consumeEnable').boolean(true),
      consumeFromMinEnable: root.at('consumeFromMinEnable').boolean(true),
      consumeBroadcastEnable: root.at('consumeBroadcastEnable').boolean(true),
      consumeMessageOrderly: root.at('consumeMessageOrderly').boolean(false),
      retryQueueNums: root.at('retryQueueNums').int(1),
      retryMaxTimes: root.at('retryMaxTimes').int(16),
      groupRetryPolicy: policy.present ? readRetryPolicy(policy) : { type: 'CUSTOMIZED' },
      brokerId: root.at('brokerId').long(0n),
      whichBrokerWhenConsumeSlowly: root.at('whichBrokerWhenConsumeSlowly').long(1n),
      notifyConsumerIdsChangedEnable: root.at('notifyConsumerIdsChangedEnable').boolean(true),
      groupSysFlag: root.at('groupSysFlag').int(0),
      consumeTimeoutMinute: root.at('consumeTimeoutMinute').int(15),
      ...root.optional('subscriptionDataSet', (set) => set.list(readSimpleSubscription)),
      attributes: root.at('attributes').record((value) => value.text()),
    }
  },
)

/** Creates a group on one broker, or replaces its settings. 29: an illegal name. */
export const UpdateAndCreateSubscriptionGroup: Command<NoFields, NoFields, SubscriptionGroupSettings> = {
  code: 200,
  name: 'UPDATE_AND_CREATE_SUBSCRIPTIONGROUP',
  to: 'broker',
  effect: 'idempotent',
  request: {},
  response: {},
  requestBody: groupConfigBody,
  responseBody: noBody,
  answers: {},
}

export interface DeleteSubscriptionGroupRequest {
  groupName: string
  /** Forget its committed offsets as well. The broker's default is false. */
  cleanOffset?: boolean | undefined
}

/** Deletes a group on one broker; one that is not there answers 0. */
export const DeleteSubscriptionGroup: Command<DeleteSubscriptionGroupRequest> = {
  code: 207,
  name: 'DELETE_SUBSCRIPTIONGROUP',
  to: 'broker',
  effect: 'idempotent',
  request: { groupName: 'string', cleanOffset: 'boolean?' },
  response: {},
  requestBody: noBody,
  responseBody: noBody,
  answers: {},
}

/** The settings of a group on one broker. 26: it is not there. */
export const GetSubscriptionGroupConfig: Command<
  { group: string },
  NoFields,
  undefined,
  SubscriptionGroupConfig
> = {
  code: 352,
  name: 'GET_SUBSCRIPTIONGROUP_CONFIG',
  to: 'broker',
  effect: 'read',
  request: { group: 'string' },
  response: {},
  requestBody: noBody,
  responseBody: groupConfigBody,
  answers: { 26: 'create' },
}

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

const readOffsetWrapper = (offset: JsonView): OffsetWrapper => ({
  brokerOffset: offset.at('brokerOffset').long(),
  consumerOffset: offset.at('consumerOffset').long(),
  pullOffset: offset.at('pullOffset').long(0n),
  lastTimestamp: offset.at('lastTimestamp').long(0n),
})

const consumeStatsBody: BodyCodec<ConsumeStats> = /* @__PURE__ */ jsonBody<ConsumeStats>(
  'consumeStats',
  (root) => ({
    offsetTable: readQueueTable(root.at('offsetTable'), readOffsetWrapper),
    consumeTps: root.at('consumeTps').double(0),
  }),
  (stats) => ({ ...stats, offsetTable: writeQueueTable(stats.offsetTable) }),
)

/** How far a group is, per queue of one broker. */
export const GetConsumeStats: Command<GetConsumeStatsRequest, NoFields, undefined, ConsumeStats> = {
  code: 208,
  name: 'GET_CONSUME_STATS',
  to: 'broker',
  effect: 'read',
  request: { consumerGroup: 'string', topic: 'string?', topicList: 'string?' },
  response: {},
  requestBody: noBody,
  responseBody: consumeStatsBody,
  answers: {},
}
