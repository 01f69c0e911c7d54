/**
 * UPDATE_AND_CREATE_TOPIC 17, GET_TOPIC_STATS_INFO 202, DELETE_TOPIC_IN_BROKER 215, QUERY_TOPIC_CONSUME_BY_WHO 300 and
 * GET_TOPIC_CONFIG 351 (protocol.md 16; upstream CreateTopicRequestHeader, TopicConfig, TopicStatsTable, GroupList).
 * Left out: static topics. Each request concerns one broker and must be repeated on every master.
 */
import { type BodyCodec, type Command, type NoFields, noBody } from './define.ts'
import { type JsonView, jsonBody } from './json.ts'
import { type QueueTable, readQueueTable, writeQueueTable } from './message-queue.ts'

export interface CreateTopicRequest {
  topic: string
  /** @default "TBW102" */
  defaultTopic?: string | undefined
  readQueueNums: number
  writeQueueNums: number
  /** PERM_READ and PERM_WRITE; brokers do not check it. @default 6 */
  perm?: number | undefined
  /** `SINGLE_TAG` or `MULTI_TAG`. @default "SINGLE_TAG" */
  topicFilterType?: string | undefined
  topicSysFlag?: number | undefined
  /** @default false */
  order?: boolean | undefined
  /** Changes, comma-separated: `+message.type=FIFO` sets one, `-message.type` removes one. */
  attributes?: string | undefined
  force?: boolean | undefined
}

/** Creates a topic on one broker or changes it. 29: an illegal name, a system topic, or wrong attributes. */
export const UpdateAndCreateTopic: Command<CreateTopicRequest> = {
  code: 17,
  name: 'UPDATE_AND_CREATE_TOPIC',
  to: 'broker',
  effect: 'idempotent',
  request: {
    topic: 'string',
    defaultTopic: 'string',
    readQueueNums: 'int',
    writeQueueNums: 'int',
    perm: 'int',
    topicFilterType: 'string',
    topicSysFlag: 'int?',
    order: 'boolean?',
    attributes: 'string?',
    force: 'boolean?',
  },
  defaults: { defaultTopic: 'TBW102', perm: 6, topicFilterType: 'SINGLE_TAG', order: false },
  response: {},
  requestBody: noBody,
  responseBody: noBody,
  answers: {},
}

/** Deletes a topic on one broker; a topic that is not there answers 0. 29: a system topic. */
export const DeleteTopicInBroker: Command<{ topic: string }> = {
  code: 215,
  name: 'DELETE_TOPIC_IN_BROKER',
  to: 'broker',
  effect: 'idempotent',
  request: { topic: 'string' },
  response: {},
  requestBody: noBody,
  responseBody: noBody,
  answers: {},
}

export interface TopicConfig {
  topicName: string
  readQueueNums: number
  writeQueueNums: number
  /** PERM_READ and PERM_WRITE. */
  perm: number
  /** `SINGLE_TAG` or `MULTI_TAG`. */
  topicFilterType: string
  topicSysFlag: number
  order: boolean
  /** For example `message.type`: NORMAL, FIFO, DELAY or TRANSACTION. */
  attributes: Readonly<Record<string, string>>
}

const topicConfigBody: BodyCodec<TopicConfig> = /* @__PURE__ */ jsonBody<TopicConfig>(
  'topicConfig',
  (root) => ({
    topicName: root.at('topicName').text(),
    readQueueNums: root.at('readQueueNums').int(),
    writeQueueNums: root.at('writeQueueNums').int(),
    perm: root.at('perm').int(),
    topicFilterType: root.at('topicFilterType').text('SINGLE_TAG'),
    topicSysFlag: root.at('topicSysFlag').int(0),
    order: root.at('order').boolean(false),
    attributes: root.at('attributes').record((value) => value.text()),
  }),
)

/** The settings of a topic on one broker. 17: it is not there. */
export const GetTopicConfig: Command<{ topic: string }, NoFields, undefined, TopicConfig> = {
  code: 351,
  name: 'GET_TOPIC_CONFIG',
  to: 'broker',
  effect: 'read',
  request: { topic: 'string' },
  response: {},
  requestBody: noBody,
  responseBody: topicConfigBody,
  answers: {},
}

export interface TopicOffset {
  minOffset: bigint
  /** The offset that the next message will get. */
  maxOffset: bigint
  /** Epoch ms of the last message; 0 when there is none. */
  lastUpdateTimestamp: bigint
}

export interface TopicStatsTable {
  offsetTable: QueueTable<TopicOffset>
  /** Messages per second; older brokers do not give it. */
  topicPutTps: number
}

const readTopicOffset = (offset: JsonView): TopicOffset => ({
  minOffset: offset.at('minOffset').long(),
  maxOffset: offset.at('maxOffset').long(),
  lastUpdateTimestamp: offset.at('lastUpdateTimestamp').long(0n),
})

const topicStatsBody: BodyCodec<TopicStatsTable> = /* @__PURE__ */ jsonBody<TopicStatsTable>(
  'topicStats',
  (root) => ({
    offsetTable: readQueueTable(root.at('offsetTable'), readTopicOffset),
    topicPutTps: root.at('topicPutTps').double(0),
  }),
  (stats) => ({ ...stats, offsetTable: writeQueueTable(stats.offsetTable) }),
)

/** First and next offset of every queue of a topic on one broker. 17: the topic is not there. */
export const GetTopicStatsInfo: Command<{ topic: string }, NoFields, undefined, TopicStatsTable> = {
  code: 202,
  name: 'GET_TOPIC_STATS_INFO',
  to: 'broker',
  effect: 'read',
  request: { topic: 'string' },
  response: {},
  requestBody: noBody,
  responseBody: topicStatsBody,
  answers: {},
}

export interface GroupList {
  groupList: string[]
}

const groupListBody: BodyCodec<GroupList> = /* @__PURE__ */ jsonBody<GroupList>('groups', (root) => ({
  groupList: root.at('groupList').list((group) => group.text(), []),
}))

/** The groups that consume a topic: online, or with a committed offset. */
export const QueryTopicConsumeByWho: Command<{ topic: string }, NoFields, undefined, GroupList> = {
  code: 300,
  name: 'QUERY_TOPIC_CONSUME_BY_WHO',
  to: 'broker',
  effect: 'read',
  request: { topic: 'string' },
  response: {},
  requestBody: noBody,
  responseBody: groupListBody,
  answers: {},
}
