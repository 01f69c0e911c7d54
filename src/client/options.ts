/**
 * The options of a client: what they are, their defaults, the environment variables behind them, and the check that
 * refuses a misspelt one. The only file of the core that reads the environment.
 */
import { ConfigError } from '../errors.ts'
import type { AddressMap } from '../net/address-policy.ts'
import { type Credentials, type CredentialsOption, checkCredentials } from '../net/credentials.ts'
import type { PoolOptions } from '../net/pool.ts'
import type { TlsOptions } from '../net/tcp.ts'
import { parseHost } from '../wire/message-id.ts'

export interface ClientOptions {
  /** `host:port` of each name server, in an array or separated by `;`. @default ROCKETMQ_NAMESRV_ADDR */
  nameServers?: string | readonly string[] | undefined
  /**
   * ACL credentials, or an async function that returns them (rotation).
   * @default ROCKETMQ_ACCESS_KEY, ROCKETMQ_SECRET_KEY and ROCKETMQ_SECURITY_TOKEN; none when they are not set
   */
  credentials?: CredentialsOption | undefined
  /** `true`, or options of node:tls. The certificate is verified unless told otherwise. @default ROCKETMQ_TLS, ROCKETMQ_TLS_CA (PEM text); else plain text */
  tls?: boolean | TlsOptions | undefined
  /** Namespace (v1): topics and groups are sent as `namespace%name` and given back without it. @default ROCKETMQ_NAMESPACE */
  namespace?: string | undefined
  /** How long one request may take, its connection included, in ms. A call that tries again takes three times that at most. @default ROCKETMQ_TIMEOUT_MS, else 3000 */
  timeoutMs?: number | undefined
  /** How long a route is used before it is fetched again, in ms. @default 30000 */
  routeTtlMs?: number | undefined
  /** Rewrites broker addresses (load balancers, tunnels): a record or a function, `host:port` to `host:port`. @default as advertised */
  addressMap?: AddressMap | undefined
  /** What name servers and message ids may point to: IP addresses, CIDR blocks, host names, `*.suffix`. @default anything but link-local addresses */
  allowedAddresses?: readonly string[] | undefined
  /** Connection options. */
  pool?: PoolOptions | undefined
  /** Requests that only private forks know. */
  extensions?: { messageNumbers?: boolean | undefined } | undefined
}

/** Option templates to spread: `createClient({ ...templates.warm, nameServers })`. */
export const templates: {
  /** The defaults: for functions that are invoked now and then. */
  readonly cold: Required<Pick<ClientOptions, 'routeTtlMs' | 'pool'>>
  /** For functions that are invoked all the time: routes and idle connections are kept longer. */
  readonly warm: Required<Pick<ClientOptions, 'routeTtlMs' | 'pool'>>
} = {
  cold: { routeTtlMs: 30_000, pool: { maxIdleMs: 30_000 } },
  warm: { routeTtlMs: 120_000, pool: { maxIdleMs: 90_000 } },
}

export interface ResolvedOptions {
  nameServers: string[]
  credentials: CredentialsOption | undefined
  tls: TlsOptions | undefined
  namespace: string
  timeoutMs: number
  routeTtlMs: number
  addressMap: AddressMap | undefined
  allowedAddresses: readonly string[] | undefined
  pool: { maxIdleMs: number; connectTimeoutMs: number; maxFrameBytes: number }
  messageNumbers: boolean
}

const KEYS: readonly (keyof ClientOptions)[] = [
  'nameServers',
  'credentials',
  'tls',
  'namespace',
  'timeoutMs',
  'routeTtlMs',
  'addressMap',
  'allowedAddresses',
  'pool',
  'extensions',
]
const POOL_KEYS: readonly (keyof PoolOptions)[] = ['maxIdleMs', 'connectTimeoutMs', 'maxFrameBytes']

/** Explicit options win over the environment. @throws ConfigError naming the option or the variable */
export function resolveOptions(
  options: ClientOptions,
  environment: NodeJS.ProcessEnv = process.env,
): ResolvedOptions {
  checkKeys('createClient', options, KEYS)
  const pool = options.pool ?? {}
  checkKeys('pool', pool, POOL_KEYS)
  const timeoutMs =
    options.timeoutMs === undefined && environment['ROCKETMQ_TIMEOUT_MS']
      ? checkMs('ROCKETMQ_TIMEOUT_MS', Number(environment['ROCKETMQ_TIMEOUT_MS']), 3_000)
      : checkMs('timeoutMs', options.timeoutMs, 3_000)
  return {
    nameServers: parseNameServers(options.nameServers, environment['ROCKETMQ_NAMESRV_ADDR']),
    credentials: resolveCredentials(options.credentials, environment),
    tls: resolveTls(options.tls, environment),
    namespace: options.namespace ?? environment['ROCKETMQ_NAMESPACE'] ?? '',
    timeoutMs,
    routeTtlMs: checkMs('routeTtlMs', options.routeTtlMs, templates.cold.routeTtlMs ?? 0),
    addressMap: options.addressMap,
    allowedAddresses: checkStrings('allowedAddresses', options.allowedAddresses),
    pool: {
      maxIdleMs: checkMs('pool.maxIdleMs', pool.maxIdleMs, templates.cold.pool?.maxIdleMs ?? 0),
      connectTimeoutMs: checkMs('pool.connectTimeoutMs', pool.connectTimeoutMs, timeoutMs),
      maxFrameBytes: checkMs('pool.maxFrameBytes', pool.maxFrameBytes, 16_777_216),
    },
    messageNumbers: options.extensions?.messageNumbers === true,
  }
}

/** @throws ConfigError for a key that is not known, with the nearest one that is */
export function checkKeys(what: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw new ConfigError(what, 'takes an object of options')
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    const nearest = known.find((each) => isNear(each.toLowerCase(), key.toLowerCase()))
    throw new ConfigError(
      key,
      `is not an option of ${what}; ${nearest ? `did you mean ${nearest}?` : `known are ${known.join(', ')}`}`,
    )
  }
}

/** Whether one is a part of the other, or they differ by at most two changed, missing or extra characters. */
function isNear(a: string, b: string): boolean {
  if (a.startsWith(b) || b.startsWith(a)) return true
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return (row[b.length] ?? 0) <= 2
}

/** @throws ConfigError unless it is a whole number of at least 1 */
export function checkMs(field: string, value: number | undefined, otherwise: number): number {
  if (value === undefined) return otherwise
  if (!Number.isInteger(value) || value < 1 || value > 0x7fff_ffff) {
    throw new ConfigError(field, `takes a whole number from 1 to 2147483647, got ${String(value)}`)
  }
  return value
}

function checkStrings(field: string, value: readonly string[] | undefined): readonly string[] | undefined {
  if (value !== undefined && !(Array.isArray(value) && value.every((each) => typeof each === 'string'))) {
    throw new ConfigError(field, 'takes an array of strings')
  }
  return value
}

function parseNameServers(
  option: string | readonly string[] | undefined,
  variable: string | undefined,
): string[] {
  const value = option ?? variable
  const field = option === undefined ? 'ROCKETMQ_NAMESRV_ADDR' : 'nameServers'
  const addresses = (typeof value === 'string' ? value.split(';') : Array.isArray(value) ? value : []).map(
    (each) => String(each).trim(),
  )
  const given = addresses.filter((each) => each !== '')
  if (given.length === 0) {
    throw new ConfigError(
      'nameServers',
      'none given; pass nameServers or set ROCKETMQ_NAMESRV_ADDR, such as 10.0.0.5:9876;10.0.0.6:9876',
    )
  }
  for (const address of given) {
    try {
      parseHost(address)
    } catch (cause) {
      throw new ConfigError(field, `takes host:port, got ${JSON.stringify(address)}`, { cause })
    }
  }
  return [...new Set(given)]
}

function resolveCredentials(
  option: CredentialsOption | undefined,
  environment: NodeJS.ProcessEnv,
): CredentialsOption | undefined {
  if (typeof option === 'function') return option
  if (option !== undefined) return checkCredentials(option, 'credentials')
  const accessKey = environment['ROCKETMQ_ACCESS_KEY']
  const secretKey = environment['ROCKETMQ_SECRET_KEY']
  if (!accessKey && !secretKey) return undefined
  if (!accessKey || !secretKey) {
    throw new ConfigError(
      accessKey ? 'ROCKETMQ_SECRET_KEY' : 'ROCKETMQ_ACCESS_KEY',
      'is not set though the other key is',
    )
  }
  const credentials: Credentials = { accessKey, secretKey }
  const securityToken = environment['ROCKETMQ_SECURITY_TOKEN']
  return securityToken ? { ...credentials, securityToken } : credentials
}

function resolveTls(
  option: boolean | TlsOptions | undefined,
  environment: NodeJS.ProcessEnv,
): TlsOptions | undefined {
  if (option !== undefined) return option === true ? {} : option === false ? undefined : option
  const variable = environment['ROCKETMQ_TLS']
  if (variable === undefined || variable === '' || variable === 'false') return undefined
  if (variable !== 'true')
    throw new ConfigError('ROCKETMQ_TLS', `takes true or false, got ${JSON.stringify(variable)}`)
  const ca = environment['ROCKETMQ_TLS_CA']
  return ca ? { ca } : {}
}
