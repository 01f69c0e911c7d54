/**
 * What name servers answer: GET_ROUTEINFO_BY_TOPIC 105, GET_BROKER_CLUSTER_INFO 106,
 * GET_ALL_TOPIC_LIST_FROM_NAMESERVER 206 and DELETE_TOPIC_IN_NAMESRV 216 (protocol.md 2). Left out of routes: the filter
 * servers of 3.x and the queue mapping of static topics.
 */
import { type BodyCodec, type Command, defineCommand, type NoFields, STRING } from './define.ts'
import { fastjsonBody } from './fastjson.ts'
import {
  boolean,
  entries,
  int,
  jsonAnswer,
  list,
  object,
  optional,
  orElse,
  plainBody,
  type Read,
  readJson,
  text,
  writeJson,
} from './json.ts'

/** Bits of a topic's permission. */
export const PERM_READ = 4
export const PERM_WRITE = 2

/** The queues of a topic on one broker name. */
export interface QueueData {
  brokerName: string
  readQueueNums: number
  writeQueueNums: number
  perm: number
  topicSysFlag: number
}

/** One broker name and the addresses behind it: id 0 is the master, others are replicas. */
export interface BrokerData {
  cluster: string
  brokerName: string
  brokerAddrs: ReadonlyMap<number, string>
  enableActingMaster?: boolean
  zoneName?: string
}

export interface TopicRouteData {
  queueDatas: QueueData[]
  brokerDatas: BrokerData[]
  orderTopicConf?: string
}

/** Java writes the id bare or as text, depending on the reader's version. */
const readBrokerAddrs: Read<Map<number, string>> = (value, path) =>
  new Map(entries(text)(value, path).map(([id, address]) => [int(id && Number(id), 'brokerAddrs'), address]))

const readBrokerData: Read<BrokerData> = /* @__PURE__ */ object<BrokerData>({
  cluster: text,
  brokerName: text,
  brokerAddrs: readBrokerAddrs,
  enableActingMaster: /* @__PURE__ */ optional(boolean),
  zoneName: /* @__PURE__ */ optional(text),
})

const readQueueData: Read<QueueData> = /* @__PURE__ */ object<QueueData>({
  brokerName: text,
  readQueueNums: int,
  writeQueueNums: int,
  perm: int,
  topicSysFlag: /* @__PURE__ */ orElse(int, 0),
})

const routeBody: BodyCodec<TopicRouteData> = {
  encode: (route) => writeJson({ ...route, filterServerTable: {} }),
  decode: /* @__PURE__ */ readJson(
    'route',
    /* @__PURE__ */ object<TopicRouteData>({
      queueDatas: /* @__PURE__ */ list(readQueueData),
      brokerDatas: /* @__PURE__ */ list(readBrokerData),
      orderTopicConf: /* @__PURE__ */ optional(text),
    }),
  ),
}

/** The route of one topic. 17: no broker has registered it (or it was never created). */
export const GetRouteInfoByTopic: Command<
  { topic: string; acceptStandardJsonOnly?: boolean | undefined },
  NoFields,
  undefined,
  TopicRouteData
> = /* @__PURE__ */ defineCommand({
  code: 105,
  name: 'GET_ROUTEINFO_BY_TOPIC',
  to: 'name-server',
  effect: 'read',
  request: { topic: STRING, acceptStandardJsonOnly: 'boolean?' },
  responseBody: routeBody,
})

/** What sending and reading need of a route. */
export interface QueueRoute {
  queueDatas: Omit<QueueData, 'topicSysFlag'>[]
  brokerDatas: Pick<BrokerData, 'brokerName' | 'brokerAddrs'>[]
  /** Empty when there is none. */
  orderTopicConf: string
}

/** GET_ROUTEINFO_BY_TOPIC for those who only ask, and look for queues. */
export const AskRouteInfoByTopic: Command<
  { topic: string; acceptStandardJsonOnly?: boolean | undefined },
  NoFields,
  undefined,
  QueueRoute
> = /* @__PURE__ */ defineCommand({
  code: 105,
  name: 'GET_ROUTEINFO_BY_TOPIC',
  to: 'name-server',
  effect: 'read',
  request: { topic: STRING, acceptStandardJsonOnly: 'boolean?' },
  responseBody: /* @__PURE__ */ jsonAnswer(
    'route',
    /* @__PURE__ */ object<QueueRoute>({
      queueDatas: /* @__PURE__ */ list(
        /* @__PURE__ */ object<QueueRoute['queueDatas'][0]>({
          brokerName: text,
          readQueueNums: int,
          writeQueueNums: int,
          perm: int,
        }),
      ),
      brokerDatas: /* @__PURE__ */ list(
        /* @__PURE__ */ object<QueueRoute['brokerDatas'][0]>({
          brokerName: text,
          brokerAddrs: readBrokerAddrs,
        }),
      ),
      orderTopicConf: /* @__PURE__ */ orElse(text, ''),
    }),
  ),
})

export interface ClusterInfo {
  /** By broker name. */
  brokerAddrTable: ReadonlyMap<string, BrokerData>
  /** Cluster name → its broker names. */
  clusterAddrTable: ReadonlyMap<string, string[]>
}

const clusterBody: BodyCodec<ClusterInfo> = /* @__PURE__ */ fastjsonBody<ClusterInfo>(
  'cluster',
  /* @__PURE__ */ object<ClusterInfo>({
    brokerAddrTable: (value, path) => new Map(entries(readBrokerData)(value, path)),
    clusterAddrTable: (value, path) => new Map(entries(list(text))(value, path)),
  }),
)

/** All brokers and clusters that are registered at this name server. */
export const GetBrokerClusterInfo: Command<NoFields, NoFields, undefined, ClusterInfo> =
  /* @__PURE__ */ defineCommand({
    code: 106,
    name: 'GET_BROKER_CLUSTER_INFO',
    to: 'name-server',
    effect: 'read',
    responseBody: clusterBody,
  })

export interface TopicList {
  /** System, %RETRY% and %DLQ% topics included. */
  topicList: string[]
  brokerAddr?: string
}

const topicListBody: BodyCodec<TopicList> = /* @__PURE__ */ plainBody<TopicList>(
  'topics',
  /* @__PURE__ */ object<TopicList>({
    topicList: /* @__PURE__ */ orElse(/* @__PURE__ */ list(text), []),
    brokerAddr: /* @__PURE__ */ optional(text),
  }),
)

/** The names of all topics that are registered at this name server. */
export const GetAllTopicListFromNameserver: Command<NoFields, NoFields, undefined, TopicList> =
  /* @__PURE__ */ defineCommand({
    code: 206,
    name: 'GET_ALL_TOPIC_LIST_FROM_NAMESERVER',
    to: 'name-server',
    effect: 'read',
    responseBody: topicListBody,
  })

/** Takes a topic out of the routes of one name server; DELETE_TOPIC_IN_BROKER deletes the topic itself. */
export const DeleteTopicInNamesrv: Command<{ topic: string; clusterName?: string | undefined }> =
  /* @__PURE__ */ defineCommand({
    code: 216,
    name: 'DELETE_TOPIC_IN_NAMESRV',
    to: 'name-server',
    effect: 'idempotent',
    request: { topic: STRING, clusterName: 'string?' },
  })
