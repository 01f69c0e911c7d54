/**
 * Routes of topics: which queues there are, and at which address the broker of each is (protocol.md 2; upstream
 * MQClientInstance). Cached for a short time across invocations; refetched when an answer says that it is out of date.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import {
  GetRouteInfoByTopic,
  PERM_READ,
  PERM_WRITE,
  type QueueData,
  type TopicRouteData,
} from '../commands/route.ts'
import { BrokerError, RouteError } from '../errors.ts'
import type { AddressPolicy } from '../net/address-policy.ts'
import { createCache } from '../net/cache.ts'
import { beforeSending, type Deadline } from '../net/deadline.ts'
import type { NameServers } from './name-servers.ts'

export const TOPIC_NOT_EXIST = 17
const MASTER = 0

export interface Route {
  readonly topic: string
  readonly data: TopicRouteData
  /** In route order: brokers sorted by name, queue ids ascending (protocol.md 7.4). */
  readonly writable: readonly MessageQueue[]
  readonly readable: readonly MessageQueue[]
  /** Addresses by broker name and id. */
  readonly brokers: ReadonlyMap<string, ReadonlyMap<number, string>>
}

export interface Routes {
  /** The route, from the cache while it is fresh. @throws RouteError with responseCode 17 for an unknown topic */
  get(topic: string, deadline: Deadline): Promise<Route>
  /** Forgets a route that led astray, unless it has been fetched again since. */
  forget(route: Route): void
  /**
   * Where to reach the master of a broker; to read, the replica that was suggested, else the master, else any replica.
   * @throws RouteError when the route lists none
   */
  address(route: Route, brokerName: string, readFrom?: number): string
}

/** @param nameOf the user's name for a topic as it is stored, for errors */
export function createRoutes(
  nameServers: NameServers,
  policy: AddressPolicy,
  ttlMs: number,
  nameOf: (topic: string) => string,
): Routes {
  const cache = createCache<Route>('the route of topic ', (_, ageMs) => ageMs < ttlMs)

  const fetch = async (topic: string, deadline: Deadline): Promise<Route> => {
    const name = nameOf(topic)
    try {
      const request = { topic, acceptStandardJsonOnly: true }
      const { body } = await nameServers.call(GetRouteInfoByTopic, request, undefined, deadline, name)
      return toRoute(topic, body)
    } catch (cause) {
      if (!(cause instanceof BrokerError) || cause.responseCode !== TOPIC_NOT_EXIST) throw cause
      const { address } = cause
      const text = `no topic ${topic} on ${address}; create it, or check the namespace`
      throw new RouteError(text, { topic: name, address, responseCode: TOPIC_NOT_EXIST, cause })
    }
  }

  return {
    get: (topic, deadline) =>
      // Whatever the call would have done, it did not come to that.
      beforeSending(cache.get(topic, deadline, { topic: nameOf(topic) }, (latest) => fetch(topic, latest))),
    forget: (route) => cache.forget(route.topic, route),
    address({ topic, brokers }, brokerName, readFrom) {
      const addresses = brokers.get(brokerName)
      const ids = readFrom === undefined ? [MASTER] : [readFrom, MASTER, ...(addresses?.keys() ?? [])]
      const advertised = ids.map((id) => addresses?.get(id)).find((each) => each !== undefined)
      if (advertised !== undefined) return policy.rewrite(advertised)
      const text = `the route of topic ${topic} has no ${addresses ? 'master of ' : ''}broker ${brokerName}`
      throw new RouteError(text, { topic: nameOf(topic), retryable: true })
    },
  }
}

/** More queues than this are nonsense, and would be an array of that size. */
const MAX_QUEUES = 65_536

function toRoute(topic: string, data: TopicRouteData): Route {
  const brokers = new Map(data.brokerDatas.map((each) => [each.brokerName, each.brokerAddrs]))
  const writable: MessageQueue[] = []
  const readable: MessageQueue[] = []
  for (const { brokerName, perm, readQueueNums, writeQueueNums } of [...data.queueDatas].sort(byBrokerName)) {
    const addresses = brokers.get(brokerName)
    const add = (queues: MessageQueue[], count: number): void => {
      for (let queueId = 0; queueId < count && queues.length < MAX_QUEUES; queueId++)
        queues.push({ topic, brokerName, queueId })
    }
    // Brokers do not enforce a topic's write permission: the client alone does (protocol.md 2).
    if (perm & PERM_WRITE && addresses?.has(MASTER)) add(writable, writeQueueNums)
    if (perm & PERM_READ && addresses?.size) add(readable, readQueueNums)
  }
  return { topic, data, writable, readable, brokers }
}

const byBrokerName = (a: QueueData, b: QueueData): number =>
  a.brokerName < b.brokerName ? -1 : Number(a.brokerName > b.brokerName)
