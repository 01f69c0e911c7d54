/**
 * Loaded before a function (`--import`): its wall clock is what a file says it is ahead, as after a freeze, and its
 * connections go through proxies. Timers are left alone: in a freeze their clock may stand still.
 */
import { readFileSync } from 'node:fs'
import { Socket } from 'node:net'

const { FROZEN_CLOCK = '', FROZEN_PORTS = '{}' } = process.env
const ports = JSON.parse(FROZEN_PORTS) as Record<string, number>
const now = Date.now
Date.now = () => now() + Number(readFileSync(FROZEN_CLOCK, 'utf8'))

type Connect = (this: Socket, ...args: { port?: number }[] | [{ port?: number }[]]) => Socket
const { connect } = Socket.prototype as unknown as { connect: Connect }
Object.assign(Socket.prototype, {
  connect(this: Socket, ...args: Parameters<Connect>) {
    const [options] = args.flat()
    const proxied = options?.port !== undefined && ports[options.port]
    if (options && proxied) options.port = proxied
    return connect.apply(this, args)
  },
})
