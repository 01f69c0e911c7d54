/** What `startLambda` takes: the functions and the settings, checked by hand as ./testing has no dependency. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { ConfigError } from '../../errors.ts'
import type { Clock } from './clock.ts'
import type { FailedEvent } from './event-queue.ts'
import type { InvocationOutcome } from './invocation.ts'

/** Starts a function at times. */
export interface ScheduleEvent {
  schedule: {
    /** `rate(1 minute)`, `cron(0 9 ? * MON-FRI *)` in UTC, or several of them. */
    rate: string | readonly string[]
    /** The payload. @default what EventBridge sends */
    input?: unknown
    /** @default true */
    enabled?: boolean
  }
}

/** Starts a function by HTTP requests. */
export interface HttpApiRoute {
  httpApi: {
    /** `GET`, … or `*` for any. */
    method: string
    /** `/topics/{topic}/messages`, `/files/{name+}`, or `*` for what no other route takes. */
    path: string
  }
}

export type FunctionEvent = ScheduleEvent | HttpApiRoute

/** One function: its bundle and its settings, in AWS's words. */
export interface LocalFunction {
  /** Path of the bundled file (ESM or CommonJS). */
  handler: string
  /** The export that is called. @default 'handler' */
  exportName?: string
  /** Environment variables, besides Lambda's own. Nothing of this process's environment is handed on. */
  environment?: Readonly<Record<string, string>>
  /** 1 to 900; fractions are allowed here, for tests. @default 3 */
  timeoutSeconds?: number
  /** MB, 128 to 10240. Bounds Node's heap. @default 128 */
  memorySize?: number
  /** A share of the concurrency of its own, and its limit. @default none: it shares with the others */
  reservedConcurrency?: number
  /** Attempts after the first of an asynchronous invocation, 0 to 2. @default 2 */
  maximumRetryAttempts?: number
  /** How long an asynchronous invocation may wait, 60 to 21600 seconds. @default 21600 */
  maximumEventAgeInSeconds?: number
  /** Aliases and versions that can be invoked besides $LATEST, all of them the same code. @default none */
  qualifiers?: readonly string[]
  events?: readonly FunctionEvent[]
}

/** What `onLog` gets: one line that a function, or Lambda around it, has written. */
export interface LogLine {
  functionName: string
  /** Undefined outside of invocations. */
  requestId: string | undefined
  line: string
}

/** What `onInvocation` gets when an attempt has ended. */
export interface InvocationRecord extends Omit<InvocationOutcome, 'payload'> {
  functionName: string
  type: 'RequestResponse' | 'Event'
  /** `POST /topics/orders/messages`, `schedule`, or `invoke` for the Invoke API and `lambda.invoke`. */
  startedBy: string
  /** JSON: what the handler returned, or AWS's error body. */
  payload: string
}

export interface LambdaOptions {
  /** By name. `readServerless` reads them from a serverless.yml. */
  functions: Readonly<Record<string, LocalFunction>>
  /** Port of the Invoke API on 127.0.0.1; 0 takes a free one. @default 0 */
  port?: number
  /** Port of the HTTP API on 127.0.0.1, open when a function has a route; 0 takes a free one. @default 0 */
  httpPort?: number
  /** Stop processes between invocations, as Lambda freezes its sandboxes. @default true */
  freeze?: boolean
  /** Invocations at once over all functions. AWS has 1000 by default; these are processes of this machine. @default 100 */
  accountConcurrency?: number
  /** Time of schedules, retries and maximum ages. @default runningClock() */
  clock?: Clock
  /** In ARNs and AWS_REGION. @default 'eu-central-1' */
  region?: string
  /** Milliseconds between SIGTERM and SIGKILL when environments are ended. @default 500 */
  shutdownMs?: number
  /** Each line that functions print, and Lambda's own around them. */
  onLog?: (line: LogLine) => void
  /** Each attempt that has ended. */
  onInvocation?: (record: InvocationRecord) => void
  /** Each event that is given up, as in `failedEvents`. */
  onFailedEvent?: (event: FailedEvent) => void
}

/** A function with all its settings. */
export interface ResolvedFunction extends Required<Omit<LocalFunction, 'reservedConcurrency'>> {
  name: string
  reservedConcurrency: number | undefined
}

const OPTIONS =
  'functions port httpPort freeze accountConcurrency clock region shutdownMs onLog onInvocation onFailedEvent'
const FUNCTION_OPTIONS =
  'handler exportName environment timeoutSeconds memorySize reservedConcurrency maximumRetryAttempts maximumEventAgeInSeconds qualifiers events'

/** Throws a ConfigError that names the field. */
export function checkOptions(options: LambdaOptions): readonly ResolvedFunction[] {
  if (!isRecord(options)) throw new ConfigError('startLambda', 'takes { functions: { … } }')
  checkKeys(options, OPTIONS, '')
  checkNumber('port', options.port ?? 0, 0, 65_535)
  checkNumber('httpPort', options.httpPort ?? 0, 0, 65_535)
  checkNumber('accountConcurrency', options.accountConcurrency ?? 1, 1, 100_000)
  checkNumber('shutdownMs', options.shutdownMs ?? 0, 0, 60_000)
  if (typeof (options.freeze ?? true) !== 'boolean') throw new ConfigError('freeze', 'takes true or false')
  checkName('region', options.region ?? 'eu-central-1')
  if (options.clock !== undefined && typeof options.clock?.at !== 'function')
    throw new ConfigError('clock', 'takes what runningClock() gives')
  for (const name of ['onLog', 'onInvocation', 'onFailedEvent'] as const) {
    if (typeof (options[name] ?? isRecord) !== 'function') throw new ConfigError(name, 'takes a function')
  }
  if (!isRecord(options.functions)) throw new ConfigError('functions', 'takes an object of functions by name')
  return Object.entries(options.functions).map(([name, each]) => resolveFunction(name, each))
}

/** Checks and fills in one function. */
export function resolveFunction(name: string, options: LocalFunction): ResolvedFunction {
  const field = `functions.${name}`
  if (!/^[\w-]{1,64}$/.test(name)) throw new ConfigError(field, 'a name has 1 to 64 letters, digits, - and _')
  if (!isRecord(options)) throw new ConfigError(field, 'takes { handler: "/path/to/index.mjs", … }')
  checkKeys(options, FUNCTION_OPTIONS, `${field}.`)
  const {
    exportName = 'handler',
    environment = {},
    timeoutSeconds = 3,
    memorySize = 128,
    reservedConcurrency,
    maximumRetryAttempts = 2,
    maximumEventAgeInSeconds = 21_600,
    qualifiers = [],
    events = [],
  } = options
  if (!(typeof timeoutSeconds === 'number' && timeoutSeconds > 0 && timeoutSeconds <= 900))
    throw new ConfigError(`${field}.timeoutSeconds`, `takes seconds up to 900, got ${timeoutSeconds}`)
  checkNumber(`${field}.memorySize`, memorySize, 128, 10_240)
  checkNumber(`${field}.reservedConcurrency`, reservedConcurrency ?? 0, 0, 100_000)
  checkNumber(`${field}.maximumRetryAttempts`, maximumRetryAttempts, 0, 2)
  checkNumber(`${field}.maximumEventAgeInSeconds`, maximumEventAgeInSeconds, 60, 21_600)
  checkName(`${field}.exportName`, exportName)
  if (!Array.isArray(qualifiers)) throw new ConfigError(`${field}.qualifiers`, 'takes a list of names')
  for (const [at, each] of qualifiers.entries()) checkName(`${field}.qualifiers[${at}]`, each)
  if (!Array.isArray(events)) throw new ConfigError(`${field}.events`, 'takes a list')
  for (const [at, each] of events.entries()) {
    if (!isRecord(each) || !isRecord(each['schedule'] ?? each['httpApi']))
      throw new ConfigError(`${field}.events[${at}]`, 'takes { schedule: { … } } or { httpApi: { … } }')
  }
  if (!isRecord(environment)) throw new ConfigError(`${field}.environment`, 'takes variables by name')
  for (const [key, value] of Object.entries(environment)) {
    if (typeof value !== 'string') throw new ConfigError(`${field}.environment.${key}`, 'takes text')
  }
  return {
    name,
    handler: existingFile(options.handler, `${field}.handler`),
    exportName,
    environment,
    timeoutSeconds,
    memorySize,
    reservedConcurrency,
    maximumRetryAttempts,
    maximumEventAgeInSeconds,
    qualifiers,
    events,
  }
}

/** The absolute path of a file that is there. */
export function existingFile(path: unknown, field: string): string {
  if (typeof path !== 'string' || path === '')
    throw new ConfigError(field, 'takes the path of a bundled file')
  const file = resolve(path)
  if (!statSync(file, { throwIfNoEntry: false })?.isFile())
    throw new ConfigError(field, `there is no file at ${file}; has it been bundled?`)
  return file
}

function checkKeys(value: object, known: string, prefix: string): void {
  const names = known.split(' ')
  const unknown = Object.keys(value).find((key) => !names.includes(key))
  if (unknown !== undefined)
    throw new ConfigError(`${prefix}${unknown}`, `is no option; there are ${names.join(', ')}`)
}

function checkNumber(field: string, value: unknown, from: number, to: number): void {
  if (!Number.isInteger(value) || Number(value) < from || Number(value) > to)
    throw new ConfigError(field, `takes an integer from ${from} to ${to}, got ${String(value)}`)
}

function checkName(field: string, value: unknown): void {
  if (typeof value !== 'string' || value === '')
    throw new ConfigError(field, `takes a name, got ${String(value)}`)
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
