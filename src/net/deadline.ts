/**
 * One point in time, handed down through every layer: no wait of a call outlives it.
 *
 * Deadlines are wall-clock (`Date.now()`), because a Lambda invocation's end is, and because the monotonic clock of a
 * frozen sandbox may stand still.
 */
import { AbortError, DeadlineError, type ErrorFacts, RocketMQError, TimeoutError } from '../errors.ts'
import { refuse } from '../wire/checks.ts'

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

/** Not by its class: where another library replaces the global Promise, those of async functions are none of it. */
export const isPromise = <T>(work: T | Promise<T>): work is Promise<T> =>
  typeof (work as Partial<Promise<T>> | undefined)?.then === 'function'

/** For what comes before a request: its errors that do not yet say what became of the request say that it was not sent. */
export const beforeSending = <T>(work: T | Promise<T>): T | Promise<T> => {
  if (!isPromise(work)) return work
  return work.catch((error: unknown) => {
    throw error instanceof RocketMQError && !error.outcome ? Object.assign(error, notSent()) : error
  })
}

/** @throws ConfigError when `deadlineMs` is not a point in time, DeadlineError or AbortError when it is over already. */
export const deadlineOf = ({ signal, deadlineMs }: CallOptions, defaultMs: number): Deadline => {
  const now = Date.now()
  const explicit = deadlineMs !== undefined
  const at = explicit ? deadlineMs : now + defaultMs
  if (!(Number.isFinite(at) && at >= EARLIEST))
    refuse('deadlineMs', `takes epoch ms (Date.now() + …), got ${at}`)
  const deadline = { at, signal, explicit }
  if (signal?.aborted || at <= now) throw ended(deadline, 'the call', notSent())
  return deadline
}

/** The deadline, or so many ms from now if that is sooner: a limit of ours, so that running into it is a TimeoutError. */
export const atMost = (ms: number, deadline: Deadline): Deadline => {
  const at = Date.now() + ms
  return at < deadline.at ? { at, signal: deadline.signal, explicit: false } : deadline
}

/** What is left, never negative and no longer than a timer can be. */
export const remainingMs = ({ at }: { at: number }): number =>
  Math.min(MAX_TIMER_MS, Math.max(0, at - Date.now()))

/** Whether there is no time left, or the caller has given up. */
export const isOver = (deadline: Deadline): boolean => !!deadline.signal?.aborted || !remainingMs(deadline)

/** The error for a wait that was ended: by its signal, the caller's deadline, or a limit of ours. */
export const ended = ({ signal, explicit }: Deadline, what: string, facts: ErrorFacts): Error => {
  if (signal?.aborted) return new AbortError(`${what} was aborted`, { ...facts, cause: signal.reason })
  return explicit
    ? new DeadlineError(`${what} ran into the deadline`, facts)
    : new TimeoutError(`${what} took too long; see timeoutMs`, facts)
}

/**
 * The one way to wait for something: `begin` starts it and settles it, unless the deadline or its signal comes first.
 * What was started is not ended by that: its owner does it when this rejects.
 */
export const within = <T>(
  deadline: Deadline,
  what: string,
  facts: ErrorFacts,
  begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
): Promise<T> => {
  const { signal } = deadline
  let timer: NodeJS.Timeout | undefined
  let stop = (): void => undefined
  return new Promise<T>((resolve, reject) => {
    // Nothing is begun, and nothing written, when it is over already.
    if (isOver(deadline)) throw ended(deadline, what, { ...facts, outcome: 'not-sent' })
    stop = () => reject(ended(deadline, what, facts))
    signal?.addEventListener('abort', stop)
    timer = setTimeout(stop, remainingMs(deadline))
    begin(resolve, reject)
  }).finally(() => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  })
}

/** A pause that ends with the deadline or the signal, whichever is first. @throws AbortError */
export const pause = async (ms: number, deadline: Deadline): Promise<void> => {
  const wait = within(atMost(ms, deadline), 'a pause', notSent(), () => undefined)
  await wait.catch((error: unknown) => {
    if (error instanceof AbortError) throw error
  })
}
