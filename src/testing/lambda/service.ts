/**
 * Lambda behind its APIs: finds the function, refuses what AWS refuses, and hands the rest to the function's environments
 * or to its queue. Invoke API, HTTP API, schedules and `lambda.invoke` all come through here.
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from './clock.ts'
import { Concurrency } from './concurrency.ts'
import type { EnvironmentOptions } from './environment.ts'
import { Environments } from './environments.ts'
import { EventQueue, type FailedEvent } from './event-queue.ts'
import { type Invocation, type InvocationOutcome, MAX_EVENT_PAYLOAD, MAX_SYNC_PAYLOAD } from './invocation.ts'
import type { InvocationRecord, ResolvedFunction } from './options.ts'
import { LambdaServiceError } from './service-error.ts'
import { LOOP_LIMIT, traceOf } from './trace.ts'

/** The account of all ARNs. */
export const ACCOUNT_ID = '123456789012'

export type InvocationType = 'RequestResponse' | 'Event' | 'DryRun'

export interface InvokeRequest {
  /** A name, `name:qualifier`, or an ARN, whole or in part. */
  functionName: string
  qualifier?: string | undefined
  /** @default 'RequestResponse' */
  type?: InvocationType
  /** JSON; empty counts as `{}`. */
  payload: Buffer
  /** Of the payload, also when it was too long to be kept. @default that of `payload` */
  bytes?: number
  /** `X-Amzn-Trace-Id` of the caller. */
  trace?: string | undefined
  /** JSON. */
  clientContext?: string | undefined
  /** As in InvocationRecord. @default 'invoke' */
  startedBy?: string
}

export interface InvokeAnswer {
  /** 200 answered, 202 accepted, 204 it could be invoked. */
  statusCode: 200 | 202 | 204
  requestId: string
  trace: string
  /** Only with 200. */
  outcome?: InvocationOutcome
}

export interface ServiceOptions {
  region: string
  clock: Clock
  accountConcurrency: number
  environment: Pick<EnvironmentOptions, 'freeze' | 'shutdownMs' | 'watchdog'>
  /** Variables of all functions; their own win. */
  variables: Readonly<Record<string, string>>
  onLine: (functionName: string, line: string, requestId: string | undefined) => void
  onInvocation: (record: InvocationRecord) => void
  onFailed: (event: FailedEvent) => void
}

interface Deployed {
  function: ResolvedFunction
  environments: Environments
  queue: EventQueue
}

const NAME =
  /^(?:(?:arn:aws[\w-]*:lambda:[\w-]+:)?(?:\d{12}:)?function:|\d{12}:)?([\w-]+)(?::(\$LATEST|[\w-]+))?$/

export class LambdaService {
  readonly #options: ServiceOptions
  readonly #functions: ReadonlyMap<string, Deployed>
  readonly #concurrency: Concurrency
  #idleWaiters: (() => void)[] = []
  #isClosed = false

  constructor(functions: readonly ResolvedFunction[], options: ServiceOptions) {
    this.#options = options
    this.#functions = new Map(functions.map((each) => [each.name, this.#deploy(each)]))
    const reserved = functions.flatMap(({ name, reservedConcurrency }): [string, number][] =>
      reservedConcurrency === undefined ? [] : [[name, reservedConcurrency]],
    )
    this.#concurrency = new Concurrency(options.accountConcurrency, new Map(reserved), () => this.#onFree())
  }

  /** Rejects with LambdaServiceError when AWS would not invoke. */
  async invoke(request: InvokeRequest): Promise<InvokeAnswer> {
    if (this.#isClosed) throw new LambdaServiceError(503, 'ServiceException', 'The local Lambda was closed.')
    const { type = 'RequestResponse', payload, bytes = payload.length } = request
    const [deployed, arn] = this.#find(request)
    checkSize(type, bytes)
    checkJson(payload)
    const { header: trace, depth } = traceOf(request.trace, arn)
    const requestId = randomUUID()
    const invocation: Invocation = {
      requestId,
      payload: payload.length === 0 ? Buffer.from('{}') : payload,
      invokedFunctionArn: arn,
      trace,
      startedBy: request.startedBy ?? 'invoke',
      ...(request.clientContext === undefined ? {} : { clientContext: request.clientContext }),
    }
    if (type === 'DryRun') return { statusCode: 204, requestId, trace }
    if (type === 'Event') {
      this.#accept(deployed, invocation, depth)
      return { statusCode: 202, requestId, trace }
    }
    if (depth >= LOOP_LIMIT) throw LambdaServiceError.recursion()
    const reason = this.#concurrency.take(deployed.function.name)
    if (reason) throw LambdaServiceError.throttled(reason)
    return { statusCode: 200, requestId, trace, outcome: await this.#run(deployed, invocation, type) }
  }

  /** Resolves when nothing runs and nothing could run now: events that wait for their next attempt do not count. */
  async idle(): Promise<void> {
    while (!this.#isIdle()) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
  }

  /** Ends the warm environments of a function; `file` is what it starts from now on. */
  async replace(functionName: string, file?: string): Promise<void> {
    const [deployed] = this.#find({ functionName })
    await deployed.environments.replace(file)
  }

  /** Process ids by function. */
  pids(): Record<string, readonly number[]> {
    return Object.fromEntries([...this.#functions].map(([name, each]) => [name, each.environments.pids]))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const { queue } of this.#functions.values()) queue.close()
    await Promise.all([...this.#functions.values()].map(({ environments }) => environments.close()))
    await this.idle()
  }

  #deploy(each: ResolvedFunction): Deployed {
    const { clock, environment, variables, onLine, onFailed } = this.#options
    const { name, handler, exportName, timeoutSeconds, memorySize } = each
    const environments = new Environments({
      ...environment,
      functionName: name,
      file: handler,
      exportName,
      timeoutSeconds,
      memorySize,
      variables: { ...variables, ...each.environment },
      onLine: (line, requestId) => onLine(name, line, requestId),
    })
    const queue = new EventQueue({
      clock,
      maximumRetryAttempts: each.maximumRetryAttempts,
      maximumEventAgeInSeconds: each.maximumEventAgeInSeconds,
      invoke: (invocation) =>
        this.#concurrency.take(name) === undefined ? this.#run(deployed, invocation, 'Event') : undefined,
      onFailed,
      onAttempt: () => this.#wakeIdle(),
    })
    const deployed = { function: each, environments, queue }
    return deployed
  }

  #find({ functionName, qualifier }: Pick<InvokeRequest, 'functionName' | 'qualifier'>): [Deployed, string] {
    const [, name = functionName, inName] = NAME.exec(functionName) ?? []
    const wanted = qualifier ?? inName
    const suffix = wanted === undefined ? '' : `:${wanted}`
    const arn = `arn:aws:lambda:${this.#options.region}:${ACCOUNT_ID}:function:${name}${suffix}`
    const deployed = this.#functions.get(name)
    const isKnown =
      wanted === undefined || wanted === '$LATEST' || deployed?.function.qualifiers.includes(wanted)
    if (!deployed || !isKnown)
      throw new LambdaServiceError(404, 'ResourceNotFoundException', `Function not found: ${arn}`)
    return [deployed, arn]
  }

  #accept(
    { function: { reservedConcurrency }, queue }: Deployed,
    invocation: Invocation,
    depth: number,
  ): void {
    if (depth >= LOOP_LIMIT) queue.giveUp(invocation, 'RecursiveLoop', 0)
    else if (reservedConcurrency === 0) queue.giveUp(invocation, 'ZeroReservedConcurrency', 0)
    else queue.accept(invocation)
  }

  /** A place has been taken for it. */
  async #run(
    deployed: Deployed,
    invocation: Invocation,
    type: InvocationRecord['type'],
  ): Promise<InvocationOutcome> {
    const functionName = deployed.function.name
    try {
      const outcome = await deployed.environments.invoke(invocation)
      const { startedBy } = invocation
      this.#options.onInvocation({
        ...outcome,
        functionName,
        type,
        startedBy,
        payload: outcome.payload.toString(),
      })
      return outcome
    } finally {
      this.#concurrency.give(functionName)
    }
  }

  #onFree(): void {
    for (const { queue } of this.#functions.values()) queue.pump()
    this.#wakeIdle()
  }

  #isIdle(): boolean {
    return (
      this.#concurrency.running === 0 &&
      [...this.#functions.values()].every(({ queue }) => queue.length === 0)
    )
  }

  #wakeIdle(): void {
    if (!this.#isIdle()) return
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const wake of waiters) wake()
  }
}

function checkSize(type: InvocationType, bytes: number): void {
  const limit = type === 'Event' ? MAX_EVENT_PAYLOAD : MAX_SYNC_PAYLOAD
  if (bytes > limit)
    throw new LambdaServiceError(
      413,
      'RequestTooLargeException',
      `${bytes} byte payload is too large for the ${type} invocation type (limit ${limit} bytes)`,
    )
}

function checkJson(payload: Buffer): void {
  if (payload.length === 0) return
  try {
    JSON.parse(payload.toString())
  } catch (cause) {
    throw new LambdaServiceError(
      400,
      'InvalidRequestContentException',
      `Could not parse request body into json: ${(cause as Error).message}`,
      { cause },
    )
  }
}
