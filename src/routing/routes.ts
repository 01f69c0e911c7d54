/**
 * Routes of topics: which queues there are, and at which address the broker of each is (protocol.md 2; upstream
 * MQClientInstance). Cached for a short time across invocations; refetched when an answer says that it is out of date.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import { GetRouteInfoByTopic, PERM_READ, PERM_WRITE, type TopicRouteData } from '../commands/route.ts'
import { BrokerError, DeadlineError, RouteError } from '../errors.ts'
import type { AddressPolicy } from '../net/address-policy.ts'
import { type Deadline, remainingMs } from '../net/deadline.ts'
import { Shared } from '../net/shared.ts'
import type { NameServers } from './name-servers.ts'

const TOPIC_NOT_EXIST = 17
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

export class Routes {
  readonly #nameServers: NameServers
  readonly #policy: AddressPolicy
  readonly #ttlMs: number
  readonly #routes = new Map<string, Route>()
  readonly #fetching = new Map<string, Shared<Route>>()

  constructor(nameServers: NameServers, policy: AddressPolicy, ttlMs: number) {
    this.#nameServers = nameServers
    this.#policy = policy
    this.#ttlMs = ttlMs
  }

  /** The route, from the cache while it is fresh. @throws RouteError with responseCode 17 for an unknown topic */
  async get(topic: string, deadline: Deadline): Promise<Route> {
    const cached = this.#routes.get(topic)
    if (cached && Date.now() - cached.fetchedAt < this.#ttlMs) return cached
    const facts = { topic, outcome: 'not-sent' } as const
    const joined = this.#fetching.get(topic)
    try {
      const fetching = joined ?? this.#start(topic, deadline)
      return await fetching.join(deadline, deadline.at, `the route of topic ${topic}`, facts)
    } catch (error) {
      // It ran under the deadline of the call that began it; this one may have time left.
      if (joined && error instanceof DeadlineError && remainingMs(deadline) > 0)
        return await this.get(topic, deadline)
      throw error
    }
  }

  #start(topic: string, deadline: Deadline): Shared<Route> {
    const fetching = new Shared(
      (signal) => this.#fetch(topic, { ...deadline, signal }),
      () => this.#fetching.delete(topic),
    )
    this.#fetching.set(topic, fetching)
    return fetching
  }

  /** Forgets a route that led astray, unless it has been fetched again since. */
  forget(route: Route): void {
    if (this.#routes.get(route.topic) === route) this.#routes.delete(route.topic)
  }

  /** Where to reach a broker. @throws RouteError when the route does not know it or lists no such id */
  address(route: Route, brokerName: string, brokerId: number = MASTER): string {
    const broker = route.data.brokerDatas.find((each) => each.brokerName === brokerName)
    const address = broker?.brokerAddrs.get(brokerId)
    if (address !== undefined) return this.#policy.rewrite(address)
    const { topic } = route
    if (!broker)
      throw new RouteError(`topic ${topic} has no queues on broker ${brokerName}`, {
        topic,
        outcome: 'not-sent',
        retryable: true,
      })
    const what = brokerId === MASTER ? 'has no master at the moment' : `has no replica with id ${brokerId}`
    throw new RouteError(`broker ${brokerName} of topic ${topic} ${what}`, {
      topic,
      outcome: 'not-sent',
      retryable: true,
    })
  }

  /** Where to read a queue: the id that was suggested, else the master, else any replica. */
  readAddress(route: Route, brokerName: string, suggestedId: number): string {
    const addresses = route.data.brokerDatas.find((each) => each.brokerName === brokerName)?.brokerAddrs
    const id = [suggestedId, MASTER, ...(addresses?.keys() ?? [])].find((each) => addresses?.has(each))
    return this.address(route, brokerName, id)
  }

  async #fetch(topic: string, deadline: Deadline): Promise<Route> {
    try {
      const { body: data } = await this.#nameServers.call(
        GetRouteInfoByTopic,
        { topic, acceptStandardJsonOnly: true },
        undefined,
        deadline,
        topic,
      )
      const route = toRoute(topic, data)
      this.#routes.delete(topic)
      this.#routes.set(topic, route)
      const [oldest] = this.#routes.keys()
      if (this.#routes.size > MAX_ROUTES && oldest !== undefined) this.#routes.delete(oldest)
      return route
    } catch (error) {
      if (!(error instanceof BrokerError) || error.responseCode !== TOPIC_NOT_EXIST) throw error
      throw new RouteError(
        `topic ${topic} does not exist on ${error.address}; create it, or check its name and namespace`,
        {
          topic,
          address: error.address,
          responseCode: TOPIC_NOT_EXIST,
          outcome: 'not-sent',
          cause: error,
        },
      )
    }
  }
}

/** A queue number above this is nonsense, and would be an array of that size. */
const MAX_QUEUES = 65_536

function toRoute(topic: string, data: TopicRouteData): Route {
  const writable: MessageQueue[] = []
  const readable: MessageQueue[] = []
  const masters = new Set(
    data.brokerDatas.filter((each) => each.brokerAddrs.has(MASTER)).map((each) => each.brokerName),
  )
  const known = new Set(
    data.brokerDatas.filter((each) => each.brokerAddrs.size > 0).map((each) => each.brokerName),
  )
  const sorted = [...data.queueDatas].sort((a, b) =>
    a.brokerName < b.brokerName ? -1 : a.brokerName > b.brokerName ? 1 : 0,
  )
  for (const { brokerName, perm, readQueueNums, writeQueueNums } of sorted) {
    // Brokers do not enforce a topic's write permission: the client alone does (protocol.md 2).
    const writes = perm & PERM_WRITE && masters.has(brokerName) ? Math.min(writeQueueNums, MAX_QUEUES) : 0
    const reads = perm & PERM_READ && known.has(brokerName) ? Math.min(readQueueNums, MAX_QUEUES) : 0
    for (let queueId = 0; queueId < writes; queueId++) writable.push({ topic, brokerName, queueId })
    for (let queueId = 0; queueId < reads; queueId++) readable.push({ topic, brokerName, queueId })
  }
  return { topic, data, writable, readable, fetchedAt: Date.now() }
}
