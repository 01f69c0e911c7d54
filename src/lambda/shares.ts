/** How the queues that have work are shared among workers: as evenly as it goes, the heaviest first. */
import type { MessageQueue } from '../commands/message-queue.ts'
import { queueKey } from './event.ts'
import type { QueueLag } from './lag.ts'

/** What one worker is given. */
export interface Share {
  lag: number
  queues: MessageQueue[]
}

/**
 * Deals out units, each to the share that is the lightest so far: no two shares differ by more than the heaviest unit.
 * No share is empty. The heaviest share comes first.
 */
export function shareOut(units: readonly Share[], workers: number): Share[] {
  const shares: Share[] = Array.from({ length: Math.min(workers, units.length) }, () => ({
    lag: 0,
    queues: [],
  }))
  for (const { lag, queues } of [...units].sort(heaviestFirst)) {
    const lightest = shares.reduce((least, each) => (heaviestFirst(least, each) < 0 ? each : least))
    lightest.lag += lag
    lightest.queues.push(...queues)
  }
  return shares.sort(heaviestFirst)
}

const heaviestFirst = (a: Share, b: Share): number => b.lag - a.lag || b.queues.length - a.queues.length

/**
 * What must stay together. The queues of a broker that the group has never read begin together, by whoever holds queue 0
 * there (open-queues.ts); every other queue is a unit of its own.
 *
 * @param found all queues of the mapping
 * @param work those of them that may be handed out
 */
export function unitsOf(topic: string, found: readonly QueueLag[], work: readonly QueueLag[]): Share[] {
  const first = new Map(
    found
      .filter(({ queue }) => queue.topic === topic && queue.queueId === 0)
      .map((each) => [each.queue.brokerName, each]),
  )
  const free = new Set(work.map(({ queue }) => queueKey(queue)))
  const units = new Map<string, Share>()
  for (const { queue, committed, lag = 0 } of work) {
    const { brokerName } = queue
    const zero = first.get(brokerName)
    const begins = queue.topic === topic && committed === undefined && (!zero || zero.committed === undefined)
    // Whoever has queue 0 is about to set where this one begins.
    if (begins && zero && !free.has(queueKey(zero.queue))) continue
    const key = begins ? brokerName : queueKey(queue)
    const unit = units.get(key) ?? { lag: 0, queues: [] }
    unit.lag += lag
    unit.queues.push(queue)
    units.set(key, unit)
  }
  return [...units.values()]
}
