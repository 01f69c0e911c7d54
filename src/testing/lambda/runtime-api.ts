/**
 * The Lambda Runtime API (2018-06-01) for one environment, on a port of its own: hands out invocations, takes answers.
 *
 * GET  /runtime/invocation/next             waits until there is one
 * POST /runtime/invocation/<id>/response    what the handler returned
 * POST /runtime/invocation/<id>/error       what it threw, as errorType, errorMessage, trace
 * POST /runtime/init/error                  the function could not be loaded
 *
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { closeServer, HOST, listen, portOf, readBody } from './http-server.ts'
import { type Invocation, MAX_RESPONSE_PAYLOAD } from './invocation.ts'

const PATH =
  /^\/2018-06-01\/runtime\/(?:(invocation\/next|init\/error)|invocation\/([^/]+)\/(response|error))$/

/** What the environment does with the calls of its process. */
export interface RuntimeEvents {
  /** The process waits for an invocation. */
  onNext(): void
  onInitError(body: Buffer): void
  /** False: no such invocation is being handled. `bytes` is the length, also of a body that was too long to keep. */
  onAnswer(requestId: string, kind: 'response' | 'error', body: Buffer, bytes: number): boolean
}

export class RuntimeApi {
  readonly #server: Server
  #waiting: ServerResponse | undefined

  private constructor(server: Server) {
    this.#server = server
  }

  static async open(events: RuntimeEvents): Promise<RuntimeApi> {
    const api: RuntimeApi = new RuntimeApi(
      await listen(
        (request, response) => {
          api.#answer(request, response, events).catch(() => response.destroy())
        },
        0,
        'port',
      ),
    )
    return api
  }

  /** As in AWS_LAMBDA_RUNTIME_API. */
  get address(): string {
    return `${HOST}:${portOf(this.#server)}`
  }

  /** Hands an invocation to the process that waits. */
  deliver(invocation: Invocation, deadlineMs: number): void {
    const { requestId, payload, invokedFunctionArn, trace, clientContext } = invocation
    this.#waiting?.writeHead(200, {
      'content-type': 'application/json',
      'content-length': payload.length,
      'lambda-runtime-aws-request-id': requestId,
      'lambda-runtime-deadline-ms': deadlineMs,
      'lambda-runtime-invoked-function-arn': invokedFunctionArn,
      'lambda-runtime-trace-id': trace,
      ...(clientContext === undefined ? {} : { 'lambda-runtime-client-context': clientContext }),
    })
    this.#waiting?.end(payload)
    this.#waiting = undefined
  }

  close(): Promise<void> {
    return closeServer(this.#server)
  }

  async #answer(request: IncomingMessage, response: ServerResponse, events: RuntimeEvents): Promise<void> {
    const [, call, requestId = '', kind] = PATH.exec(request.url ?? '') ?? []
    if (request.method === 'GET' && call === 'invocation/next') {
      this.#waiting = response
      events.onNext()
      return
    }
    const { body, bytes } = await readBody(request, MAX_RESPONSE_PAYLOAD)
    if (request.method === 'POST' && call === 'init/error') {
      events.onInitError(body)
      reply(response, 202, { status: 'OK' })
    } else if (request.method === 'POST' && (kind === 'response' || kind === 'error')) {
      if (!events.onAnswer(requestId, kind, body, bytes))
        reply(response, 400, { errorType: 'InvalidRequestID', errorMessage: 'Invalid request ID' })
      else if (bytes > MAX_RESPONSE_PAYLOAD)
        reply(response, 413, {
          errorType: 'RequestEntityTooLarge',
          errorMessage: `Exceeded maximum allowed payload size (${MAX_RESPONSE_PAYLOAD} bytes).`,
        })
      else reply(response, 202, { status: 'OK' })
    } else reply(response, 404, { errorType: 'NotFound', errorMessage: `No such call: ${request.url}` })
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
