/**
 * The Invoke API (2015-03-31) as the AWS SDK and CLI call it with `endpoint` set.
 *
 * POST /2015-03-31/functions/<name>/invocations?Qualifier=…
 * X-Amz-Invocation-Type: RequestResponse (200), Event (202), DryRun (204);  X-Amz-Log-Type: Tail;  X-Amz-Client-Context
 *
 * https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html. Signatures are not checked: this listens on 127.0.0.1.
 */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { readBody } from './http-server.ts'
import { MAX_SYNC_PAYLOAD } from './invocation.ts'
import { tailOf } from './invocation-log.ts'
import type { InvocationType, InvokeAnswer, LambdaService } from './service.ts'
import { LambdaServiceError } from './service-error.ts'

const TYPES: readonly string[] = ['RequestResponse', 'Event', 'DryRun']

export async function answerInvokeApi(
  service: LambdaService,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const answer = await invoke(service, request)
    const { outcome } = answer
    const payload = outcome?.payload ?? Buffer.alloc(0)
    response.writeHead(answer.statusCode, { ...headersOf(answer, request), 'content-length': payload.length })
    response.end(payload)
  } catch (error) {
    const known =
      error instanceof LambdaServiceError
        ? error
        : new LambdaServiceError(500, 'ServiceException', String(error), { cause: error })
    response.writeHead(known.statusCode, {
      'content-type': 'application/json',
      'x-amzn-errortype': known.name,
    })
    response.end(JSON.stringify(known))
  }
}

async function invoke(service: LambdaService, request: IncomingMessage): Promise<InvokeAnswer> {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://localhost')
  const [, functionName] = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/.exec(pathname) ?? []
  const { body, bytes } = await readBody(request, MAX_SYNC_PAYLOAD)
  if (request.method !== 'POST' || functionName === undefined)
    throw new LambdaServiceError(
      404,
      'UnknownOperationException',
      `The local Lambda does not know ${request.method} ${pathname}`,
    )
  const type = header(request, 'x-amz-invocation-type') ?? 'RequestResponse'
  if (!TYPES.includes(type))
    throw new LambdaServiceError(
      400,
      'InvalidParameterValueException',
      `Invocation type ${type} is none of ${TYPES.join(', ')}`,
    )
  return await service.invoke({
    functionName: decoded(functionName),
    qualifier: searchParams.get('Qualifier') ?? undefined,
    type: type as InvocationType,
    payload: body,
    bytes,
    trace: header(request, 'x-amzn-trace-id'),
    clientContext: clientContextOf(request),
  })
}

function headersOf(
  { requestId, trace, outcome }: InvokeAnswer,
  request: IncomingMessage,
): OutgoingHttpHeaders {
  const wantsLog = header(request, 'x-amz-log-type') === 'Tail'
  return {
    'x-amzn-requestid': requestId,
    'x-amzn-trace-id': trace,
    ...(outcome
      ? {
          'content-type': 'application/json',
          'x-amz-executed-version': '$LATEST',
          ...(outcome.functionError ? { 'x-amz-function-error': outcome.functionError } : {}),
          ...(wantsLog ? { 'x-amz-log-result': tailOf(outcome.log) } : {}),
        }
      : {}),
  }
}

/** Base64 JSON becomes JSON on one line, as it goes into a header of the Runtime API. */
function clientContextOf(request: IncomingMessage): string | undefined {
  const encoded = header(request, 'x-amz-client-context')
  if (encoded === undefined) return undefined
  try {
    const value = JSON.parse(Buffer.from(encoded, 'base64').toString()) as unknown
    return JSON.stringify(value).replaceAll(
      /[^ -~]/g,
      (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
  } catch (cause) {
    throw new LambdaServiceError(400, 'InvalidRequestContentException', 'Client context must be JSON', {
      cause,
    })
  }
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value[0] : value
}

/** What cannot be decoded is the name of no function. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
