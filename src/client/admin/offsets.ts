/**
 * Offsets, for administrators: the ends of queues 30 and 31, the search by time 29, and resets 222 (protocol.md 9, 16; upstream
 * ResetOffsetByTimeCommand). A reset is planned first: what it would move, queue by queue, is a value, and that value is what is
 * then done. So what was shown is what happens, whatever is written meanwhile.
 */

import { GetBrokerConfig } from '../../commands/broker.ts'
import { InvokeBrokerToResetOffset } from '../../commands/consumer-requests.ts'
import type { Command } from '../../commands/define.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'
import {
  GetMaxOffset,
  GetMinOffset,
  type OffsetResponse,
  QueryConsumerOffset,
  SearchOffsetByTimestamp,
  UpdateConsumerOffset,
} from '../../commands/offsets.ts'
import { GetTopicStatsInfo } from '../../commands/topics.ts'
import type { CallOptions, Deadline } from '../../net/deadline.ts'
import type { Route } from '../../routing/routes.ts'
import {
  checkArray,
  checkChoice,
  checkInt,
  checkObject,
  checkText,
  checkTime,
  refuse,
} from '../../wire/checks.ts'
import { checkGroupName, checkTopicName, retryTopic } from '../../wire/names.ts'
import type { Client } from '../client.ts'
import { isCommitted } from '../committed.ts'
import { checkKeys } from '../options.ts'
import { Value } from '../values.ts'
import { noGroup, readGroup, readMembers, readStats } from './groups.ts'
import { callMaster, failureOf, findMasters, freshRoute } from './masters.ts'
import { byQueue } from './topics.ts'

/** Where a reset leads: to an offset, to the first message stored at or after a time, to the first or behind the last message. */
export type ResetTarget = { offset: bigint } | { timestamp: Date | number } | 'earliest' | 'latest'

export interface ResetRequest extends CallOptions {
  consumerGroup: string
  /** One queue, or some. Excludes `topic`. */
  queues?: readonly MessageQueue[] | undefined
  /** All readable queues of a topic. @default with no `queues` either: every topic that the group has committed offsets of, but for its retry topic */
  topic?: string | undefined
  to: ResetTarget
}

/** What a reset moves of one queue. */
export class QueueReset extends Value {
  declare readonly queue: MessageQueue
  /** Where the group stands; absent when it has never committed. */
  declare readonly from?: bigint
  declare readonly to: bigint
  /** What the queue still has. */
  declare readonly minOffset: bigint
  /** The offset that the next message will get. */
  declare readonly maxOffset: bigint
}

/** What a reset will move, for `reset`. As JSON it may be stored, and come back by `resetPlanFromJson`. */
export class ResetPlan extends Value {
  declare readonly consumerGroup: string
  /** All that were asked for, by topic, broker name and queue id; also those that stand there already. */
  declare readonly queues: readonly QueueReset[]
}

export interface OffsetAdmin {
  /** The first offset that the queue still has. @throws RouteError for an unknown topic, ConfigError for an unknown queue */
  min(queue: MessageQueue, options?: CallOptions): Promise<bigint>
  /** The offset that the next message will get. @throws as `min` */
  max(queue: MessageQueue, options?: CallOptions): Promise<bigint>
  /**
   * The offset for a store time, a Date or epoch ms: with `lower` (the default) of the first message at or after it,
   * with `upper` of the last one at or before it. @throws as `min`
   */
  search(
    queue: MessageQueue,
    timestamp: Date | number,
    options?: CallOptions & { boundary?: 'lower' | 'upper' | undefined },
  ): Promise<bigint>
  /** The next offset the group will read, or undefined when it has none. @throws as `min` */
  committed(consumerGroup: string, queue: MessageQueue, options?: CallOptions): Promise<bigint | undefined>
  /**
   * What a reset would move. Changes nothing.
   * @throws ConfigError for an offset that a queue does not have; BrokerError with responseCode 26 for an unknown group
   */
  plan(request: ResetRequest): Promise<ResetPlan>
  /**
   * Does what was planned. Each queue is at its new offset for everybody who asks; the group's next pull of it is sent there,
   * and commits are ignored until then. @throws PartialError when some queues were reset and others were not
   */
  reset(plan: ResetPlan, options?: CallOptions): Promise<void>
}

type AboutQueue = { topic: string; queueId: number }

/**
 * @example
 * const offsets = createOffsetAdmin(client)
 * const plan = await offsets.plan({ consumerGroup: 'billing', topic: 'orders', to: 'earliest' })
 * for (const { queue, from, to } of plan.queues) console.log(queue.brokerName, queue.queueId, from, to)
 * await offsets.reset(plan)
 */
export const createOffsetAdmin = (client: Client): OffsetAdmin => {
  /** Brokers answer 0 for what they do not have. */
  const checkThere = async (queue: MessageQueue, deadline: Deadline): Promise<void> => {
    const { topic, brokerName, queueId } = checkQueue(queue)
    const countIn = ({ data }: Route): number => {
      const own = data.queueDatas.find((each) => each.brokerName === brokerName)
      return own ? Math.max(own.readQueueNums, own.writeQueueNums) : 0
    }
    if (queueId < countIn(await client.route(topic, deadline))) return
    const route = await freshRoute(client, topic, deadline)
    const count = countIn(route)
    if (count === 0)
      refuse(
        'queue.brokerName',
        `${brokerName} has no ${topic}, but ${[...route.brokers.keys()].join(', ')}`,
        { topic },
      )
    if (queueId >= count)
      refuse('queue.queueId', `${queueId}: ${topic} has ${count} on ${brokerName}`, { topic })
  }

  const ask = async <Q extends AboutQueue>(
    queue: MessageQueue,
    command: Command<Q, OffsetResponse>,
    more: Omit<Q, keyof AboutQueue>,
    limits?: CallOptions,
  ): Promise<bigint> => {
    const deadline = client.deadline(limits)
    await checkThere(queue, deadline)
    const request = { ...more, topic: client.wrap(queue.topic), queueId: queue.queueId } as unknown as Q
    return (await client.callQueue(queue, command, request, undefined, { deadline })).header.offset
  }

  const min: OffsetAdmin['min'] = (queue, limits) => ask(queue, GetMinOffset, {}, limits)
  const max: OffsetAdmin['max'] = (queue, limits) => ask(queue, GetMaxOffset, {}, limits)

  const search: OffsetAdmin['search'] = async (queue, time, { boundary = 'lower', ...limits } = {}) => {
    const boundaryType = checkChoice('boundary', boundary, 'lower', 'upper')
    const timestamp = BigInt(checkTime('timestamp', time))
    return await ask(queue, SearchOffsetByTimestamp, { timestamp, boundaryType }, limits)
  }

  const committed: OffsetAdmin['committed'] = async (consumerGroup, queue, limits) => {
    checkGroupName(consumerGroup)
    const deadline = client.deadline(limits)
    await checkThere(queue, deadline)
    const request = {
      consumerGroup: client.wrap(consumerGroup),
      topic: client.wrap(queue.topic),
      queueId: queue.queueId,
      setZeroIfNotFound: false,
    }
    const answer = await client.callQueue(queue, QueryConsumerOffset, request, undefined, { deadline })
    const there =
      answer.meaning !== 'empty' && (await isCommitted(client, consumerGroup, queue, answer, { deadline }))
    return there ? answer.header.offset : undefined
  }

  const queuesOf = async (topic: string, deadline: Deadline): Promise<MessageQueue[]> => {
    const { readable } = await freshRoute(client, checkTopicName(topic), deadline)
    return readable.map((queue) => ({ ...queue, topic }))
  }

  /** The queues that a request is about. */
  const chosen = async (
    { consumerGroup, queues, topic }: ResetRequest,
    deadline: Deadline,
  ): Promise<readonly MessageQueue[]> => {
    if (queues !== undefined) {
      if (topic !== undefined) refuse('queues', 'excludes topic')
      return checkArray('queues', queues)
    }
    if (topic !== undefined) return await queuesOf(topic, deadline)
    const stats = await readStats(client, consumerGroup, undefined, deadline)
    const topics = new Set(stats.queues.map(({ queue }) => queue.topic))
    // What stands there is on its way again already: going back would deliver it with the main topic's once more.
    topics.delete(retryTopic(consumerGroup))
    return (await Promise.all([...topics].map((each) => queuesOf(each, deadline)))).flat()
  }

  const planQueue = async (
    consumerGroup: string,
    queue: MessageQueue,
    to: ResetTarget,
    limits: CallOptions,
  ): Promise<QueueReset> => {
    const [from, minOffset, maxOffset] = await Promise.all([
      committed(consumerGroup, queue, limits),
      min(queue, limits),
      max(queue, limits),
    ])
    const target = await targetOf(queue, to, minOffset, maxOffset, limits)
    return Object.assign(new QueueReset(), {
      queue,
      ...(from === undefined ? {} : { from }),
      to: target,
      minOffset,
      maxOffset,
    })
  }

  /** When the last message of a queue was stored, in epoch ms. */
  const lastStored = async (queue: MessageQueue, limits: CallOptions): Promise<number> => {
    const request = { topic: client.wrap(queue.topic) }
    const deadline = client.deadline(limits)
    const { body } = await client.callQueue(queue, GetTopicStatsInfo, request, undefined, { deadline })
    const own = body.offsetTable.find(([{ queueId }]) => queueId === queue.queueId)
    return Number(own?.[1].lastUpdateTimestamp)
  }

  const targetOf = async (
    queue: MessageQueue,
    to: ResetTarget,
    minOffset: bigint,
    maxOffset: bigint,
    limits: CallOptions,
  ): Promise<bigint> => {
    if (to === 'earliest') return minOffset
    if (to === 'latest') return maxOffset
    if ('timestamp' in to) {
      const found = await search(queue, to.timestamp, limits)
      // Brokers of 4.x tell the last message also where it is older than that.
      if (
        found === maxOffset - 1n &&
        (await lastStored(queue, limits)) < checkTime('to.timestamp', to.timestamp)
      )
        return maxOffset
      // Of a queue that has lost its first messages brokers may tell one that is gone.
      return found < minOffset ? minOffset : found > maxOffset ? maxOffset : found
    }
    const { offset } = to
    // Brokers take one more than there is, and -1 as if there was nothing.
    if (offset < minOffset || offset > maxOffset)
      refuse('to.offset', `${offset} is not in ${nameOf(queue)}, which has ${minOffset} to ${maxOffset}`)
    return offset
  }

  /**
   * Whether a broker stores resets itself. One that has members do it (useServerSideResetOffset=false, and before 5.0, where there
   * is no such setting) looks at the time only, and at no single queue: it would move what nobody asked for.
   */
  const storesResets = async (address: string, deadline: Deadline): Promise<boolean> => {
    const { body } = await callMaster(client, { address }, GetBrokerConfig, {}, undefined, deadline)
    return body['useServerSideResetOffset'] === 'true'
  }

  /** Where nobody is online to do it a commit does the same: as mqadmin does. @throws ConfigError where somebody is */
  const checkOffline = async (address: string, consumerGroup: string, deadline: Deadline): Promise<void> => {
    const members = await readMembers(client, { address }, client.wrap(consumerGroup), deadline)
    if (members.length > 0)
      refuse(
        'plan',
        `${address} resets through members that are online, by time only: stop ${members.join(', ')}`,
      )
  }

  const resetQueue = async (
    address: string,
    stores: boolean,
    consumerGroup: string,
    { queue: { topic, queueId }, to: offset }: QueueReset,
    deadline: Deadline,
  ): Promise<void> => {
    const about = { topic: client.wrap(topic), queueId }
    const group = client.wrap(consumerGroup)
    if (!stores) {
      const commit = { ...about, consumerGroup: group, commitOffset: offset }
      await callMaster(client, { address }, UpdateConsumerOffset, commit, undefined, deadline, topic)
      return
    }
    const request = { ...about, group, offset, timestamp: -1n, isForce: true }
    await callMaster(client, { address }, InvokeBrokerToResetOffset, request, undefined, deadline, topic)
  }

  return {
    min,
    max,
    search,
    committed,

    async plan(request) {
      checkKeys('plan', request, ['consumerGroup', 'queues', 'topic', 'to', 'signal', 'deadlineMs'])
      const { consumerGroup, to, signal, deadlineMs } = request
      checkGroupName(consumerGroup)
      checkTarget(to)
      const deadline = client.deadline({ signal, deadlineMs })
      const limits: CallOptions = { signal, deadlineMs: deadlineMs ?? deadline.at }
      const queues = await chosen(request, deadline)
      const planned = await Promise.all(queues.map((queue) => planQueue(consumerGroup, queue, to, limits)))
      // Nothing committed: perhaps there is no such group, of which the reset itself would tell when it is half done.
      if (planned.every(({ from }) => from === undefined)) {
        const masters = await findMasters(client, deadline)
        if ((await readGroup(client, consumerGroup, masters, deadline)).length === 0) noGroup(consumerGroup)
      }
      return Object.assign(new ResetPlan(), { consumerGroup, queues: planned.toSorted(byQueue) })
    },

    async reset(plan, limits) {
      const { consumerGroup, queues } = checkObject('plan', plan)
      checkGroupName(consumerGroup)
      for (const { queue, to } of checkArray('plan.queues', queues)) {
        checkQueue(queue)
        checkOffset('plan.queues.to', to)
      }
      const deadline = client.deadline(limits)
      const addresses = new Map<string, string>()
      for (const { queue } of queues)
        addresses.set(
          queue.brokerName,
          client.routes.address(await client.route(queue.topic, deadline), queue.brokerName),
        )
      // All of them are asked before anything is changed.
      const storing = new Map<string, boolean>()
      for (const { queue } of queues) {
        const address = addresses.get(queue.brokerName) as string
        if (storing.has(address)) continue
        const stores = await storesResets(address, deadline)
        if (!stores) await checkOffline(address, consumerGroup, deadline)
        storing.set(address, stores)
      }
      const results = await Promise.all(
        queues.map(async (each) => {
          const { queue } = each
          const { brokerName } = queue
          const place = { brokerName, address: addresses.get(brokerName) as string, queue }
          try {
            await resetQueue(place.address, storing.get(place.address) ?? true, consumerGroup, each, deadline)
            return place
          } catch (error) {
            return { ...place, error }
          }
        }),
      )
      const done = results.filter((each) => !('error' in each))
      const failed = results.flatMap((each) =>
        'error' in each ? [each as typeof each & { error: unknown }] : [],
      )
      if (failed.length > 0) throw failureOf(`resetting ${consumerGroup}`, done, failed)
    },
  }
}

const nameOf = ({ topic, brokerName, queueId }: MessageQueue): string => `${topic}/${brokerName}/${queueId}`

const checkQueue = (queue: MessageQueue): MessageQueue => {
  const { topic, brokerName, queueId } = (queue ?? {}) as Partial<MessageQueue>
  checkTopicName(topic, 'queue.topic')
  checkText('queue.brokerName', brokerName)
  checkInt('queue.queueId', queueId)
  return queue
}

const checkOffset = (field: string, offset: unknown): void => {
  if (typeof offset !== 'bigint' || offset < 0n)
    refuse(field, `takes a bigint from 0 up, got ${String(offset)}`)
}

const checkTarget = (to: ResetTarget): void => {
  if (typeof to === 'string') {
    checkChoice('to', to, 'earliest', 'latest')
    return
  }
  checkKeys('to', to, ['offset', 'timestamp'])
  const { offset, timestamp } = to as { offset?: unknown; timestamp?: unknown }
  if ((offset === undefined) === (timestamp === undefined)) refuse('to', 'takes offset or timestamp')
  if (offset === undefined) checkTime('to.timestamp', timestamp)
  else checkOffset('to.offset', offset)
}
