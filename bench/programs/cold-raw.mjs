// The limit of a cold start: asks the name server for the route, connects to the broker, writes frames that were encoded
// before, one after another, and waits for the answer of each. It decodes nothing, so the broker's address is given.
import { connect } from 'node:net'

const { nameServer, broker, routeFrame, frames } = JSON.parse(process.argv[2])

const open = (address) =>
  new Promise((resolve, reject) => {
    const [host, port] = address.split(':')
    const socket = connect({ host, port, noDelay: true }, () => resolve(socket)).once('error', reject)
  })

const exchange = (socket, frame) =>
  new Promise((resolve) => {
    let have = 0
    let need = 4
    const onData = (chunk) => {
      if (have === 0) need = 4 + chunk.readUInt32BE()
      have += chunk.length
      if (have < need) return
      socket.off('data', onData)
      resolve()
    }
    socket.on('data', onData).write(Buffer.from(frame, 'base64'))
  })

const first = await open(nameServer)
await exchange(first, routeFrame)
const second = await open(broker)
for (const frame of frames) await exchange(second, frame)
process.stdout.write('done')
first.destroy()
second.destroy()
