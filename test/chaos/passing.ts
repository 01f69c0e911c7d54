/** What a proxy does between a client and a server: whole frames are passed on, or what the fault makes of them. */
import type { Socket } from 'node:net'
import { setImmediate, setTimeout as wait } from 'node:timers/promises'
import type { Random } from '../support/random.ts'
import type { NetworkFault } from './proxy.ts'
import type { Direction } from './recording.ts'

const LENGTH_BYTES = 4
const DELAY_MS = 700
/** An answer that waits for another one to change places with. */
const SWAP_MS = 150
/** Of a frame: the rest of a larger one follows in one write, or a full pull would take most of an invocation. */
const BYTEWISE_BYTES = 16 << 10

export interface ProxyState {
  /** The fault of now. */
  readonly fault: NetworkFault | undefined
  /** How many frames and connections it has met. */
  met: number
}

/** What faults do to a frame; those that are not in it let it pass. */
type Ways = Partial<Record<NetworkFault, (frame: Buffer) => void | Promise<void>>>

export interface Passing {
  random: Random
  state: ProxyState
  note: (direction: Direction, bytes: Buffer) => void
}

export function passOn(client: Socket, upstream: Socket, { random, state, note }: Passing): void {
  const partOf = (frame: Buffer): Buffer => frame.subarray(0, random.between(1, frame.length - 1))

  const onRequest: Ways = {
    drop() {},
    silent() {},
    async 'cut-request'(frame) {
      // Its peer reads what arrived before it learns of the reset.
      await writeOut(upstream, partOf(frame))
      upstream.resetAndDestroy()
      client.resetAndDestroy()
    },
    'half-request'(frame) {
      write(upstream, partOf(frame))
      upstream.end()
    },
    bytewise: (frame) => writeBytewise(upstream, frame),
  }

  let held: Buffer | undefined
  const release = (): void => {
    if (held) write(client, held)
    held = undefined
  }
  const onAnswer: Ways = {
    async delay(frame) {
      await wait(DELAY_MS)
      write(client, frame)
    },
    'lost-answer'() {},
    silent() {},
    cut: () => void client.resetAndDestroy(),
    'half-frame'(frame) {
      write(client, partOf(frame))
      client.end()
    },
    duplicate(frame) {
      write(client, frame)
      write(client, frame)
    },
    reorder(frame) {
      write(client, frame)
      release()
    },
    bytewise: (frame) => writeBytewise(client, frame),
  }
  const through = (ways: Ways, to: Socket) => async (frame: Buffer) => {
    const way = state.fault && ways[state.fault]
    if (!way) return write(to, frame)
    state.met += 1
    await way(frame)
  }
  const [request, answer] = [through(onRequest, upstream), through(onAnswer, client)]

  /** Frames keep their order unless a fault says otherwise, so each waits for the one before it. */
  let requests: Promise<void> = Promise.resolve()
  let answers: Promise<void> = Promise.resolve()
  const [outward, inward] = [splitter(), splitter()]
  client.on('data', (bytes: Buffer) => {
    note('request', bytes)
    for (const frame of outward.push(bytes)) requests = requests.then(() => request(frame))
  })
  upstream.on('data', (bytes: Buffer) => {
    note('answer', bytes)
    for (const frame of inward.push(bytes))
      if (state.fault === 'reorder' && held === undefined) {
        held = frame
        setTimeout(release, SWAP_MS)
      } else answers = answers.then(() => answer(frame))
  })
  client.on('end', () => {
    requests = requests.then(() => {
      if (state.fault === undefined) write(upstream, outward.rest())
      upstream.end()
    })
  })
  client.on('close', () => upstream.destroy())
  client.on('error', () => upstream.destroy())
  const end = (how: (socket: Socket) => void) => () => {
    if (state.fault === 'swallow-end') return
    answers = answers.then(() => {
      if (state.fault === undefined) write(client, inward.rest())
      how(client)
    })
  }
  upstream.on(
    'end',
    end((socket) => socket.end()),
  )
  upstream.on(
    'error',
    end((socket) => socket.resetAndDestroy()),
  )
}

/** Cuts a stream into whole frames. */
function splitter(): { push(bytes: Buffer): Buffer[]; rest(): Buffer } {
  let rest: Buffer = Buffer.alloc(0)
  return {
    push(bytes) {
      rest = Buffer.concat([rest, bytes])
      const frames: Buffer[] = []
      while (rest.length >= LENGTH_BYTES && rest.length >= LENGTH_BYTES + rest.readUInt32BE(0)) {
        const end = LENGTH_BYTES + rest.readUInt32BE(0)
        frames.push(rest.subarray(0, end))
        rest = rest.subarray(end)
      }
      return frames
    },
    rest: () => rest,
  }
}

function write(socket: Socket, bytes: Buffer): void {
  if (socket.writable && bytes.length > 0) socket.write(bytes)
}

/** Settles when the bytes have left, or cannot. */
async function writeOut(socket: Socket, bytes: Buffer): Promise<void> {
  if (socket.writable) await new Promise<void>((resolve) => socket.write(bytes, () => resolve()))
}

/** Neither socket waits to fill a segment, so that each byte goes by itself. */
async function writeBytewise(socket: Socket, frame: Buffer): Promise<void> {
  const end = Math.min(frame.length, BYTEWISE_BYTES)
  for (let at = 0; at < end && socket.writable; at++) {
    socket.write(frame.subarray(at, at + 1))
    await setImmediate()
  }
  write(socket, frame.subarray(end))
}
