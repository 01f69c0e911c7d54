/**
 * Free ports for servers that take several neighbouring ones. They are chosen below the range from which the system
 * picks the ports of outgoing connections (32768 and up on Linux), so that no connection takes one between the
 * check and the server's own bind.
 */
import { createServer } from 'node:net'

const LOWEST = 12_000
const HIGHEST = 32_000

/** A port at which it and its neighbours (`port + offset` for every offset) are free. */
export async function findPort(offsets: readonly number[] = [0]): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST))
    const free = await Promise.all(offsets.map((offset) => isFree(port + offset)))
    if (free.every(Boolean)) return port
  }
  throw new Error(`No free port between ${LOWEST} and ${HIGHEST}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, () => server.close(() => resolve(true)))
  })
}
