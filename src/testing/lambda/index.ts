/** The local Lambda: what rocketmq-lambda/testing exports of it. */
export { type Clock, runningClock } from './clock.ts'
export type { FailedEvent, FailureCondition } from './event-queue.ts'
export type { HttpRequestEvent } from './http-payload.ts'
export type { FunctionErrorBody, InvocationOutcome, InvocationReport } from './invocation.ts'
export type {
  FunctionEvent,
  HttpApiRoute,
  InvocationRecord,
  LambdaOptions,
  LocalFunction,
  LogLine,
  ScheduleEvent,
} from './options.ts'
export { readServerless, type ServerlessOptions } from './serverless.ts'
export type { InvocationType } from './service.ts'
export { LambdaServiceError } from './service-error.ts'
export { type InvokeResult, type LocalLambda, startLambda } from './start.ts'
export { type FunctionWatcher, type WatchOptions, watchFunctions } from './watch.ts'
