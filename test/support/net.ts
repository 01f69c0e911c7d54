/** The layers below the client, opened as the client opens them, and the facts of an error as one value. */
import { connect } from 'node:net'
import type { TestContext } from 'node:test'
import { RocketMQError } from '../../src/errors.ts'
import { AddressPolicy } from '../../src/net/address-policy.ts'
import { Connection } from '../../src/net/connection.ts'
import { CredentialSource, type CredentialsOption } from '../../src/net/credentials.ts'
import type { Deadline } from '../../src/net/deadline.ts'
import { Network } from '../../src/net/network.ts'
import { Pool, type PoolOptions } from '../../src/net/pool.ts'
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
): Promise<Connection> {
  const colon = server.address.lastIndexOf(':')
  const socket = connect(Number(server.address.slice(colon + 1)), '127.0.0.1')
  await new Promise<void>((resolve, reject) => socket.on('connect', resolve).on('error', reject))
  socket.removeAllListeners('error').removeAllListeners('connect')
  t.after(() => socket.destroy())
  return new Connection(socket, server.address, maxFrameBytes)
}

export interface PoolFixture {
  options?: PoolOptions
  tls?: TlsOptions
  policy?: AddressPolicy
}

/** A pool; it is closed when the test is over. */
export function openPool(t: TestContext, fixture: PoolFixture = {}): Pool {
  const { options, tls, policy = new AddressPolicy(undefined, undefined, []) } = fixture
  const all = {
    maxIdleMs: options?.maxIdleMs ?? 30_000,
    connectTimeoutMs: options?.connectTimeoutMs ?? 2_000,
    maxFrameBytes: options?.maxFrameBytes ?? 16_777_216,
  }
  const pool = new Pool(all, tls, policy)
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
  const { credentials, messageNumbers = false, timeoutMs = 2_000 } = fixture
  return new Network(openPool(t, fixture), new CredentialSource(credentials), timeoutMs, messageNumbers)
}

/** What an error says about itself, without its text; absent facts are left out. */
export function factsOf(error: unknown): Record<string, unknown> {
  if (!RocketMQError.is(error)) throw new Error('not an error of this package', { cause: error })
  const { code, retryable, outcome, responseCode, address, topic, field } = error
  const facts = { code, retryable, outcome, responseCode, address, topic, field }
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}

/** The facts of what the promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Record<string, unknown>> {
  return await promise.then(
    (value) => {
      throw new Error('it did not reject', { cause: value })
    },
    (error: unknown) => factsOf(error),
  )
}
