/** What took too long, without a look at the clock: a busy machine delays a timer of the same process as well. */

/** So many turns of the event loop behind it: when a process stood still, what was due before has been done by then. */
const TURNS = 50

/** Begins now. `stop` says whether it is over. */
export function startTimer(ms: number): { stop(): boolean } {
  let isStopped = false
  let isOver = false
  const turn = (left: number): void => {
    if (isStopped) return
    if (left === 0) isOver = true
    else setImmediate(turn, left - 1)
  }
  const timer = setTimeout(turn, ms, TURNS)
  return {
    stop() {
      isStopped = true
      clearTimeout(timer)
      return isOver
    },
  }
}
