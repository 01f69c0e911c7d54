/**
 * Where the client may connect to. Addresses of brokers come from outside (name servers, message ids), so they are
 * checked before a name is resolved, and again with what it resolves to, before a socket is opened.
 *
 * Link-local addresses are refused unless they are allowed by name: on AWS 169.254.169.254 is the metadata service, and
 * fd00:ec2::254 is the same over IPv6.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'

import { parseHost } from '../wire/address.ts'
import { checkInt, checkText, refuse } from '../wire/checks.ts'
import { isPromise } from './deadline.ts'

/** Rewrites broker addresses, for load balancers and tunnels: `host:port` → `host:port`, or undefined to keep it. */
export type AddressMap = Readonly<Record<string, string>> | ((address: string) => string | undefined)

export interface AddressPolicy {
  /** The address to use for one that a broker, a name server or a message id gave. */
  rewrite(advertised: string): string
  /** Why `address` must not be used, or undefined; asked before a name is resolved, and with each `ip` that it resolves to. */
  refuse(address: string, ip?: string): string | undefined
}

/** 169.254.0.0/16 stands in IPv6 addresses in many forms; as IPv4-mapped, BlockList finds it by itself. */
const LINK_LOCAL = [
  '169.254.0.0/16',
  'fe80::/10',
  'fd00:ec2::/32',
  // IPv4-compatible, IPv4-translated, behind NAT64, as 6to4 has it.
  '::a9fe:0/112',
  '::ffff:0:a9fe:0/112',
  '64:ff9b::a9fe:0/112',
  '2002:a9fe::/32',
  // Behind a NAT64 with a prefix of one's own: where it stands there, only the prefix says.
  '64:ff9b:1::/48',
]

/**
 * @param allowed IP addresses, CIDR blocks, host names, or `*.suffix`; undefined allows all but link-local ones
 * @param operators what the operator wrote, the name servers: never refused
 */
export const createAddressPolicy = (
  map: AddressMap | undefined,
  allowed: readonly string[] | undefined,
  operators: readonly string[],
): AddressPolicy => {
  const { blocks: linkLocal } = parseRules(LINK_LOCAL)
  const { names, blocks } = parseRules(allowed ?? [])
  const trusted = new Set(operators)
  const table = new Map(Object.entries(map ?? {}))

  return {
    rewrite(advertised) {
      let address: unknown
      try {
        address = typeof map === 'function' ? map(advertised) : table.get(advertised)
      } catch (cause) {
        refuse('addressMap', `failed for ${advertised}`, { cause })
      }
      // What a map leaves as it was is still another's word.
      if (address === undefined || address === advertised) return advertised
      if (isPromise(address)) {
        // Nobody waits for it: rejected, it would end the process.
        address.then(undefined, () => undefined)
        refuse('addressMap', 'must not be async')
      }
      trusted.add(checkText('addressMap', address))
      return address as string
    },

    refuse(address, ip) {
      const { host } = parseHost(address)
      const peer = isAddress(host) ? host : ip
      if (trusted.has(address) || (peer && holds(blocks, peer))) return undefined
      const isNamed = !allowed || (peer !== host && names.some((name) => name.test(host)))
      // A name that is not listed itself may still resolve into an allowed block.
      if (peer ? isNamed && !holds(linkLocal, peer) : isNamed || blocks.rules.length > 0) return undefined
      return 'is link-local or not in allowedAddresses'
    },
  }
}

interface Rules {
  /** Of host names. */
  names: RegExp[]
  blocks: BlockList
}

/** As `isIP` of node:net, whose pattern for IPv6 takes milliseconds when it is first used: only where there is a colon. */
export const isAddress = (host: string): boolean => (host.includes(':') ? isIPv6(host) : isIPv4(host))

const familyOf = (ip: string): 'ipv4' | 'ipv6' => (ip.includes(':') ? 'ipv6' : 'ipv4')

const holds = (blocks: BlockList, ip: string): boolean => blocks.check(ip, familyOf(ip))

const parseRules = (allowed: readonly string[]): Rules => {
  const names: RegExp[] = []
  const blocks = new BlockList()
  for (const [index, entry] of allowed.entries()) {
    const field = `allowedAddresses[${index}]`
    const [, ip = '', bits] = /^(.+?)(?:\/(\d+))?$/.exec(entry) ?? []
    if (isAddress(ip)) {
      const width = familyOf(ip) === 'ipv4' ? 32 : 128
      blocks.addSubnet(ip, checkInt(field, Number(bits ?? width), 0, width), familyOf(ip))
    } else if (/^(\*\.)?[\w.-]+$/.test(entry)) {
      names.push(new RegExp(`^${entry.replaceAll('.', '\\.').replace('*', '.+')}$`, 'i'))
    } else refuse(field, `takes IP, CIDR, host or *.suffix, got ${entry}`)
  }
  return { names, blocks }
}
