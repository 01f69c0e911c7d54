/**
 * The HTTP API in front of the functions: finds the route, invokes, answers. 404 without a route, 413 for more than the
 * function takes, 500 when the function failed, 503 when it was throttled or took longer than 30 s.
 *
 * Left out: authorizers, CORS, stages, custom domains.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from './clock.ts'
import { answerOf, eventOf, type HttpAnswer, messageAnswer, urlOf } from './http-payload.ts'
import type { Routes } from './http-routes.ts'
import { readBody } from './http-server.ts'
import { MAX_SYNC_PAYLOAD } from './invocation.ts'
import type { InvokeAnswer, LambdaService } from './service.ts'
import { LambdaServiceError } from './service-error.ts'

/** API Gateway waits no longer for a function. */
const INTEGRATION_TIMEOUT_MS = 30_000

export interface HttpApi {
  service: LambdaService
  routes: Routes
  clock: Clock
}

export async function answerHttpApi(
  api: HttpApi,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { statusCode, headers, body } = await answer(api, request)
  const isWithoutBody = statusCode === 204 || statusCode === 304
  response.writeHead(statusCode, isWithoutBody ? headers : { ...headers, 'content-length': body.length })
  response.end(request.method === 'HEAD' || isWithoutBody ? undefined : body)
}

async function answer({ service, routes, clock }: HttpApi, request: IncomingMessage): Promise<HttpAnswer> {
  const { body, bytes } = await readBody(request, MAX_SYNC_PAYLOAD)
  const { pathname } = urlOf(request)
  const route = routes.find(request.method ?? 'GET', pathname)
  if (!route) return messageAnswer(404, 'Not Found')
  if (bytes > MAX_SYNC_PAYLOAD) return messageAnswer(413, 'Request Entity Too Large')
  const event = eventOf(request, body, route, clock.now())
  const trace = request.headers['x-amzn-trace-id']
  try {
    const invoked = await withinLimit(
      service.invoke({
        functionName: route.functionName,
        payload: Buffer.from(JSON.stringify(event)),
        trace: Array.isArray(trace) ? trace[0] : trace,
        startedBy: `${request.method} ${pathname}`,
      }),
    )
    if (!invoked?.outcome) return messageAnswer(503, 'Service Unavailable')
    const { functionError, payload } = invoked.outcome
    const answered = functionError === undefined ? answerOf(payload) : undefined
    return answered ?? messageAnswer(500, 'Internal Server Error')
  } catch (error) {
    if (!(error instanceof LambdaServiceError)) throw error
    if (error.statusCode === 413) return messageAnswer(413, 'Request Entity Too Large')
    return error.statusCode === 429 || error.statusCode === 503
      ? messageAnswer(503, 'Service Unavailable')
      : messageAnswer(500, 'Internal Server Error')
  }
}

/** Undefined when it took too long. */
async function withinLimit(invoked: Promise<InvokeAnswer>): Promise<InvokeAnswer | undefined> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), INTEGRATION_TIMEOUT_MS)
    timer.unref()
  })
  try {
    return await Promise.race([invoked, limit])
  } finally {
    clearTimeout(timer)
  }
}
