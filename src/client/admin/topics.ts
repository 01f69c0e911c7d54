/**
 * Topics, for administrators: 17, 105, 202, 206, 215, 216, 300 and 351 on every broker that is concerned (protocol.md 2, 16; upstream
 * DefaultMQAdminExtImpl). Brokers take any settings and overwrite what there is; so what is there is read first, and a topic is
 * neither shrunk by creating it again nor made by changing it.
 */
import type { MessageQueue } from '../../commands/message-queue.ts'
import {
  DeleteTopicInNamesrv,
  GetAllTopicListFromNameserver,
  GetRouteInfoByTopic,
  type TopicRouteData,
} from '../../commands/route.ts'
import {
  DeleteTopicInBroker,
  GetAllTopicConfig,
  GetTopicConfig,
  GetTopicStatsInfo,
  QueryTopicConsumeByWho,
  type TopicConfig,
  UpdateAndCreateTopic,
} from '../../commands/topics.ts'
import { type Place, RouteError } from '../../errors.ts'
import type { CallOptions, Deadline } from '../../net/deadline.ts'
import { isUnknownTopic } from '../../routing/name-servers.ts'
import { checkChoice, checkInt, checkObject, checkText, refuse } from '../../wire/checks.ts'
import { checkTopicName, isSystemTopic } from '../../wire/names.ts'
import type { Client } from '../client.ts'
import { checkKeys } from '../options.ts'
import { Value } from '../values.ts'
import {
  callMaster,
  checkWhere,
  chooseMasters,
  findBrokers,
  isUnsupported,
  type Master,
  onEach,
  readEach,
  unlessMissing,
  type Where,
} from './masters.ts'

/** Settings of a topic. What `update` is not given stays as it is. */
export interface TopicSettings {
  /** Queues that consumers read. Fewer than there are hides the messages of the others. @default 8 */
  readQueueNums?: number | undefined
  /** Queues that producers write to, on each broker. @default as many as readQueueNums */
  writeQueueNums?: number | undefined
  /** 6: read and write, 4: read only, 2: write only. Clients heed it, brokers do not. @default 6 */
  perm?: number | undefined
  /** The order of its queues is fixed, also while a broker is away. @default false */
  order?: boolean | undefined
  /** For example `{ 'message.type': 'FIFO' }`: NORMAL, FIFO, DELAY, TRANSACTION or MIXED. @default {} */
  attributes?: Readonly<Record<string, string>> | undefined
}

/** The settings of a topic on one broker. */
export interface TopicOnBroker extends Master, Omit<TopicConfig, 'topicName'> {}

/** `retry` and `dead-letter` belong to a group, `system` to the brokers. */
export type TopicKind = 'normal' | 'retry' | 'dead-letter' | 'system'

export interface TopicEntry {
  topic: string
  kind: TopicKind
}

export class QueueStats extends Value {
  declare readonly queue: MessageQueue
  /** The first offset that the queue still has. */
  declare readonly minOffset: bigint
  /** The offset that the next message will get. */
  declare readonly maxOffset: bigint
  /** Epoch ms of the last message; 0 when there is none. */
  declare readonly lastUpdateTimestamp: number
}

export class TopicStats extends Value {
  declare readonly topic: string
  /** By broker name and queue id. */
  declare readonly queues: readonly QueueStats[]
}

/** Where a topic was deleted. */
export interface TopicDeleted {
  brokers: readonly Master[]
  /** Addresses. */
  nameServers: readonly string[]
}

export interface TopicAdmin {
  /**
   * Creates a topic on every master of the cluster. One that is there with the same settings is left alone, so a call that was
   * done in part can be repeated. The name servers may know it a moment later.
   * @throws ConfigError when it is there with other settings: `update` changes them
   */
  create(topic: string, settings?: TopicSettings, where?: Where): Promise<TopicOnBroker[]>
  /** Changes a topic on every broker that has it. Gives what it is now. @throws RouteError with responseCode 17 when there is none */
  update(topic: string, changes: TopicSettings, where?: Where): Promise<TopicOnBroker[]>
  /** The settings on every broker that has the topic. @throws RouteError with responseCode 17 when there is none */
  describe(topic: string, where?: Where): Promise<TopicOnBroker[]>
  /**
   * Deletes a topic with its messages, on every broker (of the cluster, when it is named) and then on every name server: as long
   * as a broker has it, it stays in the routes. @throws RouteError with responseCode 17 when there is none
   */
  delete(topic: string, where?: Omit<Where, 'brokerName'>): Promise<TopicDeleted>
  /** All topics that the name servers know; with a namespace its own and those of the brokers. */
  list(options?: CallOptions): Promise<TopicEntry[]>
  /** Queues and addresses as the name server has them, asked anew. @throws RouteError with responseCode 17 when there is none */
  route(topic: string, options?: CallOptions): Promise<TopicRouteData>
  /** The ends of every queue. @throws RouteError with responseCode 17 when there is none */
  stats(topic: string, options?: CallOptions): Promise<TopicStats>
  /** The groups that consume a topic: online now, or with a committed offset. */
  consumers(topic: string, options?: CallOptions): Promise<string[]>
}

/** @throws ConfigError for one that nobody is to create, change or delete */
export const checkOwnTopic = (topic: string): void => {
  checkTopicName(topic)
  if (isOfBrokers(topic)) refuse('topic', `${topic} belongs to the brokers`)
}

const TOPIC_NOT_EXIST = 17
const KINDS = { '%RETRY%': 'retry', '%DLQ%': 'dead-letter' } as const

/**
 * @example
 * const topics = createTopicAdmin(client)
 * await topics.create('orders', { readQueueNums: 16 })
 */
export const createTopicAdmin = (client: Client): TopicAdmin => {
  const missing = (topic: string): never => {
    throw new RouteError(`no broker has topic ${topic}; create it, or check its name and the namespace`, {
      topic,
      responseCode: TOPIC_NOT_EXIST,
    })
  }

  /** The topic as it is on each of these masters; those that do not have it are left out. */
  const read = async (
    topic: string,
    masters: readonly Master[],
    deadline: Deadline,
  ): Promise<TopicOnBroker[]> => {
    const name = client.wrap(topic)
    const answers = await readEach(`topic ${topic}`, masters, async (master) => {
      const one = callMaster(client, master, GetTopicConfig, { topic: name }, undefined, deadline, topic)
      try {
        return (await unlessMissing(one, TOPIC_NOT_EXIST))?.body
      } catch (error) {
        if (!isUnsupported(error)) throw error
        const all = await callMaster(client, master, GetAllTopicConfig, {}, undefined, deadline)
        return all.body.topicConfigTable[name]
      }
    })
    return answers.flatMap(({ value, ...master }) => (value ? [onBroker(master, value)] : []))
  }

  const write = async (
    what: string,
    topic: string,
    wanted: readonly TopicOnBroker[],
    /** As it was, by broker name. */
    was: ReadonlyMap<string, TopicOnBroker>,
    deadline: Deadline,
  ): Promise<void> => {
    await onEach(`${what} topic ${topic}`, wanted, (each) => {
      const { brokerName, readQueueNums, writeQueueNums, perm, topicFilterType, topicSysFlag, order } = each
      const request = {
        topic: client.wrap(topic),
        readQueueNums,
        writeQueueNums,
        perm,
        topicFilterType,
        topicSysFlag,
        order,
        attributes: changesOf(was.get(brokerName)?.attributes ?? {}, each.attributes),
      }
      return callMaster(client, each, UpdateAndCreateTopic, request, undefined, deadline, topic)
    })
  }

  const route = async (topic: string, deadline: Deadline): Promise<TopicRouteData> => {
    checkTopicName(topic)
    const request = { topic: client.wrap(topic), acceptStandardJsonOnly: true }
    try {
      return (await client.nameServers.call(GetRouteInfoByTopic, request, undefined, deadline, topic)).body
    } catch (error) {
      if (isUnknownTopic(error)) return missing(topic)
      throw error
    }
  }

  /** The masters that the route of a topic leads to. */
  const routed = async (topic: string, deadline: Deadline): Promise<Master[]> =>
    (await route(topic, deadline)).brokerDatas.flatMap(({ brokerName, cluster, brokerAddrs }) => {
      // As mqadmin: a replica where there is no master.
      const advertised = brokerAddrs.get(0) ?? [...brokerAddrs.values()][0]
      return advertised === undefined
        ? []
        : [{ brokerName, cluster, address: client.addresses.rewrite(advertised) }]
    })

  return {
    async create(topic, settings = {}, where = {}) {
      checkOwnTopic(topic)
      checkSettings(settings)
      checkWhere('create', where)
      const {
        readQueueNums = 8,
        writeQueueNums = readQueueNums,
        perm = 6,
        order = false,
        attributes = {},
      } = settings
      const asked = { readQueueNums, writeQueueNums, perm, order, attributes }
      const wanted = { ...asked, topicFilterType: 'SINGLE_TAG', topicSysFlag: 0 }
      const deadline = client.deadline(where)
      const masters = await chooseMasters(client, where, deadline)
      const there = await read(topic, masters, deadline)
      for (const each of there) {
        const other = differenceOf(each, asked)
        if (other)
          refuse('topic', `${topic} is on ${each.brokerName} with other ${other}; update changes it`, {
            topic,
          })
      }
      const names = there.map(({ brokerName }) => brokerName)
      const fresh = masters.filter(({ brokerName }) => !names.includes(brokerName))
      await write(
        'creating',
        topic,
        fresh.map((master) => ({ ...master, ...wanted })),
        new Map(),
        deadline,
      )
      return masters.map((master) => ({ ...master, ...wanted }))
    },

    async update(topic, changes, where = {}) {
      checkOwnTopic(topic)
      checkSettings(changes)
      checkWhere('update', where)
      const deadline = client.deadline(where)
      const there = await read(topic, await chooseMasters(client, where, deadline, true), deadline)
      if (there.length === 0) missing(topic)
      const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined))
      const wanted = there.map((was) => ({
        ...was,
        ...given,
        attributes: { ...was.attributes, ...changes.attributes },
      }))
      await write('updating', topic, wanted, new Map(there.map((each) => [each.brokerName, each])), deadline)
      return wanted
    },

    async describe(topic, where = {}) {
      checkTopicName(topic)
      checkWhere('describe', where)
      const deadline = client.deadline(where)
      const there = await read(topic, await chooseMasters(client, where, deadline, true), deadline)
      return there.length > 0 ? there : missing(topic)
    },

    async delete(topic, where = {}) {
      checkOwnTopic(topic)
      checkKeys('delete', where, ['cluster', 'signal', 'deadlineMs'])
      const deadline = client.deadline(where)
      const masters = await chooseMasters(client, where, deadline, true)
      const there = await read(topic, masters, deadline)
      // A route may be left behind by a broker that is gone for good.
      if (there.length === 0) await route(topic, deadline)
      const name = client.wrap(topic)
      const what = `deleting topic ${topic}`
      const brokers = await onEach(what, there, (master) =>
        callMaster(client, master, DeleteTopicInBroker, { topic: name }, undefined, deadline, topic),
      )
      const servers = client.nameServers.addresses
      const request = { topic: name, clusterName: where.cluster }
      const nameServers = await onEach(
        what,
        servers.map((address): Place => ({ address })),
        (server) => callMaster(client, server, DeleteTopicInNamesrv, request, undefined, deadline, topic),
      )
      return {
        brokers: brokers.map(({ brokerName, cluster, address }) => ({ brokerName, cluster, address })),
        nameServers: nameServers.map(({ address }) => address),
      }
    },

    async list(limits = {}) {
      const deadline = client.deadline(limits)
      const { body } = await client.nameServers.call(GetAllTopicListFromNameserver, {}, undefined, deadline)
      const brokers = await findBrokers(client, deadline)
      const own = new Set(
        brokers.flatMap(({ brokerName, cluster }) => [brokerName, cluster, `${cluster}_REPLY_TOPIC`]),
      )
      return body.topicList.toSorted().flatMap((stored): TopicEntry[] => {
        if (own.has(stored) || isOfBrokers(stored)) return [{ topic: stored, kind: 'system' }]
        const topic = client.unwrap(stored)
        if (client.wrap(topic) !== stored) return [] // of another namespace
        const [prefix = ''] = /^%\w+%/.exec(topic) ?? []
        return [{ topic, kind: KINDS[prefix as keyof typeof KINDS] ?? 'normal' }]
      })
    },

    route: async (topic, limits) => await route(topic, client.deadline(limits)),

    async stats(topic, limits) {
      const deadline = client.deadline(limits)
      const masters = await routed(topic, deadline)
      const answers = await readEach(`topic ${topic}`, masters, (master) =>
        unlessMissing(
          callMaster(
            client,
            master,
            GetTopicStatsInfo,
            { topic: client.wrap(topic) },
            undefined,
            deadline,
            topic,
          ),
          TOPIC_NOT_EXIST,
        ),
      )
      // A route may be left behind by a deletion that was not done everywhere.
      const found = answers.flatMap(({ value }) => value ?? [])
      if (found.length === 0) missing(topic)
      const queues = found.flatMap(({ body }) =>
        body.offsetTable.map(([queue, { minOffset, maxOffset, lastUpdateTimestamp }]) =>
          Object.assign(new QueueStats(), {
            queue: { ...queue, topic },
            minOffset,
            maxOffset,
            lastUpdateTimestamp: Number(lastUpdateTimestamp),
          }),
        ),
      )
      return Object.assign(new TopicStats(), { topic, queues: queues.toSorted(byQueue) })
    },

    async consumers(topic, limits) {
      const deadline = client.deadline(limits)
      const masters = await routed(topic, deadline)
      const answers = await readEach(`the groups of topic ${topic}`, masters, (master) =>
        callMaster(
          client,
          master,
          QueryTopicConsumeByWho,
          { topic: client.wrap(topic) },
          undefined,
          deadline,
          topic,
        ),
      )
      const groups = answers.flatMap(({ value }) => value.body.groupList)
      return [...new Set(groups)].map(client.unwrap).toSorted()
    },
  }
}

/** Upstream counts those of transactions in RocksDB as users' topics; nobody else is to touch them. */
export const isOfBrokers = (topic: string): boolean => isSystemTopic(topic) || topic.startsWith('RMQ_SYS_')

/** In the order that tables show: by topic, broker name and queue id. */
export const byQueue = (a: { queue: MessageQueue }, b: { queue: MessageQueue }): number =>
  compare(a.queue.topic, b.queue.topic) ||
  compare(a.queue.brokerName, b.queue.brokerName) ||
  a.queue.queueId - b.queue.queueId

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b))

const onBroker = (master: Master, config: TopicConfig): TopicOnBroker => {
  const { readQueueNums, writeQueueNums, perm, topicFilterType, topicSysFlag, order, attributes } = config
  return {
    ...master,
    readQueueNums,
    writeQueueNums,
    perm,
    topicFilterType,
    topicSysFlag,
    order,
    attributes: { ...attributes },
  }
}

const SETTINGS = ['readQueueNums', 'writeQueueNums', 'perm', 'order', 'attributes'] as const

/** Brokers check none of this, but for the names of attributes. */
const checkSettings = (settings: TopicSettings): void => {
  checkKeys('a topic', settings, SETTINGS)
  const { readQueueNums, writeQueueNums, perm, order, attributes = {} } = settings
  // 65,536 is what a client of any kind can be expected to hold.
  if (readQueueNums !== undefined) checkInt('readQueueNums', readQueueNums, 1, 65_536)
  if (writeQueueNums !== undefined) checkInt('writeQueueNums', writeQueueNums, 1, 65_536)
  if (perm !== undefined && ![2, 4, 6].includes(perm))
    refuse('perm', `takes 6 (read and write), 4 (read) or 2 (write), got ${perm}`)
  if (order !== undefined) checkChoice('order', String(order), 'true', 'false')
  for (const [name, value] of Object.entries(checkObject('attributes', attributes))) {
    checkText('attributes', name, /[,=+\s]/, 'comma, =, + or space in a name')
    checkText(`attributes['${name}']`, value, /[,=\s]/, 'comma, = or space')
  }
}

/** The first setting that differs. */
const differenceOf = (a: TopicOnBroker, b: Required<TopicSettings>): string | undefined =>
  SETTINGS.find((name) =>
    name === 'attributes' ? changesOf(a.attributes, b.attributes ?? {}) !== undefined : a[name] !== b[name],
  )

/** As the wire has changes of attributes; undefined when there is none. */
const changesOf = (
  was: Readonly<Record<string, string>>,
  is: Readonly<Record<string, string>>,
): string | undefined => {
  const changes = Object.entries(is).filter(([name, value]) => was[name] !== value)
  return changes.map(([name, value]) => `+${name}=${value}`).join(',') || undefined
}
