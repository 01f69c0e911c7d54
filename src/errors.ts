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

const BRAND = Symbol.for('rocketmq-lambda.error')

/** The base of every error of this package. */
export class RocketMQError extends Error {
  override readonly name: string = 'RocketMQError'
  readonly code: ErrorCode
  /** The same call may succeed when it is made again. */
  readonly retryable: boolean
  declare readonly outcome?: Outcome
  declare readonly responseCode?: number
  declare readonly address?: string
  declare readonly topic?: string
  declare readonly field?: string

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}, retryable = false) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.code = code
    this.retryable = facts.retryable ?? retryable
    const { outcome, responseCode, address, topic, field } = facts
    if (outcome !== undefined) this.outcome = outcome
    if (responseCode !== undefined) this.responseCode = responseCode
    if (address !== undefined) this.address = address
    if (topic !== undefined) this.topic = topic
    if (field !== undefined) this.field = field
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
  override readonly name = 'ConfigError'
  constructor(field: string, message: string, facts: ErrorFacts = {}) {
    super(ErrorCode.CONFIG, `${field}: ${message}`, { outcome: 'not-sent', ...facts, field })
  }
}

/** No connection could be opened (refused, unreachable, not allowed, TLS failed). Nothing was sent. */
export class ConnectError extends RocketMQError {
  override readonly name = 'ConnectError'
  constructor(message: string, facts: ErrorFacts = {}) {
    super(ErrorCode.CONNECT, message, facts, true)
  }
}

/** The connection ended while the call was in flight; `outcome` says whether the request had left. */
export class ConnectionLostError extends RocketMQError {
  override readonly name = 'ConnectionLostError'
  constructor(message: string, facts: ErrorFacts = {}) {
    super(ErrorCode.CONNECTION_LOST, message, facts, true)
  }
}

/** No answer within `timeoutMs`. */
export class TimeoutError extends RocketMQError {
  override readonly name = 'TimeoutError'
  constructor(message: string, facts: ErrorFacts = {}) {
    super(ErrorCode.TIMEOUT, message, facts, true)
  }
}

/** The caller's `deadlineMs` has come (the invocation is ending). There is no time to try again. */
export class DeadlineError extends RocketMQError {
  override readonly name = 'DeadlineError'
  constructor(message: string, facts: ErrorFacts = {}) {
    super(ErrorCode.DEADLINE, message, facts)
  }
}

/** The caller's AbortSignal fired; `cause` is its reason. */
export class AbortError extends RocketMQError {
  override readonly name = 'AbortError'
  constructor(message: string, facts: ErrorFacts = {}) {
    super(ErrorCode.ABORTED, message, facts)
  }
}

/** Bytes from the network, or a value given to an encoder, do not fit the protocol; `field` names the place. */
export class ProtocolError extends RocketMQError {
  override readonly name = 'ProtocolError'
  constructor(message: string, facts: ErrorFacts = {}) {
    super(ErrorCode.PROTOCOL, message, facts)
  }
}

/** A broker or name server answered no; `responseCode` says which no, `remark` is its own text. */
export class BrokerError extends RocketMQError {
  override readonly name: string = 'BrokerError'
  /** The text of the answer, first line only; free text of the broker, not for matching. */
  readonly remark: string
  constructor(message: string, remark: string, facts: ErrorFacts = {}, code: ErrorCode = ErrorCode.BROKER) {
    super(code, message, facts)
    this.remark = remark
  }
}

/** The broker refused the credentials or the permission. Correct the key, or grant what the message names. */
export class AuthError extends BrokerError {
  override readonly name = 'AuthError'
  constructor(message: string, remark: string, facts: ErrorFacts = {}) {
    super(message, remark, facts, ErrorCode.AUTH)
  }
}

/**
 * The broker answered a commit with success but ignored it, because an administrator has reset the offset.
 * Read the committed offset again and continue from there.
 */
export class OffsetResetError extends BrokerError {
  override readonly name = 'OffsetResetError'
  constructor(message: string, remark: string, facts: ErrorFacts = {}) {
    super(message, remark, facts, ErrorCode.OFFSET_RESET)
  }
}

/** There is no way to a queue: unknown topic (`responseCode` 17), no master, no writable queue, no such broker. */
export class RouteError extends RocketMQError {
  override readonly name = 'RouteError'
  constructor(message: string, facts: ErrorFacts = {}) {
    super(ErrorCode.ROUTE, message, facts)
  }
}

/** The client was closed. Create a new one. */
export class ClosedError extends RocketMQError {
  override readonly name = 'ClosedError'
  constructor(message: string, facts: ErrorFacts = {}) {
    super(ErrorCode.CLOSED, message, facts)
  }
}
