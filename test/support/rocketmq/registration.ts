/**
 * Asks a name server which brokers it knows: GET_BROKER_CLUSTER_INFO 106, written by hand so that the harness depends
 * on nothing that it is there to test.
 */
import { connect } from 'node:net'

/** Whether the name server at `host:port` lists a broker at `address`. False also when it does not answer. */
export async function isRegistered(nameServer: string, address: string): Promise<boolean> {
  const answer = await clusterInfo(nameServer).catch(() => '')
  return answer.includes(`"${address}"`)
}

/** The text of the answer; its JSON has bare integers as keys, so it is not parsed. */
function clusterInfo(nameServer: string): Promise<string> {
  const colon = nameServer.lastIndexOf(':')
  const host = nameServer.slice(0, colon)
  const port = Number(nameServer.slice(colon + 1))
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 3000 })
    let received = Buffer.alloc(0)
    socket.on('connect', () =>
      socket.write(frame({ code: 106, language: 'OTHER', version: 513, opaque: 1, flag: 0 })),
    )
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return
      socket.destroy()
      resolve(received.toString('utf8', 8))
    })
    socket.on('timeout', () => socket.destroy(new Error('no answer')))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed before the answer')))
  })
}

function frame(header: object): Buffer {
  const json = Buffer.from(JSON.stringify({ ...header, extFields: {} }))
  const bytes = Buffer.alloc(8 + json.length)
  bytes.writeInt32BE(4 + json.length, 0)
  bytes.writeInt32BE(json.length, 4)
  json.copy(bytes, 8)
  return bytes
}
