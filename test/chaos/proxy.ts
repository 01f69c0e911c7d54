/**
 * A TCP proxy in front of a RocketMQ server that can break what passes through it: it knows where a frame ends, so that
 * it can repeat, swap, halve or swallow whole ones (passing.ts). It records every byte in both directions.
 */
import { createWriteStream } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Random } from '../support/random.ts'
import { passOn } from './passing.ts'
import { record } from './recording.ts'

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
  /** A part of a request arrives, then the connection is reset on both sides. */
  'cut-request',
  /** A part of an answer, then the end. */
  'half-frame',
  /** A part of a request arrives, then the end: what becomes of the connection is up to the server. */
  'half-request',
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
  /** One byte for each write, of requests and of answers. */
  'bytewise',
] as const
export type NetworkFault = (typeof NETWORK_FAULTS)[number]

export interface FaultProxy {
  /** `host:port` that clients connect to. */
  readonly address: string
  fault: NetworkFault | undefined
  /** How many frames and connections the fault has met since it was set. */
  readonly met: number
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
  const state: { fault: NetworkFault | undefined; met: number; connections: number } = {
    fault: undefined,
    met: 0,
    connections: 0,
  }
  const sockets = new Set<Socket>()
  const upstreams = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    state.connections += 1
    if (state.fault === 'refuse') {
      state.met += 1
      client.resetAndDestroy()
      return
    }
    const upstream = connect({ ...options.target, allowHalfOpen: true, noDelay: true })
    upstreams.add(upstream)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket) && upstreams.delete(socket))
    }
    passOn(client, upstream, { random: options.random, state, note: record(recording, state.connections) })
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
      state.met = fault === 'refuse' || fault === 'swallow-end' ? upstreams.size : 0
      if (fault === 'refuse') for (const socket of sockets) socket.resetAndDestroy()
      if (fault === 'swallow-end') for (const socket of upstreams) socket.destroy()
    },
    get met() {
      return state.met
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
