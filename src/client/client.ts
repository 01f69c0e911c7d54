/**
 * The client: connections and routing only. What a function does with it comes from factories on top
 * (`createProducer`, `createPullConsumer`, …), so that what is not used is not in the bundle.
 */
import type { Command } from '../commands/define.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { BrokerError, ConnectError, ConnectionLostError, RouteError, TimeoutError } from '../errors.ts'
import { type AddressPolicy, createAddressPolicy } from '../net/address-policy.ts'
import { createCredentialSource } from '../net/credentials.ts'
import { type CallOptions, type Deadline, deadlineOf } from '../net/deadline.ts'
import { type Answer, createNetwork, type Network } from '../net/network.ts'
import { createPool, nextTurn } from '../net/pool.ts'
import { repeat } from '../net/repeat.ts'
import { createNameServers, type NameServers } from '../routing/name-servers.ts'
import { createRoutes, type Route, type Routes } from '../routing/routes.ts'
import { unwrapNamespace, wrapNamespace } from '../wire/names.ts'
import { type ClientOptions, resolveOptions } from './options.ts'

/** Attempts that a call's default deadline has room for. */
const ATTEMPTS = 3

/**
 * Creates a client. Nothing is connected yet: connections open with the first call that needs them.
 *
 * @example
 * const client = createClient({ nameServers: '10.0.0.5:9876;10.0.0.6:9876' })
 * try { … } finally { await client.close() }
 * @throws ConfigError naming the option
 */
export const createClient = (options: ClientOptions = {}): Client => {
  const { namespace, timeoutMs, ...resolved } = resolveOptions(options)
  const addresses = createAddressPolicy(resolved.addressMap, resolved.allowedAddresses, resolved.nameServers)
  const pool = createPool(resolved.pool, resolved.tls, addresses)
  const credentials = createCredentialSource(resolved.credentials)
  const network = createNetwork(pool, credentials, timeoutMs, resolved.extensions.messageNumbers)
  const nameServers = createNameServers(network, resolved.nameServers)
  const unwrap = (name: string): string => unwrapNamespace(namespace, name)
  const routes = createRoutes(nameServers, addresses, resolved.routeTtlMs, unwrap)
  const wrap = (name: string): string => wrapNamespace(namespace, name)
  const route: Client['route'] = (topic, deadline) => routes.get(wrap(topic), deadline)

  return {
    timeoutMs,
    network,
    nameServers,
    routes,
    addresses,
    async close() {
      pool.close()
      await nextTurn() // the sockets' own close events
    },
    thaw: pool.thaw,
    wrap,
    unwrap,
    deadline: (limits = {}) => deadlineOf(limits, timeoutMs * ATTEMPTS),
    route,
    callQueue(queue, command, request, body, { readFrom, ...limits }) {
      const { topic, brokerName } = queue
      let way: Route | undefined
      return repeat(
        async () => {
          way = await route(topic, limits.deadline)
          const address = routes.address(way, brokerName, readFrom)
          const once = command.effect === 'once'
          return await network.call(address, command, request, body, { ...limits, topic, once })
        },
        (error, turn) => {
          // A pull that waits at the broker has a limit of its own, and is not begun again.
          const isSilent = error instanceof TimeoutError && limits.timeoutMs === undefined
          const isLost = (isSilent || error instanceof ConnectionLostError) && command.effect !== 'once'
          if (!way || !(isLost || isStaleRoute(error))) return false
          routes.forget(way)
          return turn === 0
        },
      )
    },
  }
}

/** Made by {@link createClient}. Its lower-level members are what the factories are built on. */
export interface Client {
  /** The longest that one request takes, in ms. */
  readonly timeoutMs: number
  readonly network: Network
  readonly nameServers: NameServers
  readonly routes: Routes
  readonly addresses: AddressPolicy
  /** Closes every connection. Calls in flight reject with a ClosedError, as does every call from then on. */
  close(): Promise<void>
  /**
   * For the start of an invocation: drops the connections that died while the sandbox was frozen, so that the first
   * call does not find out. The middleware and the event source do it.
   */
  thaw(): Promise<void>
  /** A topic or group name as it is sent. */
  wrap(name: string): string
  /** A topic or group name as the user knows it. */
  readonly unwrap: (name: string) => string
  deadline(options?: CallOptions): Deadline
  /** The route of a topic (the user's name for it). @throws RouteError */
  route(topic: string, deadline: Deadline): Route | Promise<Route>
  /**
   * Calls the master of the broker that holds `queue`, or with `readFrom` the replica of that id. When the route turns
   * out to be out of date it is fetched again and the call made once more, if the first did not do anything.
   */
  callQueue<Request, Response, RequestBody, ResponseBody>(
    queue: MessageQueue,
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    options: { deadline: Deadline; timeoutMs?: number | undefined; readFrom?: number | undefined },
  ): Promise<Answer<Response, ResponseBody>>
}

/** Whether a route may have led to the wrong place: nothing was done there, so the call can be made again. */
export const isStaleRoute = (error: unknown): boolean => {
  if (error instanceof ConnectError || error instanceof RouteError) return error.retryable
  return error instanceof BrokerError && [17, 501, 11, 14, 1500].includes(error.responseCode ?? 0)
}
