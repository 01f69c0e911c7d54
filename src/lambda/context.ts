/** What the bindings need of a Lambda context. @types/aws-lambda's Context fits, and so does a fake of one method. */
export interface LambdaContext {
  getRemainingTimeInMillis(): number
  awsRequestId?: string
  /** With `continuation`: what is invoked again. */
  invokedFunctionArn?: string
}

/**
 * Time kept back at the end of an invocation, in ms, so that an answer still reaches Lambda: half a second, and what a busy
 * machine needs to come to it.
 */
export const DEADLINE_MARGIN_MS = 700

/**
 * When the work of an invocation must be over, epoch ms.
 * @param reserveMs for what is done behind it: last commits, leases to give back. Answers that had nothing behind them came
 * up to 140 ms late on a machine of two cores at a load of 50, those with leases to give back 200.
 */
export function invocationDeadline(context: LambdaContext, reserveMs = 200): number {
  return Date.now() + Math.max(1, context.getRemainingTimeInMillis() - DEADLINE_MARGIN_MS - reserveMs)
}
