/**
 * TCP and TLS: the only file of the client that opens a socket.
 *
 * RocketMQ serves TLS on the same port as plain text and looks at the first byte (protocol.md 18.2), so the client
 * simply starts a handshake. The certificate is verified unless `rejectUnauthorized: false` is given. `node:tls` is
 * loaded when it is first needed: a plain connection does not pay for it at start-up.
 */
import type { LookupAddress } from 'node:dns'
import { connect, type LookupFunction, type Socket } from 'node:net'
import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { ConnectError, type ErrorFacts } from '../errors.ts'
import { parseHost } from '../wire/address.ts'
import { refuse } from '../wire/checks.ts'
import { isAddress } from './address-policy.ts'
import { type Deadline, notSent, within } from './deadline.ts'

export type { Socket, TlsOptions }

let isWarned = false

const startTls = (options: TlsOptions): Socket => {
  // Once for each process: it is what a function would log with every connection.
  if (options.rejectUnauthorized === false && !isWarned) {
    isWarned = true
    process.emitWarning('tls.rejectUnauthorized is false: brokers are not verified')
  }
  try {
    return process.getBuiltinModule('node:tls').connect(options)
  } catch (cause) {
    return refuse('tls', (cause as Error).message, { cause })
  }
}

/** What is read at once: into one buffer for all reads, as one for each would be most of the memory that a pull takes. */
const READ_BYTES = 0x1_0000

/** A certificate or a protocol that does not fit: trying again would not help. */
const PERMANENT = /^(ERR_|EPROTO|CERT_|UNABLE_|SELF_|DEPTH_)/

/**
 * Opens a socket to `host:port`.
 * The Buffer of a 'data' event is overwritten by the next one.
 * @param refusePeer asked with what a name resolves to, before it is connected; gives the reason, or undefined when it may be used
 * @throws ConnectError, TimeoutError, AbortError; outcome `not-sent`
 */
export const openSocket = async (
  address: string,
  tls: TlsOptions | undefined,
  refusePeer: (ip: string) => string | undefined,
  deadline: Deadline,
): Promise<Socket> => {
  const { host, port } = parseHost(address)
  const onread = {
    buffer: Buffer.allocUnsafeSlow(READ_BYTES),
    callback: (bytes: number, buffer: Uint8Array): boolean =>
      socket.emit('data', Buffer.from(buffer.buffer, buffer.byteOffset, bytes)),
  }
  let refused: string | undefined
  /** Of what the name resolves to this time only that is left which may be used: to nothing else a socket is opened. */
  const lookup: LookupFunction = (name, given, done) =>
    (tls?.lookup ?? process.getBuiltinModule('node:dns').lookup)(
      name,
      { ...given, all: true },
      (error, found) => {
        const peers = (found ?? []) as LookupAddress[]
        const reasons = peers.map((peer) => refusePeer(peer.address))
        const usable = peers.filter((_, at) => !reasons[at])
        const [first] = usable
        if (!first) {
          refused = reasons[0]
          done(error ?? new Error(refused), [])
        } else if (given.all) done(null, usable)
        else done(null, first.address, first.family)
      },
    )
  // Without a default of our own NODE_TLS_REJECT_UNAUTHORIZED would turn the verification off.
  const defaults = { servername: isAddress(host) ? '' : host, rejectUnauthorized: true }
  const options = { ...defaults, ...tls, host, port, onread, lookup }
  const socket = tls ? startTls(options) : connect(options)
  let isConnected = false
  try {
    return await within<Socket>(
      deadline,
      `connecting to ${address}`,
      notSent({ address }),
      (resolve, reject) => {
        const fail = (why: string, facts: ErrorFacts = {}): void =>
          reject(new ConnectError(`no connection to ${address}: ${why}`, { address, ...facts }))
        // The listeners stay: once the promise is settled they do nothing, and a late error still finds one.
        socket
          .setNoDelay()
          .on('connect', () => {
            isConnected = true
          })
          .on(tls ? 'secureConnect' : 'connect', () => resolve(socket))
          .on('error', (cause: NodeJS.ErrnoException) =>
            fail(
              refused ??
                `${cause.code ?? cause.message}; ${isConnected ? 'check tls and its certificate' : 'reachable from this subnet?'}`,
              { cause, retryable: !refused && !PERMANENT.test(cause.code ?? '') },
            ),
          )
          .on('close', () => fail('closed at once'))
      },
    )
  } catch (error) {
    socket.destroy()
    throw error
  }
}
