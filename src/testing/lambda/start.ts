/**
 * `startLambda`: AWS Lambda on this machine, for development and tests. Functions run in processes of their own behind
 * the Runtime API; callers use the Invoke API, an HTTP API or schedules. Nothing is left behind when it is closed.
 *
 * Needs a POSIX system (Linux, macOS): freezing is SIGSTOP, and processes are started through /bin/sh.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { ConfigError } from '../../errors.ts'
import { runningClock } from './clock.ts'
import type { FailedEvent } from './event-queue.ts'
import { answerHttpApi } from './http-api.ts'
import { createRoutes, type Route, routeOf } from './http-routes.ts'
import { closeServer, HOST, listen, portOf } from './http-server.ts'
import type { InvocationReport } from './invocation.ts'
import { answerInvokeApi } from './invoke-api.ts'
import { checkOptions, existingFile, type LambdaOptions, type ResolvedFunction } from './options.ts'
import { runSchedules, schedulesOf } from './schedules.ts'
import { type InvocationType, LambdaService } from './service.ts'
import { startWatchdog } from './watchdog.ts'

/** How an invocation through `lambda.invoke` ended. */
export interface InvokeResult {
  /** 200 answered, 202 accepted, 204 it could be invoked. */
  statusCode: 200 | 202 | 204
  requestId: string
  /** What the handler returned, or AWS's error body; undefined with 202 and 204. */
  payload: unknown
  functionError?: 'Unhandled'
  /** START line, what was printed, END and REPORT lines. */
  log: string
  report?: InvocationReport
}

/** A running local Lambda. */
export interface LocalLambda extends AsyncDisposable {
  /** For the AWS SDK: `new LambdaClient({ endpoint, … })`; functions have it as AWS_ENDPOINT_URL_LAMBDA. */
  readonly endpoint: string
  /** Base URL of the HTTP API; undefined when no function has a route. */
  readonly httpUrl: string | undefined
  /** Events that were given up: attempts or age used up, or a loop. */
  readonly failedEvents: readonly FailedEvent[]
  /**
   * Invokes without HTTP. Rejects with LambdaServiceError (its `name` is the SDK's) when AWS would refuse.
   * @param payload becomes JSON. @default {}
   */
  invoke(
    functionName: string,
    payload?: unknown,
    options?: { type?: InvocationType; qualifier?: string },
  ): Promise<InvokeResult>
  /** Resolves when nothing runs and nothing could run now: events that wait for their next attempt do not count. */
  idle(): Promise<void>
  /**
   * Ends the warm environments of a function, so that the next invocation loads its code anew. Busy ones end after
   * their invocation.
   * @param file another bundle to load from now on
   */
  replace(functionName: string, file?: string): Promise<void>
  /** Process ids of the environments, by function. */
  pids(): Record<string, readonly number[]>
  /** Ends everything: what runs is answered with an error, processes get SIGTERM, then SIGKILL. */
  close(): Promise<void>
}

/**
 * @example
 * await using lambda = await startLambda({ functions: { hello: { handler: '.build/hello/index.mjs' } } })
 * const { payload } = await lambda.invoke('hello', { name: 'world' })
 */
export async function startLambda(options: LambdaOptions): Promise<LocalLambda> {
  if (process.platform === 'win32')
    throw new ConfigError('platform', 'Windows cannot stop and go on with processes; run it in WSL')
  const functions = checkOptions(options)
  const { port = 0, httpPort = 0, clock = runningClock(), region = 'eu-central-1' } = options
  const planned = functions.flatMap((each) => schedulesOf(each, clock.now()))
  const routes = functions.flatMap(routesOf)
  const find = createRoutes(routes)
  const failedEvents: FailedEvent[] = []

  const answering = (answer: typeof onInvoke) => (request: IncomingMessage, response: ServerResponse) => {
    // The caller has hung up, most likely: there is nobody to tell.
    answer(request, response).catch(() => response.destroy())
  }
  const onInvoke = async (request: IncomingMessage, response: ServerResponse): Promise<void> =>
    await answerInvokeApi(service, request, response)
  const onHttp = async (request: IncomingMessage, response: ServerResponse): Promise<void> =>
    await answerHttpApi({ service, routes: find, clock }, request, response)

  const servers: Server[] = [await listen(answering(onInvoke), port, 'port')]
  try {
    if (routes.length > 0) servers.push(await listen(answering(onHttp), httpPort, 'httpPort'))
  } catch (error) {
    await Promise.all(servers.map(closeServer))
    throw error
  }
  const [endpoint = '', httpUrl] = servers.map((server) => `http://${HOST}:${portOf(server)}`)
  const watchdog = startWatchdog()
  const service = new LambdaService(functions, {
    region,
    clock,
    accountConcurrency: options.accountConcurrency ?? 100,
    environment: { freeze: options.freeze ?? true, shutdownMs: options.shutdownMs ?? 500, watchdog },
    variables: {
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_ENDPOINT_URL_LAMBDA: endpoint,
    },
    onLine: (functionName, line, requestId) => options.onLog?.({ functionName, requestId, line }),
    onInvocation: (record) => options.onInvocation?.(record),
    onFailed: (event) => {
      failedEvents.push(event)
      options.onFailedEvent?.(event)
    },
  })
  const stopSchedules = runSchedules(planned, clock, region, (functionName, input) => {
    const payload = Buffer.from(JSON.stringify(input))
    void service.invoke({ functionName, type: 'Event', payload, startedBy: 'schedule' })
  })

  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    stopSchedules()
    await service.close()
    await Promise.all(servers.map(closeServer))
    await watchdog.close()
  }

  return {
    endpoint,
    httpUrl,
    failedEvents,
    async invoke(functionName, payload = {}, { type = 'RequestResponse', qualifier } = {}) {
      const body = Buffer.from(JSON.stringify(payload))
      const answer = await service.invoke({ functionName, qualifier, type, payload: body })
      const { outcome, statusCode, requestId } = answer
      return {
        statusCode,
        requestId,
        payload: outcome ? (JSON.parse(outcome.payload.toString()) as unknown) : undefined,
        ...(outcome?.functionError ? { functionError: outcome.functionError } : {}),
        log: outcome?.log ?? '',
        ...(outcome ? { report: outcome.report } : {}),
      }
    },
    idle: () => service.idle(),
    async replace(functionName, file) {
      await service.replace(functionName, file === undefined ? undefined : existingFile(file, 'file'))
    },
    pids: () => service.pids(),
    close: () => (closed ??= close()),
    [Symbol.asyncDispose]: () => (closed ??= close()),
  }
}

function routesOf({ name, events }: ResolvedFunction): Route[] {
  return events.flatMap((event, at) =>
    'httpApi' in event ? [routeOf(name, event.httpApi, `functions.${name}.events[${at}].httpApi`)] : [],
  )
}
