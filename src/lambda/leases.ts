/**
 * The leases of an invocation: queue locks under a client id of its own, which no clone of the sandbox can know
 * (protocol.md 11). A lease lives for 60 s at the broker; it is renewed every 20 s, before each commit, and before a batch
 * is handed out that waited. It is no fence: a broker that restarts forgets it, so that commits look for themselves
 * (QueueProgress.commit).
 */
import type { PullConsumer } from '../client/puller.ts'
import type { MessageQueue } from '../commands/message-queue.ts'
import { TimeoutError } from '../errors.ts'
import { type CallOptions, pause } from '../net/deadline.ts'
import { queueKey } from './event.ts'

const RENEW_MS = 20_000
/** What another invocation holds is asked for once more: it may be ending. */
const SECOND_TRY_MS = 700
/** What was confirmed so lately is not asked for again before a hand-out: each commit asks, and a batch follows at once. */
const FRESH_MS = 500
/** A lease that was not confirmed for so long may have been another's meanwhile, also when it is granted again. */
const SAFE_MS = 50_000

export interface Leases {
  /** Why a broker could not be asked for leases; its queues are left. */
  readonly error: unknown
  holds(queue: MessageQueue): boolean
  /**
   * Before messages of these queues are handed out: asks again for those whose lease was not confirmed just now, and forgets
   * those that are another's, or may have been. A broker that does not answer has taken none away yet. Never rejects.
   */
  confirm(queues: readonly MessageQueue[], limits: CallOptions): Promise<void>
  /**
   * Before `due`, queues of one broker, are committed: renews all that are held there and forgets those that are another's now.
   * Rejects when it cannot be asked.
   */
  renew(due: readonly MessageQueue[], limits: CallOptions): Promise<void>
  /** Gives all of them back. Whatever fails, they end by themselves. */
  release(limits: CallOptions): Promise<void>
}

/** Takes what it can get of `queues`. Never rejects, so that all of it is released. */
export async function takeLeases(
  consumer: PullConsumer,
  queues: readonly MessageQueue[],
  limits: CallOptions & { deadlineMs: number },
): Promise<Leases> {
  const held = new Map<string, MessageQueue>()
  /** When those that are held were last asked for with success, epoch ms. */
  const confirmed = new Map<string, number>()
  /** Those that a broker may have granted although its answer did not come. */
  const unclear = new Map<string, MessageQueue>()

  const lockAt = async (own: readonly MessageQueue[], until: CallOptions): Promise<void> => {
    const at = Date.now()
    for (const queue of own) unclear.set(queueKey(queue), queue)
    const granted = new Set((await consumer.lock(own, until)).map(queueKey))
    for (const queue of own) {
      const key = queueKey(queue)
      unclear.delete(key)
      confirmed.set(key, at)
      if (granted.has(key)) held.set(key, queue)
      else held.delete(key)
    }
  }
  /**
   * Asks each broker by itself: one that does not answer has neither granted nor taken away anything. Never rejects.
   * @returns why brokers could not be asked, by their names
   */
  const lock = async (
    some: readonly MessageQueue[],
    until: CallOptions,
  ): Promise<ReadonlyMap<string, unknown>> => {
    const brokers = Map.groupBy(some, ({ brokerName }) => brokerName)
    const failures = new Map<string, unknown>()
    const ask = async ([name, own]: [string, MessageQueue[]]): Promise<void> => {
      await lockAt(own, until).catch((error: unknown) => void failures.set(name, error))
    }
    await Promise.all(Array.from(brokers, ask))
    return failures
  }

  const isOlder = (queue: MessageQueue, ms: number): boolean =>
    Date.now() - (confirmed.get(queueKey(queue)) ?? 0) >= ms

  const forgetUnsafe = (some: readonly MessageQueue[]): void => {
    for (const queue of some) if (isOlder(queue, SAFE_MS)) held.delete(queueKey(queue))
  }

  let renewal: Promise<unknown> | undefined
  let isOver = false
  // What a failed renewal means shows at the next commit, which asks again.
  const renewNow = (): void => {
    arm() // those of one broker do not wait for another that is silent
    renewal = Promise.all([renewal, lock([...held.values()], limits)])
  }
  let timer: NodeJS.Timeout | undefined
  const arm = (): void => {
    if (!isOver) timer = setTimeout(renewNow, RENEW_MS)
  }
  // What fails here is told by `error`: what was granted all the same must be given back in time.
  const failures = new Map(await lock(queues, limits))
  // One that did not answer would make the others wait.
  const isSilent = (name: string): boolean => failures.get(name) instanceof TimeoutError
  const missing = queues.filter((queue) => !held.has(queueKey(queue)) && !isSilent(queue.brokerName))
  if (missing.length > 0 && Date.now() + 2 * SECOND_TRY_MS < limits.deadlineMs) {
    await pause(SECOND_TRY_MS * (0.5 + Math.random() / 2), { at: limits.deadlineMs, explicit: false })
    for (const { brokerName } of missing) failures.delete(brokerName)
    for (const [brokerName, failure] of await lock(missing, limits)) failures.set(brokerName, failure)
  }
  const [error] = failures.values()
  arm()
  return {
    error,
    holds: (queue) => held.has(queueKey(queue)),
    async confirm(some, until) {
      forgetUnsafe(some)
      const due = some.filter((queue) => held.has(queueKey(queue)) && isOlder(queue, FRESH_MS))
      if (due.length === 0) return
      await lock(due, until)
      // A broker that does not answer takes its time.
      forgetUnsafe(some)
    },
    async renew(due, until) {
      const own = [...held.values()].filter(({ brokerName }) => brokerName === due[0]?.brokerName)
      for (const failure of (await lock(own, until)).values()) throw failure
    },
    async release(last) {
      isOver = true
      clearTimeout(timer)
      await renewal
      const queues = [...new Map([...held, ...unclear]).values()]
      if (queues.length > 0) await consumer.unlock(queues, last).catch(() => undefined) // they end by themselves
    },
  }
}
