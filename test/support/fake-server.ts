/**
 * A scripted server: a real socket on 127.0.0.1 whose script is the test body, for the failures that a real broker does
 * not produce on request. It decodes what arrives by our own wire layer and answers in whatever way the script says:
 * a frame, half of one, bytes of any kind, a reset, nothing.
 */
import { createServer as createTcpServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { createServer as createTlsServer, type TlsOptions } from 'node:tls'
import {
  encodeFrame,
  encodeFrameBinary,
  FLAG_ONEWAY,
  FLAG_RESPONSE,
  type Frame,
  FrameDecoder,
} from '../../src/wire/index.ts'

/** An answer; all of it may be left out: code 0, no header fields, no body. */
export interface FakeAnswer {
  code?: number
  ext?: Readonly<Record<string, string>>
  remark?: string
  body?: Uint8Array
  /** The opaque of the answer. @default that of the request */
  opaque?: number
  /** In the ROCKETMQ binary serialisation. @default false: JSON */
  binary?: boolean
  /** The version number of the server. @default 513: 5.5.0 */
  version?: number
}

/** One connection as the server sees it. */
export class FakeConnection {
  readonly socket: Socket
  /** Every byte that arrived, in order. */
  readonly received: Buffer[] = []
  readonly closed: Promise<void>

  constructor(socket: Socket) {
    this.socket = socket
    this.closed = new Promise((resolve) => socket.on('close', () => resolve()))
    socket.on('error', () => undefined) // the client may reset it at any time
  }

  /** Answers a request. */
  reply(frame: Frame, answer: FakeAnswer = {}): void {
    this.write(answerBytes(frame, answer))
  }

  // These give undefined, so that a handler may be nothing but one of them: no answer by itself.

  write(bytes: Uint8Array): undefined {
    this.socket.write(bytes)
  }

  /** One byte per write, each in a packet of its own as far as the kernel plays along. */
  async writeByteByByte(bytes: Uint8Array): Promise<void> {
    this.socket.setNoDelay(true)
    for (const byte of bytes) {
      this.socket.write(Buffer.of(byte))
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  }

  /** A request of the server's own. */
  request(request: FakeAnswer & { code: number; opaque: number; oneway?: boolean }): void {
    const { code, opaque, ext, body, oneway, binary } = request
    const encode = binary ? encodeFrameBinary : encodeFrame
    this.write(encode({ code, opaque, flag: oneway ? FLAG_ONEWAY : 0, ext: ext ?? {}, body }))
  }

  /** RST: whatever is under way is lost. */
  reset(): undefined {
    this.socket.resetAndDestroy()
  }

  /** FIN. */
  end(): undefined {
    this.socket.end()
  }
}

export function answerBytes(frame: Frame, answer: FakeAnswer = {}): Buffer {
  const { code = 0, opaque = frame.opaque, ext = {}, remark, body, binary, version } = answer
  const encode = binary ? encodeFrameBinary : encodeFrame
  return encode({ code, opaque, version, flag: FLAG_RESPONSE, ext, remark, body })
}

/** What the script is called with, for each frame that arrives (answers to the server's own requests too). */
export type Script = (frame: Frame, connection: FakeConnection, server: FakeServer) => unknown

export interface FakeServerOptions {
  /** Serves TLS. */
  tls?: TlsOptions
  /** @default '127.0.0.1' */
  host?: string
  /** @default a free one */
  port?: number
  /** Called for each connection before anything is read from it. */
  onConnection?: (connection: FakeConnection) => void
  /** Reads nothing, so that the client's writes fill the buffers of the kernel and then its own. @default false */
  deaf?: boolean
}

export class FakeServer {
  readonly address: string
  readonly connections: readonly FakeConnection[]
  /** Every frame that arrived, in order. */
  readonly frames: readonly Frame[]
  readonly close: () => Promise<void>
  readonly #arrivals: Arrivals

  constructor(address: string, arrivals: Arrivals, close: () => Promise<void>) {
    this.address = address
    this.#arrivals = arrivals
    this.connections = arrivals.connections
    this.frames = arrivals.frames
    this.close = close
  }

  /** The request codes of all frames, in order. */
  get codes(): number[] {
    return this.frames.map((frame) => frame.code)
  }

  /** Resolves when `count` frames have arrived in all. */
  async arrived(count: number): Promise<readonly Frame[]> {
    await this.#arrivals.until(() => this.frames.length >= count)
    return this.frames
  }

  /** Resolves when `count` connections have been made in all. */
  async connected(count: number): Promise<readonly FakeConnection[]> {
    await this.#arrivals.until(() => this.connections.length >= count)
    return this.connections
  }
}

class Arrivals {
  readonly connections: FakeConnection[] = []
  readonly frames: Frame[] = []
  readonly #waiting: { isOver: () => boolean; resolve: () => void }[] = []

  until(isOver: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ isOver, resolve })
      this.changed()
    })
  }

  changed(): void {
    for (const each of this.#waiting) if (each.isOver()) each.resolve()
  }
}

/** Opens a scripted server; it is closed when the test is over. Without a script it never answers. */
export async function fakeServer(
  t: TestContext,
  script: Script = () => undefined,
  options: FakeServerOptions = {},
): Promise<FakeServer> {
  const { host = '127.0.0.1', port = 0, deaf = false, tls, onConnection } = options
  const arrivals = new Arrivals()
  const sockets = new Set<Socket>()
  const failures: unknown[] = []

  const accept = (socket: Socket): void => {
    const connection = new FakeConnection(socket)
    const decoder = new FrameDecoder()
    arrivals.connections.push(connection)
    arrivals.changed()
    onConnection?.(connection)
    if (deaf) return
    socket.on('data', (chunk: Buffer) => {
      connection.received.push(chunk)
      decoder.push(chunk, (frame) => {
        arrivals.frames.push(frame)
        arrivals.changed()
        void (async () => await script(frame, connection, fake))().catch((error) => failures.push(error))
      })
    })
  }
  const server: Server = tls ? createTlsServer(tls, accept) : createTcpServer(accept)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve, reject) => server.on('error', reject).listen(port, host, resolve))
  const bound = server.address()
  if (bound === null || typeof bound === 'string') throw new Error('the server has no port')
  const address = host.includes(':') ? `[${host}]:${bound.port}` : `${host}:${bound.port}`
  const fake = new FakeServer(address, arrivals, async () => {
    for (const socket of sockets) socket.destroy()
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()))
  })
  t.after(async () => {
    await fake.close()
    if (failures.length > 0) throw failures[0]
  })
  return fake
}

/** A port of 127.0.0.1 at which nobody listens. */
export async function closedPort(): Promise<string> {
  const server = createTcpServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  await new Promise<void>((resolve) => server.close(() => resolve()))
  if (bound === null || typeof bound === 'string') throw new Error('the server has no port')
  return `127.0.0.1:${bound.port}`
}
