/**
 * What name servers answer: GET_ROUTEINFO_BY_TOPIC 105, GET_BROKER_CLUSTER_INFO 106,
 * GET_ALL_TOPIC_LIST_FROM_NAMESERVER 206 and DELETE_TOPIC_IN_NAMESRV 216 (protocol.md 2). Left out of routes: the filter
 * servers of 3.x and the queue mapping of static topics.
 */
import { ProtocolError } from '../errors.ts'
import { type BodyCodec, type Command, type NoFields, noBody } from './define.ts'
import { type JsonView, jsonBody } from './json.ts'

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

/** Tables keyed by broker id: Java writes the id bare or as text, depending on the reader's version. */
function readBrokerId(key: string): number {
  const id = Number(key)
  if (!/^-?\d+$/.test(key) || !Number.isSafeInteger(id)) {
    throw new ProtocolError(`brokerAddrs: not a broker id: ${JSON.stringify(key.slice(0, 80))}`, {
      field: 'brokerAddrs',
    })
  }
  return id
}

function readBrokerData(broker: JsonView): BrokerData {
  return {
    cluster: broker.at('cluster').text(),
    brokerName: broker.at('brokerName').text(),
    brokerAddrs: new Map(
      broker.at('brokerAddrs').entries((address, id) => [readBrokerId(id), address.text()] as const),
    ),
    ...broker.optional('enableActingMaster', (acting) => acting.boolean()),
    ...broker.optional('zoneName', (zone) => zone.text()),
  }
}

const writeBrokerData = (data: BrokerData): unknown => ({
  ...data,
  brokerAddrs: Object.fromEntries(data.brokerAddrs),
})

const readQueueData = (queue: JsonView): QueueData => ({
  brokerName: queue.at('brokerName').text(),
  readQueueNums: queue.at('readQueueNums').int(),
  writeQueueNums: queue.at('writeQueueNums').int(),
  perm: queue.at('perm').int(),
  topicSysFlag: queue.at('topicSysFlag').int(0),
})

const routeBody: BodyCodec<TopicRouteData> = /* @__PURE__ */ jsonBody<TopicRouteData>(
  'route',
  (root) => ({
    queueDatas: root.at('queueDatas').list(readQueueData),
    brokerDatas: root.at('brokerDatas').list(readBrokerData),
    ...root.optional('orderTopicConf', (order) => order.text()),
  }),
  (route) => ({ ...route, brokerDatas: route.brokerDatas.map(writeBrokerData), filterServerTable: {} }),
)

/** The route of one topic. 17: no broker has registered it (or it was never created). */
export const GetRouteInfoByTopic: Command<
  { topic: string; acceptStandardJsonOnly?: boolean | undefined },
  NoFields,
  undefined,
  TopicRouteData
> = {
  code: 105,
  name: 'GET_ROUTEINFO_BY_TOPIC',
  to: 'name-server',
  effect: 'read',
  request: { topic: 'string', acceptStandardJsonOnly: 'boolean?' },
  response: {},
  requestBody: noBody,
  responseBody: routeBody,
  answers: {},
}

export interface ClusterInfo {
  /** By broker name. */
  brokerAddrTable: ReadonlyMap<string, BrokerData>
  /** Cluster name → its broker names. */
  clusterAddrTable: ReadonlyMap<string, string[]>
}

const clusterBody: BodyCodec<ClusterInfo> = /* @__PURE__ */ jsonBody<ClusterInfo>(
  'cluster',
  (root) => ({
    brokerAddrTable: new Map(
      root.at('brokerAddrTable').entries((data, name) => [name, readBrokerData(data)]),
    ),
    clusterAddrTable: new Map(
      root.at('clusterAddrTable').entries((names, cluster) => [cluster, names.list((name) => name.text())]),
    ),
  }),
  (info) => ({
    brokerAddrTable: new Map([...info.brokerAddrTable].map(([name, data]) => [name, writeBrokerData(data)])),
    clusterAddrTable: info.clusterAddrTable,
  }),
)

/** All brokers and clusters that are registered at this name server. */
export const GetBrokerClusterInfo: Command<NoFields, NoFields, undefined, ClusterInfo> = {
  code: 106,
  name: 'GET_BROKER_CLUSTER_INFO',
  to: 'name-server',
  effect: 'read',
  request: {},
  response: {},
  requestBody: noBody,
  responseBody: clusterBody,
  answers: {},
}

export interface TopicList {
  /** System, %RETRY% and %DLQ% topics included. */
  topicList: string[]
  brokerAddr?: string
}

const topicListBody: BodyCodec<TopicList> = /* @__PURE__ */ jsonBody<TopicList>('topics', (root) => ({
  topicList: root.at('topicList').list((topic) => topic.text(), []),
  ...root.optional('brokerAddr', (address) => address.text()),
}))

/** The names of all topics that are registered at this name server. */
export const GetAllTopicListFromNameserver: Command<NoFields, NoFields, undefined, TopicList> = {
  code: 206,
  name: 'GET_ALL_TOPIC_LIST_FROM_NAMESERVER',
  to: 'name-server',
  effect: 'read',
  request: {},
  response: {},
  requestBody: noBody,
  responseBody: topicListBody,
  answers: {},
}

/** Takes a topic out of the routes of one name server; DELETE_TOPIC_IN_BROKER deletes the topic itself. */
export const DeleteTopicInNamesrv: Command<{ topic: string; clusterName?: string | undefined }> = {
  code: 216,
  name: 'DELETE_TOPIC_IN_NAMESRV',
  to: 'name-server',
  effect: 'idempotent',
  request: { topic: 'string', clusterName: 'string?' },
  response: {},
  requestBody: noBody,
  responseBody: noBody,
  answers: {},
}
