/**
 * One connection: many requests in flight, each answered by its opaque; requests from the broker told from responses
 * by the flag alone (a broker numbers its own requests, so an opaque may be both). Upstream: NettyRemotingClient.
 *
 * The socket keeps the process alive only while a call is in flight. A connection that missed an answer is not used
 * for new calls: after a freeze or a lost flow it looks healthy and swallows writes.
 */
import { ClosedError, ConnectionLostError, DeadlineError, ProtocolError, TimeoutError } from '../errors.ts'
import { encodeFrame, FLAG_ONEWAY, FLAG_RESPONSE, type Frame } from '../wire/frame.ts'
import { FrameDecoder } from '../wire/frame-decoder.ts'
import type { Deadline } from './deadline.ts'
import { within } from './deadline.ts'
import type { Socket } from './tcp.ts'

const REQUEST_CODE_NOT_SUPPORTED = 3

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

export interface Connection {
  readonly address: string
  /** Whether new calls may use it: open, no answer missed, and not idle for longer than `maxIdleMs` of wall-clock time. */
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
  write: boolean
  /** How many writes had reached the kernel when it began to wait behind another; -1: it did not have to wait. */
  queuedAt: number
  resolve(frame?: Frame): void
  reject(error: Error): void
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
  let lastUsedAt = Date.now()
  let retired = false
  let lost: Error | undefined

  const onWritten = (error?: Error | null): void => {
    if (!error) writes += 1
  }

  const onFrame = (frame: Frame): void => {
    // An answer that nobody waits for belongs to a call that was given up.
    if (frame.flag & FLAG_RESPONSE) pending.get(frame.opaque)?.resolve(frame)
    // A broker's request that nobody here handles: say so, or its administrator waits for ten seconds.
    else if (!(frame.flag & FLAG_ONEWAY)) {
      const remark = `request type ${frame.code} not supported`
      socket.write(
        encodeFrame({ code: REQUEST_CODE_NOT_SUPPORTED, opaque: frame.opaque, flag: FLAG_RESPONSE, remark }),
        onWritten,
      )
    }
  }

  const onData = (chunk: Buffer): void => {
    lastUsedAt = Date.now()
    try {
      decoder.push(chunk, onFrame)
    } catch (error) {
      lose(error as Error)
    }
  }

  const lose = (cause: Error): void => {
    if (lost) return
    lost = cause
    socket.destroy()
    for (const each of pending.values()) each.reject(lostError(lost, each))
  }

  /** A request behind others in the socket's own buffer is not sent as long as the kernel has not taken those. */
  const lostError = (cause: Error, { write, queuedAt }: Pick<Pending, 'write' | 'queuedAt'>): Error => {
    const left = queuedAt !== writes
    const Kind =
      cause instanceof ProtocolError
        ? ProtocolError
        : cause instanceof ClosedError
          ? ClosedError
          : ConnectionLostError
    return new Kind(
      `${address}: connection lost ${left ? 'before the answer' : 'before sending'}: ${cause.message}`,
      {
        address,
        outcome: write ? (left ? 'unknown' : 'not-sent') : undefined,
        field: cause instanceof ProtocolError ? cause.field : undefined,
        cause,
      },
    )
  }

  const exchange = async (request: Request, flag: number): Promise<Frame | undefined> => {
    const { code, ext, body, deadline, at, write } = request
    if (lost || socket.destroyed) throw lostError(lost ?? new Error('closed'), { write, queuedAt: writes })
    // Signed 32 bit, as the protocol has it; an opaque still in flight after a wrap is passed over.
    do opaque = (opaque + 1) | 0
    while (pending.has(opaque))
    const own = opaque
    const bytes = encodeFrame({ code, opaque, flag, ext, body })
    const facts = { address, outcome: write ? ('unknown' as const) : undefined }
    try {
      return await within<Frame | undefined>(
        deadline,
        at,
        `request ${code} to ${address}`,
        facts,
        (resolve, reject) => {
          if (pending.size === 0) socket.ref()
          pending.set(own, { write, queuedAt: socket.writableLength ? writes : -1, resolve, reject })
          lastUsedAt = Date.now()
          socket.write(bytes, (error) => {
            onWritten(error)
            if (!error && flag) resolve(undefined)
          })
        },
      )
    } catch (error) {
      const begun = pending.has(own)
      if (begun && (flag || error instanceof TimeoutError || error instanceof DeadlineError)) retired = true
      throw error
    } finally {
      pending.delete(own)
      if (pending.size === 0) {
        socket.unref()
        if (retired) socket.destroy()
      }
    }
  }

  socket
    .on('data', onData)
    .on('error', lose)
    .on('end', () => lose(new Error('closed by the other side')))
    .on('close', () => lose(new Error('closed')))
    .unref()

  return {
    address,
    isUsable: (maxIdleMs) =>
      !retired &&
      !lost &&
      !socket.readableEnded &&
      socket.writable &&
      (pending.size > 0 || Date.now() - lastUsedAt <= maxIdleMs),
    request: (request) => exchange(request, 0) as Promise<Frame>,
    oneway: async (request) => {
      await exchange(request, FLAG_ONEWAY)
    },
    retire() {
      retired = true
      if (pending.size === 0) socket.destroy()
    },
    destroy: lose,
  }
}
