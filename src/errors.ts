/**
 * Every error this package throws, and the table of their codes.
 *
 * Two facts stand on each: `retryable` (the same call may succeed if it is made again) and, for writes, `outcome`
 * (what is known about the write). A class stands for what the reader does next, not for where it was thrown.
 * Nothing secret is enumerable: no body, key, property or credential is kept on an error.
 *
 * @module
 */

/** The stable code of each class; each is a heading in docs/errors.md. */
export const ErrorCode = {
  CONFIG: 'RMQ_CONFIG',
  CONNECT: 'RMQ_CONNECT',
  CONNECTION_LOST: 'RMQ_CONNECTION_LOST',
  TIMEOUT: 'RMQ_TIMEOUT',
  DEADLINE: 'RMQ_DEADLINE',
  ABORTED: 'RMQ_ABORTED',
  PROTOCOL: 'RMQ_PROTOCOL',
  BROKER: 'RMQ_BROKER',
  AUTH: 'RMQ_AUTH',
  OFFSET_RESET: 'RMQ_OFFSET_RESET',
  ROUTE: 'RMQ_ROUTE',
  CLOSED: 'RMQ_CLOSED',
  RESPONSE: 'RMQ_RESPONSE',
  INVOKE: 'RMQ_INVOKE',
  FUNCTION: 'RMQ_FUNCTION',
  PARTIAL: 'RMQ_PARTIAL',
} as const
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]

/**
 * What is known about a write that failed.
 * - `not-sent`: no byte of it left this process; repeating it cannot make a duplicate.
 * - `refused`: the broker answered and did not do it.
 * - `unknown`: the broker may have done it. Repeating may make a duplicate; only the caller knows if that matters.
 */
export type Outcome = 'not-sent' | 'refused' | 'unknown'

/** The facts an error may carry besides its message. */
export interface ErrorFacts {
  /** The same call may succeed when repeated. Each class has its own default. */
  retryable?: boolean | undefined
  /** Set on errors of writes; `not-sent` also where it is known of a read. */
  outcome?: Outcome | undefined
  /** The code of the answer, where there was one (protocol: response codes). */
  responseCode?: number | undefined
  /** `host:port` of the name server or broker. */
  address?: string | undefined
  topic?: string | undefined
  /** The option, argument or wire field that is wrong. */
  field?: string | undefined
  cause?: unknown
}

const BRAND = /* @__PURE__ */ Symbol.for('rocketmq-lambda.error')

/** What stands on each error of a class unless a fact says otherwise. */
interface Traits extends Pick<ErrorFacts, 'retryable' | 'outcome'> {
  name: string
  code: ErrorCode
}

/** The base of every error of this package. Classes write their code as text: a bundle need not hold the table. */
export class RocketMQError extends Error {
  declare readonly name: string
  declare readonly code: ErrorCode
  /** The same call may succeed when it is made again. */
  declare readonly retryable: boolean
  declare readonly outcome?: Outcome
  declare readonly responseCode?: number
  declare readonly address?: string
  declare readonly topic?: string
  declare readonly field?: string

  constructor(traits: Traits, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? {} : facts)
    const own: Record<string, unknown> = Object(this)
    for (const each of [traits, facts] as Record<string, unknown>[])
      for (const fact in each) if (each[fact] !== undefined && fact !== 'cause') own[fact] = each[fact]
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** For logs and results: the message and the facts, without stack and cause. */
  toJSON(): object {
    return Object.assign({ message: this.message }, this)
  }

  /** True for an error of this package, also when a bundle holds two copies of it. Accepts anything, never throws. */
  static is(value: unknown): value is RocketMQError {
    try {
      return BRAND in Object(value)
    } catch {
      return false // a revoked Proxy throws even on `in`
    }
  }
}

type ErrorClass<Name extends string> = Pick<typeof RocketMQError, 'is'> &
  (new (
    message: string,
    facts?: ErrorFacts,
  ) => RocketMQError & { readonly name: Name })

/** @param code without `RMQ_` */
const defineError = <Word extends string, Code extends string>(
  word: Word,
  code: `RMQ_${Code}` extends ErrorCode ? Code : never,
  retryable = false,
  outcome?: Outcome,
): ErrorClass<`${Word}Error`> => {
  const name = `${word}Error` as const
  return class extends RocketMQError {
    declare readonly name: `${Word}Error`
    static override readonly name = name // what a stack is printed with, also from a minified bundle
    constructor(message: string, facts?: ErrorFacts) {
      super({ name, code: `RMQ_${code}` as ErrorCode, retryable, outcome }, message, facts)
    }
  }
}

const WrongField: ErrorClass<'ConfigError'> = /* @__PURE__ */ defineError(
  'Config',
  'CONFIG',
  false,
  'not-sent',
)

/** An option or an argument is wrong; `field` names it. Nothing was sent. Correct the call. */
export class ConfigError extends WrongField {
  constructor(field: string, message: string, facts?: ErrorFacts) {
    super(`${field}: ${message}`, { ...facts, field })
  }
}

/** No connection could be opened (refused, unreachable, not allowed, TLS failed). Nothing was sent. */
export const ConnectError: ErrorClass<'ConnectError'> = /* @__PURE__ */ defineError(
  'Connect',
  'CONNECT',
  true,
  'not-sent',
)
export type ConnectError = InstanceType<typeof ConnectError>

/** The connection ended while the call was in flight; `outcome` says whether the request had left. */
export const ConnectionLostError: ErrorClass<'ConnectionLostError'> = /* @__PURE__ */ defineError(
  'ConnectionLost',
  'CONNECTION_LOST',
  true,
)
export type ConnectionLostError = InstanceType<typeof ConnectionLostError>

/** No answer within `timeoutMs`. */
export const TimeoutError: ErrorClass<'TimeoutError'> = /* @__PURE__ */ defineError(
  'Timeout',
  'TIMEOUT',
  true,
)
export type TimeoutError = InstanceType<typeof TimeoutError>

/** The caller's `deadlineMs` has come (the invocation is ending). There is no time to try again. */
export const DeadlineError: ErrorClass<'DeadlineError'> = /* @__PURE__ */ defineError('Deadline', 'DEADLINE')
export type DeadlineError = InstanceType<typeof DeadlineError>

/** The caller's AbortSignal fired; `cause` is its reason. */
export const AbortError: ErrorClass<'AbortError'> = /* @__PURE__ */ defineError('Abort', 'ABORTED')
export type AbortError = InstanceType<typeof AbortError>

/** Bytes from the network, or a value given to an encoder, do not fit the protocol; `field` names the place. */
export const ProtocolError: ErrorClass<'ProtocolError'> = /* @__PURE__ */ defineError('Protocol', 'PROTOCOL')
export type ProtocolError = InstanceType<typeof ProtocolError>

const Refused: ErrorClass<string> = /* @__PURE__ */ defineError('Broker', 'BROKER')

/** A broker or name server answered no; `responseCode` says which no, `remark` is its own text. */
export class BrokerError extends Refused {
  /** The text of the answer, first line only; free text of the broker, not for matching. */
  declare readonly remark: string
  constructor(message: string, remark: string, facts?: ErrorFacts & Partial<Traits>) {
    super(message, { ...facts, remark } as ErrorFacts)
  }
}

/** The broker refused the credentials or the permission. Correct the key, or grant what the message names. */
export class AuthError extends BrokerError {
  declare readonly name: 'AuthError'
  constructor(message: string, remark: string, facts?: ErrorFacts) {
    super(message, remark, { ...facts, name: 'AuthError', code: 'RMQ_AUTH' })
  }
}

/**
 * The broker answered a commit with success but ignored it, because an administrator has reset the offset.
 * Read the committed offset again and continue from there.
 */
export class OffsetResetError extends BrokerError {
  declare readonly name: 'OffsetResetError'
  constructor(message: string, remark: string, facts?: ErrorFacts) {
    super(message, remark, { ...facts, name: 'OffsetResetError', code: 'RMQ_OFFSET_RESET' })
  }
}

/** There is no way to a queue: unknown topic (`responseCode` 17), no master, no writable queue, no such broker. */
export const RouteError: ErrorClass<'RouteError'> = /* @__PURE__ */ defineError(
  'Route',
  'ROUTE',
  false,
  'not-sent',
)
export type RouteError = InstanceType<typeof RouteError>

/** The client was closed. Create a new one. */
export const ClosedError: ErrorClass<'ClosedError'> = /* @__PURE__ */ defineError('Closed', 'CLOSED')
export type ClosedError = InstanceType<typeof ClosedError>

/** A handler's answer breaks the response contract, so that the whole batch counts as failed. Correct the handler. */
export const ResponseError: ErrorClass<'ResponseError'> = /* @__PURE__ */ defineError('Response', 'RESPONSE')
export type ResponseError = InstanceType<typeof ResponseError>

/** Lambda did not invoke a function: throttled, unreachable, not permitted, or no such function. What it got stays undone. */
export const InvokeError: ErrorClass<'InvokeError'> = /* @__PURE__ */ defineError('Invoke', 'INVOKE', true)
export type InvokeError = InstanceType<typeof InvokeError>

/** A function was invoked and failed; the message has its own `errorType` and `errorMessage`. Correct the function. */
export const FunctionError: ErrorClass<'FunctionError'> = /* @__PURE__ */ defineError('Function', 'FUNCTION')
export type FunctionError = InstanceType<typeof FunctionError>

/** Where one part of an administrator's call was done, or was not. */
export interface Place {
  /** Absent of a name server. */
  brokerName?: string | undefined
  address: string
  /** Of a call that concerns single queues. */
  queue?: { topic: string; brokerName: string; queueId: number } | undefined
}

const Partly: ErrorClass<'PartialError'> = /* @__PURE__ */ defineError('Partial', 'PARTIAL')

/** A call that concerns several servers was done by some of them; `done` and `failed` say which. Repeat it: what is done stays done. */
export class PartialError extends Partly {
  declare readonly done: readonly Place[]
  declare readonly failed: readonly (Place & { error: unknown })[]
  constructor(message: string, facts?: ErrorFacts & Partial<Pick<PartialError, 'done' | 'failed'>>) {
    super(message, { done: [], failed: [], ...facts } as ErrorFacts)
  }
}
