/**
 * Where the client may connect to. Addresses of brokers come from outside (name servers, message ids), so they are
 * checked before a socket is opened, and again after the name was resolved.
 *
 * Link-local addresses are refused unless they are allowed by name: on AWS 169.254.169.254 is the metadata service.
 */
import { BlockList, isIP } from 'node:net'
import { ConfigError } from '../errors.ts'
import { parseHost } from '../wire/message-id.ts'

/** Rewrites broker addresses, for load balancers and tunnels: `host:port` → `host:port`, or undefined to keep it. */
export type AddressMap = Readonly<Record<string, string>> | ((address: string) => string | undefined)

interface Rules {
  hosts: Set<string>
  suffixes: string[]
  blocks: BlockList
}

export class AddressPolicy {
  readonly #map: AddressMap | undefined
  readonly #allowed: Rules | undefined
  /** What the operator wrote: name servers, and what the map returned. */
  readonly #trusted: Set<string>
  readonly #linkLocal = new BlockList()

  /** @param allowed IP addresses, CIDR blocks, host names, or `*.suffix`; undefined allows all but link-local ones */
  constructor(
    map: AddressMap | undefined,
    allowed: readonly string[] | undefined,
    trusted: readonly string[],
  ) {
    this.#map = map
    this.#allowed = allowed && parseAllowed(allowed)
    this.#trusted = new Set(trusted)
    this.#linkLocal.addSubnet('169.254.0.0', 16, 'ipv4')
    this.#linkLocal.addSubnet('fe80::', 10, 'ipv6')
  }

  /** The address to use for one that a broker, a name server or a message id gave. */
  rewrite(advertised: string): string {
    const map = this.#map
    const rewritten =
      typeof map === 'function'
        ? map(advertised)
        : map && Object.hasOwn(map, advertised)
          ? map[advertised]
          : undefined
    if (rewritten === undefined) return advertised
    this.#trusted.add(rewritten)
    return rewritten
  }

  /** Why `address` must not be used, or undefined; asked before connecting, and with the resolved `ip` after it. */
  refuse(address: string, ip?: string): string | undefined {
    if (this.#trusted.has(address)) return undefined
    const { host } = parseHost(address)
    const resolved = isIP(host) ? host : ip
    const allowed = this.#allowed
    if (resolved !== undefined) {
      const family = isIP(resolved) === 6 ? 'ipv6' : 'ipv4'
      if (allowed?.blocks.check(resolved, family)) return undefined
      if (this.#linkLocal.check(resolved, family)) {
        return 'link-local addresses are refused; list it in allowedAddresses if it really is a broker'
      }
    }
    if (!allowed || (!isIP(host) && isNameAllowed(allowed, host.toLowerCase()))) return undefined
    // A name that is not listed itself may still resolve into an allowed block.
    return resolved === undefined && allowed.blocks.rules.length > 0
      ? undefined
      : 'not covered by allowedAddresses'
  }
}

function isNameAllowed(rules: Rules, name: string): boolean {
  return rules.hosts.has(name) || rules.suffixes.some((suffix) => name.endsWith(suffix))
}

function parseAllowed(allowed: readonly string[]): Rules {
  const rules: Rules = { hosts: new Set(), suffixes: [], blocks: new BlockList() }
  for (const [index, entry] of allowed.entries()) {
    const [, ip = entry, bits] = /^(.*)\/(\d{1,3})$/.exec(entry) ?? []
    const family = isIP(ip)
    if (family === 0) {
      if (bits !== undefined || !/^(\*\.)?[\w.-]+$/.test(entry)) {
        throw new ConfigError(
          `allowedAddresses[${index}]`,
          `takes an IP address, a CIDR block, a host name or *.suffix, got ${JSON.stringify(entry)}`,
        )
      }
      if (entry.startsWith('*.')) rules.suffixes.push(entry.slice(1).toLowerCase())
      else rules.hosts.add(entry.toLowerCase())
      continue
    }
    const width = family === 6 ? 128 : 32
    const prefix = bits === undefined ? width : Number(bits)
    if (prefix > width)
      throw new ConfigError(`allowedAddresses[${index}]`, `prefix /${prefix} is longer than ${width} bits`)
    rules.blocks.addSubnet(ip, prefix, family === 6 ? 'ipv6' : 'ipv4')
  }
  return rules
}
