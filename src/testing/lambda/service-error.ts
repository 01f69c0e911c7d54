/** What Lambda's own API refuses with, before any function has run; `name` is the SDK's name of the exception. */
import type { ThrottleReason } from './concurrency.ts'

export class LambdaServiceError extends Error {
  readonly statusCode: number
  /** Which limit was reached, on 429. */
  readonly reason?: ThrottleReason

  constructor(
    statusCode: number,
    name: string,
    message: string,
    options: { reason?: ThrottleReason; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = name
    this.statusCode = statusCode
    if (options.reason !== undefined) this.reason = options.reason
  }

  static throttled(reason: ThrottleReason): LambdaServiceError {
    return new LambdaServiceError(429, 'TooManyRequestsException', 'Rate Exceeded.', { reason })
  }

  static recursion(): LambdaServiceError {
    return new LambdaServiceError(
      400,
      'RecursiveInvocationException',
      'Lambda has detected your function being invoked in a recursive loop and stopped the invocation.',
    )
  }

  /** The body of the answer. */
  toJSON(): object {
    const Type = this.statusCode < 500 ? 'User' : 'Service'
    // AWS writes `message` or `Message` from one error to the next; clients read either.
    return { Type, message: this.message, Message: this.message, Reason: this.reason }
  }
}
