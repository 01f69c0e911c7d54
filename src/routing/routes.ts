/**
 * Routes of topics: which queues there are, and at which address the broker of each is (protocol.md 2; upstream
 * MQClientInstance). Cached for a short time across invocations; refetched when an answer says that it is out of date.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import {
  type BrokerData,
  GetRouteInfoByTopic,
  PERM_READ,
  PERM_WRITE,
  type QueueData,
  type TopicRouteData,
} from '../commands/route.ts'
import { BrokerError, DeadlineError, RouteError } from '../errors.ts'
import type { AddressPolicy } from '../net/address-policy.ts'
import { asNotSent, type Deadline, notSent, remainingMs } from '../net/deadline.ts'
import { createShared } from '../net/shared.ts'
import type { NameServers } from './name-servers.ts'

export const TOPIC_NOT_EXIST = 17
const MASTER = 0
/** A function uses a handful of topics; this only keeps a process that walks through all of a cluster from growing. */
const MAX_ROUTES = 10_000

export interface Route {
  readonly topic: string
  readonly data: TopicRouteData
  /** In route order: brokers sorted by name, queue ids ascending (protocol.md 7.4). */
  readonly writable: readonly MessageQueue[]
  readonly readable: readonly MessageQueue[]
  /** Epoch ms. */
  readonly fetchedAt: number
}

export interface Routes {
  /** The route, from the cache while it is fresh. @throws RouteError with responseCode 17 for an unknown topic */
  get(topic: string, deadline: Deadline): Promise<Route>
  /** Forgets a route that led astray, unless it has been fetched again since. */
  forget(route: Route): void
  /** Where to reach a broker. @throws RouteError when the route does not know it or lists no such id */
  address(route: Route, brokerName: string, brokerId?: number): string
  /** Where to read a queue: the id that was suggested, else the master, else any replica. */
  readAddress(route: Route, brokerName: string, suggestedId: number): string
}

/** @param nameOf the user's name for a topic as it is stored, for errors */
export function createRoutes(
  nameServers: NameServers,
  policy: AddressPolicy,
  ttlMs: number,
  nameOf: (topic: string) => string,
): Routes {
  const routes = new Map<string, Route>()
  const fetching = createShared<Route>()

  const fetch = async (topic: string, deadline: Deadline): Promise<Route> => {
    try {
      const request = { topic, acceptStandardJsonOnly: true }
      const { body } = await nameServers.call(
        GetRouteInfoByTopic,
        request,
        undefined,
        deadline,
        nameOf(topic),
      )
      const route = toRoute(topic, body)
      routes.delete(topic)
      routes.set(topic, route)
      const [oldest] = routes.keys()
      if (routes.size > MAX_ROUTES) routes.delete(oldest as string)
      return route
    } catch (cause) {
      if (!(cause instanceof BrokerError) || cause.responseCode !== TOPIC_NOT_EXIST) throw cause
      const { address } = cause
      const text = `topic ${topic} does not exist on ${address}; create it, or check its name and namespace`
      throw new RouteError(text, { topic: nameOf(topic), address, responseCode: TOPIC_NOT_EXIST, cause })
    }
  }

  const get = async (topic: string, deadline: Deadline): Promise<Route> => {
    const cached = routes.get(topic)
    if (cached && Date.now() - cached.fetchedAt < ttlMs) return cached
    const joined = fetching.has(topic)
    try {
      const start = (signal: AbortSignal): Promise<Route> => fetch(topic, { ...deadline, signal })
      return await fetching.join(
        topic,
        start,
        deadline,
        deadline.at,
        `the route of topic ${topic}`,
        notSent({ topic: nameOf(topic) }),
      )
    } catch (error) {
      // It ran under the deadline of the call that began it; this one may have time left.
      if (joined && error instanceof DeadlineError && remainingMs(deadline) > 0)
        return await get(topic, deadline)
      // Whatever the call would have done, it did not come to that.
      throw asNotSent(error)
    }
  }

  const address = (route: Route, brokerName: string, brokerId = MASTER): string => {
    const broker = findBroker(route, brokerName)
    const advertised = broker?.brokerAddrs.get(brokerId)
    if (advertised !== undefined) return policy.rewrite(advertised)
    const { topic } = route
    const missing = broker
      ? brokerId === MASTER
        ? 'has no master at the moment'
        : `has no replica ${brokerId}`
      : 'is not in its route'
    throw new RouteError(`topic ${topic}: broker ${brokerName} ${missing}`, {
      topic: nameOf(topic),
      retryable: true,
    })
  }

  return {
    get,
    forget(route) {
      if (routes.get(route.topic) === route) routes.delete(route.topic)
    },
    address,
    readAddress(route, brokerName, suggestedId) {
      const addresses = findBroker(route, brokerName)?.brokerAddrs
      const id = [suggestedId, MASTER, ...(addresses?.keys() ?? [])].find((each) => addresses?.has(each))
      return address(route, brokerName, id)
    },
  }
}

const findBroker = ({ data }: Route, brokerName: string): BrokerData | undefined =>
  data.brokerDatas.find((each) => each.brokerName === brokerName)

/** More queues than this are nonsense, and would be an array of that size. */
const MAX_QUEUES = 65_536

function toRoute(topic: string, data: TopicRouteData): Route {
  const brokers = new Map(data.brokerDatas.map((each) => [each.brokerName, each.brokerAddrs]))
  const writable: MessageQueue[] = []
  const readable: MessageQueue[] = []
  for (const { brokerName, perm, readQueueNums, writeQueueNums } of [...data.queueDatas].sort(byBrokerName)) {
    const addresses = brokers.get(brokerName)
    // Brokers do not enforce a topic's write permission: the client alone does (protocol.md 2).
    if (perm & PERM_WRITE && addresses?.has(MASTER)) addQueues(writable, topic, brokerName, writeQueueNums)
    if (perm & PERM_READ && addresses?.size) addQueues(readable, topic, brokerName, readQueueNums)
  }
  return { topic, data, writable, readable, fetchedAt: Date.now() }
}

const byBrokerName = (a: QueueData, b: QueueData): number =>
  a.brokerName < b.brokerName ? -1 : Number(a.brokerName > b.brokerName)

function addQueues(queues: MessageQueue[], topic: string, brokerName: string, count: number): void {
  for (let queueId = 0; queueId < count && queues.length < MAX_QUEUES; queueId++) {
    queues.push({ topic, brokerName, queueId })
  }
}
