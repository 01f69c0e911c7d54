/**
 * The time of schedules, retries and maximum ages: real, faster than real, or moved by a test.
 *
 * Functions are processes and live in real time: timeouts, durations and `getRemainingTimeInMillis` do not use it.
 */

/** What the local Lambda asks of a clock. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Calls back once, after `ms` of this clock's time. Returns what cancels it. Never keeps the process alive. */
  after(ms: number, callback: () => void): () => void
}

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Moves it by `ms`; what falls due on the way is called in its order, each at its own time. */
  advance(ms: number): void
}

/** The longest that Node's timers wait; a longer one is waited for in parts. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/**
 * The time of this machine, from now on `speed` times as fast.
 * @param speed 60 lets an hour pass in a minute. @default 1
 */
export function runningClock(speed = 1): Clock {
  const start = Date.now()
  return {
    now: () => start + Math.floor((Date.now() - start) * speed),
    after(ms, callback) {
      let timer: NodeJS.Timeout
      const wait = (left: number): void => {
        const part = Math.min(left, LONGEST_TIMER_MS)
        timer = setTimeout(() => (left > part ? wait(left - part) : callback()), part)
        timer.unref()
      }
      wait(Math.max(0, ms) / speed)
      return () => clearTimeout(timer)
    },
  }
}

/**
 * @param start milliseconds since 1970. @default now
 * @example
 * const clock = manualClock()
 * await using lambda = await startLambda({ functions, clock })
 * clock.advance(60_000) // what `rate(1 minute)` starts has been queued
 * await lambda.idle()
 */
export function manualClock(start: number = Date.now()): ManualClock {
  let now = start
  const timers = new Set<{ at: number; callback: () => void }>()
  return {
    now: () => now,
    after(ms, callback) {
      const timer = { at: now + Math.max(0, ms), callback }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    advance(ms) {
      const end = now + ms
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
        if (!next) break
        timers.delete(next)
        now = next.at
        next.callback()
      }
      now = end
    },
  }
}
