/**
 * The options of a client: what they are, their defaults, the environment variables behind them, and the check that
 * refuses a misspelt one. The only file of the core that reads the environment.
 */
import type { AddressMap } from '../net/address-policy.ts'
import { type CredentialsOption, checkCredentials } from '../net/credentials.ts'
import type { PoolOptions } from '../net/pool.ts'
import type { TlsOptions } from '../net/tcp.ts'
import { parseHost } from '../wire/address.ts'
import { checkArray, checkChoice, checkInt, checkObject, checkText, refuse } from '../wire/checks.ts'
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
  /** How long a route is used before it is fetched again, in ms; while no name server answers the old one serves on. @default 30000 */
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
  extensions: { messageNumbers: boolean }
}

/** Explicit options win over the environment. @throws ConfigError naming the option or the variable */
export const resolveOptions = (
  options: ClientOptions,
  environment: NodeJS.ProcessEnv = process.env,
): ResolvedOptions => {
  /** An environment variable; one that is empty counts as not set. */
  const variable = (name: string): string | undefined => environment[`ROCKETMQ_${name}`] || undefined
  /** Checks the option, or when it is not given the variable, under the name of that. */
  const either =
    <T>(name: string, check: Check<T>, parse: Parse = String): Check<T> =>
    (given, option) => {
      const text = variable(name)
      return given === undefined && text ? check(parse(text), `ROCKETMQ_${name}`) : check(given, option)
    }
  const parseTls = (text: string): unknown => (text === 'true' ? true : text === 'false' ? false : text)
  const checkTls: Check<TlsOptions | undefined> = (given, field) => {
    const tls = ofType<boolean | TlsOptions | undefined>('boolean', 'object', 'undefined')(given, field)
    const ca = variable('TLS_CA')
    // Plain text, though somebody took the trouble to name a CA, is not what they meant.
    if (ca && tls === undefined) refuse('ROCKETMQ_TLS_CA', 'needs ROCKETMQ_TLS=true')
    return tls === true ? { ...(ca && { ca }) } : tls || undefined
  }
  const timeoutMs = either('TIMEOUT_MS', atLeast(1, 3_000), Number)

  return takeOptions<ResolvedOptions>('createClient', options, {
    nameServers: either('NAMESRV_ADDR', parseNameServers),
    credentials: (given, option) =>
      typeof given === 'function'
        ? (given as CredentialsOption)
        : given === undefined
          ? credentialsOf(variable)
          : checkCredentials(option, given),
    tls: either('TLS', checkTls, parseTls),
    namespace: either('NAMESPACE', (given = '', option) =>
      given === '' ? '' : checkTopicName(given, option),
    ),
    timeoutMs,
    routeTtlMs: atLeast(1, 30_000),
    addressMap: ofType('function', 'object', 'undefined'),
    allowedAddresses: (given, option) =>
      given === undefined
        ? given
        : checkArray(option, given).map((each) => ofType<string>('string')(each, option)),
    pool: group({
      maxIdleMs: atLeast(1, 30_000),
      connectTimeoutMs: (own = timeoutMs(options.timeoutMs, 'timeoutMs'), field) => checkInt(field, own, 1),
      maxFrameBytes: atLeast(1, 16_777_216),
    }),
    extensions: group({
      messageNumbers: (value = false, field) => ofType<boolean>('boolean')(value, field),
    }),
  })
}

/** Gives the value to use, for the one that was given or undefined. @throws ConfigError naming the field */
export type Check<T> = (given: unknown, field: string) => T
type Parse = (text: string) => unknown

/** A whole number, with its default. */
export const atLeast =
  (least: number, otherwise: number): Check<number> =>
  (given = otherwise, field) =>
    checkInt(field, given, least)

const ofType =
  <T>(...types: string[]): Check<T> =>
  (given, field) => {
    checkChoice(field, given === null ? 'null' : typeof given, ...types)
    return given as T
  }

type Checks<T> = { readonly [K in keyof T]: Check<T[K]> }

/** An option that has options of its own. */
const group =
  <T>(checks: Checks<T>): Check<T> =>
  (given = {}, option) =>
    takeOptions(option, given, checks, `${option}.`)

/** Takes the options of `what` apart, each by the check of its name. `prefix` comes before the names in errors. */
export const takeOptions = <T>(what: string, given: unknown, checks: Checks<T>, prefix = ''): T => {
  checkKeys(what, given, Object.keys(checks))
  const taken: Partial<T> = {}
  for (const name in checks) taken[name] = checks[name]((given as T)[name], prefix + name)
  return taken as T
}

/** @throws ConfigError for a key that is not known, with those that begin alike, or else all that are */
export const checkKeys = (what: string, options: unknown, known: readonly string[]): void => {
  for (const key of Object.keys(checkObject(what, options as object))) {
    if (known.includes(key)) continue
    const alike = known.filter((each) => each.startsWith(key.slice(0, 3)))
    const offered = (alike.length > 0 ? alike : known).join(', ')
    refuse(key, `is not an option of ${what}; did you mean ${offered}?`)
  }
}

const parseNameServers = (given: unknown, field: string): string[] => {
  const entries = [given].flat().join(';').split(';')
  const addresses = new Set(entries.map((each) => each.trim()).filter(Boolean))
  for (const address of addresses.size > 0 ? addresses : ['nothing']) {
    try {
      parseHost(address)
    } catch {
      refuse(field, `takes host:port;… or ROCKETMQ_NAMESRV_ADDR, got ${address}`)
    }
  }
  return [...addresses]
}

const credentialsOf = (variable: (name: string) => string | undefined): CredentialsOption | undefined => {
  const accessKey = variable('ACCESS_KEY')
  const secretKey = variable('SECRET_KEY')
  if (!accessKey && !secretKey) return undefined
  return {
    accessKey: checkText('ROCKETMQ_ACCESS_KEY', accessKey),
    secretKey: checkText('ROCKETMQ_SECRET_KEY', secretKey),
    securityToken: variable('SECURITY_TOKEN'),
  }
}
