/** What the HTTP servers of the local Lambda share: opening on 127.0.0.1, reading bodies, ending at once. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ConfigError } from '../../errors.ts'

export const HOST = '127.0.0.1'

/** @param field the option that has the port, named by the error when it is taken */
export async function listen(listener: RequestListener, port: number, field: string): Promise<Server> {
  const server = createServer(listener)
  // Whoever is frozen, or at work without a pause, does not see that its connection was closed, and loses what it says next.
  server.keepAliveTimeout = 0
  server.listen(port, HOST)
  try {
    await once(server, 'listening')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const why = code === 'EADDRINUSE' ? 'is in use; 0 takes a free one' : `cannot be opened: ${message}`
    throw new ConfigError(field, `${HOST}:${port} ${why}`, { cause })
  }
  return server
}

export const portOf = (server: Server): number => (server.address() as AddressInfo).port

/** Ends what is in flight, too. */
export async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

/** Reads a body to its end; one that is longer than `limit` is not kept. `bytes` is its whole length. */
export async function readBody(
  request: IncomingMessage,
  limit: number,
): Promise<{ body: Buffer; bytes: number }> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes <= limit) chunks.push(chunk)
  }
  return { body: Buffer.concat(chunks), bytes }
}
