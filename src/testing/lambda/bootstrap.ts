/**
 * The program that runs in each environment: imports a bundled function and speaks the Runtime API, as AWS's runtime
 * interface client for Node does. `node bootstrap.ts <file> <export>`; the rest stands in the environment.
 *
 * Handlers are async functions of event and context. Left out: callbacks and streamed answers, which Node 24 on Lambda
 * no longer takes or takes only through `awslambda`.
 */
import { Agent, type IncomingMessage, request } from 'node:http'
import { pathToFileURL } from 'node:url'

type Handler = (event: unknown, context: object) => unknown

const [, , file = '', exportName = 'handler'] = process.argv
const { env } = process
const [host = '', port = ''] = (env['AWS_LAMBDA_RUNTIME_API'] ?? '').split(':')
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
/** The invocation that is being handled. */
let current: string | undefined

process.on('uncaughtException', (error) => void crash(error))
process.on('unhandledRejection', (reason) => {
  const text = reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason)
  void crash(named('Runtime.UnhandledPromiseRejection', text, reason))
})
// Nothing is left that could settle the handler's promise.
process.on('beforeExit', () => {
  void crash(
    named(
      'Runtime.NodeJsExit',
      'Node has nothing left to do, most likely because a promise was never settled',
    ),
  )
})
await main()

async function main(): Promise<never> {
  const handler = await load().catch(async (error: unknown) => await crash(error))
  await mark('init')
  for (;;) {
    const { headers, body } = await call('GET', 'invocation/next')
    current = String(headers['lambda-runtime-aws-request-id'])
    env['_X_AMZN_TRACE_ID'] = String(headers['lambda-runtime-trace-id'])
    await handle(handler, current, body, headers)
    await mark(current)
    current = undefined
  }
}

/** The output is read up to here before the initialisation or the invocation counts as ended. */
async function mark(what: string): Promise<void> {
  await flushed(process.stderr, '')
  await flushed(process.stdout, `\0${what} ${process.resourceUsage().maxRSS}\n`)
}

async function load(): Promise<Handler> {
  const module = (await import(pathToFileURL(file).href).catch((error: Error & { code?: string }) => {
    if (error instanceof SyntaxError) throw named('Runtime.UserCodeSyntaxError', String(error), error)
    if (error?.code === 'ERR_MODULE_NOT_FOUND' || error?.code === 'MODULE_NOT_FOUND')
      throw named('Runtime.ImportModuleError', String(error), error)
    throw error
  })) as Record<string, unknown>
  // Of a CommonJS bundle Node may see the whole only.
  const handler =
    module[exportName] ?? (module['default'] as Record<string, unknown> | undefined)?.[exportName]
  if (typeof handler === 'function') return handler as Handler
  const what = handler === undefined ? 'is undefined or not exported' : 'is not a function'
  throw named('Runtime.HandlerNotFound', `${env['_HANDLER']} ${what}`)
}

async function handle(
  handler: Handler,
  id: string,
  body: string,
  headers: IncomingMessage['headers'],
): Promise<void> {
  try {
    const result = await handler(JSON.parse(body), contextOf(id, headers))
    await call('POST', `invocation/${id}/response`, serialize(result))
  } catch (error) {
    const text = errorBody(error)
    console.error(`${new Date().toISOString()}\t${id}\tERROR\tInvoke Error\t${text}`)
    await call('POST', `invocation/${id}/error`, text)
  }
}

function serialize(result: unknown): string {
  try {
    return JSON.stringify(result) ?? 'null'
  } catch (cause) {
    throw new Error('Unable to stringify response body', { cause })
  }
}

function contextOf(id: string, headers: IncomingMessage['headers']): object {
  const deadline = Number(headers['lambda-runtime-deadline-ms'])
  const clientContext = headers['lambda-runtime-client-context']
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: env['AWS_LAMBDA_FUNCTION_NAME'],
    functionVersion: env['AWS_LAMBDA_FUNCTION_VERSION'],
    memoryLimitInMB: env['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'],
    logGroupName: env['AWS_LAMBDA_LOG_GROUP_NAME'],
    logStreamName: env['AWS_LAMBDA_LOG_STREAM_NAME'],
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: id,
    ...(typeof clientContext === 'string' ? { clientContext: JSON.parse(clientContext) as unknown } : {}),
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  }
}

/** Reports what cannot be gone on from, and ends the process. */
async function crash(error: unknown): Promise<never> {
  const text = errorBody(error)
  console.error(`${new Date().toISOString()}\t${current ?? 'undefined'}\tERROR\tUncaught Exception\t${text}`)
  await call('POST', current === undefined ? 'init/error' : `invocation/${current}/error`, text)
  await flushed(process.stderr, '')
  process.exit(1)
}

function named(name: string, message: string, cause?: unknown): Error {
  const error = new Error(message, { cause })
  error.name = name
  if (cause instanceof Error && cause.stack !== undefined) error.stack = cause.stack
  return error
}

function errorBody(error: unknown): string {
  if (!(error instanceof Error))
    return JSON.stringify({ errorType: typeof error, errorMessage: String(error), trace: [] })
  const { name, message, stack = '' } = error
  return JSON.stringify({ errorType: name, errorMessage: message, trace: stack.split('\n') })
}

/** Without the Runtime API there is nobody to work for, so a connection that is lost ends the process. */
function call(
  method: string,
  path: string,
  body?: string,
): Promise<{ headers: IncomingMessage['headers']; body: string }> {
  return new Promise((resolve) => {
    const orphaned = (): void => process.exit(1)
    const outgoing = request(
      { host, port, agent, method, path: `/2018-06-01/runtime/${path}` },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('error', orphaned)
        response.on('end', () => resolve({ headers: response.headers, body: text }))
      },
    )
    outgoing.on('error', orphaned)
    outgoing.end(body)
  })
}

function flushed(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => {
    stream.write(text, () => resolve())
  })
}
