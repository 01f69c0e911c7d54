/**
 * One connection: many requests in flight, each answered by its opaque; requests from the broker told from responses
 * by the flag alone (a broker numbers its own requests, so an opaque may be both). Upstream: NettyRemotingClient.
 *
 * The socket keeps the process alive only while a call is in flight. A connection that missed an answer is not used
 * for new calls: after a freeze or a lost flow it looks healthy and swallows writes.
 */
import { AbortError, ConnectError, ConnectionLostError, RocketMQError } from '../errors.ts'
import { encodeFrame, FLAG_ONEWAY, FLAG_RESPONSE, type Frame, type FrameInput } from '../wire/frame.ts'
import { FrameDecoder } from '../wire/frame-decoder.ts'
import { type Deadline, ended, isOver, notSent, remainingMs } from './deadline.ts'
import type { Socket } from './tcp.ts'

const REQUEST_CODE_NOT_SUPPORTED = 3
/** A call that was aborted after so long, with nothing heard since it was sent, has missed its answer. */
const SILENCE_MS = 100
/** So much that the other side has not read, in answers to its own requests, is no broker. */
const MOST_UNREAD_BYTES = 0x10_0000
/** Where frames are encoded, one behind the other; one that is larger has a buffer of its own. */
const OUTPUT_BYTES = 0x1_0000
const FLUSH_BYTES = 0x8000

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
  /** The version number of the server, by its last answer; 0 before the first. */
  readonly version: number
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
  /**
   * Told of the requests that the broker sends, by what they wait for; the next bytes overwrite their bodies. One that nobody
   * takes (gives true for) is refused as not supported, unless it is one-way.
   */
  readonly listeners: Map<string, (frame: Frame) => boolean>
  /** Answers a request that was taken. */
  answer(request: Frame, answer: Omit<FrameInput, 'opaque' | 'flag'>): void
}

/** The frames of one turn of the event loop, which leave in one write. */
interface Batch {
  /** How many writes the kernel had taken when it began to wait behind another; -1: it did not wait. Absent until it is written. */
  queuedAt?: number
  /** Called when the kernel has it. */
  onWritten: (() => void)[]
}

interface Pending {
  opaque: number
  request: Request
  batch: Batch
  resolve: (frame?: Frame) => void
  reject: (error: Error) => void
  /** When its time has passed by a clock that nobody sets (performance.now()): the other one may be set back meanwhile. */
  endsAt: number
  /** Ends the wait: by its deadline or its signal. */
  stop: () => void
}

/** @param lastOpaque the opaque before the first one */
export const createConnection = (
  socket: Socket,
  address: string,
  maxFrameBytes?: number,
  lastOpaque = 0,
): Connection => {
  const decoder = new FrameDecoder(maxFrameBytes)
  /**
   * The calls in flight, each at the place that the low bits of its opaque say. A Map would be slower: the tables that it
   * leaves behind as it is filled and emptied keep finished calls alive until the next full collection.
   */
  let pending: (Pending | undefined)[] = Array(64).fill(undefined)
  let inFlight = 0
  let opaque = lastOpaque
  let lastHeardAt = Date.now()
  let retired = false
  let lost: Error | undefined
  let version = 0
  /** Of the pending call that must be over first. */
  let timer: NodeJS.Timeout | undefined
  /** When it fires, by the clock of timers: in a freeze that may stand still while the wall clock goes on. */
  let timerAt = Infinity

  /** How many writes the kernel has taken. */
  let taken = 0
  let output: Buffer | undefined
  /** Where the frames begin that are still to be written, and where the next one goes. */
  let from = 0
  let to = 0
  let batch: Batch | undefined

  const flush = (): void => {
    const sent = batch
    if (sent && output && !socket.destroyed) {
      sent.queuedAt = socket.writableLength ? taken : -1
      socket.write(output.subarray(from, to), (error) => {
        if (error) return
        taken += 1
        for (const each of sent.onWritten) each()
      })
    }
    from = to
    batch = undefined
  }

  /** Room for a frame. Nothing is allocated as long as the kernel takes what it is given. */
  const reserve = (bytes: number): Buffer => {
    if (!batch && !socket.writableLength) from = to = 0
    if (!output || to + bytes > output.length || output.length > OUTPUT_BYTES) {
      flush()
      output = Buffer.allocUnsafeSlow(Math.max(OUTPUT_BYTES, bytes))
      from = to = 0
    }
    return output.subarray(to, to + bytes)
  }

  const send = (frame: FrameInput): Batch => {
    // Taken only when it is whole: one whose body cannot be copied is not sent.
    const { length } = encodeFrame(frame, reserve) // it may move the place where it goes
    to += length
    // Behind others it may wait for what else is due when their answers have come: a write costs more than a request.
    if (!batch) {
      if (inFlight > 0) setImmediate(flush)
      else process.nextTick(flush)
      batch = { onWritten: [] }
    }
    const own = batch
    // The broker need not wait for the rest of the turn.
    if (to - from > FLUSH_BYTES) flush()
    return own
  }

  const onFrame = (frame: Frame): void => {
    const { code, flag } = frame
    // An answer that nobody waits for belongs to a call that was given up.
    if (flag & FLAG_RESPONSE) {
      version = frame.version
      settle(frame.opaque)?.resolve(frame)
      return
    }
    for (const [, take] of listeners) if (take(frame)) return
    // A request that nobody here handles: say so, or the broker's administrator waits for ten seconds.
    if (!(flag & FLAG_ONEWAY))
      answer(frame, { code: REQUEST_CODE_NOT_SUPPORTED, remark: `${code} not supported` })
  }

  const listeners: Connection['listeners'] = new Map()
  const answer: Connection['answer'] = (request, given) => {
    if (socket.writableLength > MOST_UNREAD_BYTES) lose(new Error('reads no answers'))
    send({ ...given, opaque: request.opaque, flag: FLAG_RESPONSE })
  }

  const lose = (cause: Error): void => {
    lost ??= cause
    socket.destroy()
    for (const call of pending)
      if (call) settle(call.opaque)?.reject(lostError(call.request.write, call.batch))
  }
  const onClose = (): void => lose(new Error('closed'))

  /** A request behind others in the socket's own buffer is not sent as long as the kernel has not taken those. */
  const lostError = (isWrite: boolean, sent?: Batch): Error => {
    const outcome = sent?.queuedAt === undefined || sent.queuedAt === taken ? 'not-sent' : 'unknown'
    const cause = lost ?? new Error('closed')
    // With TLS 1.3 a server looks at our certificate when requests may have left already, and does none of them.
    const { code, field } = cause as NodeJS.ErrnoException & { field?: string }
    const isRefused = !version && /_ALERT_/.test(`${code}`)
    // A ProtocolError or a ClosedError stays one.
    const Kind: unknown = isRefused
      ? ConnectError
      : cause instanceof RocketMQError
        ? cause.constructor
        : ConnectionLostError
    const why = isRefused ? `${code}; check tls and its certificate` : cause.message
    return new (Kind as typeof ConnectionLostError)(`${address}: connection lost: ${why}`, {
      address,
      outcome: isRefused ? 'not-sent' : isWrite ? outcome : undefined,
      retryable: isRefused ? false : undefined,
      field,
      cause,
    })
  }

  /** Closes it when it is out of use and the calls are over. */
  const rest = (): void => {
    if (inFlight > 0) return
    clearTimeout(timer)
    timerAt = Infinity
    socket.unref()
    if (retired) socket.destroy()
  }
  const retire = (): void => {
    retired = true
    rest()
  }

  /** The call with that opaque is over; gives it, if it was still waiting. */
  const settle = (own: number): Pending | undefined => {
    const place = placeOf(own)
    const call = pending[place]
    if (call?.opaque !== own) return undefined
    pending[place] = undefined
    inFlight -= 1
    call.request.deadline.signal?.removeEventListener('abort', call.stop)
    rest()
    return call
  }
  const placeOf = (own: number): number => own & (pending.length - 1)
  const enter = (call: Pending): void => {
    inFlight += 1
    pending[placeOf(call.opaque)] = call
  }

  const leftOf = ({ request, endsAt }: Pending): number =>
    Math.min(remainingMs(request.deadline), endsAt - performance.now())
  /** One timer for all calls: it is set for the one that must be over first. */
  const watch = (call: Pending): void => {
    const ms = leftOf(call)
    const firesAt = performance.now() + ms
    if (firesAt >= timerAt) return
    clearTimeout(timer)
    timerAt = firesAt
    // A turn later: what came while the process was suspended, or a handler held it up, is read before a wait is given up.
    timer = setTimeout(() => setImmediate(expire), ms)
  }
  const expire = (): void => {
    timerAt = Infinity
    for (const call of pending) {
      if (!call) continue
      if (leftOf(call) > 0) watch(call)
      else call.stop()
    }
  }

  const exchange = (request: Request, flag: number): Promise<Frame | undefined> =>
    new Promise((resolve, reject) => {
      const { code, ext, body, deadline, write: isWrite } = request
      const what = (): string => `request ${code} to ${address}`
      if (socket.destroyed) throw lostError(isWrite)
      if (isOver(deadline)) throw ended(deadline, what(), notSent({ address }))
      if (inFlight * 2 > pending.length) {
        const calls = pending
        pending = Array(calls.length * 2).fill(undefined)
        inFlight = 0
        for (const call of calls) if (call) enter(call)
      }
      // Signed 32 bit, as the protocol has it; one whose place is taken is passed over.
      do opaque = (opaque + 1) | 0
      while (pending[placeOf(opaque)])
      const own = opaque
      const sent = send({ code, ext, body, opaque, flag })
      const sentAt = Date.now()
      const stop = (): void => {
        const error = ended(deadline, what(), { address, outcome: isWrite ? 'unknown' : undefined })
        // Given up at once by its caller: that says nothing about the connection.
        const isEarly = error instanceof AbortError && Date.now() - sentAt < SILENCE_MS
        const isAlive = error instanceof AbortError && lastHeardAt > sentAt
        if (flag || !(isEarly || isAlive)) retired = true
        settle(own)
        reject(error)
      }
      if (!inFlight) {
        // Nor for what the caller does behind it; the others of the turn leave together.
        flush()
        socket.ref()
      }
      const endsAt = performance.now() + remainingMs(deadline)
      const call = { opaque: own, request, batch: sent, resolve, reject, endsAt, stop }
      enter(call)
      deadline.signal?.addEventListener('abort', stop)
      watch(call)
      if (flag) sent.onWritten.push(() => settle(own)?.resolve())
    })

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
    get version() {
      return version
    },
    isUsable(maxIdleMs) {
      const idleMs = inFlight > 0 ? 0 : Date.now() - lastHeardAt
      const usable = !retired && socket.writable && idleMs <= maxIdleMs
      if (!usable) retire()
      return usable
    },
    request: (request) => exchange(request, 0) as Promise<Frame>,
    oneway: (request) => exchange(request, FLAG_ONEWAY) as Promise<undefined>,
    retire,
    destroy: lose,
    listeners,
    answer,
  }
}
