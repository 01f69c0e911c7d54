/**
 * What has been popped in order (upstream ConsumerOrderInfoManager): a queue gives a group nothing more until all of it is
 * acknowledged, or the time of what is not is over. Saved with the offsets, and lost with them by a kill.
 */
import type { ClockScope } from './clock.ts'

interface Order {
  attemptId: string | undefined
  popTime: bigint
  invisibleTime: bigint
  offsets: readonly bigint[]
  acknowledged: Set<bigint>
  /** Epoch ms from which on an offset is given again, where that was changed. */
  visibleAt: Map<bigint, bigint>
  /** Earlier deliveries, of those that had any. */
  counts: ReadonlyMap<bigint, number>
}

/** Of one group and one queue of one stored topic. */
export interface OrderedQueue {
  topic: string
  group: string
  queueId: number
}

type Table = Map<string, Order>

const keyOf = ({ topic, group, queueId }: OrderedQueue): string => `${topic}@${group} ${queueId}`

export class PopOrders {
  readonly #clock: ClockScope
  readonly #onFree: (queue: OrderedQueue) => void
  readonly #timers = new Map<string, () => void>()
  #orders: Table = new Map()
  #saved: Table = new Map()

  /** @param onFree a queue may be popped again, because the time of what it gave is over */
  constructor(clock: ClockScope, onFree: (queue: OrderedQueue) => void) {
    this.#clock = clock
    this.#onFree = onFree
  }

  /** The same attempt may pop the same again. */
  isBlocked(queue: OrderedQueue, attemptId?: string): boolean {
    const order = this.#orders.get(keyOf(queue))
    if (!order || (order.attemptId !== undefined && order.attemptId === attemptId)) return false
    return BigInt(this.#clock.now()) < freeAt(order)
  }

  /** A pop has given `offsets`. Gives how often each was given before; those that are new are left out. */
  popped(
    queue: OrderedQueue,
    { popTime, invisibleTime, attemptId }: Pick<Order, 'popTime' | 'invisibleTime' | 'attemptId'>,
    offsets: readonly bigint[],
  ): ReadonlyMap<bigint, number> {
    const before = this.#orders.get(keyOf(queue))
    const isSameAttempt = before?.attemptId !== undefined && before.attemptId === attemptId
    const again = offsets.filter((offset) => before?.offsets.includes(offset))
    const counts = isSameAttempt
      ? before.counts
      : new Map(again.map((offset) => [offset, (before?.counts.get(offset) ?? 0) + 1]))
    this.#set(queue, {
      attemptId,
      popTime,
      invisibleTime,
      offsets,
      acknowledged: new Set(),
      visibleAt: new Map(),
      counts,
    })
    return counts
  }

  /** The offset to commit; or the acknowledgement is of another pop, or of a message that this pop did not give. */
  acknowledge(queue: OrderedQueue, offset: bigint, popTime: bigint): bigint | 'other-pop' | 'unknown' {
    const order = this.#orders.get(keyOf(queue))
    if (!order) return offset + 1n
    if (order.popTime !== popTime) return 'other-pop'
    if (!order.offsets.includes(offset)) return 'unknown'
    order.acknowledged.add(offset)
    this.#wakeLater(queue, order)
    return waiting(order)[0] ?? (order.offsets.at(-1) as bigint) + 1n
  }

  /** Gives an offset of this pop another time. */
  change(queue: OrderedQueue, offset: bigint, popTime: bigint, visibleAt: bigint): void {
    const order = this.#orders.get(keyOf(queue))
    if (order?.popTime !== popTime) return
    order.visibleAt.set(offset, visibleAt)
    this.#wakeLater(queue, order)
  }

  /** After a reset of the offset. */
  forget(queue: OrderedQueue): void {
    this.#orders.delete(keyOf(queue))
  }

  save(): void {
    this.#saved = copyOf(this.#orders)
  }

  loseUnsaved(): void {
    this.#orders = copyOf(this.#saved)
  }

  #set(queue: OrderedQueue, order: Order): void {
    this.#orders.set(keyOf(queue), order)
    this.#wakeLater(queue, order)
  }

  #wakeLater(queue: OrderedQueue, order: Order): void {
    const key = keyOf(queue)
    this.#timers.get(key)?.()
    this.#timers.delete(key)
    if (waiting(order).length === 0) return
    const wake = (): void => {
      this.#timers.delete(key)
      this.#onFree(queue)
    }
    this.#timers.set(key, this.#clock.at(Number(freeAt(order)), wake))
  }
}

const waiting = ({ offsets, acknowledged }: Order): bigint[] =>
  offsets.filter((offset) => !acknowledged.has(offset))

/** When the last of what is not acknowledged may be given again; 0 when everything is. */
function freeAt(order: Order): bigint {
  const { popTime, invisibleTime, visibleAt } = order
  return waiting(order).reduce((latest, offset) => {
    const time = visibleAt.get(offset) ?? popTime + invisibleTime
    return time > latest ? time : latest
  }, 0n)
}

const copyOf = (orders: Table): Table =>
  new Map(
    [...orders].map(([key, order]) => [
      key,
      { ...order, acknowledged: new Set(order.acknowledged), visibleAt: new Map(order.visibleAt) },
    ]),
  )
