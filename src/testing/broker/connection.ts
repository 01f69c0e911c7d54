/**
 * One accepted socket: frames in, answers out, and requests of the broker's own with their answers. Answers to what came
 * in one chunk leave in one write.
 */
import type { Socket } from 'node:net'
import { encodeFrame, FLAG_RESPONSE, type Frame, type FrameInput } from '../../wire/frame.ts'
import { FrameDecoder } from '../../wire/frame-decoder.ts'
import { parseHost } from '../../wire/message-id.ts'

/** V5_5_0, as a broker of that version says. */
const VERSION = 513

export type ConnectionEvents = {
  onRequest(frame: Frame): void
  onClose(): void
  /** Why the connection was closed from this side. */
  onRefuse(reason: Error): void
}

export class Connection {
  /** `127.0.0.1:50000`. */
  readonly remote: string
  /** ip 4 | port 4, as stored messages have it. */
  readonly bornHost: Buffer
  readonly #socket: Socket
  readonly #waiting = new Map<number, (answer: Frame | undefined) => void>()
  #pending: Buffer[] = []
  #frozen = false
  #opaque = 0

  constructor(socket: Socket, events: ConnectionEvents) {
    this.#socket = socket
    this.remote = `${socket.remoteAddress}:${socket.remotePort}`
    this.bornHost = hostBytes(this.remote)
    const decoder = new FrameDecoder()
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => {
      try {
        decoder.push(chunk, (frame) => {
          if ((frame.flag & FLAG_RESPONSE) === 0) events.onRequest(frame)
          else this.#settle(frame.opaque, frame)
        })
      } catch (reason) {
        events.onRefuse(reason as Error)
        socket.destroy()
      }
    })
    socket.on('error', () => {}) // told by the close
    socket.on('close', () => {
      for (const opaque of this.#waiting.keys()) this.#settle(opaque, undefined)
      events.onClose()
    })
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed
  }

  write(frame: FrameInput): void {
    if (!this.isOpen) return
    this.#pending.push(encodeFrame({ ...frame, language: 'JAVA', version: VERSION }))
    if (this.#pending.length === 1) process.nextTick(() => this.#flush())
  }

  /** Half of the frame, and the end. */
  writeHalf(frame: FrameInput): void {
    this.#flush()
    const bytes = encodeFrame({ ...frame, language: 'JAVA', version: VERSION })
    this.#socket.end(bytes.subarray(0, bytes.length >> 1))
  }

  #flush(): void {
    if (this.#frozen || this.#pending.length === 0 || !this.isOpen) return
    const [first] = this.#pending
    this.#socket.write(first && this.#pending.length === 1 ? first : Buffer.concat(this.#pending))
    this.#pending = []
  }

  /** Sends a request of the broker's own; the answer is undefined when the connection closes before it. */
  ask(request: Omit<FrameInput, 'opaque'>): { answer: Promise<Frame | undefined>; giveUp(): void } {
    const opaque = ++this.#opaque
    const answer = new Promise<Frame | undefined>((resolve) => this.#waiting.set(opaque, resolve))
    this.write({ ...request, opaque })
    return { answer, giveUp: () => this.#settle(opaque, undefined) }
  }

  #settle(opaque: number, answer: Frame | undefined): void {
    this.#waiting.get(opaque)?.(answer)
    this.#waiting.delete(opaque)
  }

  /** A one-way request of the broker's own. */
  tell(request: Omit<FrameInput, 'opaque'>): void {
    this.write({ ...request, opaque: ++this.#opaque })
  }

  freeze(): void {
    this.#frozen = true
    this.#socket.pause()
  }

  resume(): void {
    this.#frozen = false
    this.#flush()
    this.#socket.resume()
  }

  reset(): void {
    this.#socket.resetAndDestroy()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

/** ip 4 | port 4 of an IPv4 address. */
export function hostBytes(address: string): Buffer {
  const { host, port } = parseHost(address)
  const bytes = Buffer.alloc(8)
  bytes.set(host.split('.').map(Number))
  bytes.writeUInt32BE(port, 4)
  return bytes
}
