/** Addresses: `host:port` as routes and messages write them, IPv4 and IPv6 in text and in bytes (protocol.md 2, 5.1). */
import { malformed } from './checks.ts'

/** `10.0.0.1:10911`, `[2001:db8::1]:10911`. */
export const formatHost = (ip: string, port: number): string =>
  ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`

/**
 * `name:1`, `[v6]:1`, or the bare `v6:1` that Java brokers register (the port is after the last colon). The host has
 * no brackets. @throws ProtocolError when a part is missing or the port is not within 1 and 65535.
 */
export const parseHost = (address: string): { host: string; port: number } => {
  const match =
    address.length < 300 ? /^(?:\[([\w.:%-]+)\]|([\w.:%-]*(?:[\w.%-]|::))):(\d{1,5})$/.exec(address) : null
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || !(port >= 1 && port <= 65_535)) {
    throw malformed('address', `must be host:port, got ${address.slice(0, 80)}`)
  }
  return { host, port }
}

/** 4 or 16 bytes at `at` → text; IPv6 as RFC 5952 writes it, which is how a URL does. */
export const readIp = (bytes: Buffer, at: number, isV6: boolean): string => {
  if (!isV6) return bytes.subarray(at, at + 4).join('.')
  const groups = bytes.toString('hex', at, at + 16).match(/.{4}/g)
  return new URL(`http://[${groups?.join(':')}]`).hostname.slice(1, -1)
}

/** Text → 4 or 16 bytes; `undefined` for anything that is not an IP address, such as a name. */
export const parseIp = (text: string): Buffer | undefined => {
  if (!text.includes(':')) return parseIpV4(text)
  const dotted = text.includes('.') ? parseIpV4(text.slice(text.lastIndexOf(':') + 1)) : undefined
  const hex = dotted
    ? `${text.slice(0, text.lastIndexOf(':') + 1)}${dotted.toString('hex', 0, 2)}:${dotted.toString('hex', 2)}`
    : text
  const halves = hex.split('::')
  const [left = [], right = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - left.length - right.length
  if (halves.length > 2 || (halves.length === 2 ? missing < 1 : missing !== 0)) return undefined
  const bytes = Buffer.alloc(16)
  for (const [index, group] of [...left, ...Array(missing).fill('0'), ...right].entries()) {
    if (!/^[\da-f]{1,4}$/i.test(group)) return undefined
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2)
  }
  return bytes
}

const parseIpV4 = (text: string): Buffer | undefined => {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return undefined
  return Buffer.from(parts.map(Number))
}
