/**
 * Message ids (protocol.md 7; upstream MessageDecoder.createMessageId, MessageClientIDSetter).
 *
 * Offset id: ip (4 or 16) | port 4 | commit-log offset 8, in upper-case hex: which broker, and where in its log.
 * UNIQ_KEY: chosen by the producer, kept by resends and redeliveries. The reference builds it from ip and process id,
 * which collide between clones of one function, so ours are 128 random bits.
 */
import { ConfigError, ProtocolError } from '../errors.ts'
import { formatHost, parseHost, parseIp, readIp } from './address.ts'
import { checkInt } from './checks.ts'

export { formatHost, parseHost } from './address.ts'

/** @param host `ip:port`, not a name. @throws ConfigError when it is a name, or the offset is not 0 to 2^63 - 1. */
export const encodeOffsetMessageId = (host: string, commitLogOffset: bigint): string => {
  const { host: ip, port } = parseHost(host)
  const ipBytes = parseIp(ip)
  if (ipBytes === undefined) throw new ConfigError('host', `${JSON.stringify(ip)} is not an IP address`)
  if (commitLogOffset < 0n || commitLogOffset >= 1n << 63n) {
    throw new ConfigError('commitLogOffset', `${commitLogOffset} is not within 0 and 2^63 - 1`)
  }
  const tail = Buffer.allocUnsafe(12)
  tail.writeUInt32BE(port, 0)
  tail.writeBigInt64BE(commitLogOffset, 4)
  return (ipBytes.toString('hex') + tail.toString('hex')).toUpperCase()
}

/** @throws ProtocolError when the text is not 32 or 56 hex digits of a possible address and offset. */
export const decodeOffsetMessageId = (id: string): { address: string; commitLogOffset: bigint } => {
  const bytes = hexBytes(id, 'offsetMessageId')
  const port = bytes.readUInt32BE(bytes.length - 12)
  const commitLogOffset = bytes.readBigInt64BE(bytes.length - 8)
  if (port > 65_535 || commitLogOffset < 0n) {
    throw new ProtocolError(`${id} is not an offset message id: impossible port or offset`, {
      field: 'offsetMessageId',
    })
  }
  return { address: formatHost(readIp(bytes, 0, bytes.length === 28), port), commitLogOffset }
}

/** The parts of an id in the reference's format. Any other 32 or 56 hex digits give parts too, without meaning. */
export interface UniqKeyParts {
  ip: string
  pid: number
  loaderHash: number
  /** Of the producer's month; unsigned, as a month has more than 2^31 ms. */
  millisSinceMonthStart: number
  counter: number
}

/** @throws ProtocolError when the text is not 32 or 56 hex digits. */
export const decodeUniqKey = (id: string): UniqKeyParts => {
  const bytes = hexBytes(id, 'uniqKey')
  const at = bytes.length - 12
  return {
    ip: readIp(bytes, 0, bytes.length === 28),
    pid: bytes.readUInt16BE(at),
    loaderHash: bytes.readInt32BE(at + 2),
    millisSinceMonthStart: bytes.readUInt32BE(at + 6),
    counter: bytes.readUInt16BE(at + 10),
  }
}

/** 16 random bytes (the caller's: this layer has no source of randomness) → 32 upper-case hex digits. */
export const createUniqKey = (random: Uint8Array): string => {
  checkInt('random.length', random.length, 16, 16)
  return Buffer.from(random).toString('hex').toUpperCase()
}

const hexBytes = (id: string, field: string): Buffer => {
  if (!/^(?:[\da-fA-F]{32}|[\da-fA-F]{56})$/.test(id)) {
    throw new ProtocolError(`${JSON.stringify(String(id).slice(0, 80))} is not 32 or 56 hex digits`, {
      field,
    })
  }
  return Buffer.from(id, 'hex')
}
