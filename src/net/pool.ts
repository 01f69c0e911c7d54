/**
 * One connection per address, opened when it is first needed and kept for the next call or the next invocation.
 *
 * A frozen sandbox hears nothing: brokers close after 120 s, a NAT may forget the flow sooner, and a write into such a
 * socket reports success. So a connection idle for longer than `maxIdleMs` of wall-clock time is replaced before use.
 */
import { ClosedError, ConnectError } from '../errors.ts'
import type { AddressPolicy } from './address-policy.ts'
import { type Connection, createConnection } from './connection.ts'
import { type Deadline, notSent } from './deadline.ts'
import { createShared } from './shared.ts'
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

/** Of an address whose last attempt failed. */
interface Rest {
  failures: number
  /** Epoch ms; the next attempt is not made before. */
  until: number
  cause: unknown
}

const FIRST_REST_MS = 25
const LONGEST_REST_MS = 1_000

export interface Pool {
  /** The connection to `address`, opened if need be. @throws ConnectError, TimeoutError, DeadlineError, AbortError, ClosedError */
  get(address: string, deadline: Deadline, at: number): Promise<Connection>
  /**
   * At the start of an invocation: lets what the kernel queued during a freeze (FIN, RST) arrive, and drops the
   * connections that are gone. Two turns of the event loop: the first polls, the second has seen the close.
   */
  readonly thaw: () => Promise<void>
  /** Closes every connection; calls in flight are settled with a ClosedError. */
  close(): void
}

export function createPool(
  options: Required<{ [K in keyof PoolOptions]: number }>,
  tls: TlsOptions | undefined,
  policy: AddressPolicy,
): Pool {
  const connections = new Map<string, Connection>()
  const rests = new Map<string, Rest>()
  const opening = createShared<Connection>()
  let closed = false

  const checkOpen = (): void => {
    if (closed) throw new ClosedError('the client is closed; create a new one', notSent())
  }

  /** Lets go of a connection that must not be used any more. */
  const fresh = (address: string): Connection | undefined => {
    const connection = connections.get(address)
    if (!connection || connection.isUsable(options.maxIdleMs)) return connection
    connections.delete(address)
    connection.retire()
    return undefined
  }

  const open = async (address: string, signal: AbortSignal): Promise<Connection> => {
    const refused = policy.refuse(address)
    if (refused) throw new ConnectError(`${address} ${refused}`, { address, retryable: false })
    const rest = rests.get(address)
    const restMs = (rest?.until ?? 0) - Date.now()
    if (rest && restMs > 0) {
      const { cause } = rest
      throw new ConnectError(`${address} is tried again in ${restMs} ms: ${(cause as Error).message}`, {
        address,
        cause,
      })
    }
    try {
      const deadline = { at: Date.now() + options.connectTimeoutMs, signal, explicit: false }
      const socket = await openSocket(address, tls, (ip) => policy.refuse(address, ip), deadline)
      const connection = createConnection(socket, address, options.maxFrameBytes)
      if (closed) connection.retire()
      else connections.set(address, connection)
      rests.delete(address)
      return connection
    } catch (cause) {
      if (!signal.aborted) {
        const failures = (rest?.failures ?? 0) + 1
        const until = Date.now() + Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (failures - 1))
        rests.set(address, { failures, until, cause })
      }
      throw cause
    } finally {
      checkOpen() // a client closed meanwhile is what the callers must hear of
    }
  }

  return {
    async get(address, deadline, at) {
      checkOpen()
      return (
        fresh(address) ??
        (await opening.join(
          address,
          (signal) => open(address, signal),
          deadline,
          at,
          `connecting to ${address}`,
          notSent({ address }),
        ))
      )
    },
    async thaw() {
      for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
      for (const address of connections.keys()) fresh(address)
    },
    close() {
      closed = true
      opening.abort()
      const reason = new ClosedError('the client was closed')
      for (const connection of connections.values()) connection.destroy(reason)
      connections.clear()
    },
  }
}
