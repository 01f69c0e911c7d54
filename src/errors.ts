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

  constructor(
    code: ErrorCode,
    message: string,
    facts: ErrorFacts = {},
    retryable = false,
    name = 'RocketMQError',
  ) {
    const { cause, ...known } = facts
    super(message, cause === undefined ? {} : { cause })
    Object.assign(this, { name, code, retryable })
    for (const [fact, value] of Object.entries(known)) {
      if (value !== undefined) Object.assign(this, { [fact]: value })
    }
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** True for an error of this package, also when a bundle holds two copies of it. Accepts anything, never throws. */
  static is(value: unknown): value is RocketMQError {
    try {
      return typeof value === 'object' && value !== null && BRAND in value
    } catch {
      return false // a revoked Proxy throws even on `in`
    }
  }
}

/** An option or an argument is wrong; `field` names it. Nothing was sent. Correct the call. */
export class ConfigError extends RocketMQError {
  declare readonly name: 'ConfigError'
  constructor(field: string, message: string, facts?: ErrorFacts) {
    const all: ErrorFacts = { outcome: 'not-sent', ...facts, field }
    super('RMQ_CONFIG', `${field}: ${message}`, all, false, 'ConfigError')
  }
}

/** No connection could be opened (refused, unreachable, not allowed, TLS failed). Nothing was sent. */
export class ConnectError extends RocketMQError {
  declare readonly name: 'ConnectError'
  constructor(message: string, facts?: ErrorFacts) {
    super('RMQ_CONNECT', message, { outcome: 'not-sent', ...facts }, true, 'ConnectError')
  }
}

/** The connection ended while the call was in flight; `outcome` says whether the request had left. */
export class ConnectionLostError extends RocketMQError {
  declare readonly name: 'ConnectionLostError'
  constructor(message: string, facts?: ErrorFacts) {
    super('RMQ_CONNECTION_LOST', message, facts, true, 'ConnectionLostError')
  }
}

/** No answer within `timeoutMs`. */
export class TimeoutError extends RocketMQError {
  declare readonly name: 'TimeoutError'
  constructor(message: string, facts?: ErrorFacts) {
    super('RMQ_TIMEOUT', message, facts, true, 'TimeoutError')
  }
}

/** The caller's `deadlineMs` has come (the invocation is ending). There is no time to try again. */
export class DeadlineError extends RocketMQError {
  declare readonly name: 'DeadlineError'
  constructor(message: string, facts?: ErrorFacts) {
    super('RMQ_DEADLINE', message, facts, false, 'DeadlineError')
  }
}

/** The caller's AbortSignal fired; `cause` is its reason. */
export class AbortError extends RocketMQError {
  declare readonly name: 'AbortError'
  constructor(message: string, facts?: ErrorFacts) {
    super('RMQ_ABORTED', message, facts, false, 'AbortError')
  }
}

/** Bytes from the network, or a value given to an encoder, do not fit the protocol; `field` names the place. */
export class ProtocolError extends RocketMQError {
  declare readonly name: 'ProtocolError'
  constructor(message: string, facts?: ErrorFacts) {
    super('RMQ_PROTOCOL', message, facts, false, 'ProtocolError')
  }
}

/** A broker or name server answered no; `responseCode` says which no, `remark` is its own text. */
export class BrokerError extends RocketMQError {
  /** The text of the answer, first line only; free text of the broker, not for matching. */
  readonly remark: string
  constructor(
    message: string,
    remark: string,
    facts?: ErrorFacts,
    code: ErrorCode = 'RMQ_BROKER',
    name = 'BrokerError',
  ) {
    super(code, message, facts, false, name)
    this.remark = remark
  }
}

/** The broker refused the credentials or the permission. Correct the key, or grant what the message names. */
export class AuthError extends BrokerError {
  declare readonly name: 'AuthError'
  constructor(message: string, remark: string, facts?: ErrorFacts) {
    super(message, remark, facts, 'RMQ_AUTH', 'AuthError')
  }
}

/**
 * The broker answered a commit with success but ignored it, because an administrator has reset the offset.
 * Read the committed offset again and continue from there.
 */
export class OffsetResetError extends BrokerError {
  declare readonly name: 'OffsetResetError'
  constructor(message: string, remark: string, facts?: ErrorFacts) {
    super(message, remark, facts, 'RMQ_OFFSET_RESET', 'OffsetResetError')
  }
}

/** There is no way to a queue: unknown topic (`responseCode` 17), no master, no writable queue, no such broker. */
export class RouteError extends RocketMQError {
  declare readonly name: 'RouteError'
  constructor(message: string, facts?: ErrorFacts) {
    super('RMQ_ROUTE', message, { outcome: 'not-sent', ...facts }, false, 'RouteError')
  }
}

/** The client was closed. Create a new one. */
export class ClosedError extends RocketMQError {
  declare readonly name: 'ClosedError'
  constructor(message: string, facts?: ErrorFacts) {
    super('RMQ_CLOSED', message, facts, false, 'ClosedError')
  }
}

/** A handler's answer breaks the response contract, so that the whole batch counts as failed. Correct the handler. */
export class ResponseError extends RocketMQError {
  declare readonly name: 'ResponseError'
  constructor(message: string, facts?: ErrorFacts) {
    super('RMQ_RESPONSE', message, facts, false, 'ResponseError')
  }
}
