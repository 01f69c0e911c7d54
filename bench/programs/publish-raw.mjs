/**
 * A function that knows no RocketMQ: over a connection that stays it writes a frame that was encoded before, waits for the
 * answer, and says how long that took. RAW_BROKER: host:port; RAW_FRAME: in base64.
 */
import { once } from 'node:events'
import { connect } from 'node:net'

const { RAW_BROKER = '', RAW_FRAME = '' } = process.env
const [host, port] = RAW_BROKER.split(':')
const frame = Buffer.from(RAW_FRAME, 'base64')
const socket = connect(Number(port), host).setNoDelay()
await once(socket, 'connect')

/** One answer, which comes in one piece or in several. */
async function answer() {
  let bytes = Buffer.alloc(0)
  while (bytes.length < 4 || bytes.length < 4 + bytes.readUInt32BE(0)) {
    const [chunk] = await once(socket, 'data')
    bytes = Buffer.concat([bytes, chunk])
  }
  if (!bytes.toString('latin1').includes('"code":0,')) throw new Error(bytes.toString('latin1'))
}

export const handler = async () => {
  const start = performance.now()
  socket.write(frame)
  await answer()
  return { tookMs: performance.now() - start }
}
