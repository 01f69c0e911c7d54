/**
 * UPDATE_AND_CREATE_TOPIC 17, GET_TOPIC_STATS_INFO 202, DELETE_TOPIC_IN_BROKER 215, QUERY_TOPIC_CONSUME_BY_WHO 300 and
 * GET_TOPIC_CONFIG 351 (protocol.md 16; upstream CreateTopicRequestHeader, TopicConfig, TopicStatsTable, GroupList).
 * Left out: static topics. Each request concerns one broker and must be repeated on every master.
 */
import { type BodyCodec, type Command, defineCommand, INT, type NoFields, STRING } from './define.ts'
import { fastjsonBody } from './fastjson.ts'
import {
  boolean,
  double,
  int,
  list,
  long,
  object,
  orElse,
  plainBody,
  type Read,
  record,
  text,
} from './json.ts'
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
export const UpdateAndCreateTopic: Command<CreateTopicRequest> = /* @__PURE__ */ defineCommand({
  code: 17,
  name: 'UPDATE_AND_CREATE_TOPIC',
  effect: 'idempotent',
  request: {
    topic: STRING,
    defaultTopic: STRING,
    readQueueNums: INT,
    writeQueueNums: INT,
    perm: INT,
    topicFilterType: STRING,
    topicSysFlag: 'int?',
    order: 'boolean?',
    attributes: 'string?',
    force: 'boolean?',
  },
  defaults: { defaultTopic: 'TBW102', perm: 6, topicFilterType: 'SINGLE_TAG', order: false },
})

/** Deletes a topic on one broker; a topic that is not there answers 0. 29: a system topic. */
export const DeleteTopicInBroker: Command<{ topic: string }> = /* @__PURE__ */ defineCommand({
  code: 215,
  name: 'DELETE_TOPIC_IN_BROKER',
  effect: 'idempotent',
  request: { topic: STRING },
})

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

const readTopicConfig: Read<TopicConfig> = /* @__PURE__ */ object<TopicConfig>({
  topicName: text,
  readQueueNums: int,
  writeQueueNums: int,
  perm: int,
  topicFilterType: orElse(text, 'SINGLE_TAG'),
  topicSysFlag: orElse(int, 0),
  order: orElse(boolean, false),
  attributes: orElse(record(text), {}),
})

const topicConfigBody: BodyCodec<TopicConfig> = /* @__PURE__ */ plainBody<TopicConfig>(
  'topicConfig',
  readTopicConfig,
)

/** The settings of a topic on one broker. 17: it is not there. 3: the broker is older than 5.0. */
export const GetTopicConfig: Command<{ topic: string }, NoFields, undefined, TopicConfig> =
  /* @__PURE__ */ defineCommand({
    code: 351,
    name: 'GET_TOPIC_CONFIG',
    effect: 'read',
    request: { topic: STRING },
    responseBody: topicConfigBody,
  })

export interface TopicTable {
  /** By topic. */
  topicConfigTable: Readonly<Record<string, TopicConfig>>
}

/** The settings of every topic of one broker: for brokers that have no GET_TOPIC_CONFIG. */
export const GetAllTopicConfig: Command<NoFields, NoFields, undefined, TopicTable> =
  /* @__PURE__ */ defineCommand({
    code: 21,
    name: 'GET_ALL_TOPIC_CONFIG',
    effect: 'read',
    responseBody: /* @__PURE__ */ plainBody<TopicTable>(
      'topics',
      /* @__PURE__ */ object<TopicTable>({ topicConfigTable: /* @__PURE__ */ record(readTopicConfig) }),
    ),
  })

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

const readTopicOffset: Read<TopicOffset> = /* @__PURE__ */ object<TopicOffset>({
  minOffset: long,
  maxOffset: long,
  lastUpdateTimestamp: orElse(long, 0n),
})

const topicStatsBody: BodyCodec<TopicStatsTable> = /* @__PURE__ */ fastjsonBody<TopicStatsTable>(
  'topicStats',
  /* @__PURE__ */ object<TopicStatsTable>({
    offsetTable: readQueueTable(readTopicOffset),
    topicPutTps: orElse(double, 0),
  }),
  (stats) => ({ ...stats, offsetTable: writeQueueTable(stats.offsetTable) }),
)

/** First and next offset of every queue of a topic on one broker. 17: the topic is not there. */
export const GetTopicStatsInfo: Command<{ topic: string }, NoFields, undefined, TopicStatsTable> =
  /* @__PURE__ */ defineCommand({
    code: 202,
    name: 'GET_TOPIC_STATS_INFO',
    effect: 'read',
    request: { topic: STRING },
    responseBody: topicStatsBody,
  })

export interface GroupList {
  groupList: string[]
}

const groupListBody: BodyCodec<GroupList> = /* @__PURE__ */ plainBody<GroupList>(
  'groups',
  /* @__PURE__ */ object<GroupList>({
    groupList: orElse(list(text), []),
  }),
)

/** The groups that consume a topic: online, or with a committed offset. */
export const QueryTopicConsumeByWho: Command<{ topic: string }, NoFields, undefined, GroupList> =
  /* @__PURE__ */ defineCommand({
    code: 300,
    name: 'QUERY_TOPIC_CONSUME_BY_WHO',
    effect: 'read',
    request: { topic: STRING },
    responseBody: groupListBody,
  })
