/**
 * One execution environment: a Node process behind its Runtime API. It starts cold, handles one invocation at a time, is
 * stopped (SIGSTOP) between invocations as Lambda freezes a sandbox, and ends for good when anything goes wrong in it.
 */
import { FunctionProcess, type FunctionProcessOptions } from './function-process.ts'
import {
  errorPayload,
  type Invocation,
  type InvocationOutcome,
  type InvocationReport,
  MAX_RESPONSE_PAYLOAD,
} from './invocation.ts'
import { InvocationLog } from './invocation-log.ts'
import { RuntimeApi, type RuntimeEvents } from './runtime-api.ts'
import type { Watchdog } from './watchdog.ts'

/** Lambda gives the initialisation of a function 10 seconds. */
const INIT_TIMEOUT_MS = 10_000

/** What an environment needs to know of its function and of the whole. */
export interface EnvironmentOptions extends FunctionProcessOptions {
  timeoutSeconds: number
  /** Stop the process between invocations. */
  freeze: boolean
  /** Between SIGTERM and SIGKILL at the end. */
  shutdownMs: number
  watchdog: Watchdog
  onLine: (line: string, requestId: string | undefined) => void
}

/** The function could not be loaded; `payload` is the answer to the invocation that wanted it. */
export class InitFailure extends Error {
  readonly payload: Buffer
  readonly log: string
  readonly initMs: number
  constructor(payload: Buffer, log: string, initMs: number) {
    super('the function could not be initialised')
    this.payload = payload
    this.log = log
    this.initMs = initMs
  }
}

interface Running {
  invocation: Invocation
  pid: number | undefined
  startedAt: number
  timer: NodeJS.Timeout
  answer?: { payload: Buffer; isError: boolean }
  timedOut: boolean
  resolve(outcome: InvocationOutcome): void
}

export class Environment {
  readonly #options: EnvironmentOptions
  readonly #log: InvocationLog
  readonly #start = performance.now()
  #api: RuntimeApi | undefined
  #process: FunctionProcess | undefined
  #running: Running | undefined
  #initError: Buffer | undefined
  #initMs: number | undefined
  #maxMemoryUsed = 0
  /** Whether the process waits for the next invocation, and which one it said to have ended. */
  #waits = false
  #marked: string | undefined
  #started: { resolve(): void; reject(error: InitFailure): void } | undefined
  #end: Promise<void> | undefined
  /** The process has ended or is about to: no invocation may be given to it. */
  hasEnded = false

  constructor(options: EnvironmentOptions) {
    this.#options = options
    this.#log = new InvocationLog(options.onLine, (requestId, maxRssKib) => {
      this.#marked = requestId
      this.#maxMemoryUsed = Math.round(maxRssKib / 1024)
      this.#settle()
    })
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** Starts the process; settles when it has loaded the function. Rejects with InitFailure. */
  async start(): Promise<void> {
    const api = await this.#openApi()
    if (this.hasEnded) {
      await api.close()
      throw new InitFailure(errorPayload('Runtime.ExitError', 'Error: stopped before it had started'), '', 0)
    }
    this.#api = api
    const loaded = new Promise<void>((resolve, reject) => {
      this.#started = { resolve, reject }
    })
    this.#end = this.#run(api)
    const limit = setTimeout(() => {
      this.#initError = errorPayload(
        'Sandbox.Timedout',
        `Initialisation timed out after ${(INIT_TIMEOUT_MS / 1000).toFixed(2)} seconds`,
      )
      this.#process?.signal('SIGKILL')
    }, INIT_TIMEOUT_MS)
    await loaded.finally(() => clearTimeout(limit))
  }

  async #openApi(): Promise<RuntimeApi> {
    const events: RuntimeEvents = {
      onNext: () => this.#onNext(),
      onInitError: (body) => {
        this.#initError = body
      },
      onAnswer: (requestId, kind, body, bytes) => this.#onAnswer(requestId, kind, body, bytes),
    }
    try {
      return await RuntimeApi.open(events)
    } catch (error) {
      // Too many open files, for instance.
      this.hasEnded = true
      throw new InitFailure(errorPayload('ServiceException', String(error)), '', 0)
    }
  }

  /** Hands over one invocation; resolves when the process waits for the next, or has ended. */
  invoke(invocation: Invocation): Promise<InvocationOutcome> {
    return new Promise((resolve) => {
      const { timeoutSeconds } = this.#options
      this.#log.begin(invocation.requestId)
      const timer = setTimeout(() => this.#onTimeout(), timeoutSeconds * 1000)
      const { pid } = this
      this.#running = { invocation, pid, startedAt: performance.now(), timer, timedOut: false, resolve }
      this.#waits = false
      this.#marked = undefined // a second attempt has the same request id
      this.#api?.deliver(invocation, Date.now() + timeoutSeconds * 1000)
      if (this.#options.freeze) this.#process?.signal('SIGCONT')
      // Ended between two invocations, which has just been noticed or is about to be.
      if (this.hasEnded) this.#onExit('it had ended before')
    })
  }

  /** SIGTERM, then SIGKILL; settles when the process is gone. */
  async stop(): Promise<void> {
    this.hasEnded = true
    if (this.#end === undefined) return
    this.#process?.signal('SIGTERM')
    this.#process?.signal('SIGCONT')
    const kill = setTimeout(() => this.#process?.signal('SIGKILL'), this.#options.shutdownMs)
    await this.#end
    clearTimeout(kill)
  }

  /** From the start of the process to its end. */
  async #run(api: RuntimeApi): Promise<void> {
    const { watchdog } = this.#options
    const child = new FunctionProcess(this.#options, api.address, (text) => this.#log.push(text))
    this.#process = child
    const { pid } = child
    if (pid !== undefined) watchdog.started(pid)
    void child.exited.then(() => {
      this.hasEnded = true
    })
    const reason = await child.ended
    if (pid !== undefined) watchdog.ended(pid)
    this.#onExit(reason)
    await api.close()
  }

  #onNext(): void {
    this.#waits = true
    this.#settle()
  }

  #onAnswer(requestId: string, kind: 'response' | 'error', body: Buffer, bytes: number): boolean {
    const running = this.#running
    if (running?.invocation.requestId !== requestId || running.answer) return false
    const isTooLarge = bytes > MAX_RESPONSE_PAYLOAD
    running.answer = {
      payload: isTooLarge
        ? errorPayload(
            'Function.ResponseSizeTooLarge',
            `Response payload size exceeded maximum allowed payload size (${MAX_RESPONSE_PAYLOAD} bytes).`,
          )
        : body,
      isError: isTooLarge || kind === 'error',
    }
    return true
  }

  #onTimeout(): void {
    const running = this.#running
    if (!running) return
    running.timedOut = true
    this.hasEnded = true
    this.#process?.signal('SIGKILL')
  }

  /** The process waits and its output has been read: freeze it, and answer. */
  #settle(): void {
    const running = this.#running
    if (!this.#waits || this.#marked !== (running?.invocation.requestId ?? 'init')) return
    if (this.#options.freeze && !this.hasEnded) this.#process?.signal('SIGSTOP')
    if (this.#started) {
      this.#initMs = performance.now() - this.#start
      this.#started.resolve()
      this.#started = undefined
    }
    if (running?.answer) this.#finish(running, running.answer, running.answer.isError ? 'error' : 'success')
  }

  #onExit(reason: string): void {
    this.hasEnded = true
    this.#log.flush()
    if (this.#started) {
      const initMs = performance.now() - this.#start
      const payload =
        this.#initError ?? errorPayload('Runtime.ExitError', `Error: Runtime exited with error: ${reason}`)
      const { errorType } = JSON.parse(payload.toString()) as { errorType: string }
      this.#log.line(
        `INIT_REPORT Init Duration: ${initMs.toFixed(2)} ms\tPhase: init\tStatus: error\tError Type: ${errorType}`,
      )
      this.#started.reject(new InitFailure(payload, this.#log.take(), initMs))
      this.#started = undefined
    }
    const running = this.#running
    if (!running) return
    if (running.answer) this.#finish(running, running.answer, running.answer.isError ? 'error' : 'success')
    else if (running.timedOut) this.#finishTimedOut(running)
    else {
      const text = `RequestId: ${running.invocation.requestId} Error: Runtime exited with error: ${reason}`
      this.#log.line(text)
      const answer = { payload: errorPayload('Runtime.ExitError', text), isError: true }
      this.#finish(running, answer, 'error', 'Error Type: Runtime.ExitError')
    }
  }

  #finishTimedOut(running: Running): void {
    const seconds = this.#options.timeoutSeconds.toFixed(2)
    const { requestId } = running.invocation
    const text = `Task timed out after ${seconds} seconds`
    this.#log.line(`${new Date().toISOString()} ${requestId} ${text}`)
    const payload = errorPayload('Sandbox.Timedout', `RequestId: ${requestId} Error: ${text}`)
    this.#finish(running, { payload, isError: true }, 'timeout')
  }

  #finish(
    running: Running,
    answer: { payload: Buffer; isError: boolean },
    status: InvocationReport['status'],
    note?: string,
  ): void {
    clearTimeout(running.timer)
    this.#running = undefined
    const { requestId } = running.invocation
    const durationMs = performance.now() - running.startedAt
    const initMs = this.#initMs
    this.#initMs = undefined
    const report: InvocationReport = {
      durationMs,
      billedMs: Math.ceil(durationMs + (initMs ?? 0)),
      ...(initMs === undefined ? {} : { initMs }),
      memorySize: this.#options.memorySize,
      maxMemoryUsed: this.#maxMemoryUsed,
      status,
    }
    const log = this.#log.end(requestId, report, note)
    const { pid } = running
    running.resolve({
      requestId,
      ...(pid === undefined ? {} : { pid }),
      payload: answer.payload,
      ...(answer.isError ? { functionError: 'Unhandled' } : {}),
      log,
      report,
    })
  }
}
