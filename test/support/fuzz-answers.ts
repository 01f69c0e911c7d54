/** Whole answers of brokers and name servers, and a client whose connections give them: what the fuzzer starts from. */
import { type AnyCommand, catalogue, meaningOf, RequestCode } from '../../src/commands/index.ts'
import { type Client, createClient } from '../../src/index.ts'
import type { Connection } from '../../src/net/connection.ts'
import { decodeFrame, encodeFrame, type Frame, formatStartOffsetInfo } from '../../src/wire/index.ts'
import { storedMessage } from './stored-message.ts'
import { vectorCases } from './vectors.ts'

export const QUEUE = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

/** Upstream's class of each body → the codes that have it. */
const BODIES: Readonly<Record<string, readonly number[]>> = {
  TopicRouteData: [RequestCode.GET_ROUTEINFO_BY_TOPIC],
  ClusterInfo: [RequestCode.GET_BROKER_CLUSTER_INFO],
  TopicList: [RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER],
  LockBatchResponseBody: [RequestCode.LOCK_BATCH_MQ],
  TopicStatsTable: [RequestCode.GET_TOPIC_STATS_INFO],
  ConsumeStats: [RequestCode.GET_CONSUME_STATS],
  GetConsumerListByGroupResponseBody: [RequestCode.GET_CONSUMER_LIST_BY_GROUP],
  TopicConfigAndQueueMapping: [RequestCode.GET_TOPIC_CONFIG],
  SubscriptionGroupConfig: [RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG],
  SubscriptionGroupWrapper: [RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG],
  GroupList: [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO],
  ResetOffsetBody: [RequestCode.INVOKE_BROKER_TO_RESET_OFFSET],
  BrokerRuntimeInfo: [RequestCode.GET_BROKER_RUNTIME_INFO],
  ConsumerRunningInfo: [RequestCode.GET_CONSUMER_RUNNING_INFO],
  ConsumeMessageDirectlyResult: [RequestCode.CONSUME_MESSAGE_DIRECTLY],
}

/** Of this one broker, so that every call has a way. */
const OWN_BODIES: Readonly<Record<number, string>> = {
  [RequestCode.GET_ROUTEINFO_BY_TOPIC]:
    '{"queueDatas":[{"brokerName":"broker-a","readQueueNums":2,"writeQueueNums":2,"perm":6,"topicSysFlag":0}],' +
    '"brokerDatas":[{"cluster":"c","brokerName":"broker-a","brokerAddrs":{"0":"127.0.0.1:1","1":"127.0.0.1:2"}}]}',
  [RequestCode.GET_BROKER_CLUSTER_INFO]:
    '{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:1"},"brokerName":"broker-a","cluster":"c"}},' +
    '"clusterAddrTable":{"c":["broker-a"]}}',
  [RequestCode.LOCK_BATCH_MQ]: '{"lockOKMQSet":[{"brokerName":"broker-a","queueId":0,"topic":"orders"}]}',
}

const properties = { UNIQ_KEY: 'A'.repeat(32), TAGS: 'a', KEYS: 'k1 k2', mine: 'x' }
const stored = (queueOffset: bigint): Buffer =>
  storedMessage({
    queueOffset,
    commitLogOffset: queueOffset * 200n,
    properties,
    body: `{"n":${queueOffset}}`,
  })
export const MESSAGES: Buffer = Buffer.concat([stored(0n), stored(1n), stored(2n)])

const HAS_MESSAGES: readonly number[] = [
  RequestCode.PULL_MESSAGE,
  RequestCode.POP_MESSAGE,
  RequestCode.VIEW_MESSAGE_BY_ID,
  RequestCode.QUERY_MESSAGE,
]

/** Fields whose text means something. */
const FIELDS: Readonly<Record<string, string>> = {
  nextBeginOffset: '3',
  maxOffset: '3',
  minOffset: '0',
  suggestWhichBrokerId: '0',
  startOffsetInfo: formatStartOffsetInfo(new Map([['0@0', 0n]])),
  msgOffsetInfo: '0 0 0,1,2',
  orderCountInfo: '0 0 1',
  popTime: '1700000000000',
  invisibleTime: '60000',
  msgId: '0A00000200002A9F0000000000001000',
  consumerGroup: 'billing',
  producerGroup: 'shop',
  group: 'billing',
  topic: 'orders',
  brokerName: 'broker-a',
}

/** Header fields of each kind, as text. */
export function sampleFields(fields: Readonly<Record<string, string>>): Record<string, string> {
  const values = { s: 'text', i: '1', l: '7', b: 'true' }
  return Object.fromEntries(
    Object.entries(fields).map(([name, kind]) => [name, FIELDS[name] ?? values[kind[0] as 's']]),
  )
}

/** Bodies of answers to a command, as brokers wrote them. */
export function sampleBodies({ code }: AnyCommand): Buffer[] {
  if (HAS_MESSAGES.includes(code)) return [MESSAGES]
  const own = OWN_BODIES[code]
  const written = vectorCases('fastjson-bodies.json')
    .filter(({ type }) => BODIES[type]?.includes(code))
    .map(({ raw }) => Buffer.from(raw))
  return own === undefined ? written : [Buffer.from(own), ...written]
}

/** Answers to a command that are sound. */
export function sampleAnswers(command: AnyCommand): Buffer[] {
  const ext = sampleFields(command.response)
  const bodies = sampleBodies(command)
  const answer = (code: number, body?: Buffer): Buffer =>
    Buffer.from(encodeFrame({ code, opaque: 1, flag: 1, ext, ...(body && { body }) }))
  const others = [19, 20, 21, 22, 17].filter((code) => meaningOf(command, code) !== 'fail')
  return [
    ...(bodies.length > 0 ? bodies : [undefined]).map((body) => answer(0, body)),
    ...others.map((code) => answer(code)),
  ]
}

/** A client that is connected to nothing: `answers` has what each request code is answered with. */
export interface ClientOfNobody {
  client: Client
  answers: Map<number, Frame>
  /** The requests of brokers go to these. */
  listeners: Connection['listeners']
  /** How many requests of brokers were answered. */
  answered: number
}

export function clientOfNobody(): ClientOfNobody {
  const client = createClient({ nameServers: '127.0.0.1:9876', timeoutMs: 1_000 })
  const answers = new Map<number, Frame>()
  for (const command of catalogue.values()) {
    const [first] = sampleAnswers(command)
    if (first) answers.set(command.code, decodeFrame(first.subarray(4)))
  }
  const own: ClientOfNobody = { client, answers, listeners: new Map(), answered: 0 }
  const connection = {
    address: '127.0.0.1:1',
    version: 0,
    isUsable: () => true,
    request: async ({ code }: { code: number }) => answers.get(code),
    oneway: async () => undefined,
    retire: () => undefined,
    destroy: () => undefined,
    listeners: own.listeners,
    answer() {
      own.answered += 1
    },
  }
  Object.assign(client.network.pool, { get: () => connection })
  return own
}
