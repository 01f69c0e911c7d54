/**
 * One connection: many requests in flight, each answered by its opaque; requests from the broker told from responses
 * by the flag alone (a broker numbers its own requests, so an opaque may be both). Upstream: NettyRemotingClient.
 *
 * The socket keeps the process alive only while a call is in flight. A connection that missed an answer is not used
 * for new calls: after a freeze or a lost flow it looks healthy and swallows writes.
 */
import { AbortError, ConnectionLostError, type ErrorFacts, RocketMQError } from '../errors.ts'
import { encodeFrame, FLAG_ONEWAY, FLAG_RESPONSE, type Frame } from '../wire/frame.ts'
import { FrameDecoder } from '../wire/frame-decoder.ts'
import { type Deadline, within } from './deadline.ts'
import type { Socket } from './tcp.ts'

const REQUEST_CODE_NOT_SUPPORTED = 3
/** A call that was aborted after so long, with nothing heard since it was sent, has missed its answer. */
const SILENCE_MS = 100
/** So much that the other side has not read, in answers to its own requests, is no broker. */
const MOST_UNREAD_BYTES = 0x10_0000

export interface Request {
  code: number
  ext: Readonly<Record<string, string>>
  body: Uint8Array | undefined
  deadline: Deadline
  /** Its errors carry an `outcome`. */
  write: boolean
}

export interface Connection {
  readonly address: string
  /**
   * Whether new calls may use it: open, no answer missed, and not idle for longer than `maxIdleMs` of wall-clock time.
   * One that may not is retired.
   */
  isUsable(maxIdleMs: number): boolean
  /** Sends a request and waits for its response frame. */
  request(request: Request): Promise<Frame>
  /** Sends a request that is never answered; resolves when its bytes have left for the kernel. */
  oneway(request: Request): Promise<void>
  /** Takes it out of use; it closes when the calls in flight are over. */
  retire(): void
  /** Closes at once and settles every call in flight. */
  destroy(reason: Error): void
}

interface Pending {
  resolve(frame: Frame): void
  lose(): void
}

/** @param lastOpaque the opaque before the first one */
export function createConnection(
  socket: Socket,
  address: string,
  maxFrameBytes?: number,
  lastOpaque = 0,
): Connection {
  const decoder = new FrameDecoder(maxFrameBytes)
  const pending = new Map<number, Pending>()
  let opaque = lastOpaque
  let writes = 0
  let lastHeardAt = Date.now()
  let retired = false
  let lost: Error | undefined

  const write = (bytes: Uint8Array, onWritten?: (error?: Error | null) => void): void => {
    socket.write(bytes, (error) => {
      if (!error) writes += 1
      onWritten?.(error)
    })
  }

  const onFrame = (frame: Frame): void => {
    const { code, opaque: own, flag } = frame
    // An answer that nobody waits for belongs to a call that was given up.
    if (flag & FLAG_RESPONSE) pending.get(own)?.resolve(frame)
    else if (flag & FLAG_ONEWAY) return
    else if (socket.writableLength > MOST_UNREAD_BYTES)
      lose(new Error('it sends requests and reads no answers'))
    else {
      // A broker's request that nobody here handles: say so, or its administrator waits for ten seconds.
      const remark = `request type ${code} not supported`
      write(encodeFrame({ code: REQUEST_CODE_NOT_SUPPORTED, opaque: own, flag: FLAG_RESPONSE, remark }))
    }
  }

  const lose = (cause: Error): void => {
    lost ??= cause
    socket.destroy()
    for (const each of pending.values()) each.lose()
  }
  const onClose = (): void => lose(new Error('closed'))

  /**
   * A request behind others in the socket's own buffer is not sent as long as the kernel has not taken those.
   * @param queuedAt how many writes the kernel had taken when it began to wait behind another; -1: it did not wait
   */
  const lostError = (isWrite: boolean, queuedAt: number): Error => {
    const outcome = queuedAt === writes ? 'not-sent' : 'unknown'
    const cause = lost ?? new Error('closed')
    // A ProtocolError or a ClosedError stays one.
    const { constructor: Kind, field } =
      cause instanceof RocketMQError ? cause : { constructor: ConnectionLostError, field: undefined }
    return new (Kind as typeof ConnectionLostError)(`${address}: connection lost: ${cause.message}`, {
      address,
      outcome: isWrite ? outcome : undefined,
      field,
      cause,
    })
  }

  /** Closes it when it is out of use and the calls are over. */
  const rest = (): void => {
    if (pending.size > 0) return
    socket.unref()
    if (retired) socket.destroy()
  }
  const retire = (): void => {
    retired = true
    rest()
  }

  const exchange = async (request: Request, flag: number): Promise<Frame | undefined> => {
    const { code, deadline, write: isWrite } = request
    if (socket.destroyed) throw lostError(isWrite, writes)
    // Signed 32 bit, as the protocol has it; an opaque still in flight after a wrap is passed over.
    do opaque = (opaque + 1) | 0
    while (pending.has(opaque))
    const own = opaque
    const bytes = encodeFrame({ ...request, opaque, flag })
    const facts: ErrorFacts = { address, outcome: isWrite ? 'unknown' : undefined }
    const what = `request ${code} to ${address}`
    const sentAt = Date.now()
    try {
      return await within<Frame | undefined>(deadline, what, facts, (resolve, reject) => {
        if (pending.size === 0) socket.ref()
        const queuedAt = socket.writableLength ? writes : -1
        pending.set(own, { resolve, lose: () => reject(lostError(isWrite, queuedAt)) })
        write(bytes, (error) => {
          if (!error && flag) resolve(undefined)
        })
      })
    } catch (error) {
      // Given up at once by its caller: that says nothing about the connection.
      const isEarly = error instanceof AbortError && Date.now() - sentAt < SILENCE_MS
      const isAlive = error instanceof AbortError && lastHeardAt > sentAt
      if (pending.has(own) && (flag || !(isEarly || isAlive))) retired = true
      throw error
    } finally {
      pending.delete(own)
      rest()
    }
  }

  socket
    .on('data', (chunk: Buffer) => {
      lastHeardAt = Date.now()
      try {
        decoder.push(chunk, onFrame)
      } catch (error) {
        lose(error as Error)
      }
    })
    .on('error', lose)
    .on('end', onClose)
    .on('close', onClose)
    .unref()

  return {
    address,
    isUsable(maxIdleMs) {
      const idleMs = pending.size > 0 ? 0 : Date.now() - lastHeardAt
      const usable = !retired && socket.writable && idleMs <= maxIdleMs
      if (!usable) retire()
      return usable
    },
    request: (request) => exchange(request, 0) as Promise<Frame>,
    oneway: (request) => exchange(request, FLAG_ONEWAY) as Promise<undefined>,
    retire,
    destroy: lose,
  }
}
