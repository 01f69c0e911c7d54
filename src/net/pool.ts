/**
 * One connection per address, opened when it is first needed and kept for the next call or the next invocation.
 *
 * A frozen sandbox hears nothing: brokers close after 120 s, a NAT may forget the flow sooner, and a write into such a
 * socket reports success. So a connection idle for longer than `maxIdleMs` of wall-clock time is replaced before use.
 */
import { ClosedError, ConnectError } from '../errors.ts'
import type { AddressPolicy } from './address-policy.ts'
import { createCache, MOST } from './cache.ts'
import { type Connection, createConnection } from './connection.ts'
import { type Deadline, notSent, pause } from './deadline.ts'
import { openSocket, type TlsOptions } from './tcp.ts'

/** Connection options. */
export interface PoolOptions {
  /** A connection idle for longer is replaced before use, in ms; keep it well below 120,000. @default 30000 */
  maxIdleMs?: number | undefined
  /** How long opening a connection may take, TLS included, in ms. @default the client's timeoutMs */
  connectTimeoutMs?: number | undefined
  /** A frame from the network that says it is larger is refused before anything is allocated. @default 16777216 */
  maxFrameBytes?: number | undefined
}

/** The last attempt to connect to an address. There are two in a second at most: a peer that refuses is not to be stormed. */
interface Attempt {
  /** When it began, epoch ms. */
  at: number
  /** When another one may begin, epoch ms: until then calls wait, or its error stands for the attempt. */
  next: number
  /** Why it failed. */
  cause?: unknown
}

const CLOSED = 'the client is closed'
/** A connection that was heard from so long ago at most is trusted with what is not made again, in ms. */
const HEARD_MS = 5_000
/** After the first attempt that failed, in ms; up to twice as long. */
const FIRST_REST_MS = 25
/** From an attempt to the next but one, in ms; up to half as long again, so that not all sandboxes come at once. */
const REST_MS = 1_000
const LONGEST_REST_MS = 1.5 * REST_MS

/**
 * A turn of the event loop, in which sockets say what has become of them. Requests that were begun before leave in it first,
 * for they are sent by then.
 */
export const nextTurn = (): Promise<void> => new Promise((resolve) => process.nextTick(setImmediate, resolve))

export interface Pool {
  /**
   * The connection to `address`, itself when it is there, opened if need be.
   * @param once for a request that is not made again: no connection that may have ended unseen since it was heard from
   * @throws ConnectError, TimeoutError, DeadlineError, AbortError, ClosedError
   */
  get(address: string, deadline: Deadline, once?: boolean): Connection | Promise<Connection>
  /**
   * At the start of an invocation: lets what the kernel queued during a freeze (FIN, RST) arrive, and drops the
   * connections that are gone. Two turns of the event loop: the first polls, the second has seen the close.
   */
  readonly thaw: () => Promise<void>
  /** Closes every connection; calls in flight are settled with a ClosedError. */
  close(): void
}

export const createPool = (
  options: Required<{ [K in keyof PoolOptions]: number }>,
  tls: TlsOptions | undefined,
  policy: AddressPolicy,
): Pool => {
  const attempts = new Map<string, Attempt>()
  const cache = createCache<Connection>('connecting to ', (connection) =>
    connection.isUsable(options.maxIdleMs),
  )
  /** Those out of use too: they end with their last call. */
  const connections = new Set<Connection>()
  let closed = false

  const checkOpen = (): void => {
    if (closed) throw new ClosedError(CLOSED, notSent())
  }

  const open = async (address: string, signal: AbortSignal): Promise<Connection> => {
    checkOpen()
    const refused = policy.refuse(address)
    if (refused) throw new ConnectError(`${address} ${refused}`, { address, retryable: false })
    const before = attempts.get(address)
    const ms = before ? before.next - Date.now() : 0
    // It is never longer, unless the clock was set back.
    if (before && ms > 0 && ms <= LONGEST_REST_MS) {
      if (before.cause) throw before.cause
      await pause(ms, { at: Infinity, signal, explicit: false })
      checkOpen()
    }
    const at = Date.now()
    const isSecond = before && at < before.at + LONGEST_REST_MS
    const attempt: Attempt = { at, next: isSecond ? before.at + REST_MS * (1 + Math.random() / 2) : at }
    if (attempts.size >= MOST) attempts.clear()
    attempts.set(address, attempt)
    try {
      const deadline = { at: at + options.connectTimeoutMs, signal, explicit: false }
      const socket = await openSocket(address, tls, (ip) => policy.refuse(address, ip), deadline)
      const connection = createConnection(socket, address, options.maxFrameBytes)
      connections.add(connection)
      socket.on('close', () => connections.delete(connection))
      if (signal.aborted) connection.retire()
      return connection
    } catch (cause) {
      if (!signal.aborted) {
        attempt.cause = cause
        attempt.next = Math.max(attempt.next, Date.now() + FIRST_REST_MS * (1 + Math.random()))
      }
      throw cause
    } finally {
      checkOpen() // a client closed meanwhile is what the callers must hear of
    }
  }

  return {
    get(address, deadline, once) {
      const known = once && cache.entries.get(address)?.value
      if (known && !known.isUsable(HEARD_MS)) cache.forget(address, known)
      return cache.get(address, deadline, { address }, ({ signal }) => open(address, signal))
    },
    async thaw() {
      await nextTurn()
      await nextTurn()
      cache.sweep()
    },
    close() {
      closed = true
      const reason = new ClosedError(CLOSED)
      for (const { stop } of cache.entries.values()) stop.abort()
      for (const each of connections) each.destroy(reason)
    },
  }
}
