/**
 * The client: connections and routing only. What a function does with it comes from factories on top
 * (`createProducer`, `createPullConsumer`, …), so that what is not used is not in the bundle.
 */
import type { Command } from '../commands/define.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { BrokerError, ConnectError, RouteError } from '../errors.ts'
import { AddressPolicy } from '../net/address-policy.ts'
import { CredentialSource } from '../net/credentials.ts'
import { type CallOptions, type Deadline, deadlineOf } from '../net/deadline.ts'
import { type Answer, Network } from '../net/network.ts'
import { Pool } from '../net/pool.ts'
import { NameServers } from '../routing/name-servers.ts'
import { type Route, Routes } from '../routing/routes.ts'
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
export function createClient(options: ClientOptions = {}): Client {
  return new Client(options)
}

/** Made by {@link createClient}. Its lower-level members are what the factories are built on. */
export class Client {
  readonly namespace: string
  /** The longest that one request takes, in ms. */
  readonly timeoutMs: number
  readonly network: Network
  readonly nameServers: NameServers
  readonly routes: Routes
  readonly addresses: AddressPolicy

  constructor(options: ClientOptions) {
    const resolved = resolveOptions(options)
    this.namespace = resolved.namespace
    this.timeoutMs = resolved.timeoutMs
    this.addresses = new AddressPolicy(resolved.addressMap, resolved.allowedAddresses, resolved.nameServers)
    const pool = new Pool(resolved.pool, resolved.tls, this.addresses)
    const credentials = new CredentialSource(resolved.credentials)
    this.network = new Network(pool, credentials, resolved.timeoutMs, resolved.messageNumbers)
    this.nameServers = new NameServers(this.network, resolved.nameServers)
    this.routes = new Routes(this.nameServers, this.addresses, resolved.routeTtlMs)
  }

  /** Closes every connection. Calls in flight reject with a ClosedError, as does every call from then on. */
  async close(): Promise<void> {
    this.network.pool.close()
    await new Promise<void>((resolve) => setImmediate(resolve)) // the sockets' own close events
  }

  /**
   * For the start of an invocation: drops the connections that died while the sandbox was frozen, so that the first
   * call does not find out. The middleware and the event source do it.
   */
  async thaw(): Promise<void> {
    await this.network.pool.thaw()
  }

  /** A topic or group name as it is sent. */
  wrap(name: string): string {
    return wrapNamespace(this.namespace, name)
  }

  /** A topic or group name as the user knows it. */
  unwrap(name: string): string {
    return this.namespace === '' ? name : unwrapNamespace(this.namespace, name)
  }

  deadline(options: CallOptions): Deadline {
    return deadlineOf(options, this.timeoutMs * ATTEMPTS)
  }

  /** The route of a topic (the user's name for it). @throws RouteError */
  async route(topic: string, deadline: Deadline): Promise<Route> {
    return await this.routes.get(this.wrap(topic), deadline)
  }

  /**
   * Calls the master of the broker that holds `queue`. When the route turns out to be out of date it is fetched again
   * and the call made once more, if the first did not do anything.
   */
  async callQueue<Request, Response, RequestBody, ResponseBody>(
    queue: MessageQueue,
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    options: { deadline: Deadline; timeoutMs?: number | undefined; readFrom?: number | undefined },
  ): Promise<Answer<Response, ResponseBody>> {
    const { deadline, timeoutMs, readFrom } = options
    for (let attempt = 1; ; attempt++) {
      const route = await this.route(queue.topic, deadline)
      try {
        const address =
          readFrom === undefined
            ? this.routes.address(route, queue.brokerName)
            : this.routes.readAddress(route, queue.brokerName, readFrom)
        return await this.network.call(address, command, request, body, {
          deadline,
          timeoutMs,
          topic: queue.topic,
        })
      } catch (error) {
        if (!isStaleRoute(error)) throw error
        this.routes.forget(route)
        if (attempt > 1) throw error
      }
    }
  }
}

/** Whether a route may have led to the wrong place: nothing was done there, so the call can be made again. */
export function isStaleRoute(error: unknown): boolean {
  if (error instanceof ConnectError || error instanceof RouteError) return error.retryable
  return error instanceof BrokerError && [17, 501, 11, 14].includes(error.responseCode ?? 0)
}
