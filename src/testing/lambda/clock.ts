/**
 * The time of schedules, retries and maximum ages: as this machine's, faster, or whatever a test makes of it.
 *
 * Functions are processes and live in real time: timeouts, durations and `getRemainingTimeInMillis` do not use it.
 */
import { createClock } from '../broker/clock.ts'

/** What the local Lambda asks of a clock; `createClock` makes one that a local broker can share. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Calls `run` once, when `now()` has reached `time`. Returns what cancels it. Must not keep the process alive. */
  at(time: number, run: () => void): () => void
}

/**
 * The time of this machine, from now on `speed` times as fast: `createClock({ speed })`, without what moves it.
 * @param speed 60 lets an hour pass in a minute. @default 1
 * @example
 * await using lambda = await startLambda({ functions, clock: runningClock(60) })
 */
export const runningClock = (speed = 1): Clock => createClock({ speed })
