/**
 * One point in time, handed down through every layer: no wait of a call outlives it.
 *
 * Deadlines are wall-clock (`Date.now()`), because a Lambda invocation's end is, and because the monotonic clock of a
 * frozen sandbox may stand still.
 */
import { AbortError, ConfigError, DeadlineError, type ErrorFacts, TimeoutError } from '../errors.ts'

/** Options every call of the client takes. */
export interface CallOptions {
  /** Ends the call when aborted, with an AbortError. */
  signal?: AbortSignal | undefined
  /**
   * When the call must be over, a point in time in epoch ms; in a function
   * `Date.now() + context.getRemainingTimeInMillis() - 500`. @default three times the client's `timeoutMs` from now
   */
  deadlineMs?: number | undefined
}

export interface Deadline {
  /** Epoch ms. */
  readonly at: number
  readonly signal?: AbortSignal | undefined
  /** The caller set it, so that running into it is a DeadlineError and not a TimeoutError. */
  readonly explicit: boolean
}

/** Anything below is a duration given by mistake: as a point in time it would lie before April 1973. */
const EARLIEST = 100_000_000_000

/** @throws ConfigError when `deadlineMs` is not a point in time, DeadlineError or AbortError when it is over already. */
export function deadlineOf(options: CallOptions, defaultMs: number): Deadline {
  const { signal, deadlineMs } = options
  const now = Date.now()
  if (deadlineMs === undefined) {
    if (signal?.aborted) throw aborted(signal, 'the call', { outcome: 'not-sent' })
    return { at: now + defaultMs, signal, explicit: false }
  }
  if (!Number.isFinite(deadlineMs) || deadlineMs < EARLIEST) {
    throw new ConfigError(
      'deadlineMs',
      `takes a point in time in epoch ms, got ${deadlineMs}; for a duration write Date.now() + ${deadlineMs}`,
    )
  }
  if (deadlineMs <= now)
    throw new DeadlineError('the deadline has passed before the call began', { outcome: 'not-sent' })
  if (signal?.aborted) throw aborted(signal, 'the call', { outcome: 'not-sent' })
  return { at: deadlineMs, signal, explicit: true }
}

/** What is left, never negative. */
export function remainingMs(deadline: Deadline): number {
  return Math.max(0, deadline.at - Date.now())
}

/** The error for a wait that ended at `deadline`, or at an earlier limit of its own. */
export function expired(deadline: Deadline, what: string, facts: ErrorFacts): DeadlineError | TimeoutError {
  return deadline.explicit && deadline.at <= Date.now()
    ? new DeadlineError(`${what} before the deadline`, facts)
    : new TimeoutError(`${what} in time; raise timeoutMs if the broker is merely slow`, facts)
}

export function aborted(signal: AbortSignal, what: string, facts: ErrorFacts): AbortError {
  return new AbortError(`${what} was aborted`, { ...facts, cause: signal.reason })
}

/**
 * Waits for `promise`, no longer than `at` (epoch ms) and the deadline. What `promise` does afterwards is not awaited,
 * so its owner must end it.
 */
export function within<T>(
  promise: Promise<T>,
  deadline: Deadline,
  at: number,
  what: string,
  facts: ErrorFacts,
): Promise<T> {
  const { signal } = deadline
  return new Promise<T>((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const onAbort = (): void => {
      done()
      reject(aborted(signal as AbortSignal, what, facts))
    }
    const timer = setTimeout(
      () => {
        done()
        reject(expired(deadline, `${what} was not over`, facts))
      },
      Math.max(0, Math.min(at, deadline.at) - Date.now()),
    )
    if (signal?.aborted) {
      onAbort()
      return
    }
    signal?.addEventListener('abort', onAbort)
    promise.then(
      (value) => {
        done()
        resolve(value)
      },
      (error: unknown) => {
        done()
        reject(error)
      },
    )
  })
}

/** A pause that ends with the deadline or the signal, whichever is first. @throws AbortError */
export function pause(ms: number, deadline: Deadline): Promise<void> {
  const { signal } = deadline
  return new Promise<void>((resolve, reject) => {
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const onAbort = (): void => {
      done()
      reject(aborted(signal as AbortSignal, 'the pause before the next attempt', { outcome: 'not-sent' }))
    }
    const timer = setTimeout(
      () => {
        done()
        resolve()
      },
      Math.min(ms, remainingMs(deadline)),
    )
    if (signal?.aborted) onAbort()
    else signal?.addEventListener('abort', onAbort)
  })
}
