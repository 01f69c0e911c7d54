/**
 * Pulls that wait for a message (upstream PullRequestHoldService). A message that their filter lets through answers them at
 * once; without one they are looked at every 5 s only, so that a wait may end up to 5 s late.
 */
import type { ClockScope } from './clock.ts'

export const SCAN_EVERY_MS = 5_000

export interface ParkedPull {
  topic: string
  queueId: number
  /** The offset that it waits for. */
  offset: bigint
  /** Clock time at which it has waited long enough. */
  until: number
  matches(tag: number): boolean
  /** False: nobody waits any more. */
  isWanted(): boolean
  /** Pulls again, and does not wait this time. */
  resume(): void
}

export class ParkedPulls {
  readonly #clock: ClockScope
  readonly #startedAt: number
  readonly #queues = new Map<string, ParkedPull[]>()
  readonly #end: (topic: string, queueId: number) => number
  /** Takes back the scan that is to come. */
  #nextScan: (() => void) | undefined

  /** @param end the next offset of a queue */
  constructor(clock: ClockScope, end: (topic: string, queueId: number) => number) {
    this.#clock = clock
    this.#startedAt = clock.now()
    this.#end = end
  }

  park(pull: ParkedPull): void {
    const key = keyOf(pull.topic, pull.queueId)
    const pulls = this.#queues.get(key)
    if (pulls) pulls.push(pull)
    else this.#queues.set(key, [pull])
    this.#scanLater()
  }

  /** A message has come. */
  messageArrived(topic: string, queueId: number, tag: number): void {
    this.#resume(keyOf(topic, queueId), (pull) => pull.matches(tag))
  }

  clear(): void {
    this.#queues.clear()
    this.#nextScan?.()
    this.#nextScan = undefined
  }

  #scanLater(): void {
    if (this.#nextScan) return
    const now = this.#clock.now()
    const wait = SCAN_EVERY_MS - ((now - this.#startedAt) % SCAN_EVERY_MS)
    this.#nextScan = this.#clock.at(now + wait, () => {
      this.#nextScan = undefined
      this.#scan()
      if (this.#queues.size > 0) this.#scanLater()
    })
  }

  #scan(): void {
    const now = this.#clock.now()
    for (const key of this.#queues.keys())
      this.#resume(
        key,
        (pull) => now >= pull.until || BigInt(this.#end(pull.topic, pull.queueId)) > pull.offset,
      )
  }

  #resume(key: string, isDue: (pull: ParkedPull) => boolean): void {
    const pulls = this.#queues.get(key)
    if (!pulls) return
    const wanted = pulls.filter((pull) => pull.isWanted())
    const waiting = wanted.filter((pull) => !isDue(pull))
    if (waiting.length > 0) this.#queues.set(key, waiting)
    else this.#queues.delete(key)
    for (const pull of wanted) if (!waiting.includes(pull)) pull.resume()
  }
}

const keyOf = (topic: string, queueId: number): string => `${topic} ${queueId}`
