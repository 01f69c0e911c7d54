/**
 * Pops and notifications that wait for a message (upstream PopLongPollingService): until their time is over, which is kept
 * exactly, or a message comes. One message wakes one of those that wait for the same.
 */
import type { ClockScope } from './clock.ts'

export interface ParkedPop {
  topic: string
  group: string
  /** Below 0: any queue of the topic. */
  queueId: number
  /** Clock time at which it has waited long enough. */
  until: number
  matches(tag: number): boolean
  /** False: nobody waits any more. */
  isWanted(): boolean
  /** Tries again. */
  resume(): void
}

export class ParkedPops {
  readonly #clock: ClockScope
  /** By topic; with each, what takes its time limit back. */
  readonly #topics = new Map<string, Map<ParkedPop, () => void>>()

  constructor(clock: ClockScope) {
    this.#clock = clock
  }

  park(pop: ParkedPop): void {
    const pops = this.#topics.get(pop.topic) ?? new Map<ParkedPop, () => void>()
    const cancel = this.#clock.at(pop.until, () => this.#take(pop) && pop.resume())
    this.#topics.set(pop.topic, pops.set(pop, cancel))
  }

  /** A message has come: it wakes one pop of each group, and one of those that wait for its queue only. */
  messageArrived(topic: string, queueId: number, tag: number): void {
    const pops = this.#topics.get(topic)
    if (!pops) return
    const woken = new Set<string>()
    for (const pop of [...pops.keys()]) {
      const key = `${pop.group} ${pop.queueId < 0}`
      const isFor = pop.queueId < 0 || pop.queueId === queueId
      if (isFor && !woken.has(key) && pop.matches(tag) && this.#wake(pop)) woken.add(key)
    }
  }

  /** There is something for one group: wakes one of its pops. Without a queue, whichever it waits for. */
  wake(topic: string, group: string, queueId?: number): void {
    for (const pop of [...(this.#topics.get(topic)?.keys() ?? [])]) {
      const isFor = queueId === undefined || pop.queueId < 0 || pop.queueId === queueId
      if (pop.group === group && isFor && this.#wake(pop)) return
    }
  }

  /** How many wait for exactly this. */
  count(topic: string, group: string, queueId: number): number {
    const pops = [...(this.#topics.get(topic)?.keys() ?? [])]
    return pops.filter((pop) => pop.group === group && pop.queueId === queueId).length
  }

  clear(): void {
    for (const pops of this.#topics.values()) for (const cancel of pops.values()) cancel()
    this.#topics.clear()
  }

  #wake(pop: ParkedPop): boolean {
    if (!this.#take(pop) || !pop.isWanted()) return false
    pop.resume()
    return true
  }

  #take(pop: ParkedPop): boolean {
    const pops = this.#topics.get(pop.topic)
    const cancel = pops?.get(pop)
    if (!pops || !cancel) return false
    cancel()
    pops.delete(pop)
    if (pops.size === 0) this.#topics.delete(pop.topic)
    return true
  }
}
