/** The environments of one function: a warm one when there is one, else a cold start; all of them ended at the end. */
import { Environment, type EnvironmentOptions, InitFailure } from './environment.ts'
import type { Invocation, InvocationOutcome } from './invocation.ts'

export class Environments {
  readonly #options: EnvironmentOptions
  #file: string
  /** The one used last is used first. */
  #idle: Environment[] = []
  readonly #all = new Set<Environment>()
  /** Environments of an older generation are not used again. */
  readonly #generation = new Map<Environment, number>()
  #current = 0
  #isClosed = false

  constructor(options: EnvironmentOptions) {
    this.#options = options
    this.#file = options.file
  }

  /** Process ids of the environments that live. */
  get pids(): readonly number[] {
    return [...this.#all].flatMap(({ pid }) => (pid === undefined ? [] : [pid]))
  }

  async invoke(invocation: Invocation): Promise<InvocationOutcome> {
    const environment = this.#idle.findLast((each) => !each.hasEnded) ?? this.#create()
    // Killed from outside while they waited, if at all.
    const ended = this.#idle.filter((each) => each.hasEnded)
    this.#idle = this.#idle.filter((each) => each !== environment && !each.hasEnded)
    await Promise.all(ended.map((each) => this.#discard(each)))
    try {
      if (environment.pid === undefined) await environment.start()
      const outcome = await environment.invoke(invocation)
      if (this.#isCurrent(environment)) this.#idle.push(environment)
      return outcome
    } catch (error) {
      if (error instanceof InitFailure) return this.#notLoaded(invocation, error)
      throw error
    } finally {
      if (!this.#isCurrent(environment)) await this.#discard(environment)
    }
  }

  /**
   * From now on invocations start from `file`. Warm environments end now, busy ones after their invocation.
   * @param file absolute path. @default the one before, loaded anew
   */
  async replace(file: string = this.#file): Promise<void> {
    this.#file = file
    this.#current++
    const idle = this.#idle
    this.#idle = []
    await Promise.all(idle.map((each) => this.#discard(each)))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#all].map((each) => this.#discard(each)))
  }

  #create(): Environment {
    const environment = new Environment({ ...this.#options, file: this.#file })
    this.#all.add(environment)
    this.#generation.set(environment, this.#current)
    return environment
  }

  #isCurrent(environment: Environment): boolean {
    return !this.#isClosed && !environment.hasEnded && this.#generation.get(environment) === this.#current
  }

  async #discard(environment: Environment): Promise<void> {
    await environment.stop()
    this.#all.delete(environment)
    this.#generation.delete(environment)
  }

  #notLoaded({ requestId }: Invocation, { payload, log, initMs }: InitFailure): InvocationOutcome {
    const report = {
      durationMs: 0,
      billedMs: Math.ceil(initMs),
      initMs,
      memorySize: this.#options.memorySize,
      maxMemoryUsed: 0,
      status: 'error',
    } as const
    return { requestId, payload, functionError: 'Unhandled', log, report }
  }
}
