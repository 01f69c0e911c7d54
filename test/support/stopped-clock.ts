/** A clock that goes on only when the test says so: what ends by time ends in the same order on a machine that stalls. */
import type { TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'

const STEP_MS = 1

export interface StoppedClock {
  /** Lets so much time pass, and what is due do what it does. */
  pass(ms: number): Promise<void>
  /** Lets time pass until this is over: slowly, for what has to come through sockets meanwhile. */
  until<T>(what: Promise<T>): Promise<T>
}

/** Stops what tells the time and the timers, until the test is over; turns of the event loop and sockets go on. */
export function stoppedClock(t: TestContext): StoppedClock {
  const now = Date.now()
  const monotonic = performance.now()
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now })
  t.mock.method(performance, 'now', () => monotonic + Date.now() - now)
  const pass: StoppedClock['pass'] = async (ms) => {
    t.mock.timers.tick(ms)
    // What a timer begins may come a turn later.
    await nextTurn()
  }
  return {
    pass,
    async until(what) {
      let isOver = false
      const end = (): void => {
        isOver = true
      }
      what.then(end, end)
      while (!isOver) await pass(STEP_MS)
      return await what
    },
  }
}
