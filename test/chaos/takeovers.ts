/** How long queues of killed workers had nobody, and what kept others from coming. */
import {
  type Cause,
  type Fault,
  faultNear,
  faultOn,
  LEASE_MS,
  type Of,
  pidOf,
  type RecordLine,
  stallOf,
} from './causes.ts'

/** A lease of one that was killed ends by itself, and somebody has to come. */
export const TAKEOVER_MS = 61_000
/** So long after the end of what kept a broker from it, a lease that has run out is taken: calls have ended, and somebody comes. */
const TAKEN_MS = 10_000
/** A tick of the dispatcher lasts no longer, and the next one begins within a second. */
const TICK_MS = 10_000
const BETWEEN_TICKS_MS = 1_000

export interface Takeover {
  text: string
  group: string
  queue: string
  /** From when there was something to do, and nobody for it. */
  since: number
  at: number
  ms: number
}

/** From the kill of a worker, or from when a message was there, to the next record that is begun in each queue of its last invocation. */
export function takeoversOf(
  records: readonly RecordLine[],
  faults: readonly Fault[],
  held: readonly Of<'held'>[],
): Takeover[] {
  const storedAt = new Map(held.map((each) => [`${each.queue}/${each.offset}`, each.storedAt]))
  return faults.flatMap((fault) => {
    if (fault.what !== 'kill') return []
    const last = records.findLast((each) => each.pid === pidOf(fault) && each.at <= fault.at)
    if (!last) return []
    const { invocation, group } = last
    const own = records.filter((each) => each.invocation === invocation && each.at <= fault.at)
    return [...new Set(own.map(({ queue }) => queue))].flatMap((queue) => {
      const next = records.find((each) => each.queue === queue && each.group === group && each.at > fault.at)
      // Of a retry topic nobody knows when its messages came.
      const stored = next && storedAt.get(`${queue}/${next.offset}`)
      if (!next || stored === undefined) return []
      const since = Math.max(fault.at, stored)
      const ms = Math.round(next.at - since)
      const text = `takeover: ${group} had nobody at ${queue} for ${ms} ms after ${fault.target} was killed`
      return [{ text, ms, since, at: next.at, queue, group }]
    })
  })
}

/** Of one that took too long. Workers of a group with a dispatcher come when it has sent them. */
export function delayOf(
  { group, queue, since, at, ms }: Takeover,
  faults: readonly Fault[],
  stalls: readonly Of<'stall'>[],
): Cause | undefined {
  const [from, to] = [since + LEASE_MS, since + TAKEOVER_MS]
  const isDispatcher = ({ target, until }: Fault): boolean =>
    target.startsWith('dispatch ') && until >= at - TICK_MS - TAKEN_MS
  return (
    faultOn(faults, queue, from, to, ({ until }) => until >= at - TAKEN_MS) ??
    (group.endsWith('-dispatched')
      ? faultNear(faults, from - BETWEEN_TICKS_MS, to, isDispatcher)
      : undefined) ??
    stallOf(stalls, since, at, ms - TAKEOVER_MS)
  )
}
