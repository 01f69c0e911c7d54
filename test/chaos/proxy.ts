/**
 * A TCP proxy in front of a RocketMQ server that can break what passes through it: it knows where a frame ends, so that
 * it can repeat, swap, halve or swallow whole answers. It records every byte in both directions.
 */
import { createWriteStream, type WriteStream } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Random } from '../support/random.ts'

/** What a proxy does to its connections while a fault lasts. */
export const NETWORK_FAULTS = [
  /** Answers come late. */
  'delay',
  /** Requests do not arrive. */
  'drop',
  /** Requests arrive and have their effect; their answers do not come. */
  'lost-answer',
  /** The connection is reset where an answer should come. */
  'cut',
  /** Half of an answer, then the end. */
  'half-frame',
  /** Each answer comes twice. */
  'duplicate',
  /** Answers come in another order. */
  'reorder',
  /** New connections are taken and never answered, nor are the old ones. */
  'silent',
  /** The server has closed what is open, and its FIN or RST does not reach the client: its connection looks healthy and leads nowhere. */
  'swallow-end',
  /** New connections are refused, old ones reset. */
  'refuse',
  /** One byte for each write. */
  'bytewise',
] as const
export type NetworkFault = (typeof NETWORK_FAULTS)[number]

const LENGTH_BYTES = 4
const DELAY_MS = 700
/** An answer that waits for another one to change places with. */
const SWAP_MS = 150
/** Of a frame: the rest follows at once, or a large pull would take minutes. */
const BYTEWISE_BYTES = 256
/** at (double), connection, direction, length. */
const RECORD_BYTES = 8 + 4 + 1 + 4

export interface FaultProxy {
  /** `host:port` that clients connect to. */
  readonly address: string
  fault: NetworkFault | undefined
  /** How many connections there were. */
  readonly connections: number
  close(): Promise<void>
}

export interface ProxyOptions {
  host: string
  /** 0 takes a free one. */
  port: number
  /** Where the server listens. */
  target: { host: string; port: number }
  random: Random
  /** Where the bytes are recorded. */
  recording: string
}

export async function startProxy(options: ProxyOptions): Promise<FaultProxy> {
  const recording = createWriteStream(options.recording)
  const state: { fault: NetworkFault | undefined; connections: number } = { fault: undefined, connections: 0 }
  const sockets = new Set<Socket>()
  const upstreams = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    state.connections += 1
    if (state.fault === 'refuse') return void client.resetAndDestroy()
    const upstream = connect({ ...options.target, allowHalfOpen: true, noDelay: true })
    upstreams.add(upstream)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket) && upstreams.delete(socket))
    }
    join(client, upstream, options.random, state, record(recording, state.connections))
  })
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(options.port, options.host, resolve),
  )
  return {
    address: `${options.host}:${portOf(server)}`,
    get fault() {
      return state.fault
    },
    set fault(fault) {
      state.fault = fault
      if (fault === 'refuse') for (const socket of sockets) socket.resetAndDestroy()
      if (fault === 'swallow-end') for (const socket of upstreams) socket.destroy()
    },
    get connections() {
      return state.connections
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await new Promise((resolve) => recording.end(resolve))
    },
  }
}

function portOf(server: Server): number {
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('the proxy does not listen')
  return address.port
}

type Direction = 'request' | 'answer'

/** Bytes as they came, before anything was done to them. */
function record(recording: WriteStream, connection: number): (direction: Direction, bytes: Buffer) => void {
  return (direction, bytes) => {
    const head = Buffer.alloc(RECORD_BYTES)
    head.writeDoubleBE(Date.now(), 0)
    head.writeUInt32BE(connection, 8)
    head.writeUInt8(direction === 'request' ? 0 : 1, 12)
    head.writeUInt32BE(bytes.length, 13)
    recording.write(head)
    recording.write(bytes)
  }
}

/** A piece of a recording. */
export interface Recorded {
  at: number
  connection: number
  direction: Direction
  bytes: Buffer
}

/** What a recording holds; a last piece that was cut off is left out. */
export function readRecording(recording: Buffer): Recorded[] {
  const pieces: Recorded[] = []
  for (let at = 0; at + RECORD_BYTES <= recording.length; ) {
    const length = recording.readUInt32BE(at + 13)
    const from = at + RECORD_BYTES
    if (from + length > recording.length) break
    pieces.push({
      at: recording.readDoubleBE(at),
      connection: recording.readUInt32BE(at + 8),
      direction: recording.readUInt8(at + 12) === 0 ? 'request' : 'answer',
      bytes: recording.subarray(from, from + length),
    })
    at = from + length
  }
  return pieces
}

function join(
  client: Socket,
  upstream: Socket,
  random: Random,
  state: { readonly fault: NetworkFault | undefined },
  note: (direction: Direction, bytes: Buffer) => void,
): void {
  let rest: Buffer = Buffer.alloc(0)
  let held: Buffer | undefined
  /** Answers keep their order unless a fault says otherwise, so each waits for the one before it. */
  let turn: Promise<void> = Promise.resolve()
  const write = (frame: Buffer): void => {
    if (client.writable) client.write(frame)
  }
  const release = (): void => {
    if (held) write(held)
    held = undefined
  }
  const answer = async (frame: Buffer): Promise<void> => {
    switch (state.fault) {
      case 'delay':
        await pause(DELAY_MS)
        return write(frame)
      case 'lost-answer':
      case 'silent':
        return
      case 'cut':
        return void client.resetAndDestroy()
      case 'half-frame':
        write(frame.subarray(0, random.between(1, frame.length - 1)))
        return void client.end()
      case 'duplicate':
        write(frame)
        return write(frame)
      case 'reorder': {
        const first = held
        held = undefined
        write(frame)
        if (first) return write(first)
        return
      }
      case 'bytewise':
        for (const byte of frame.subarray(0, BYTEWISE_BYTES)) {
          write(Buffer.of(byte))
          await pause(0)
        }
        return write(frame.subarray(BYTEWISE_BYTES))
      default:
        return write(frame)
    }
  }
  upstream.on('data', (bytes: Buffer) => {
    note('answer', bytes)
    rest = Buffer.concat([rest, bytes])
    while (rest.length >= LENGTH_BYTES && rest.length >= LENGTH_BYTES + rest.readUInt32BE(0)) {
      const end = LENGTH_BYTES + rest.readUInt32BE(0)
      const frame = rest.subarray(0, end)
      rest = rest.subarray(end)
      if (state.fault === 'reorder' && held === undefined) {
        held = frame
        setTimeout(release, SWAP_MS)
      } else turn = turn.then(() => answer(frame))
    }
  })
  client.on('data', (bytes: Buffer) => {
    note('request', bytes)
    if (state.fault !== 'drop' && state.fault !== 'silent' && upstream.writable) upstream.write(bytes)
  })
  client.on('end', () => upstream.end())
  client.on('close', () => upstream.destroy())
  client.on('error', () => upstream.destroy())
  const end = (how: (socket: Socket) => void) => () => {
    if (state.fault !== 'swallow-end') turn = turn.then(() => how(client))
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

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
