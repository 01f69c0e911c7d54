/**
 * The local broker's time. It runs as the system's does and can be moved forward, so that a test lets half an hour of
 * retries pass at once; made with a time it stands still in between. Everything that the broker does later (delays,
 * retries, long polls, leases, saving of offsets) asks this clock, and nothing else.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { ConfigError } from '../../errors.ts'

export interface TestClock {
  /** Epoch ms. */
  readonly now: () => number
  /** Runs something when the time has come, at the earliest in the next turn of the loop; gives what takes it back. */
  at(time: number, run: () => void): () => void
  /**
   * Moves the time forward by `ms`. What falls due in between runs in its order, each at its own time; what that sets
   * off within `ms` runs as well. Resolves when it has run.
   */
  advance(ms: number): Promise<void>
}

interface Timer {
  time: number
  order: number
  run: (() => void) | undefined
}

/** Longest timeout of Node. */
const MAX_TIMEOUT_MS = 0x7fff_ffff
/** A day in less than a hundredth of a second. */
const MAX_SPEED = 10_000_000

/**
 * @param options.at epoch ms at which the clock stands still until it is advanced. @default runs with the system's time
 * @param options.speed how many times as fast as the system's time it runs, from now on. @default 1
 * @example
 * const clock = createClock()
 * await using broker = await startBroker({ clock })
 * await clock.advance(30 * 60_000)
 */
export function createClock({ at, speed = 1 }: { at?: number; speed?: number } = {}): TestClock {
  if (!(speed > 0 && speed <= MAX_SPEED))
    throw new ConfigError('speed', `takes a number above 0, up to ${MAX_SPEED}, got ${speed}`)
  if (at !== undefined && speed !== 1)
    throw new ConfigError('speed', 'has no effect with `at`: the clock stands still')
  const heap: Timer[] = []
  let still = at
  let shift = 0
  let order = 0
  let timeout: NodeJS.Timeout | undefined

  const start = Date.now()
  const running = (): number => start + Math.floor((Date.now() - start) * speed)
  const now = (): number => still ?? running() + shift
  const set = (time: number): void => {
    if (still !== undefined) still = Math.max(still, time)
    else shift = Math.max(now(), time) - running()
  }
  /** Never keeps the process alive: what does is the broker's sockets. */
  const arm = (): void => {
    clearTimeout(timeout)
    const first = heap[0]
    if (!first || still !== undefined) return
    const wait = Math.ceil((first.time - now()) / speed)
    timeout = setTimeout(runDue, Math.min(MAX_TIMEOUT_MS, Math.max(0, wait))).unref()
  }
  const runDue = (): void => {
    const time = now()
    while (heap[0] && heap[0].time <= time) pop(heap).run?.()
    arm()
  }
  return {
    now,
    at(time, run) {
      const timer: Timer = { time: Math.max(time, now()), order: order++, run }
      push(heap, timer)
      if (heap[0] === timer) arm()
      return () => {
        timer.run = undefined
      }
    },
    async advance(ms) {
      if (!(ms >= 0)) throw new ConfigError('ms', `takes a number of ms from 0, got ${ms}`)
      const end = now() + ms
      while (heap[0] && heap[0].time <= end) {
        const timer = pop(heap)
        set(timer.time)
        timer.run?.()
      }
      set(end)
      arm()
      await turn()
    },
  }
}

/** A part of a clock: what was set by it can be taken back all at once. */
export interface ClockScope {
  readonly now: () => number
  at(time: number, run: () => void): () => void
  cancelAll(): void
}

export function scopeOf(clock: TestClock): ClockScope {
  const pending = new Set<() => void>()
  return {
    now: clock.now,
    at(time, run) {
      const undo = clock.at(time, () => {
        pending.delete(cancel)
        run()
      })
      const cancel = (): void => {
        pending.delete(cancel)
        undo()
      }
      pending.add(cancel)
      return cancel
    },
    cancelAll() {
      for (const cancel of pending) cancel()
    },
  }
}

const isBefore = (a: Timer, b: Timer): boolean => a.time < b.time || (a.time === b.time && a.order < b.order)

function push(heap: Timer[], timer: Timer): void {
  let at = heap.push(timer) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    const above = heap[parent] as Timer
    if (!isBefore(timer, above)) break
    heap[at] = above
    heap[parent] = timer
    at = parent
  }
}

/** The heap is not empty. */
function pop(heap: Timer[]): Timer {
  const top = heap[0] as Timer
  const last = heap.pop() as Timer
  if (heap.length === 0) return top
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    const right = heap[child + 1]
    if (right && isBefore(right, heap[child] as Timer)) child++
    const below = heap[child]
    if (!below || !isBefore(below, last)) break
    heap[at] = below
    at = child
  }
  heap[at] = last
  return top
}
