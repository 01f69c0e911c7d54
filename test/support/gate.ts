/**
 * A gate in front of a DynamoDB in memory: it keeps a request from being done, or its answer from coming back, so that a function
 * is killed at a point that the test chooses.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The request is not done, or it is done and not answered. */
export type Hold = 'write' | 'answer'

export interface Gate {
  /** What AWS_ENDPOINT_URL_DYNAMODB takes. */
  endpoint: string
  /** What becomes of the operations that are named here, such as PutItem. */
  hold: Partial<Record<string, Hold>>
  /** Requests that are held. */
  held: number
  close(): Promise<void>
}

export async function openGate(endpoint: string): Promise<Gate> {
  const pass = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const hold = gate.hold[String(incoming.headers['x-amz-target']).split('.')[1] ?? '']
    if (hold === 'write') {
      gate.held++
      return
    }
    const { method = '', url = '', headers } = incoming
    const forwarded = request(new URL(url, endpoint), { method, headers })
    incoming.pipe(forwarded)
    const [answer] = (await once(forwarded, 'response')) as [IncomingMessage]
    if (hold === 'answer') {
      await once(answer.resume(), 'end')
      gate.held++
      return
    }
    outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
    answer.pipe(outgoing)
  }
  const server = createServer((incoming, outgoing) => {
    pass(incoming, outgoing).catch((error: Error) => outgoing.destroy(error))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const gate: Gate = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold: {},
    held: 0,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return gate
}
