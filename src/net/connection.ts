/**
 * One connection: many requests in flight, each answered by its opaque; requests from the broker told from responses
 * by the flag alone (a broker numbers its own requests, so an opaque may be both). Upstream: NettyRemotingClient.
 *
 * The socket keeps the process alive only while a call is in flight, and one timer serves all of them. A connection
 * that missed an answer is not used for new calls: after a freeze or a lost flow it looks healthy and swallows writes.
 */
import { ClosedError, ConnectionLostError, type ErrorFacts, ProtocolError } from '../errors.ts'
import { encodeFrame, FLAG_ONEWAY, FLAG_RESPONSE, type Frame } from '../wire/frame.ts'
import { FrameDecoder } from '../wire/frame-decoder.ts'
import { aborted, type Deadline, expired } from './deadline.ts'
import type { Socket } from './tcp.ts'

const REQUEST_CODE_NOT_SUPPORTED = 3
const MAX_TIMER_MS = 0x7fff_ffff

export interface Request {
  code: number
  ext: Readonly<Record<string, string>>
  body: Uint8Array | undefined
  deadline: Deadline
  /** Epoch ms; when to give up, no later than the deadline. */
  at: number
  /** Its errors carry an `outcome`. */
  write: boolean
}

interface Pending {
  request: Request
  /** Some of its bytes may have been given to the kernel. */
  handedOver: boolean
  resolve: (frame: Frame) => void
  reject: (error: Error) => void
  onAbort: (() => void) | undefined
}

export class Connection {
  readonly address: string
  readonly #socket: Socket
  readonly #decoder: FrameDecoder
  readonly #pending = new Map<number, Pending>()
  /** Requests that wait in the socket's own buffer behind an earlier write. */
  readonly #buffered: Pending[] = []
  #opaque = 0
  #lastUsedAt = Date.now()
  #timer: NodeJS.Timeout | undefined
  #timerAt = 0
  #retired = false
  #lost: Error | undefined

  constructor(socket: Socket, address: string, maxFrameBytes?: number) {
    this.address = address
    this.#socket = socket
    this.#decoder = new FrameDecoder(maxFrameBytes)
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#lose(error))
    socket.on('end', () => this.#lose(new Error('closed by the other side')))
    socket.on('close', () => this.#lose(new Error('closed')))
    socket.unref()
  }

  /** Epoch ms of the last byte in either direction. */
  get lastUsedAt(): number {
    return this.#lastUsedAt
  }

  get inFlight(): number {
    return this.#pending.size
  }

  /** Whether new calls may use it. */
  get usable(): boolean {
    const socket = this.#socket
    return !this.#retired && !this.#lost && !socket.destroyed && !socket.readableEnded && socket.writable
  }

  /** Sends a request and waits for its response frame. */
  request(request: Request): Promise<Frame> {
    return new Promise<Frame>((resolve, reject) => {
      const { code, deadline } = request
      if (this.#lost || this.#socket.destroyed) {
        reject(this.#lostError(request, 'not-sent'))
        return
      }
      const { signal } = deadline
      if (signal?.aborted) {
        reject(aborted(signal, `request ${code} to ${this.address}`, this.#facts(request, 'not-sent')))
        return
      }
      const opaque = this.#nextOpaque()
      const bytes = encodeFrame({ code, opaque, ext: request.ext, body: request.body })
      const handedOver = this.#socket.writableLength === 0
      const pending: Pending = { request, handedOver, resolve, reject, onAbort: undefined }
      if (signal) {
        pending.onAbort = () => {
          this.#settle(opaque, pending)
          reject(aborted(signal, `request ${code} to ${this.address}`, this.#facts(request, 'unknown')))
        }
        signal.addEventListener('abort', pending.onAbort)
      }
      if (this.#pending.size === 0) this.#socket.ref()
      this.#pending.set(opaque, pending)
      if (!handedOver) this.#buffered.push(pending)
      this.#armTimer(request.at)
      this.#write(bytes)
    })
  }

  /** Sends a request that is never answered; resolves when its bytes have left for the kernel. */
  oneway(request: Request): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const { code, deadline, at } = request
      if (this.#lost || this.#socket.destroyed) {
        reject(this.#lostError(request, 'not-sent'))
        return
      }
      const bytes = encodeFrame({
        code,
        opaque: this.#nextOpaque(),
        flag: FLAG_ONEWAY,
        ext: request.ext,
        body: request.body,
      })
      // A timer of its own: there is no response by which the shared one could be settled.
      const timer = setTimeout(
        () => {
          this.retire()
          reject(
            expired(
              deadline,
              `the bytes of request ${code} did not leave for ${this.address}`,
              this.#facts(request, 'unknown'),
            ),
          )
        },
        Math.max(0, at - Date.now()),
      )
      this.#socket.write(bytes, (error) => {
        clearTimeout(timer)
        this.#lastUsedAt = Date.now()
        if (error) reject(this.#lostError(request, 'unknown'))
        else resolve()
      })
    })
  }

  /** Takes it out of use; it closes when the calls in flight are over. */
  retire(): void {
    this.#retired = true
    if (this.#pending.size === 0) this.#socket.destroy()
  }

  /** Closes at once and settles every call in flight. */
  destroy(reason: Error): void {
    this.#lose(reason)
  }

  #write(bytes: Buffer): void {
    this.#lastUsedAt = Date.now()
    this.#socket.write(bytes, this.#onWritten)
  }

  readonly #onWritten = (): void => {
    // The kernel took everything up to this write, so whatever was queued behind it may be on its way by now.
    for (const pending of this.#buffered) pending.handedOver = true
    this.#buffered.length = 0
  }

  #read(chunk: Buffer): void {
    this.#lastUsedAt = Date.now()
    try {
      this.#decoder.push(chunk, this.#onFrame)
    } catch (error) {
      this.#lose(error)
    }
  }

  readonly #onFrame = (frame: Frame): void => {
    if ((frame.flag & FLAG_RESPONSE) === 0) {
      this.#answerNotSupported(frame)
      return
    }
    const pending = this.#pending.get(frame.opaque)
    if (!pending) return // the answer to a call that was given up
    this.#settle(frame.opaque, pending)
    pending.resolve(frame)
  }

  /** A broker's request that nobody here handles: say so, or its administrator waits for ten seconds. */
  #answerNotSupported(frame: Frame): void {
    if (frame.flag & FLAG_ONEWAY) return
    this.#write(
      encodeFrame({
        code: REQUEST_CODE_NOT_SUPPORTED,
        opaque: frame.opaque,
        flag: FLAG_RESPONSE,
        remark: `request type ${frame.code} not supported`,
        ext: {},
      }),
    )
  }

  #settle(opaque: number, pending: Pending): void {
    this.#pending.delete(opaque)
    if (pending.onAbort) pending.request.deadline.signal?.removeEventListener('abort', pending.onAbort)
    if (this.#pending.size > 0) return
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#socket.unref()
    if (this.#retired) this.#socket.destroy()
  }

  #armTimer(at: number): void {
    if (this.#timer && this.#timerAt <= at) return
    clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(this.#expire, Math.min(MAX_TIMER_MS, Math.max(1, at - Date.now())))
  }

  readonly #expire = (): void => {
    this.#timer = undefined
    const now = Date.now()
    let next = Number.POSITIVE_INFINITY
    for (const [opaque, pending] of this.#pending) {
      const { request } = pending
      if (request.at > now) {
        next = Math.min(next, request.at)
        continue
      }
      this.#retired = true
      this.#settle(opaque, pending)
      pending.reject(
        expired(
          request.deadline,
          `${this.address} did not answer request ${request.code}`,
          this.#facts(request, 'unknown'),
        ),
      )
    }
    if (this.#pending.size > 0) this.#armTimer(next)
  }

  #lose(cause: unknown): void {
    if (this.#lost) return
    this.#lost = cause instanceof Error ? cause : new Error(String(cause))
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#socket.destroy()
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const each of pending) {
      if (each.onAbort) each.request.deadline.signal?.removeEventListener('abort', each.onAbort)
      each.reject(this.#lostError(each.request, each.handedOver ? 'unknown' : 'not-sent'))
    }
  }

  #lostError(request: Request, outcome: 'unknown' | 'not-sent'): Error {
    const cause = this.#lost
    if (cause instanceof ProtocolError) {
      return new ProtocolError(
        `${this.address} sent bytes that are not RocketMQ's protocol: ${cause.message}`,
        {
          ...this.#facts(request, outcome),
          field: cause.field,
          cause,
        },
      )
    }
    if (cause instanceof ClosedError) return new ClosedError(cause.message, this.#facts(request, outcome))
    return new ConnectionLostError(
      `the connection to ${this.address} was lost (${cause?.message ?? 'closed'}) ${
        outcome === 'unknown' ? 'before the answer' : 'before the request was sent'
      }`,
      { ...this.#facts(request, outcome), cause },
    )
  }

  #facts(request: Request, outcome: 'unknown' | 'not-sent'): ErrorFacts {
    return { address: this.address, outcome: request.write ? outcome : undefined }
  }

  /** Signed 32 bit, as the protocol has it; an opaque still in flight after a wrap is passed over. */
  #nextOpaque(): number {
    do {
      this.#opaque = (this.#opaque + 1) | 0
    } while (this.#pending.has(this.#opaque))
    return this.#opaque
  }
}
