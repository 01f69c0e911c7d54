/**
 * The one place that talks to Lambda's own API, for targets, dispatchers and continuations. AWS's SDK is an optional peer,
 * loaded with the first invocation that needs it; region, endpoint and credentials come from its own environment.
 *
 * Its client lives for one invocation: a socket that was kept over a freeze would be dead, and look alive.
 */
import { ConfigError, DeadlineError, FunctionError, InvokeError } from '../errors.ts'

type Sdk = typeof import('@aws-sdk/client-lambda')

/** What is used of AWS's LambdaClient. */
export interface LambdaApi {
  send(command: never, options?: { abortSignal?: AbortSignal }): Promise<unknown>
}

/** @throws ConfigError, for what would fail when the first function is invoked */
export function checkLambda(lambda: unknown): void {
  const { send } = (lambda ?? {}) as Partial<LambdaApi>
  if (lambda !== undefined && typeof send !== 'function')
    throw new ConfigError('lambda', 'takes a LambdaClient of @aws-sdk/client-lambda: it has no send()')
}

/** A function, as Lambda's API names it. */
export interface FunctionName {
  functionName: string
  qualifier?: string | undefined
}

export interface Invoker {
  /** Hands an event over; resolves when Lambda has accepted it. @throws InvokeError */
  start(name: FunctionName, payload: unknown, signal: AbortSignal): Promise<void>
  /**
   * Calls a function and waits for its answer, JSON as text.
   * @throws FunctionError when it failed, InvokeError when it was not invoked or nobody knows
   */
  call(name: FunctionName, payload: Buffer, signal: AbortSignal): Promise<string>
  /** Closes the connections that it has opened. */
  close(): void
}

/** How long a connection to Lambda may take to open: without a way there it would use up the invocation. */
const CONNECT_MS = 3_000
/** An event that is sent twice starts a worker that finds the queues leased; a batch that is sent twice is handled twice. */
const EVENT_ATTEMPTS = 3
/** What Lambda has refused for want of room did not run, so that it can be sent again: before each such attempt, in ms. */
const THROTTLED_MS = [100, 500, 1_500]

interface Answer {
  FunctionError?: string
  Payload?: Uint8Array
}

/** @param own a client of the caller's, which stays open */
export function createInvoker(own?: LambdaApi): Invoker {
  const clients = new Map<number, { send: LambdaApi['send']; destroy(): void }>()
  const clientOf = ({ LambdaClient }: Sdk, maxAttempts: number): LambdaApi => {
    if (own) return own
    let client = clients.get(maxAttempts)
    if (!client) {
      client = new LambdaClient({ maxAttempts, requestHandler: { connectionTimeout: CONNECT_MS } })
      clients.set(maxAttempts, client)
    }
    return client
  }

  const invoke = async (
    { functionName, qualifier }: FunctionName,
    type: 'Event' | 'RequestResponse',
    payload: Uint8Array,
    signal: AbortSignal,
  ): Promise<Answer> => {
    const sdk = await loadSdk()
    const client = clientOf(sdk, type === 'Event' ? EVENT_ATTEMPTS : 1)
    const command = new sdk.InvokeCommand({
      FunctionName: functionName,
      InvocationType: type,
      Payload: payload,
      ...(qualifier === undefined ? {} : { Qualifier: qualifier }),
    })
    for (let turn = 0; ; turn++) {
      try {
        return (await client.send(command as never, { abortSignal: signal })) as Answer
      } catch (cause) {
        const pause = isThrottled(cause) ? THROTTLED_MS[turn] : undefined
        const isOver = signal.aborted || (pause !== undefined && !(await hasWaited(pause, signal)))
        if (isOver) throw new DeadlineError(`${functionName} had not answered when the invocation had to end`)
        if (pause === undefined) throw notInvoked(functionName, cause)
      }
    }
  }

  return {
    async start(name, payload, signal) {
      await invoke(name, 'Event', Buffer.from(JSON.stringify(payload)), signal)
    },
    async call(name, payload, signal) {
      const { FunctionError: failure, Payload } = await invoke(name, 'RequestResponse', payload, signal)
      const text = Payload === undefined ? '' : Buffer.from(Payload).toString()
      if (failure === undefined) return text
      throw new FunctionError(`function ${name.functionName} failed: ${describeFailure(text, failure)}`)
    },
    close() {
      for (const client of clients.values()) client.destroy()
    },
  }
}

async function loadSdk(): Promise<Sdk> {
  return await import('@aws-sdk/client-lambda').catch((cause: unknown) => {
    throw new ConfigError('@aws-sdk/client-lambda', 'is not there; add it to your dependencies', { cause })
  })
}

const nameOf = (error: unknown): string | undefined => (error as Partial<Error> | undefined)?.name
const isThrottled = (error: unknown): boolean => nameOf(error) === 'TooManyRequestsException'

/** Waits with some jitter; false when the time is over. */
async function hasWaited(ms: number, signal: AbortSignal): Promise<boolean> {
  const isOver = Promise.withResolvers<void>()
  const timer = setTimeout(isOver.resolve, ms * (0.5 + Math.random() / 2))
  signal.addEventListener('abort', () => isOver.resolve(), { once: true })
  if (!signal.aborted) await isOver.promise
  clearTimeout(timer)
  return !signal.aborted
}

function notInvoked(functionName: string, cause: unknown): InvokeError {
  const name = nameOf(cause) ?? 'Error'
  const { message = String(cause) } = (cause ?? {}) as Partial<Error>
  const field = name === 'RequestTooLargeException' ? 'payload' : undefined
  return new InvokeError(`invoking function ${functionName} failed: ${name}: ${message}`, { field, cause })
}

/** The function's own error, as far as it has said one. */
function describeFailure(text: string, failure: string): string {
  try {
    const { errorType = failure, errorMessage = '' } = JSON.parse(text) as Record<string, unknown>
    return `${String(errorType)}: ${String(errorMessage).slice(0, 1_000)}`
  } catch {
    return failure
  }
}
