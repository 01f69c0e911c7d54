/**
 * The options of a client: what they are, their defaults, the environment variables behind them, and the check that
 * refuses a misspelt one. The only file of the core that reads the environment.
 */
import { ConfigError } from '../errors.ts'
import type { AddressMap } from '../net/address-policy.ts'
import { type CredentialsOption, checkCredentials } from '../net/credentials.ts'
import type { PoolOptions } from '../net/pool.ts'
import type { TlsOptions } from '../net/tcp.ts'
import { parseHost } from '../wire/address.ts'
import { checkChoice, checkInt, checkText } from '../wire/checks.ts'
import { checkTopicName } from '../wire/names.ts'

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
  const variable: Variable = (name) => environment[`ROCKETMQ_${name}`]
  const { addressMap, allowedAddresses, routeTtlMs = 30_000, pool = {}, extensions = {} } = options
  checkKeys('pool', pool, POOL_KEYS)
  checkKeys('extensions', extensions, ['messageNumbers'])
  const { messageNumbers = false } = extensions
  checkType('extensions.messageNumbers', messageNumbers, 'boolean')
  checkType('addressMap', addressMap, 'function', 'object', 'undefined')
  const namespace = options.namespace ?? variable('NAMESPACE') ?? ''
  if (namespace !== '') checkTopicName(namespace, 'namespace')
  const ownTimeout = variable('TIMEOUT_MS')
  const timeoutMs =
    options.timeoutMs === undefined && ownTimeout
      ? checkInt('ROCKETMQ_TIMEOUT_MS', Number(ownTimeout), 1)
      : checkInt('timeoutMs', options.timeoutMs === undefined ? 3_000 : options.timeoutMs, 1)
  const { maxIdleMs = 30_000, connectTimeoutMs = timeoutMs, maxFrameBytes = 16_777_216 } = pool
  const isText = (each: unknown): boolean => typeof each === 'string'
  if (allowedAddresses && !(Array.isArray(allowedAddresses) && allowedAddresses.every(isText))) {
    throw new ConfigError('allowedAddresses', 'takes an array of strings')
  }
  return {
    nameServers: parseNameServers(options.nameServers, variable),
    credentials: resolveCredentials(options.credentials, variable),
    tls: resolveTls(options.tls, variable),
    namespace,
    timeoutMs,
    routeTtlMs: checkInt('routeTtlMs', routeTtlMs, 1),
    addressMap,
    allowedAddresses,
    pool: {
      maxIdleMs: checkInt('pool.maxIdleMs', maxIdleMs, 1),
      connectTimeoutMs: checkInt('pool.connectTimeoutMs', connectTimeoutMs, 1),
      maxFrameBytes: checkInt('pool.maxFrameBytes', maxFrameBytes, 1),
    },
    messageNumbers,
  }
}

function checkType(field: string, value: unknown, ...types: string[]): void {
  checkChoice(field, value === null ? 'null' : typeof value, ...types)
}

/** Reads an environment variable by its name without `ROCKETMQ_`. */
type Variable = (name: string) => string | undefined

/** @throws ConfigError for a key that is not known, with the nearest one that is */
export function checkKeys(what: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw new ConfigError(what, 'takes an object of options')
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    const [nearest] = [...known].sort((a, b) => likeness(b, key) - likeness(a, key))
    throw new ConfigError(
      key,
      `is not an option of ${what}; did you mean ${nearest}? Known are ${known.join(', ')}`,
    )
  }
}

/** How much of both words the pairs of letters make up that both have; no matter where, so that a slip costs little. */
function likeness(a: string, b: string): number {
  const pairs = (word: string): string[] =>
    `${word} `
      .toLowerCase()
      .split('')
      .map((letter, at, all) => `${all[at - 1]}${letter}`)
  const others = pairs(b)
  return pairs(a).filter((pair) => others.includes(pair)).length / (a.length + b.length)
}

function parseNameServers(option: string | readonly string[] | undefined, variable: Variable): string[] {
  const value: unknown = option ?? variable('NAMESRV_ADDR')
  const entries = typeof value === 'string' ? value.split(';') : Array.isArray(value) ? value : []
  const addresses = new Set(entries.map((each) => String(each).trim()))
  addresses.delete('')
  if (addresses.size === 0) {
    throw new ConfigError('nameServers', 'takes host:port;host:port, or set ROCKETMQ_NAMESRV_ADDR; got none')
  }
  for (const address of addresses) {
    try {
      parseHost(address)
    } catch (cause) {
      const field = option ? 'nameServers' : 'ROCKETMQ_NAMESRV_ADDR'
      throw new ConfigError(field, `takes host:port, got ${address}`, { cause })
    }
  }
  return [...addresses]
}

function resolveCredentials(
  option: CredentialsOption | undefined,
  variable: Variable,
): CredentialsOption | undefined {
  if (typeof option === 'function') return option
  if (option !== undefined) return checkCredentials(option, 'credentials')
  const accessKey = variable('ACCESS_KEY')
  const secretKey = variable('SECRET_KEY')
  const securityToken = variable('SECURITY_TOKEN')
  if (!accessKey && !secretKey) return undefined
  return {
    accessKey: checkText('ROCKETMQ_ACCESS_KEY', accessKey),
    secretKey: checkText('ROCKETMQ_SECRET_KEY', secretKey),
    ...(securityToken ? { securityToken } : {}),
  }
}

function resolveTls(option: boolean | TlsOptions | undefined, variable: Variable): TlsOptions | undefined {
  checkType('tls', option, 'boolean', 'object', 'undefined')
  if (option !== undefined) return option === true ? {} : option || undefined
  const value = variable('TLS') || 'false'
  checkChoice('ROCKETMQ_TLS', value, 'true', 'false')
  const ca = variable('TLS_CA')
  return value === 'false' ? undefined : ca ? { ca } : {}
}
