/**
 * TCP and TLS: the only file of the client that opens a socket.
 *
 * RocketMQ serves TLS on the same port as plain text and looks at the first byte (protocol.md 18.2), so the client
 * simply starts a handshake. The certificate is verified unless `rejectUnauthorized: false` is given. `node:tls` is
 * loaded when it is first needed: a plain connection does not pay for it at start-up.
 */
import { connect, isIP, type Socket } from 'node:net'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { ConnectError, type ErrorFacts } from '../errors.ts'
import { parseHost } from '../wire/address.ts'
import { type Deadline, notSent, within } from './deadline.ts'

export type { Socket, TlsOptions }

/**
 * Opens a socket to `host:port`.
 * @param refusePeer asked with what the address resolved to; gives the reason, or undefined when it may be used
 * @throws ConnectError, TimeoutError, AbortError; outcome `not-sent`
 */
export async function openSocket(
  address: string,
  tls: TlsOptions | undefined,
  refusePeer: (ip: string) => string | undefined,
  deadline: Deadline,
): Promise<Socket> {
  const { host, port } = parseHost(address)
  const connectTls = tls && (await import('node:tls')).connect
  const refused = (text: string, more?: ErrorFacts): ConnectError =>
    new ConnectError(text, { address, ...more })
  const sockets: Socket[] = []
  try {
    return await within<Socket>(
      deadline,
      deadline.at,
      `connecting to ${address}`,
      notSent({ address }),
      (resolve, reject) => {
        // The listeners stay: once the promise is settled they do nothing, and a late error still finds one.
        const watch = (socket: Socket, failed: (error: NodeJS.ErrnoException) => ConnectError): Socket => {
          sockets.push(socket)
          return socket
            .on('error', (error) => reject(failed(error)))
            .on('close', () => reject(refused(`${address} closed the connection at once`)))
        }
        const tcp = watch(connect({ host, port, noDelay: true }), (cause) =>
          refused(
            `no connection to ${address}: ${cause.code ?? cause.message}; is it reachable from this subnet?`,
            { cause },
          ),
        ).on('connect', () => {
          const reason = refusePeer(tcp.remoteAddress ?? host)
          if (reason) reject(refused(`${address} ${reason}`, { retryable: false }))
          else if (!connectTls) resolve(tcp)
          else {
            const options = { ...(isIP(host) ? {} : { servername: host }), ...tls, host, socket: tcp }
            const secure = watch(connectTls(options), (cause) =>
              refused(
                `TLS with ${address} failed: ${cause.message}; check tls.ca, tls.servername and its certificate`,
                {
                  cause,
                  retryable: false,
                },
              ),
            ).on('secureConnect', () => resolve(secure))
          }
        })
      },
    )
  } catch (error) {
    for (const socket of sockets) socket.destroy()
    throw error
  }
}
