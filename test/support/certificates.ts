/**
 * Throwaway certificates for TLS tests, made here with node:crypto so that no key is in the repository and no tool is
 * needed: X.509 version 3, P-256, signed with SHA-256, no more than TLS looks at (RFC 5280).
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'

export interface Certificate {
  /** PEM. */
  cert: string
  /** PEM, PKCS 8. */
  key: string
}

export interface CertificateOptions {
  name: string
  /** Signs it. @default itself: a root */
  issuer?: Issuer
  /** IPv4 addresses and host names it is for. */
  hosts?: readonly string[]
  /** @default an hour ago */
  notBefore?: Date
  /** @default in an hour */
  notAfter?: Date
}

export interface Issuer extends Certificate {
  name: string
  privateKey: KeyObject
}

const HOUR_MS = 3_600_000

export function createCertificate(options: CertificateOptions): Issuer {
  const { name, issuer, hosts = [] } = options
  const { notBefore = new Date(Date.now() - HOUR_MS), notAfter = new Date(Date.now() + HOUR_MS) } = options
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = sequence(oid('2a8648ce3d040302')) // ecdsa-with-SHA256
  const names = hosts.map((host) =>
    isIPv4(host) ? der(0x87, Buffer.from(host.split('.').map(Number))) : der(0x82, Buffer.from(host)),
  )
  const extensions = [
    extension('551d13', sequence(...(issuer ? [] : [der(0x01, Buffer.of(0xff))]))), // basicConstraints: a root is a CA
    ...(names.length > 0 ? [extension('551d11', sequence(...names))] : []), // subjectAltName
  ]
  const body = sequence(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    commonName(issuer?.name ?? name),
    sequence(time(notBefore), time(notAfter)),
    commonName(name),
    createPublicKey(publicKey.export({ type: 'spki', format: 'pem' })).export({
      type: 'spki',
      format: 'der',
    }),
    der(0xa3, sequence(...extensions)),
  )
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey)
  const bytes = sequence(body, algorithm, der(0x03, Buffer.concat([Buffer.of(0), signature])))
  const text = bytes.toString('base64').replace(/.{64}/g, '$&\n')
  return {
    name,
    privateKey,
    cert: `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...size), content])
}

const sequence = (...items: Buffer[]): Buffer => der(0x30, Buffer.concat(items))

const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'))

const commonName = (name: string): Buffer =>
  sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(name)))))

const extension = (id: string, value: Buffer): Buffer => sequence(oid(id), der(0x04, value))

/** UTCTime: two digits of the year. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/\D/g, '')
  return der(0x17, Buffer.from(`${digits.slice(2, 14)}Z`))
}
