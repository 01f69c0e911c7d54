/** A clock that goes on only when the test says so: what ends by time ends in the same order on a machine that stalls. */
import type { TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'

const NOW = 1_700_000_000_000

export interface StoppedClock {
  /** Lets so much time pass, and what is due do what it does. */
  pass(ms: number): Promise<void>
}

/** Stops what tells the time and the timers, until the test is over; turns of the event loop and sockets go on. */
export function stoppedClock(t: TestContext): StoppedClock {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: NOW })
  t.mock.method(performance, 'now', () => Date.now() - NOW)
  return {
    async pass(ms) {
      t.mock.timers.tick(ms)
      // What a timer begins may come a turn later.
      await nextTurn()
    },
  }
}
