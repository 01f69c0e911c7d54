/** What the bindings need of a Lambda context. @types/aws-lambda's Context fits, and so does a fake of one method. */
export interface LambdaContext {
  getRemainingTimeInMillis(): number
  awsRequestId?: string
  /** With `continuation`: what is invoked again. */
  invokedFunctionArn?: string
}

/**
 * Time kept back at the end of an invocation, in ms: for the last commits, and so that an answer still reaches Lambda.
 */
export const DEADLINE_MARGIN_MS = 500

/** When the work of an invocation must be over, epoch ms. */
export function invocationDeadline(context: LambdaContext): number {
  return Date.now() + Math.max(1, context.getRemainingTimeInMillis() - DEADLINE_MARGIN_MS)
}
