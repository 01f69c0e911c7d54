/**
 * For the tests of your own functions: a broker in memory, a local Lambda, a Lambda context and the events that start
 * the functions of this package.
 *
 * @module
 */
export type { LocalAction, LocalUser } from './broker/access.ts'
export {
  type LocalBroker,
  type LocalBrokerOptions,
  type LocalServer,
  type LocalTopicSettings,
  type QueueLag,
  startBroker,
} from './broker/broker.ts'
export { createClock, type TestClock } from './broker/clock.ts'
export type { Fault, FaultKind, FaultRule, FaultRules } from './broker/faults.ts'
export type { BrokerLogger } from './broker/server.ts'
export * from './lambda/index.ts'

/** A Lambda context; `getRemainingTimeInMillis` counts down in real time. */
export interface TestContext {
  functionName: string
  functionVersion: string
  invokedFunctionArn: string
  memoryLimitInMB: string
  awsRequestId: string
  logGroupName: string
  logStreamName: string
  callbackWaitsForEmptyEventLoop: boolean
  getRemainingTimeInMillis(): number
  done(): void
  fail(): void
  succeed(): void
}

/**
 * @param options.remainingMs what is left of the invocation, in ms. @default 10000
 * @param options.functionName @default 'function'
 * @example
 * await handler(scheduledEvent(), lambdaContext({ remainingMs: 3_000 }))
 */
export function lambdaContext(options: { remainingMs?: number; functionName?: string } = {}): TestContext {
  const { remainingMs = 10_000, functionName = 'function' } = options
  const end = Date.now() + remainingMs
  return {
    functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:eu-central-1:123456789012:function:${functionName}`,
    memoryLimitInMB: '256',
    awsRequestId: '00000000-0000-4000-8000-000000000000',
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: '2026/01/01/[$LATEST]00000000000000000000000000000000',
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, end - Date.now()),
    done: () => undefined,
    fail: () => undefined,
    succeed: () => undefined,
  }
}

/** An event of an HTTP API (payload version 2.0) or of a function URL. */
export interface HttpApiEvent {
  version: '2.0'
  routeKey: string
  rawPath: string
  rawQueryString: string
  headers: Record<string, string>
  requestContext: {
    accountId: string
    apiId: string
    domainName: string
    domainPrefix: string
    http: { method: string; path: string; protocol: string; sourceIp: string; userAgent: string }
    requestId: string
    routeKey: string
    stage: string
    time: string
    timeEpoch: number
  }
  body?: string
  isBase64Encoded: boolean
}

/**
 * @param body text as it is; anything else as JSON; undefined: no body
 * @example
 * await handler(httpEvent('POST', '/topics/orders/messages', { body: 'hello' }), lambdaContext())
 */
export function httpEvent(method: string, path: string, body?: unknown): HttpApiEvent {
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: '',
    headers: { 'content-type': 'application/json' },
    requestContext: {
      accountId: '123456789012',
      apiId: 'api',
      domainName: 'api.execute-api.eu-central-1.amazonaws.com',
      domainPrefix: 'api',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'test' },
      requestId: 'request-1',
      routeKey: '$default',
      stage: '$default',
      time: '01/Jan/2026:00:00:00 +0000',
      timeEpoch: 1_767_225_600_000,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    isBase64Encoded: false,
  }
}

/** What EventBridge Scheduler sends when a schedule has no input of its own. */
export interface ScheduledEvent {
  version: string
  id: string
  'detail-type': 'Scheduled Event'
  source: 'aws.scheduler'
  account: string
  time: string
  region: string
  resources: string[]
  detail: Record<string, never>
}

export function scheduledEvent(): ScheduledEvent {
  return {
    version: '0',
    id: '00000000-0000-4000-8000-000000000000',
    'detail-type': 'Scheduled Event',
    source: 'aws.scheduler',
    account: '123456789012',
    time: '2026-01-01T00:00:00Z',
    region: 'eu-central-1',
    resources: ['arn:aws:scheduler:eu-central-1:123456789012:schedule/default/consume'],
    detail: {},
  }
}
