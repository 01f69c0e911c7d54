/**
 * What is fetched once for all calls that want it (a connection, a route, credentials) and kept while it is fresh.
 * Each call waits under its own deadline, and the work goes on for the most patient of them; when the last one stops
 * waiting the work is aborted, so that nothing goes on after the calls are over.
 */
import type { ErrorFacts } from '../errors.ts'
import { type Deadline, notSent, within } from './deadline.ts'

/** That of the most patient one who waits: it moves when another one joins. */
interface WorkDeadline extends Deadline {
  readonly signal: AbortSignal
}

/** A function uses a handful of topics; this only keeps a process that walks through all of a cluster from growing. */
export const MOST = 10_000

interface Entry<T> {
  /** Absent while it is being fetched. */
  value?: T
  /** Epoch ms, of the value. */
  since: number
  promise: Promise<T>
  waiters: number
  deadline: WorkDeadline
  stop: AbortController
}

export interface Cache<T> {
  readonly entries: ReadonlyMap<string, Entry<T>>
  /** The value itself while it is fresh; else what `start` gives, for all who wait for it. `facts` are for errors. */
  get(
    key: string,
    deadline: Deadline,
    facts: ErrorFacts,
    start: (deadline: WorkDeadline) => Promise<T>,
  ): T | Promise<T>
  /** Drops all values that are no longer fresh. */
  sweep(): void
  /** Drops a value, unless it was replaced meanwhile. */
  forget(key: string, value: T): void
}

/** @param what begins the text of errors, the key ends it */
export const createCache = <T extends object>(
  what: string,
  isFresh: (value: T, ageMs: number) => boolean,
): Cache<T> => {
  const entries = new Map<string, Entry<T>>()

  const isStale = ({ value, since }: Entry<T>): boolean =>
    value !== undefined && !isFresh(value, Date.now() - since)

  /** Whoever comes later starts anew: work that failed, or is about to be aborted, is not joined. */
  const drop = (key: string, entry: Entry<T> | undefined): void => {
    if (entries.get(key) === entry) entries.delete(key)
  }

  const join = async (entry: Entry<T>, key: string, wait: Deadline, facts: ErrorFacts): Promise<T> => {
    const { promise, deadline, stop } = entry
    if (wait.at > deadline.at) Object.assign(deadline, wait, { signal: stop.signal })
    entry.waiters += 1
    try {
      return await within<T>(wait, what + key, notSent(facts), (resolve, reject) => {
        promise.then(resolve, reject)
      })
    } finally {
      entry.waiters -= 1
      if (!entry.waiters && !entry.value) {
        drop(key, entry)
        stop.abort()
      }
    }
  }

  return {
    entries,
    get(key, wait, facts, start) {
      let entry = entries.get(key)
      if (!entry || isStale(entry)) {
        const stop = new AbortController()
        const deadline = { ...wait, signal: stop.signal }
        const promise = start(deadline).then((value) => {
          Object.assign(begun, { value, since: Date.now() })
          return value
        })
        const begun: Entry<T> = { since: 0, promise, waiters: 0, deadline, stop }
        promise.catch(() => drop(key, begun))
        if (entries.size >= MOST) entries.clear()
        entries.set(key, begun)
        entry = begun
      }
      return entry.value ?? join(entry, key, wait, facts)
    },
    sweep() {
      for (const [key, entry] of entries) if (isStale(entry)) entries.delete(key)
    },
    forget(key, value) {
      if (entries.get(key)?.value === value) entries.delete(key)
    },
  }
}
