/** How many invocations may run at once: of the account, and of each function that has its own share reserved. */

export type ThrottleReason =
  | 'ConcurrentInvocationLimitExceeded'
  | 'ReservedFunctionConcurrentInvocationLimitExceeded'

export class Concurrency {
  readonly #reserved: ReadonlyMap<string, number>
  /** What the functions without a share of their own have together. */
  readonly #unreserved: number
  readonly #running = new Map<string, number>()
  readonly #onFree: () => void

  /** @param onFree called after an invocation has ended */
  constructor(account: number, reserved: ReadonlyMap<string, number>, onFree: () => void) {
    this.#reserved = reserved
    this.#unreserved = account - [...reserved.values()].reduce((sum, each) => sum + each, 0)
    this.#onFree = onFree
  }

  /** Takes a place, or says why there is none. */
  take(functionName: string): ThrottleReason | undefined {
    const reserved = this.#reserved.get(functionName)
    const used = reserved === undefined ? this.#unreservedRunning() : (this.#running.get(functionName) ?? 0)
    if (used >= (reserved ?? this.#unreserved))
      return reserved === undefined
        ? 'ConcurrentInvocationLimitExceeded'
        : 'ReservedFunctionConcurrentInvocationLimitExceeded'
    this.#running.set(functionName, (this.#running.get(functionName) ?? 0) + 1)
    return undefined
  }

  give(functionName: string): void {
    this.#running.set(functionName, (this.#running.get(functionName) ?? 1) - 1)
    this.#onFree()
  }

  /** All that run now. */
  get running(): number {
    return [...this.#running.values()].reduce((sum, each) => sum + each, 0)
  }

  #unreservedRunning(): number {
    let sum = 0
    for (const [name, count] of this.#running) if (!this.#reserved.has(name)) sum += count
    return sum
  }
}
