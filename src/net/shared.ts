/**
 * Work that several calls wait for at once (a connection, a route), one piece per key. Each call waits for its own
 * deadline; when the last one stops waiting the work is aborted, so that nothing goes on after the calls are over.
 */
import type { ErrorFacts } from '../errors.ts'
import { type Deadline, within } from './deadline.ts'

export interface Shared<T> {
  /** Whether there is work for the key that a call can still join. */
  has(key: string): boolean
  /** Joins the work for the key, or starts it. */
  join(
    key: string,
    start: (signal: AbortSignal) => Promise<T>,
    deadline: Deadline,
    at: number,
    what: string,
    facts: ErrorFacts,
  ): Promise<T>
  /** Aborts all of it. */
  abort(): void
}

interface Work<T> {
  promise: Promise<T>
  stop: AbortController
  waiters: number
}

export function createShared<T>(): Shared<T> {
  const running = new Map<string, Work<T>>()

  /** Whoever comes later starts anew: work that is over, or about to be aborted, is not joined. */
  const forget = (key: string, work: Work<T> | undefined): void => {
    if (running.get(key) === work) running.delete(key)
  }

  const begin = (key: string, start: (signal: AbortSignal) => Promise<T>): Work<T> => {
    const stop = new AbortController()
    const work: Work<T> = {
      promise: start(stop.signal).finally(() => forget(key, work)),
      stop,
      waiters: 0,
    }
    work.promise.catch(() => undefined) // every waiter sees it; without one there is nobody to tell
    running.set(key, work)
    return work
  }

  return {
    has: (key) => running.has(key),
    async join(key, start, deadline, at, what, facts) {
      const work = running.get(key) ?? begin(key, start)
      work.waiters += 1
      try {
        return await within<T>(deadline, at, what, facts, (resolve, reject) => {
          work.promise.then(resolve, reject)
        })
      } finally {
        work.waiters -= 1
        if (work.waiters === 0) {
          forget(key, work)
          work.stop.abort()
        }
      }
    },
    abort() {
      for (const { stop } of running.values()) stop.abort()
    },
  }
}
