/**
 * Every frame that this process writes to a server, and every frame that it reads, while a suite runs: by Node's own
 * diagnostics channel for client sockets, so that the client under test knows nothing of it.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { FLAG_RESPONSE, type Frame } from '../../src/wire/frame.ts'
import { FrameDecoder } from '../../src/wire/frame-decoder.ts'

export interface Recording {
  /** Codes of all requests written, oneway ones too. */
  readonly requests: ReadonlySet<number>
  /** Request code → codes it was answered with. */
  readonly answers: ReadonlyMap<number, ReadonlySet<number>>
  /** Requests that servers sent to this process, oldest first; their bodies are copies. */
  readonly serverRequests: readonly Frame[]
  stop(): void
}

const CHANNEL = 'net.client.socket'

export function recordFrames(): Recording {
  const requests = new Set<number>()
  const answers = new Map<number, Set<number>>()
  const serverRequests: Frame[] = []
  const watch = (message: unknown): void => {
    const { socket } = message as { socket: Socket }
    const inFlight = new Map<number, number>()
    const written = tolerant((frame) => {
      if (frame.flag & FLAG_RESPONSE) return
      requests.add(frame.code)
      inFlight.set(frame.opaque, frame.code)
    })
    const read = tolerant((frame) => {
      if ((frame.flag & FLAG_RESPONSE) === 0) {
        serverRequests.push({ ...frame, body: Buffer.from(frame.body) })
        return
      }
      const code = inFlight.get(frame.opaque)
      if (code === undefined) return
      const codes = answers.get(code) ?? new Set()
      answers.set(code, codes.add(frame.code))
    })
    // Not sooner: connecting puts the socket's own `write` back.
    socket.once('connect', () => {
      const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
      socket.write = ((chunk: Uint8Array, ...rest: unknown[]) => {
        written(Buffer.from(chunk))
        return write(chunk, ...rest)
      }) as Socket['write']
    })
    socket.on('data', read)
  }
  subscribe(CHANNEL, watch)
  return { requests, answers, serverRequests, stop: () => void unsubscribe(CHANNEL, watch) }
}

/** A decoder that falls silent at the first bytes that are no frame: some cases write such bytes on purpose. */
function tolerant(onFrame: (frame: Frame) => void): (chunk: Buffer) => void {
  const decoder = new FrameDecoder()
  let broken = false
  return (chunk) => {
    if (broken) return
    try {
      decoder.push(chunk, onFrame)
    } catch {
      broken = true
    }
  }
}
