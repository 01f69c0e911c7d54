/**
 * Work that several calls wait for at once (a connection, a route). Each call waits for its own deadline; when the last
 * one stops waiting the work is aborted, so that nothing goes on after the calls are over.
 */
import type { ErrorFacts } from '../errors.ts'
import { type Deadline, within } from './deadline.ts'

export class Shared<T> {
  readonly #stop = new AbortController()
  readonly #work: Promise<T>
  #waiters = 0

  /** @param onSettled called once, before any waiter goes on */
  constructor(start: (signal: AbortSignal) => Promise<T>, onSettled: () => void) {
    this.#work = start(this.#stop.signal).finally(onSettled)
    this.#work.catch(() => undefined) // every waiter sees it; without one there is nobody to tell
  }

  async join(deadline: Deadline, at: number, what: string, facts: ErrorFacts): Promise<T> {
    this.#waiters += 1
    try {
      return await within(this.#work, deadline, at, what, facts)
    } finally {
      this.#waiters -= 1
      if (this.#waiters === 0) this.#stop.abort()
    }
  }

  abort(reason: Error): void {
    this.#stop.abort(reason)
  }
}
