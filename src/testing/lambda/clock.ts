/**
 * The time of schedules, retries and maximum ages: as this machine's, faster, or whatever a test makes of it.
 *
 * Functions are processes and live in real time: timeouts, durations and `getRemainingTimeInMillis` do not use it.
 */

/** What the local Lambda asks of a clock. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Calls `run` once, when `now()` has reached `time`. Returns what cancels it. Must not keep the process alive. */
  at(time: number, run: () => void): () => void
}

/** The longest that Node's timers wait; a longer one is waited for in parts. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * The time of this machine, from now on `speed` times as fast.
 * @param speed 60 lets an hour pass in a minute. @default 1
 * @example
 * await using lambda = await startLambda({ functions, clock: runningClock(60) })
 */
export function runningClock(speed = 1): Clock {
  const start = Date.now()
  const now = (): number => start + Math.floor((Date.now() - start) * speed)
  return {
    now,
    at(time, run) {
      let timer: NodeJS.Timeout
      const wait = (): void => {
        const left = (time - now()) / speed
        if (left <= 0) run()
        else timer = setTimeout(wait, Math.min(Math.ceil(left), LONGEST_TIMER_MS)).unref()
      }
      // Never before this has returned.
      timer = setTimeout(wait, 0).unref()
      return () => clearTimeout(timer)
    },
  }
}
