/** The layers below the client, opened as the client opens them, and the facts of an error as one value. */
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { RocketMQError } from '../../src/errors.ts'
import { type AddressPolicy, createAddressPolicy } from '../../src/net/address-policy.ts'
import { type Connection, createConnection } from '../../src/net/connection.ts'
import { type CredentialsOption, createCredentialSource } from '../../src/net/credentials.ts'
import type { Deadline } from '../../src/net/deadline.ts'
import { createNetwork, type Network } from '../../src/net/network.ts'
import { createPool, type Pool, type PoolOptions } from '../../src/net/pool.ts'
import type { TlsOptions } from '../../src/net/tcp.ts'
import type { FakeServer } from './fake-server.ts'

/** A deadline that many milliseconds from now. */
export function inMs(ms: number, facts: { signal?: AbortSignal; explicit?: boolean } = {}): Deadline {
  return { at: Date.now() + ms, signal: facts.signal, explicit: facts.explicit ?? false }
}

/** A connection to the server, of its own; it is closed when the test is over. */
export async function openConnection(
  t: TestContext,
  server: FakeServer,
  maxFrameBytes?: number,
  lastOpaque?: number,
): Promise<Connection> {
  const colon = server.address.lastIndexOf(':')
  const socket = connect(Number(server.address.slice(colon + 1)), '127.0.0.1')
  await new Promise<void>((resolve, reject) => socket.on('connect', resolve).on('error', reject))
  socket.removeAllListeners('error').removeAllListeners('connect')
  t.after(() => socket.destroy())
  return createConnection(socket, server.address, maxFrameBytes, lastOpaque)
}

/** Whether a new call may use it, however long it was idle. */
export function isUsable(connection: Connection): boolean {
  return connection.isUsable(Number.POSITIVE_INFINITY)
}

export interface PoolFixture {
  options?: PoolOptions
  tls?: TlsOptions
  policy?: AddressPolicy
}

/** A pool; it is closed when the test is over. */
export function openPool(t: TestContext, fixture: PoolFixture = {}): Pool {
  const { options, tls, policy = createAddressPolicy(undefined, undefined, []) } = fixture
  const all = {
    maxIdleMs: options?.maxIdleMs ?? 30_000,
    connectTimeoutMs: options?.connectTimeoutMs ?? 20_000,
    maxFrameBytes: options?.maxFrameBytes ?? 16_777_216,
  }
  const pool = createPool(all, tls, policy)
  t.after(() => pool.close())
  return pool
}

export interface NetworkFixture extends PoolFixture {
  credentials?: CredentialsOption
  messageNumbers?: boolean
  timeoutMs?: number
}

/** A network on a pool of its own. */
export function openNetwork(t: TestContext, fixture: NetworkFixture = {}): Network {
  const { credentials, messageNumbers = false, timeoutMs = 20_000 } = fixture
  return createNetwork(openPool(t, fixture), createCredentialSource(credentials), timeoutMs, messageNumbers)
}

/** What an error says about itself, without its text; absent facts are left out. */
export function factsOf(error: unknown): Record<string, unknown> {
  if (!RocketMQError.is(error)) throw new Error('not an error of this package', { cause: error })
  const { code, retryable, outcome, responseCode, address, topic, field } = error
  const facts = { code, retryable, outcome, responseCode, address, topic, field }
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}

/** The facts of what the call rejects with. */
export async function rejection(call: unknown): Promise<Record<string, unknown>> {
  return await Promise.resolve(call).then(
    (value) => {
      throw new Error('it did not reject', { cause: value })
    },
    (error: unknown) => factsOf(error),
  )
}
