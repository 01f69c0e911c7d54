/**
 * One point in time, handed down through every layer: no wait of a call outlives it.
 *
 * Deadlines are wall-clock (`Date.now()`), because a Lambda invocation's end is, and because the monotonic clock of a
 * frozen sandbox may stand still.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  AbortError,
  ConfigError,
  DeadlineError,
  type ErrorFacts,
  RocketMQError,
  TimeoutError,
} from '../errors.ts'

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
/** The longest that a timer can be set to; beyond it Node fires at once. */
const MAX_TIMER_MS = 0x7fff_ffff

/** The facts of an error before anything was sent. */
export const notSent = (facts?: ErrorFacts): ErrorFacts => ({ outcome: 'not-sent', ...facts })

/** Says so on an error that does not yet say what became of the request. */
export function asNotSent(error: unknown): unknown {
  return error instanceof RocketMQError && !error.outcome ? Object.assign(error, notSent()) : error
}

/** @throws ConfigError when `deadlineMs` is not a point in time, DeadlineError or AbortError when it is over already. */
export function deadlineOf({ signal, deadlineMs }: CallOptions, defaultMs: number): Deadline {
  const now = Date.now()
  const explicit = deadlineMs !== undefined
  const at = explicit ? deadlineMs : now + defaultMs
  if (!(Number.isFinite(at) && at >= EARLIEST)) {
    throw new ConfigError('deadlineMs', `takes epoch ms, got ${at}; for a duration write Date.now() + ${at}`)
  }
  if (signal?.aborted) throw aborted(signal, 'the call', notSent())
  if (at <= now) throw new DeadlineError('the deadline has passed before the call', notSent())
  return { at, signal, explicit }
}

/** What is left, never negative and no longer than a timer can be. */
export function remainingMs({ at }: { at: number }): number {
  return Math.min(MAX_TIMER_MS, Math.max(0, at - Date.now()))
}

/** The error for a wait that ended at `at`: the deadline, or an earlier limit of its own. */
function expired(deadline: Deadline, at: number, what: string, facts: ErrorFacts): Error {
  return deadline.explicit && deadline.at <= at
    ? new DeadlineError(`${what} was not over before the deadline`, facts)
    : new TimeoutError(`${what} was not over in time; raise timeoutMs if the broker is merely slow`, facts)
}

function aborted(signal: AbortSignal, what: string, facts: ErrorFacts): AbortError {
  return new AbortError(`${what} was aborted`, { ...facts, cause: signal.reason })
}

/**
 * The one way to wait for something: `begin` starts it and settles it, unless `at` (epoch ms), the deadline or the
 * signal comes first. What was started is not ended by that: its owner does it when this rejects.
 */
export function within<T>(
  deadline: Deadline,
  at: number,
  what: string,
  facts: ErrorFacts,
  begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
): Promise<T> {
  const { signal } = deadline
  const end = Math.min(at, deadline.at)
  let timer: NodeJS.Timeout | undefined
  let onAbort = (): void => undefined
  return new Promise<T>((resolve, reject) => {
    if (signal) {
      if (signal.aborted) throw aborted(signal, what, { ...facts, outcome: 'not-sent' })
      onAbort = () => reject(aborted(signal, what, facts))
      signal.addEventListener('abort', onAbort)
    }
    timer = setTimeout(() => reject(expired(deadline, end, what, facts)), remainingMs({ at: end }))
    begin(resolve, reject)
  }).finally(() => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  })
}

/** A pause that ends with the deadline or the signal, whichever is first. @throws AbortError */
export async function pause(ms: number, deadline: Deadline): Promise<void> {
  const { signal } = deadline
  try {
    await sleep(Math.min(ms, remainingMs(deadline)), undefined, signal && { signal })
  } catch {
    throw aborted(signal as AbortSignal, 'the pause before the next attempt', notSent())
  }
}
