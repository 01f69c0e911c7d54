/**
 * One execution environment: a Node process behind its Runtime API. It starts cold, handles one invocation at a time, is
 * stopped (SIGSTOP) between invocations as Lambda freezes a sandbox, and ends for good when anything goes wrong in it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { dirname, extname } from 'node:path'
import { fileURLToPath } from 'node:url'
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
/** How long the output of a process that has ended is waited for. */
const OUTPUT_TIMEOUT_MS = 1_000
/** As Lambda's messages have them. */
const SIGNAL_NAMES: Readonly<Record<string, string>> = { SIGKILL: 'killed', SIGABRT: 'aborted' }
/** Node's heap may take this share of the function's memory. */
const HEAP_SHARE = 0.9

/** Beside this file, under the extension that this file has: .ts in the repository, .js in the package. */
const bootstrapPath = (): string =>
  fileURLToPath(new URL(`./bootstrap${extname(fileURLToPath(import.meta.url))}`, import.meta.url))

/** What an environment needs to know of its function and of the whole. */
export interface EnvironmentOptions {
  functionName: string
  /** Absolute path of the bundle. */
  file: string
  exportName: string
  /** What the function finds in its environment, besides Lambda's own variables. */
  variables: Readonly<Record<string, string>>
  timeoutSeconds: number
  memorySize: number
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
  #child: ChildProcess | undefined
  #running: Running | undefined
  #initError: Buffer | undefined
  #initMs: number | undefined
  #maxMemoryUsed = 0
  /** Whether the process waits for the next invocation, and which one it said to have ended. */
  #waits = false
  #marked: string | undefined
  #started: { resolve(): void; reject(error: InitFailure): void } | undefined
  #end: Promise<string> | undefined
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
    return this.#child?.pid
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
    this.#spawn(api.address)
    const limit = setTimeout(() => {
      this.#initError = errorPayload(
        'Sandbox.Timedout',
        `Initialisation timed out after ${(INIT_TIMEOUT_MS / 1000).toFixed(2)} seconds`,
      )
      this.#signal('SIGKILL')
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
      this.#running = { invocation, startedAt: performance.now(), timer, timedOut: false, resolve }
      this.#waits = false
      this.#marked = undefined // a second attempt has the same request id
      this.#api?.deliver(invocation, Date.now() + timeoutSeconds * 1000)
      if (this.#options.freeze) this.#signal('SIGCONT')
      // Ended between two invocations, which has just been noticed or is about to be.
      if (this.hasEnded) this.#onExit('it had ended before')
    })
  }

  /** SIGTERM, then SIGKILL; settles when the process is gone. */
  async stop(): Promise<void> {
    this.hasEnded = true
    if (this.#end === undefined) return
    this.#signal('SIGTERM')
    this.#signal('SIGCONT')
    const kill = setTimeout(() => this.#signal('SIGKILL'), this.#options.shutdownMs)
    await this.#end
    clearTimeout(kill)
  }

  #spawn(address: string): void {
    const { file, exportName, memorySize, watchdog } = this.#options
    const heapMb = Math.floor(memorySize * HEAP_SHARE)
    const command = [process.execPath, `--max-old-space-size=${heapMb}`, bootstrapPath(), file, exportName]
    // One pipe for both outputs keeps their order. The group is what gets the signals: children of the function, too.
    const child = spawn('/bin/sh', ['-c', 'exec "$@" 2>&1', 'sh', ...command], {
      cwd: dirname(file),
      env: this.#variables(address),
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    })
    this.#child = child
    if (child.pid !== undefined) watchdog.started(child.pid)
    child.stdout.setEncoding('utf8').on('data', (text: string) => this.#log.push(text))
    this.#end = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message))
      child.once('exit', (code, signal) => {
        this.hasEnded = true
        // A child of the function may live on, and one that left the group may hold the output open.
        this.#signal('SIGKILL')
        this.#child = undefined
        const limit = setTimeout(() => child.stdout.destroy(), OUTPUT_TIMEOUT_MS)
        child.once('close', () => {
          clearTimeout(limit)
          resolve(signal === null ? `exit status ${code}` : `signal: ${SIGNAL_NAMES[signal] ?? signal}`)
        })
      })
    }).then(async (reason) => {
      if (child.pid !== undefined) watchdog.ended(child.pid)
      this.#onExit(reason)
      await this.#api?.close()
      return reason
    })
  }

  #variables(address: string): Record<string, string> {
    const { functionName, memorySize, variables, exportName } = this.#options
    const day = new Date().toISOString().slice(0, 10).replaceAll('-', '/')
    return {
      PATH: '/usr/local/bin:/usr/bin:/bin',
      LANG: 'en_US.UTF-8',
      TZ: 'UTC',
      _HANDLER: `index.${exportName}`,
      AWS_EXECUTION_ENV: `AWS_Lambda_nodejs${process.versions.node.split('.')[0]}.x`,
      AWS_LAMBDA_FUNCTION_NAME: functionName,
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memorySize),
      AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
      AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${functionName}`,
      AWS_LAMBDA_LOG_STREAM_NAME: `${day}/[$LATEST]${randomUUID().replaceAll('-', '')}`,
      LAMBDA_TASK_ROOT: dirname(this.#options.file),
      ...variables,
      AWS_LAMBDA_RUNTIME_API: address,
    }
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
    this.#signal('SIGKILL')
  }

  /** The process waits and its output has been read: freeze it, and answer. */
  #settle(): void {
    const running = this.#running
    if (!this.#waits || this.#marked !== (running?.invocation.requestId ?? 'init')) return
    if (this.#options.freeze && !this.hasEnded) this.#signal('SIGSTOP')
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
    const text = `${new Date().toISOString()} ${running.invocation.requestId} Task timed out after ${seconds} seconds`
    this.#log.line(text)
    this.#finish(running, { payload: errorPayload('Sandbox.Timedout', text), isError: true }, 'timeout')
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
    running.resolve({
      requestId,
      payload: answer.payload,
      ...(answer.isError ? { functionError: 'Unhandled' } : {}),
      log,
      report,
    })
  }

  /** To the whole process group, which may be gone already. */
  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch (error) {
      // macOS answers EPERM while the last process of a group is a zombie.
      if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
}
