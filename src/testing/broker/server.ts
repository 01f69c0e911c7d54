/**
 * A listening socket of the local broker: a name server's or a broker's. It accepts connections, applies fault rules,
 * freezes, and goes and comes back on its port.
 */
import { createServer as createNetServer, type Server as NetServer } from 'node:net'
import { ConnectError } from '../../errors.ts'
import { FLAG_ONEWAY, FLAG_RESPONSE, type Frame, type FrameInput } from '../../wire/frame.ts'
import type { ClockScope } from './clock.ts'
import { Connection } from './connection.ts'
import type { FaultKind, FaultRule, Faults } from './faults.ts'

export const HOST = '127.0.0.1'
/** A server closes what has been silent for so long, by the system's time. */
const IDLE_MS = 120_000
const SYSTEM_BUSY = 2
const BUSY =
  '[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: 201ms, size of queue: 1'

/** Where the local broker says what it does not tell its clients, such as why it closed a connection. */
export interface BrokerLogger {
  warn(message: string): void
  error(message: string, error?: unknown): void
}

/** An answer without its opaque. */
export type Answer = Omit<FrameInput, 'opaque'>

export interface ServerOptions {
  /** In log lines and fault rules. */
  name: string
  port: number
  faults: Faults
  clock: ClockScope
  logger: BrokerLogger
  handle(frame: Frame, connection: Connection, answer: (answer: Answer) => void): void
  onClose?(connection: Connection): void
  /** A fault rule kills it. */
  onKill(ms: number | undefined): void
}

export class Server {
  readonly #options: ServerOptions
  readonly #connections = new Set<Connection>()
  #server: NetServer | undefined
  #frozen = false
  #port: number

  constructor(options: ServerOptions) {
    this.#options = options
    this.#port = options.port
  }

  /** `127.0.0.1:port`. It stays the same once it has listened. */
  get address(): string {
    return `${HOST}:${this.#port}`
  }

  get isListening(): boolean {
    return this.#server !== undefined
  }

  /** @throws ConnectError when the port is in use. */
  async listen(): Promise<void> {
    if (this.#server) return
    const server = createNetServer((socket) => {
      socket.setTimeout(IDLE_MS, () => socket.destroy())
      const connection: Connection = new Connection(socket, {
        onRequest: (frame) => this.#receive(frame, connection),
        onRefuse: (reason) =>
          this.#options.logger.warn(`${this.#options.name} closed ${connection.remote}: ${reason.message}`),
        onClose: () => {
          this.#connections.delete(connection)
          this.#options.onClose?.(connection)
        },
      })
      this.#connections.add(connection)
      if (this.#frozen) connection.freeze()
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => {
        const why = cause.code === 'EADDRINUSE' ? 'is in use' : `cannot be used: ${cause.message}`
        reject(new ConnectError(`${this.#options.name}: ${this.address} ${why}`, { cause, retryable: false }))
      })
      server.listen(this.#port, HOST, resolve)
    })
    this.#server = server
    this.#port = (server.address() as { port: number }).port
  }

  /** Resets every connection, or closes it in an orderly way, and listens no more. */
  async close({ reset = false }: { reset?: boolean } = {}): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.resume()
    const closed = server && new Promise((resolve) => server.close(resolve))
    for (const connection of this.#connections) {
      if (reset) connection.reset()
      else connection.destroy()
    }
    await closed
  }

  /** Nothing is read or written until `resume`; connections stay open and new ones are accepted. */
  freeze(): void {
    this.#frozen = true
    for (const connection of this.#connections) connection.freeze()
  }

  resume(): void {
    if (!this.#frozen) return
    this.#frozen = false
    for (const connection of this.#connections) connection.resume()
  }

  #receive(frame: Frame, connection: Connection): void {
    const { faults, name } = this.#options
    const rule = faults.strike(name, frame)
    if (rule) this.#spoil(rule, frame, connection)
    else this.#handle(frame, connection, (answer) => connection.write(answer))
  }

  #handle(frame: Frame, connection: Connection, write: (frame: FrameInput) => void): void {
    const { opaque, flag } = frame
    this.#options.handle(frame, connection, (answer) => {
      if ((flag & FLAG_ONEWAY) === 0) write({ flag: FLAG_RESPONSE, ...answer, opaque })
    })
  }

  #spoil(rule: FaultRule, frame: Frame, connection: Connection): void {
    const { clock } = this.#options
    const { ms } = rule
    const go = (write: (frame: FrameInput) => void): void => this.#handle(frame, connection, write)
    const answer = (code: number, remark: string): void => {
      if ((frame.flag & FLAG_ONEWAY) === 0)
        connection.write({ code, remark, flag: FLAG_RESPONSE, opaque: frame.opaque })
    }
    const later = (run: () => unknown): void => void (ms !== undefined && clock.at(clock.now() + ms, run))
    const effects: Record<FaultKind, () => void> = {
      // A server that has gone meanwhile never gets it.
      delay: () => later(() => this.isListening && go((each) => connection.write(each))),
      drop: () => {},
      reset: () => connection.reset(),
      'half-frame': () => go((each) => connection.writeHalf(each)),
      'lose-answer': () => go(() => {}),
      busy: () => answer(SYSTEM_BUSY, BUSY),
      refuse: () => answer(rule.responseCode ?? 1, rule.remark ?? 'refused by a fault rule'),
      freeze: () => {
        this.freeze()
        later(() => this.resume())
        go((each) => connection.write(each))
      },
      kill: () => this.#options.onKill(ms),
    }
    effects[rule.fault]()
  }
}
