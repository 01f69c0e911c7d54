/** Topics, groups and their statistics: 17, 26, 28, 32, 200, 201, 202, 207, 208, 215, 300, 351, 352 (upstream AdminBrokerProcessor). */

import { GetBrokerConfig, GetBrokerRuntimeInfo } from '../../../commands/broker.ts'
import {
  DeleteSubscriptionGroup,
  GetAllSubscriptionGroupConfig,
  GetConsumeStats,
  GetSubscriptionGroupConfig,
  groupConfig,
  type OffsetWrapper,
  UpdateAndCreateSubscriptionGroup,
} from '../../../commands/groups.ts'
import {
  INVALID_PARAMETER,
  SUBSCRIPTION_GROUP_NOT_EXIST,
  SYSTEM_ERROR,
  TOPIC_NOT_EXIST,
} from '../../../commands/response-codes.ts'
import {
  DeleteTopicInBroker,
  GetAllTopicConfig,
  GetTopicConfig,
  GetTopicStatsInfo,
  QueryTopicConsumeByWho,
  type TopicConfig,
  UpdateAndCreateTopic,
} from '../../../commands/topics.ts'
import { ProtocolError } from '../../../errors.ts'
import { popRetryTopicV1 } from '../../../wire/names.ts'
import { type Call, type Handler, handle, Refusal } from '../handler.ts'
import type { BrokerNode } from '../node.ts'
import { MAX_QUEUES, PERM_READ_WRITE, topicConfig } from '../topics.ts'
import { GetEarliestMsgStoreTime } from './more-commands.ts'
import { checkGroup, checkTopic } from './names.ts'

const FILTER_TYPES = ['SINGLE_TAG', 'MULTI_TAG']

type AdminCall = Call<BrokerNode>

function refuseSystem({ topics }: BrokerNode, topic: string): void {
  if (topics.isSystem(topic))
    throw new Refusal(INVALID_PARAMETER, `The topic[${topic}] is conflict with system topic.`)
}

/** A limit of this broker's own. */
function checkQueues(counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) {
    if (count > MAX_QUEUES)
      throw new Refusal(
        INVALID_PARAMETER,
        `${name}: the local broker takes at most ${MAX_QUEUES}, got ${count}`,
      )
  }
}

function topicOf({ topics }: BrokerNode, topic: string): TopicConfig {
  const config = topics.get(topic)
  if (!config) throw new Refusal(TOPIC_NOT_EXIST, `topic[${topic}] not exist`)
  return config
}

export const adminHandlers = (): [number, Handler<BrokerNode>][] => [
  handle(UpdateAndCreateTopic, ({ server }: AdminCall, request) => {
    const { topic, readQueueNums, writeQueueNums, perm, topicFilterType, topicSysFlag, order, attributes } =
      request
    checkTopic(topic)
    refuseSystem(server, topic)
    checkQueues({ readQueueNums, writeQueueNums })
    if (topicFilterType !== undefined && !FILTER_TYPES.includes(topicFilterType))
      throw new ProtocolError(`topicFilterType = [${topicFilterType}] value invalid`)
    server.topics.set(
      topicConfig(topic, 0, {
        readQueueNums,
        writeQueueNums,
        perm: perm ?? PERM_READ_WRITE,
        topicFilterType: topicFilterType ?? 'SINGLE_TAG',
        topicSysFlag: topicSysFlag ?? 0,
        order: order ?? false,
        attributes: changed(server.topics.get(topic)?.attributes ?? {}, attributes ?? ''),
      }),
    )
    return { remark: 'not set any response code' }
  }),

  handle(DeleteTopicInBroker, ({ server }: AdminCall, { topic }) => {
    checkTopic(topic)
    refuseSystem(server, topic)
    const retries = server.offsets.groupsOf(topic).map((group) => popRetryTopicV1(group, topic))
    for (const each of [...retries, topic]) {
      server.topics.delete(each)
      server.store.deleteTopic(each)
      server.offsets.forget({ topic: each })
    }
    return {}
  }),

  handle(GetTopicConfig, ({ server }: AdminCall, { topic }) => {
    const config = server.topics.get(topic)
    if (!config) throw new Refusal(TOPIC_NOT_EXIST, `No topic in this broker. topic: ${topic}`)
    return { body: config }
  }),

  handle(GetAllTopicConfig, ({ server }: AdminCall) => ({
    body: {
      topicConfigTable: Object.fromEntries(server.topics.all().map((config) => [config.topicName, config])),
    },
  })),

  handle(GetTopicStatsInfo, ({ server }: AdminCall, { topic }) => {
    const { readQueueNums, writeQueueNums } = topicOf(server, topic)
    const offsetTable = Array.from({ length: Math.max(readQueueNums, writeQueueNums) }, (_, queueId) => {
      const { min = 0, max = 0 } = server.store.queue(topic, queueId) ?? {}
      const lastUpdateTimestamp = BigInt(server.store.storeTimestamp(topic, queueId, BigInt(max - 1)))
      const offsets = { minOffset: BigInt(min), maxOffset: BigInt(max), lastUpdateTimestamp }
      return [{ topic, brokerName: server.brokerName, queueId }, offsets] as const
    })
    return { body: { offsetTable, topicPutTps: 0 } }
  }),

  handle(QueryTopicConsumeByWho, ({ server }: AdminCall, { topic }) => {
    const online = [...server.members.consumers].filter(([, group]) => group.subscriptions.has(topic))
    return {
      body: { groupList: [...new Set([...online.map(([name]) => name), ...server.offsets.groupsOf(topic)])] },
    }
  }),

  handle(GetEarliestMsgStoreTime, ({ server }: AdminCall, { topic, queueId }) => {
    const timestamp = server.store.storeTimestamp(
      topic,
      queueId,
      BigInt(server.store.queue(topic, queueId)?.min ?? 0),
    )
    return { header: { timestamp: BigInt(timestamp || -1) } }
  }),

  handle(UpdateAndCreateSubscriptionGroup, ({ server }: AdminCall, _header, settings) => {
    const { groupName } = settings
    checkGroup(groupName)
    checkQueues({ retryQueueNums: settings.retryQueueNums ?? 1 })
    const changes = settings.attributes ?? {}
    const wrong = Object.keys(changes).find((name) => !/^[+-]/.test(name))
    if (wrong !== undefined)
      throw new Refusal(SYSTEM_ERROR, `java.lang.RuntimeException: wrong format key: ${wrong.slice(1)}`)
    const text = Object.entries(changes)
      .map((change) => change.join('='))
      .join(',')
    const attributes = changed(server.groups.get(groupName)?.attributes ?? {}, text)
    server.groups.set(groupName, { ...groupConfig(groupName), ...settings, attributes })
    return {}
  }),

  handle(DeleteSubscriptionGroup, ({ server }: AdminCall, { groupName, cleanOffset }) => {
    server.groups.delete(groupName)
    if (cleanOffset === true) server.offsets.forget({ group: groupName })
    else server.groupFor(groupName) // RocketMQ has it again, with the default settings
    return {}
  }),

  handle(GetSubscriptionGroupConfig, ({ server }: AdminCall, { group }) => {
    const config = server.groupFor(group) // asking for it creates it
    if (!config) throw new Refusal(SUBSCRIPTION_GROUP_NOT_EXIST, `No group in this broker. group: ${group}`)
    return { body: config }
  }),

  handle(GetAllSubscriptionGroupConfig, ({ server }: AdminCall) => ({
    body: {
      subscriptionGroupTable: server.groups,
      forbiddenTable: {},
      dataVersion: { counter: 0n, stateVersion: 0n, timestamp: 0n },
    },
  })),

  handle(GetConsumeStats, ({ server }: AdminCall, { consumerGroup, topic, topicList }) => {
    const topics = topicList?.split(';').filter((name) => name !== '') ?? []
    if (topic) topics.push(topic)
    const listed = topics.length > 0 ? topics : server.offsets.topicsOf(consumerGroup)
    const offsetTable = listed.flatMap((name) => statsOf(server, consumerGroup, name))
    return { body: { offsetTable, consumeTps: 0 } }
  }),

  handle(GetBrokerConfig, ({ server }: AdminCall) => ({ body: configOf(server) })),

  handle(GetBrokerRuntimeInfo, ({ server }: AdminCall) => ({ body: { table: runtimeInfo(server) } })),
]

/** `+name=value` sets an attribute and `-name` removes it; commas between. */
function changed(attributes: Readonly<Record<string, string>>, changes: string): Record<string, string> {
  const result = { ...attributes }
  for (const change of changes.split(',').map((each) => each.trim())) {
    const [name = '', value = ''] = change.slice(1).split('=')
    if (change.startsWith('+')) result[name] = value
    else if (change.startsWith('-')) delete result[name]
  }
  return result
}

/** A topic that the group's online consumers do not want is left out. */
function statsOf(
  server: BrokerNode,
  group: string,
  topic: string,
): [{ topic: string; brokerName: string; queueId: number }, OffsetWrapper][] {
  const config = server.topics.get(topic)
  const online = server.members.consumers.get(group)?.subscriptions
  if (!config || (online && online.size > 0 && !online.has(topic))) return []
  return Array.from({ length: config.readQueueNums }, (_, queueId) => {
    const consumerOffset = server.offsets.get(group, topic, queueId) ?? 0n
    const stats: OffsetWrapper = {
      brokerOffset: BigInt(server.store.queue(topic, queueId)?.max ?? 0),
      consumerOffset,
      pullOffset: server.offsets.pulled(group, topic, queueId),
      lastTimestamp: BigInt(server.store.storeTimestamp(topic, queueId, consumerOffset - 1n)),
    }
    return [{ topic, brokerName: server.brokerName, queueId }, stats]
  })
}

/** Of upstream's settings those that this broker has, too. */
function configOf({ brokerName, settings, registry }: BrokerNode): Record<string, string> {
  const values = {
    brokerName,
    brokerClusterName: registry.clusterName,
    brokerId: 0,
    brokerRole: 'ASYNC_MASTER',
    autoCreateTopicEnable: settings.autoCreateTopics,
    autoCreateSubscriptionGroup: settings.autoCreateGroups,
    recallMessageEnable: settings.recall,
    enablePropertyFilter: false,
    useServerSideResetOffset: true,
    transactionCheckInterval: settings.transactionCheckInterval,
    transactionTimeOut: settings.transactionTimeOut,
    transactionCheckMax: settings.transactionCheckMax,
  }
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
}

/** Of upstream's figures those that mqadmin prints. */
function runtimeInfo({ counts, startedAt, clock }: BrokerNode): Record<string, string> {
  const none = '0.0 0.0 0.0'
  const zero = [
    'sendThreadPoolQueueHeadWaitTimeMills',
    'pullThreadPoolQueueHeadWaitTimeMills',
    'ackThreadPoolQueueHeadWaitTimeMills',
    'sendThreadPoolQueueSize',
    'pullThreadPoolQueueSize',
    'ackThreadPoolQueueSize',
    'pageCacheLockTimeMills',
    'timerReadBehind',
    'timerOffsetBehind',
    'timerCongestNum',
    'msgPutTotalYesterdayMorning',
    'msgGetTotalYesterdayMorning',
    'msgPutTotalTodayMorning',
    'msgGetTotalTodayMorning',
  ]
  return {
    ...Object.fromEntries(zero.map((name) => [name, '0'])),
    brokerVersionDesc: 'V5_5_0',
    brokerVersion: '513',
    brokerActive: 'true',
    bootTimestamp: String(startedAt),
    runtime: runtimeOf(clock.now() - startedAt),
    earliestMessageTimeStamp: String(clock.now()),
    commitLogDiskRatio: '0.0',
    timerEnqueueTps: '0.0',
    timerDequeueTps: '0.0',
    putTps: none,
    getTransferredTps: none,
    getTransferedTps: none,
    msgPutTotalTodayNow: String(counts.put),
    msgGetTotalTodayNow: String(counts.got),
  }
}

/** As RocketMQ writes it: by this a client knows the clock of a broker to a second. */
function runtimeOf(ms: number): string {
  const seconds = Math.floor(ms / 1_000)
  const [days, hours, minutes] = [86_400, 3_600, 60].map((unit) => Math.floor(seconds / unit)) as [
    number,
    number,
    number,
  ]
  return `[ ${days} days, ${hours % 24} hours, ${minutes % 60} minutes, ${seconds % 60} seconds ]`
}
