/**
 * Consumer groups, for administrators: 38, 200, 201, 207, 208 and 352 on every master (protocol.md 9.3, 13, 16; upstream
 * DefaultMQAdminExtImpl). A broker that creates groups by itself creates every one that it is asked about by 352; so whether there
 * is a group is read from the list of all, as mqadmin does.
 */
import {
  DeleteSubscriptionGroup,
  GetAllSubscriptionGroupConfig,
  GetConsumeStats,
  GetSubscriptionGroupConfig,
  groupConfig,
  type SubscriptionGroupConfig,
  UpdateAndCreateSubscriptionGroup,
} from '../../commands/groups.ts'
import { GetConsumerListByGroup } from '../../commands/heartbeat.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import { AuthError, BrokerError, type Place } from '../../errors.ts'
import type { CallOptions, Deadline } from '../../net/deadline.ts'
import { checkInt, refuse } from '../../wire/checks.ts'
import { checkGroupName, checkTopicName } from '../../wire/names.ts'
import type { Client } from '../client.ts'
import { checkKeys } from '../options.ts'
import { Value } from '../values.ts'
import {
  callMaster,
  checkWhere,
  chooseMasters,
  findMasters,
  isUnsupported,
  type Master,
  onEach,
  readEach,
  unlessMissing,
  type Where,
} from './masters.ts'
import { byQueue } from './topics.ts'

/** Settings of a group. What `update` is not given stays as it is. */
export interface GroupSettings {
  /** False: brokers refuse its pulls. @default true */
  consumeEnable?: boolean | undefined
  /** @default true */
  consumeBroadcastEnable?: boolean | undefined
  /** Popped messages come in order. @default false */
  consumeMessageOrderly?: boolean | undefined
  /** Queues of %RETRY%group; 0 turns send-backs off. @default 1 */
  retryQueueNums?: number | undefined
  /** Attempts before the dead-letter topic. @default 16 */
  retryMaxTimes?: number | undefined
  /** Tell members when others come and go. @default true */
  notifyConsumerIdsChangedEnable?: boolean | undefined
}

/** The settings of a group on one broker, with a JSON form. */
export class GroupOnBroker extends Value {
  declare readonly brokerName: string
  declare readonly cluster: string
  declare readonly address: string
  declare readonly config: SubscriptionGroupConfig

  override toJSON(): Record<string, unknown> {
    // Those of retry policies are milliseconds, and fit.
    const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)
    return { ...super.toJSON(), config: JSON.parse(JSON.stringify(this.config, plain)) }
  }
}

/** How far a group is with one queue. */
export class QueueLag extends Value {
  declare readonly queue: MessageQueue
  /** The offset that the next message will get. */
  declare readonly brokerOffset: bigint
  /** The committed offset; 0 also where there is none, so that the whole queue counts as lag, as in `mqadmin consumerProgress`. */
  declare readonly consumerOffset: bigint
  /** Where the last pull has got to. */
  declare readonly pullOffset: bigint
  /** brokerOffset - consumerOffset. */
  declare readonly lag: bigint
  /** Store time of the last message that was consumed, epoch ms; 0 when there is none. */
  declare readonly lastTimestamp: number
}

export class GroupStats extends Value {
  declare readonly consumerGroup: string
  /** By topic, broker name and queue id; the group's retry topic is one of the topics. */
  declare readonly queues: readonly QueueLag[]
  /** The sum over all queues. */
  declare readonly lag: bigint
  /** Messages per second. */
  declare readonly consumeTps: number
}

export interface GroupAdmin {
  /**
   * Creates a group on every master of the cluster. One that is there with the same settings is left alone, so a call that was
   * done in part can be repeated. @throws ConfigError when it is there with other settings (`update` changes them), and for one of
   * the brokers' own
   */
  create(consumerGroup: string, settings?: GroupSettings, where?: Where): Promise<GroupOnBroker[]>
  /** Changes a group on every broker that has it. @throws BrokerError with responseCode 26 when there is none */
  update(consumerGroup: string, changes: GroupSettings, where?: Where): Promise<GroupOnBroker[]>
  /**
   * The settings on every broker that has the group. Needs a permission for all groups (201); without it the group is asked for
   * by name (352), which creates it where brokers do that. @throws BrokerError with responseCode 26 when there is none
   */
  describe(consumerGroup: string, where?: Where): Promise<GroupOnBroker[]>
  /**
   * Deletes a group and what it has committed. With `keepOffsets` a 5.5.0 broker has the group again, with default settings. Its
   * retry and dead-letter topics stay: see `delete` of the topics. @throws BrokerError with responseCode 26 when there is none
   */
  delete(consumerGroup: string, where?: Where & { keepOffsets?: boolean | undefined }): Promise<Master[]>
  /** The names of all groups; with a namespace its own and those of the brokers. */
  list(where?: Where): Promise<string[]>
  /** Client ids of the members that are online, on whichever broker they have registered; none when it is nobody. */
  members(consumerGroup: string, options?: CallOptions): Promise<string[]>
  /**
   * How far the group is, per queue: of one topic, or of all that it has committed offsets of, its retry topic included.
   * @throws BrokerError with responseCode 26 for an unknown group
   */
  stats(consumerGroup: string, options?: CallOptions & { topic?: string | undefined }): Promise<GroupStats>
}

/** Brokers take it, and do their own work as one of them. @throws ConfigError */
const checkOwnGroup = (consumerGroup: string): void => {
  if (checkGroupName(consumerGroup).startsWith('CID_RMQ_SYS_'))
    refuse('consumerGroup', `${consumerGroup} belongs to the brokers`)
}

const SYSTEM_ERROR = 1
const NO_PERMISSION = 16
const SUBSCRIPTION_GROUP_NOT_EXIST = 26
const BOOLEANS = [
  'consumeEnable',
  'consumeBroadcastEnable',
  'consumeMessageOrderly',
  'notifyConsumerIdsChangedEnable',
] as const
const SETTINGS = [...BOOLEANS, 'retryQueueNums', 'retryMaxTimes'] as const

/** The settings of a group on each of these masters, by its user's name; those that do not have it are left out. */
export const readGroup = async (
  client: Client,
  consumerGroup: string,
  masters: readonly Master[],
  deadline: Deadline,
): Promise<GroupOnBroker[]> => {
  const group = client.wrap(consumerGroup)
  const answers = await readEach(`group ${consumerGroup}`, masters, async (master) => {
    try {
      const all = await callMaster(client, master, GetAllSubscriptionGroupConfig, {}, undefined, deadline)
      return all.body.subscriptionGroupTable.get(group)
    } catch (error) {
      if (!isForbidden(error)) throw error
      const one = callMaster(client, master, GetSubscriptionGroupConfig, { group }, undefined, deadline)
      return await unlessMissing(one, SUBSCRIPTION_GROUP_NOT_EXIST).then(
        (answer) => answer?.body,
        (reason: unknown) => {
          // Brokers before 5.0 do not know it: what is missing is the permission.
          throw isUnsupported(reason) ? error : reason
        },
      )
    }
  })
  return answers.flatMap(({ value, ...master }) => {
    if (!value) return []
    const config = { ...value, groupName: consumerGroup, attributes: { ...value.attributes } }
    return [Object.assign(new GroupOnBroker(), { ...master, config })]
  })
}

/** A missing permission, not a wrong key. */
const isForbidden = (error: unknown): boolean =>
  error instanceof AuthError && error.responseCode === NO_PERMISSION && /permission/.test(error.remark)

/** @throws BrokerError, as a broker that does not create it would answer */
export const noGroup = (consumerGroup: string): never => {
  const text = `no broker has consumer group ${consumerGroup}; create it, or check its name and the namespace`
  throw new BrokerError(text, '', { responseCode: SUBSCRIPTION_GROUP_NOT_EXIST, outcome: 'not-sent' })
}

/** The members of a group, by its stored name, that are online at one broker. */
export const readMembers = async (
  client: Client,
  place: Place,
  consumerGroup: string,
  deadline: Deadline,
): Promise<readonly string[]> => {
  try {
    const { body } = await callMaster(
      client,
      place,
      GetConsumerListByGroup,
      { consumerGroup },
      undefined,
      deadline,
    )
    return body.consumerIdList
  } catch (error) {
    // The code of every fault; only the remark tells that it is none.
    if (
      error instanceof BrokerError &&
      error.responseCode === SYSTEM_ERROR &&
      /no consumer/.test(error.remark)
    )
      return []
    throw error
  }
}

/** How far a group is, from every master. @throws BrokerError with responseCode 26 for an unknown group */
export const readStats = async (
  client: Client,
  consumerGroup: string,
  topic: string | undefined,
  deadline: Deadline,
): Promise<GroupStats> => {
  const masters = await findMasters(client, deadline)
  const request = {
    consumerGroup: client.wrap(consumerGroup),
    topic: topic === undefined ? undefined : client.wrap(topic),
  }
  const answers = await readEach(`the offsets of ${consumerGroup}`, masters, (master) =>
    callMaster(client, master, GetConsumeStats, request, undefined, deadline, topic),
  )
  const queues = answers.flatMap(({ value }) =>
    value.body.offsetTable.map(([queue, offsets]) =>
      Object.assign(new QueueLag(), {
        queue: { ...queue, topic: client.unwrap(queue.topic) },
        brokerOffset: offsets.brokerOffset,
        consumerOffset: offsets.consumerOffset,
        pullOffset: offsets.pullOffset,
        lag: offsets.brokerOffset - offsets.consumerOffset,
        lastTimestamp: Number(offsets.lastTimestamp),
      }),
    ),
  )
  // Nothing consumed, nothing there: brokers answer the same.
  if (queues.length === 0 && (await readGroup(client, consumerGroup, masters, deadline)).length === 0)
    noGroup(consumerGroup)
  return Object.assign(new GroupStats(), {
    consumerGroup,
    queues: queues.toSorted(byQueue),
    lag: queues.reduce((sum, { lag }) => sum + lag, 0n),
    consumeTps: answers.reduce((sum, { value }) => sum + value.body.consumeTps, 0),
  })
}

/**
 * @example
 * const { lag, queues } = await createGroupAdmin(client).stats('billing')
 */
export const createGroupAdmin = (client: Client): GroupAdmin => {
  const write = async (
    what: string,
    consumerGroup: string,
    wanted: readonly GroupOnBroker[],
    deadline: Deadline,
  ): Promise<void> => {
    await onEach(`${what} group ${consumerGroup}`, wanted, (each) => {
      // Attributes are changes, `+name` and `-name`: as they were read they would be refused, and without any they stay.
      const settings = { ...each.config, groupName: client.wrap(consumerGroup), attributes: {} }
      return callMaster(client, each, UpdateAndCreateSubscriptionGroup, {}, settings, deadline)
    })
  }

  /** Where the group is, at least on one master. */
  const find = async (consumerGroup: string, where: Where, deadline: Deadline): Promise<GroupOnBroker[]> => {
    checkGroupName(consumerGroup)
    const masters = await chooseMasters(client, where, deadline, true)
    const there = await readGroup(client, consumerGroup, masters, deadline)
    return there.length > 0 ? there : noGroup(consumerGroup)
  }

  return {
    async create(consumerGroup, settings = {}, where = {}) {
      checkOwnGroup(consumerGroup)
      checkSettings(settings)
      checkWhere('create', where)
      const deadline = client.deadline(where)
      const masters = await chooseMasters(client, where, deadline)
      const there = await readGroup(client, consumerGroup, masters, deadline)
      const config = { ...groupConfig(consumerGroup), ...given(settings) }
      for (const each of there) {
        const other = SETTINGS.find((name) => each.config[name] !== config[name])
        if (other)
          refuse(
            'consumerGroup',
            `${consumerGroup} is on ${each.brokerName} with other ${other}; update changes it`,
          )
      }
      const names = there.map(({ brokerName }) => brokerName)
      const fresh = masters
        .filter(({ brokerName }) => !names.includes(brokerName))
        .map((master) => Object.assign(new GroupOnBroker(), { ...master, config }))
      await write('creating', consumerGroup, fresh, deadline)
      return [...there, ...fresh].toSorted((a, b) => (a.brokerName < b.brokerName ? -1 : 1))
    },

    async update(consumerGroup, changes, where = {}) {
      checkOwnGroup(consumerGroup)
      checkSettings(changes)
      checkWhere('update', where)
      const deadline = client.deadline(where)
      const wanted = (await find(consumerGroup, where, deadline)).map((each) =>
        Object.assign(new GroupOnBroker(), each, { config: { ...each.config, ...given(changes) } }),
      )
      await write('updating', consumerGroup, wanted, deadline)
      return wanted
    },

    async describe(consumerGroup, where = {}) {
      checkWhere('describe', where)
      return await find(consumerGroup, where, client.deadline(where))
    },

    async delete(consumerGroup, where = {}) {
      checkOwnGroup(consumerGroup)
      checkWhere('delete', where, 'keepOffsets')
      const { keepOffsets = false } = where
      const deadline = client.deadline(where)
      const there = await find(consumerGroup, where, deadline)
      const request = { groupName: client.wrap(consumerGroup), cleanOffset: !keepOffsets }
      const done = await onEach(`deleting group ${consumerGroup}`, there, (master) =>
        callMaster(client, master, DeleteSubscriptionGroup, request, undefined, deadline),
      )
      return done.map(({ brokerName, cluster, address }) => ({ brokerName, cluster, address }))
    },

    async list(where = {}) {
      checkWhere('list', where)
      const deadline = client.deadline(where)
      const masters = await chooseMasters(client, where, deadline, true)
      const answers = await readEach('the groups', masters, (master) =>
        callMaster(client, master, GetAllSubscriptionGroupConfig, {}, undefined, deadline),
      )
      const stored = new Set(answers.flatMap(({ value }) => [...value.body.subscriptionGroupTable.keys()]))
      return [...stored].toSorted().flatMap((group) => {
        const name = client.unwrap(group)
        return client.wrap(name) === group ? [name] : [] // else of another namespace
      })
    },

    async members(consumerGroup, limits) {
      checkGroupName(consumerGroup)
      const deadline = client.deadline(limits)
      const group = client.wrap(consumerGroup)
      const masters = await findMasters(client, deadline)
      const answers = await readEach(`the members of ${consumerGroup}`, masters, (master) =>
        readMembers(client, master, group, deadline),
      )
      return [...new Set(answers.flatMap(({ value }) => value))].toSorted()
    },

    async stats(consumerGroup, { topic, ...limits } = {}) {
      checkGroupName(consumerGroup)
      if (topic !== undefined) checkTopicName(topic)
      return await readStats(client, consumerGroup, topic, client.deadline(limits))
    },
  }
}

const given = (settings: GroupSettings): Partial<SubscriptionGroupConfig> =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))

const checkSettings = (settings: GroupSettings): void => {
  checkKeys('a group', settings, SETTINGS)
  const { retryQueueNums, retryMaxTimes } = settings
  if (retryQueueNums !== undefined) checkInt('retryQueueNums', retryQueueNums, 0, 65_536)
  if (retryMaxTimes !== undefined) checkInt('retryMaxTimes', retryMaxTimes, -1)
  for (const name of BOOLEANS) {
    const value = settings[name]
    if (value !== undefined && typeof value !== 'boolean')
      refuse(name, `takes true or false, got ${String(value)}`)
  }
}
