/**
 * TCP and TLS: the only file of the client that opens a socket.
 *
 * RocketMQ serves TLS on the same port as plain text and looks at the first byte (protocol.md 18.2), so the client
 * simply starts a handshake. The certificate is verified unless `rejectUnauthorized: false` is given. `node:tls` is
 * loaded when it is first needed: a plain connection does not pay for it at start-up.
 */
import { connect, type Socket } from 'node:net'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { ConnectError } from '../errors.ts'
import { parseHost } from '../wire/message-id.ts'
import { aborted, type Deadline, expired } from './deadline.ts'

export type { Socket, TlsOptions }

export interface SocketOptions {
  tls: TlsOptions | undefined
  /** Refuses what the address resolved to; gives the reason, or undefined when it may be used. */
  refusePeer: (ip: string) => string | undefined
}

/** Opens a socket to `host:port`. @throws ConnectError, TimeoutError, DeadlineError, AbortError; outcome `not-sent` */
export async function openSocket(
  address: string,
  options: SocketOptions,
  deadline: Deadline,
  at: number,
): Promise<Socket> {
  const { host, port } = parseHost(address)
  const facts = { address, outcome: 'not-sent' } as const
  const tlsConnect = options.tls && (await import('node:tls')).connect
  const { signal } = deadline
  return await new Promise<Socket>((resolve, reject) => {
    if (signal?.aborted) {
      reject(aborted(signal, `connecting to ${address}`, facts))
      return
    }
    const tcp = connect({ host, port, noDelay: true })
    let socket: Socket = tcp
    const fail = (error: Error): void => {
      settle()
      socket.on('error', () => undefined) // destroying a socket in mid-handshake may still report; nobody waits for it
      socket.destroy()
      tcp.destroy()
      reject(error)
    }
    const succeed = (): void => {
      settle()
      resolve(socket)
    }
    const onError = (error: NodeJS.ErrnoException): void => fail(connectError(address, error, socket !== tcp))
    const onEnd = (): void =>
      fail(new ConnectError(`${address} closed the connection while it was being opened`, facts))
    const onAbort = (): void => fail(aborted(signal as AbortSignal, `connecting to ${address}`, facts))
    const timer = setTimeout(
      () => fail(expired(deadline, `could not connect to ${address}`, facts)),
      Math.max(0, Math.min(at, deadline.at) - Date.now()),
    )
    const settle = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      for (const each of [tcp, socket]) each.off('error', onError).off('close', onEnd)
      tcp.off('connect', onConnect)
      socket.off('secureConnect', succeed)
    }
    const onConnect = (): void => {
      const reason = options.refusePeer(tcp.remoteAddress ?? host)
      if (reason) {
        fail(new ConnectError(`${address}: ${reason}`, { ...facts, retryable: false }))
      } else if (tlsConnect && options.tls) {
        const servername = options.tls.servername ?? (/^[\d.]+$|:/.test(host) ? undefined : host)
        socket = tlsConnect({ ...options.tls, host, socket: tcp, ...(servername ? { servername } : {}) })
        socket.on('error', onError).on('close', onEnd).on('secureConnect', succeed)
      } else {
        succeed()
      }
    }
    tcp.on('error', onError).on('close', onEnd).on('connect', onConnect)
    signal?.addEventListener('abort', onAbort)
  })
}

function connectError(address: string, error: NodeJS.ErrnoException, handshake: boolean): ConnectError {
  const reason = error.code ?? error.message
  return handshake
    ? new ConnectError(
        `the TLS handshake with ${address} failed (${reason}): ${error.message}; check tls.ca, tls.servername and the broker's certificate`,
        { address, outcome: 'not-sent', retryable: false, cause: error },
      )
    : new ConnectError(
        `could not connect to ${address} (${reason}); is it reachable from this function's subnets?`,
        {
          address,
          outcome: 'not-sent',
          cause: error,
        },
      )
}
