/**
 * Queue locks (upstream RebalanceLockManager): a table of leases by group and queue that looks at nothing else. It is in
 * memory only, so a restart forgets it.
 */
import { LOCK_LEASE_MS } from '../../commands/locks.ts'
import type { MessageQueue } from '../../commands/message-queue.ts'

interface Lease {
  clientId: string
  at: number
}

export class LockTable {
  readonly #groups = new Map<string, Map<string, Lease>>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Takes or renews; gives whether the client holds it now. */
  lock(group: string, queue: MessageQueue, clientId: string): boolean {
    const leases = this.#groups.get(group) ?? new Map<string, Lease>()
    this.#groups.set(group, leases)
    const key = keyOf(queue)
    const lease = leases.get(key)
    if (lease && lease.clientId !== clientId && this.#isLive(lease)) return false
    leases.set(key, { clientId, at: this.#now() })
    return true
  }

  /** One that another client holds is left alone. */
  unlock(group: string, queue: MessageQueue, clientId: string): void {
    const leases = this.#groups.get(group)
    const key = keyOf(queue)
    if (leases?.get(key)?.clientId === clientId) leases.delete(key)
  }

  /** Whether anybody holds any queue of the group. */
  isAnyHeld(group: string): boolean {
    return [...(this.#groups.get(group)?.values() ?? [])].some((lease) => this.#isLive(lease))
  }

  clear(): void {
    this.#groups.clear()
  }

  #isLive(lease: Lease): boolean {
    return this.#now() - lease.at <= LOCK_LEASE_MS
  }
}

const keyOf = ({ topic, brokerName, queueId }: MessageQueue): string => `${topic} ${brokerName} ${queueId}`
