/**
 * Routes of topics: which queues there are, and at which address the broker of each is (protocol.md 2; upstream
 * MQClientInstance). Cached for a short time across invocations; refetched when an answer says that it is out of date.
 * While no name server can be asked, or one that was just started does not know the topic or one of its brokers yet, what
 * was known before serves on: brokers may be well all the same.
 */
import type { MessageQueue } from '../commands/message-queue.ts'
import { AskRouteInfoByTopic, PERM_READ, PERM_WRITE, type QueueRoute } from '../commands/route.ts'
import { RouteError } from '../errors.ts'
import type { AddressPolicy } from '../net/address-policy.ts'
import { createCache, MOST } from '../net/cache.ts'
import { atMost, beforeSending, type Deadline, remainingMs } from '../net/deadline.ts'
import { isUnknownTopic, type NameServers, TOPIC_NOT_EXIST } from './name-servers.ts'

const MASTER = 0
/** While an old route serves on: how often the name servers are asked again, and how long that may hold up a call. */
const OLD_ROUTE_MS = 5_000
const REFETCH_MS = 2_000
/** A name server that was just started knows a broker and its topics from the next report on, up to 30 s later (protocol.md 2). */
const UNREPORTED_MS = 60_000

export interface Route {
  readonly topic: string
  readonly data: QueueRoute
  /** In route order: brokers sorted by name, queue ids ascending (protocol.md 7.4); else as orderTopicConf lists them. */
  readonly writable: readonly MessageQueue[]
  /** Those and the ones of brokers that have gone lately, in the same order: by which a sharding key keeps its queue. */
  keyed: readonly MessageQueue[]
  readonly readable: readonly MessageQueue[]
  /** Addresses by broker name and id, also of brokers that have gone lately. */
  readonly brokers: Map<string, ReadonlyMap<number, string>>
  /** Addresses of masters that have gone lately, by broker name: where no replica will do. */
  readonly masters: Map<string, string>
}

/** What name servers gave last. */
interface Last {
  readonly route: Route
  /** Epoch ms of the first answer since that knew no such topic, when every one behind it did not either, and of the last one. */
  goneSince?: number
  goneAt?: number
  /** Of brokers that the route lists no more, or without their master, and whose addresses it keeps for a while. Epoch ms, by name. */
  readonly missingSince: Map<string, number>
}

export interface Routes {
  /**
   * The route, itself while the cached one is fresh, and the last one when it cannot be fetched again.
   * @throws RouteError with responseCode 17 for an unknown topic
   */
  get(topic: string, deadline: Deadline): Route | Promise<Route>
  /** Forgets a route that led astray, unless it has been fetched again since. */
  forget(route: Route): void
  /** A broker does not answer: when name servers do not list it any more, nothing of it is kept. */
  leave(route: Route, brokerName: string): void
  /**
   * Where to reach the master of a broker; to read, the replica that was suggested, else the master, else any replica.
   * @throws RouteError when the route lists none
   */
  address(route: Route, brokerName: string, readFrom?: number): string
}

/** @param nameOf the user's name for a topic as it is stored, for errors */
export const createRoutes = (
  nameServers: NameServers,
  policy: AddressPolicy,
  ttlMs: number,
  nameOf: (topic: string) => string,
): Routes => {
  /** A cached route that is not among these is a copy that serves on. */
  const lasts = new Map<string, Last>()
  const cache = createCache<Route>(
    'the route of topic ',
    (route, ageMs) =>
      ageMs < (lasts.get(route.topic)?.route === route ? ttlMs : Math.min(ttlMs, OLD_ROUTE_MS)),
  )

  const fetch = async (topic: string, deadline: Deadline): Promise<Route> => {
    const name = nameOf(topic)
    const last = lasts.get(topic)
    // Time must be left to use the old one.
    const limit = last ? atMost(Math.min(REFETCH_MS, remainingMs(deadline) / 2), deadline) : deadline
    try {
      const request = { topic, acceptStandardJsonOnly: true }
      const { body } = await nameServers.call(AskRouteInfoByTopic, request, undefined, limit, name)
      const route = toRoute(topic, body)
      if (lasts.size >= MOST) lasts.clear()
      lasts.set(topic, { route, missingSince: keepMissing(route, last) })
      return route
    } catch (cause) {
      const isUnknown = isUnknownTopic(cause)
      const now = Date.now()
      if (last) {
        // One that cannot be asked may be about to be started; where nobody has asked for so long, one may have been since.
        if (now - (last.goneAt ?? 0) >= UNREPORTED_MS) last.goneSince = now
        last.goneAt = isUnknown ? now : 0
      }
      const isGone = isUnknown && now - (last?.goneSince ?? 0) >= UNREPORTED_MS
      if (last && !isGone) return { ...last.route }
      if (!isUnknown) throw cause
      lasts.delete(topic)
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
    leave(route, brokerName) {
      const missingSince = lasts.get(route.topic)?.missingSince
      if (!missingSince?.has(brokerName)) return
      missingSince.set(brokerName, 0)
      cache.forget(route.topic, route)
    },
    address({ topic, brokers, masters }, brokerName, readFrom) {
      const addresses = brokers.get(brokerName)
      const ids = readFrom === undefined ? [MASTER] : [readFrom, MASTER, ...(addresses?.keys() ?? [])]
      const advertised =
        ids.map((id) => addresses?.get(id)).find((each) => each !== undefined) ?? masters.get(brokerName)
      if (advertised !== undefined) return policy.rewrite(advertised)
      const text = `the route of topic ${topic} has no ${addresses ? 'master of ' : ''}broker ${brokerName}`
      throw new RouteError(text, { topic: nameOf(topic), retryable: true })
    },
  }
}

/** More queues than this are nonsense, and would be an array of that size. */
const MAX_QUEUES = 65_536
/** Nothing is kept of brokers that have gone where so many are there. */
const MAX_BROKERS = 8_192

/** What was begun at a broker of which nothing was reported yet, or a replica only, as a lease, can be ended there. */
const keepMissing = (route: Route, last: Last | undefined): Map<string, number> => {
  const { brokers, masters } = route
  const missingSince = new Map<string, number>()
  if (!last) return missingSince
  const now = Date.now()
  for (const [name, addresses] of last.route.brokers) {
    const since = last.missingSince.get(name) ?? now
    const master = addresses.get(MASTER) ?? last.route.masters.get(name)
    const listed = brokers.get(name)
    const isThere = listed && (!master || listed.has(MASTER))
    if (isThere || now - since >= UNREPORTED_MS || brokers.size >= MAX_BROKERS) continue
    missingSince.set(name, since)
    if (!listed) brokers.set(name, addresses)
    if (master) masters.set(name, master)
  }
  // An order configuration lists them by itself.
  if (missingSince.size > 0 && !route.data.orderTopicConf)
    route.keyed = [...route.writable, ...last.route.keyed.filter((each) => missingSince.has(each.brokerName))]
      .slice(0, MAX_QUEUES)
      .sort((a, b) => byBrokerName(a, b) || a.queueId - b.queueId)
  return missingSince
}

const toRoute = (topic: string, data: QueueRoute): Route => {
  const brokers = new Map(data.brokerDatas.map((each) => [each.brokerName, each.brokerAddrs]))
  const writable: MessageQueue[] = []
  const readable: MessageQueue[] = []
  const addTo = (queues: MessageQueue[], brokerName: string, count: number): void => {
    for (let queueId = 0; queueId < count && queues.length < MAX_QUEUES; queueId++)
      queues.push({ topic, brokerName, queueId })
  }
  // `broker-b:4;broker-a:4`: fixed, so that a key keeps its queue also while a broker is away.
  const order = data.orderTopicConf
  for (const part of order.split(';', MAX_QUEUES)) {
    const [brokerName = '', count] = part.split(':', 2)
    addTo(writable, brokerName, Number(count))
  }
  // One that is listed twice has its queues once: two readers of one would each handle all of it.
  const listed = new Map(data.queueDatas.map((each) => [each.brokerName, each]))
  for (const { brokerName, perm, readQueueNums, writeQueueNums } of [...listed.values()].sort(byBrokerName)) {
    const addresses = brokers.get(brokerName)
    // Brokers do not enforce a topic's write permission: the client alone does (protocol.md 2).
    if (!order && perm & PERM_WRITE && addresses?.has(MASTER)) addTo(writable, brokerName, writeQueueNums)
    if (perm & PERM_READ && addresses?.size) addTo(readable, brokerName, readQueueNums)
  }
  return { topic, data, writable, keyed: writable, readable, brokers, masters: new Map() }
}

const byBrokerName = (a: { brokerName: string }, b: { brokerName: string }): number =>
  a.brokerName < b.brokerName ? -1 : Number(a.brokerName > b.brokerName)
