/**
 * Where the client may connect to. Addresses of brokers come from outside (name servers, message ids), so they are
 * checked before a socket is opened, and again after the name was resolved.
 *
 * Link-local addresses are refused unless they are allowed by name: on AWS 169.254.169.254 is the metadata service.
 */
import { BlockList, isIP } from 'node:net'
import { ConfigError } from '../errors.ts'
import { parseHost } from '../wire/address.ts'
import { checkInt, checkText } from '../wire/checks.ts'

/** Rewrites broker addresses, for load balancers and tunnels: `host:port` → `host:port`, or undefined to keep it. */
export type AddressMap = Readonly<Record<string, string>> | ((address: string) => string | undefined)

export interface AddressPolicy {
  /** The address to use for one that a broker, a name server or a message id gave. */
  rewrite(advertised: string): string
  /** Why `address` must not be used, or undefined; asked before connecting, and with the resolved `ip` after it. */
  refuse(address: string, ip?: string): string | undefined
}

/**
 * @param allowed IP addresses, CIDR blocks, host names, or `*.suffix`; undefined allows all but link-local ones
 * @param operators what the operator wrote, the name servers: never refused
 */
export function createAddressPolicy(
  map: AddressMap | undefined,
  allowed: readonly string[] | undefined,
  operators: readonly string[],
): AddressPolicy {
  const linkLocal = parseRules(['169.254.0.0/16', 'fe80::/10'])
  const rules = allowed && parseRules(allowed)
  const trusted = new Set(operators)

  return {
    rewrite(advertised) {
      let rewritten: unknown
      try {
        rewritten =
          typeof map === 'function'
            ? map(advertised)
            : map && Object.hasOwn(map, advertised)
              ? map[advertised]
              : undefined
      } catch (cause) {
        throw new ConfigError('addressMap', `failed for ${advertised}; see the cause`, { cause })
      }
      if (rewritten === undefined) return advertised
      const address = checkText('addressMap', rewritten)
      trusted.add(address)
      return address
    },

    refuse(address, ip) {
      if (trusted.has(address)) return undefined
      const { host } = parseHost(address)
      const resolved = isIP(host) ? host : ip
      if (resolved !== undefined) {
        if (rules && holds(rules, resolved)) return undefined
        if (holds(linkLocal, resolved))
          return 'is link-local; list it in allowedAddresses if it really is a broker'
      }
      if (!rules || (!isIP(host) && isNamed(rules, host.toLowerCase()))) return undefined
      // A name that is not listed itself may still resolve into an allowed block.
      return resolved === undefined && rules.blocks.rules.length > 0
        ? undefined
        : 'is not covered by allowedAddresses'
    },
  }
}

interface Rules {
  /** Host names; one that begins with a dot is a suffix. */
  names: string[]
  blocks: BlockList
}

const holds = ({ blocks }: Rules, ip: string): boolean => blocks.check(ip, familyOf(ip))

const familyOf = (ip: string): 'ipv4' | 'ipv6' => (isIP(ip) === 6 ? 'ipv6' : 'ipv4')

const isNamed = ({ names }: Rules, host: string): boolean =>
  names.some((name) => (name.startsWith('.') ? host.endsWith(name) : host === name))

function parseRules(allowed: readonly string[]): Rules {
  const rules: Rules = { names: [], blocks: new BlockList() }
  for (const [index, entry] of allowed.entries()) {
    const field = `allowedAddresses[${index}]`
    const [, ip = entry, bits] = /^(.*)\/(\d{1,3})$/.exec(entry) ?? []
    if (isIP(ip)) {
      const width = isIP(ip) === 6 ? 128 : 32
      rules.blocks.addSubnet(ip, checkInt(field, Number(bits ?? width), 0, width), familyOf(ip))
    } else if (/^(\*\.)?[\w.-]+$/.test(entry)) {
      rules.names.push(entry.replace('*', '').toLowerCase())
    } else {
      throw new ConfigError(field, `takes an IP address, a CIDR block, a host name or *.suffix, got ${entry}`)
    }
  }
  return rules
}
