/**
 * One connection per address, opened when it is first needed and kept for the next call or the next invocation.
 *
 * A frozen sandbox hears nothing: brokers close after 120 s, a NAT may forget the flow sooner, and a write into such a
 * socket reports success. So a connection idle for longer than `maxIdleMs` of wall-clock time is replaced before use.
 */
import { ClosedError, ConnectError, type RocketMQError } from '../errors.ts'
import type { AddressPolicy } from './address-policy.ts'
import { Connection } from './connection.ts'
import type { Deadline } from './deadline.ts'
import { Shared } from './shared.ts'
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

interface Slot {
  connection: Connection | undefined
  connecting: Shared<Connection> | undefined
  /** Attempts that failed in a row, and until when (epoch ms) the next one is not made. */
  failures: number
  restUntil: number
  lastFailure: RocketMQError | undefined
}

const FIRST_REST_MS = 25
const LONGEST_REST_MS = 1_000

export class Pool {
  readonly #slots = new Map<string, Slot>()
  readonly #options: Required<{ [K in keyof PoolOptions]: number }>
  readonly #tls: TlsOptions | undefined
  readonly #policy: AddressPolicy
  #closed = false

  constructor(
    options: Required<{ [K in keyof PoolOptions]: number }>,
    tls: TlsOptions | undefined,
    policy: AddressPolicy,
  ) {
    this.#options = options
    this.#tls = tls
    this.#policy = policy
  }

  /** The connection to `address`, opened if need be. @throws ConnectError, TimeoutError, DeadlineError, AbortError, ClosedError */
  async get(address: string, deadline: Deadline, at: number): Promise<Connection> {
    if (this.#closed) throw new ClosedError('the client is closed; create a new one', { outcome: 'not-sent' })
    const slot = this.#slot(address)
    const { connection } = slot
    if (connection) {
      if (this.#isFresh(connection)) return connection
      slot.connection = undefined
      connection.retire()
    }
    slot.connecting ??= new Shared(
      (signal) => this.#open(address, slot, signal),
      () => {
        slot.connecting = undefined
      },
    )
    return await slot.connecting.join(deadline, at, `connecting to ${address}`, {
      address,
      outcome: 'not-sent',
    })
  }

  /**
   * At the start of an invocation: lets what the kernel queued during a freeze (FIN, RST) arrive, and drops the
   * connections that are gone. Two turns of the event loop: the first polls, the second has seen the close.
   */
  async thaw(): Promise<void> {
    for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
    for (const slot of this.#slots.values()) {
      if (!slot.connection || this.#isFresh(slot.connection)) continue
      slot.connection.retire()
      slot.connection = undefined
    }
  }

  /** Closes every connection; calls in flight are settled with a ClosedError. */
  close(): void {
    this.#closed = true
    const reason = new ClosedError('the client was closed while the call was in flight')
    for (const slot of this.#slots.values()) {
      slot.connecting?.abort(reason)
      slot.connection?.destroy(reason)
    }
    this.#slots.clear()
  }

  #slot(address: string): Slot {
    let slot = this.#slots.get(address)
    if (!slot) {
      slot = {
        connection: undefined,
        connecting: undefined,
        failures: 0,
        restUntil: 0,
        lastFailure: undefined,
      }
      this.#slots.set(address, slot)
    }
    return slot
  }

  #isFresh(connection: Connection): boolean {
    const idle = connection.inFlight === 0 && Date.now() - connection.lastUsedAt > this.#options.maxIdleMs
    return connection.usable && !idle
  }

  async #open(address: string, slot: Slot, signal: AbortSignal): Promise<Connection> {
    const refused = this.#policy.refuse(address)
    if (refused)
      throw new ConnectError(`${address}: ${refused}`, { address, retryable: false, outcome: 'not-sent' })
    const rest = slot.restUntil - Date.now()
    if (rest > 0 && slot.lastFailure) {
      throw new ConnectError(`${address} is not tried again for ${rest} ms: ${slot.lastFailure.message}`, {
        address,
        outcome: 'not-sent',
        cause: slot.lastFailure,
      })
    }
    const at = Date.now() + this.#options.connectTimeoutMs
    try {
      const refusePeer = (ip: string): string | undefined => this.#policy.refuse(address, ip)
      const socket = await openSocket(
        address,
        { tls: this.#tls, refusePeer },
        { at, signal, explicit: false },
        at,
      )
      const connection = new Connection(socket, address, this.#options.maxFrameBytes)
      if (this.#closed) {
        connection.destroy(new ClosedError('the client was closed'))
        throw new ClosedError('the client was closed while it was connecting', {
          address,
          outcome: 'not-sent',
        })
      }
      slot.connection = connection
      slot.failures = 0
      return connection
    } catch (error) {
      if (!signal.aborted) {
        slot.failures += 1
        slot.restUntil = Date.now() + Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (slot.failures - 1))
        slot.lastFailure = error as RocketMQError
      }
      throw error
    }
  }
}
