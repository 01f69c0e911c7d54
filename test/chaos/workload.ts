/** What goes on while faults come: messages are published, consumed by three groups, and transactions begun, ended and left. */
import { setTimeout as wait } from 'node:timers/promises'
import { createMessageId } from '../../src/index.ts'
import type { LocalLambda } from '../../src/testing/index.ts'
import { type Random, seeded } from '../support/random.ts'
import { ORDERS, PAYMENTS, WORKERS } from './functions.ts'
import type { History } from './history.ts'

const PUBLISHERS = 2
/** Messages of one request, each of another sharding key. */
const MESSAGES = 5
const PUBLISH_PAUSE_MS = 400
const TRANSACTION_PAUSE_MS = 1_000
const CHECK_PAUSE_MS = 8_000
const CONSUME_PAUSE_MS = 700

export interface Workload {
  /** Ids that were acknowledged. */
  readonly stored: ReadonlySet<string>
  /** Transactions that are to be committed. */
  readonly commits: ReadonlySet<string>
  /** Nothing new is published or begun; what was begun is ended. */
  stopPublishing(): Promise<void>
  stop(): Promise<void>
}

interface Sent {
  messageId: string
  n: number
  key: string
}

export function startWorkload(lambda: LocalLambda, history: History, seed: number): Workload {
  const stored = new Set<string>()
  const commits = new Set<string>()
  const publishing = new AbortController()
  const working = new AbortController()
  let number = 0

  /** Invokes again and again, until it is told to stop. */
  const loop = async (signal: AbortSignal, pauseMs: number, turn: () => Promise<void>): Promise<void> => {
    while (!signal.aborted) {
      await turn()
      await wait(pauseMs, undefined, { signal }).catch(() => {})
    }
  }
  const invoke = async (name: string, event: unknown): Promise<Record<string, unknown> | undefined> => {
    const { payload, functionError } = await lambda.invoke(name, event)
    return functionError ? undefined : (payload as Record<string, unknown>)
  }

  const publish = (publisher: number): (() => Promise<void>) => {
    /** Sent again with the same id until it is stored, so that a key’s messages stay in order. */
    const open: (Sent | undefined)[] = []
    return async () => {
      const messages = Array.from({ length: MESSAGES }, (_, index) => {
        const sent = open[index] ?? {
          messageId: createMessageId(),
          n: number++,
          key: `${publisher}-${index}`,
        }
        open[index] = sent
        return sent
      })
      const answer = await invoke('publish', {
        topic: ORDERS,
        messages: messages.map(({ messageId, n, key }) => ({
          messageId,
          shardingKey: key,
          body: { n, key },
        })),
      })
      const results = (answer?.['results'] ?? []) as { status: number; outcome?: string }[]
      for (const [index, message] of messages.entries()) {
        const { status, outcome = 'unknown' } = results[index] ?? { status: 0 }
        const at = Date.now()
        if (status !== 200) {
          history.add({ kind: 'not-stored', at, messageId: message.messageId, outcome })
          continue
        }
        history.add({ kind: 'stored', at, ...message })
        stored.add(message.messageId)
        open[index] = undefined
      }
    }
  }

  const transact = (random: Random): (() => Promise<void>) => {
    return async () => {
      const messageId = createMessageId()
      const fate = random.pick(['commit', 'commit', 'rollback'] as const)
      const begin = { messageId, body: 'payment', properties: { fate } }
      const begun = await invoke('publish', { topic: PAYMENTS, begin })
      // Of one that may have begun nobody knows; the check ends it by what stands in its message.
      if (begun?.['status'] !== 201) return
      history.add({ kind: 'begun', at: Date.now(), messageId, fate })
      if (fate === 'commit') commits.add(messageId)
      if (random.below(10) >= 7) return
      await invoke('end-transaction', { transaction: begun['transaction'], outcome: fate })
      history.add({ kind: 'ended', at: Date.now(), messageId })
    }
  }

  const publishers = Array.from({ length: PUBLISHERS }, (_, index) =>
    loop(publishing.signal, PUBLISH_PAUSE_MS, publish(index)),
  )
  publishers.push(loop(publishing.signal, TRANSACTION_PAUSE_MS, transact(seeded(seed))))
  const consumers = Object.entries(WORKERS).flatMap(([name, count]) =>
    Array.from({ length: count }, () =>
      loop(working.signal, CONSUME_PAUSE_MS, async () => void (await invoke(name, {}))),
    ),
  )
  consumers.push(
    loop(working.signal, CHECK_PAUSE_MS, async () => void (await invoke('check-transactions', {}))),
  )
  return {
    stored,
    commits,
    async stopPublishing() {
      publishing.abort()
      await Promise.all(publishers)
    },
    async stop() {
      publishing.abort()
      working.abort()
      await Promise.all([...publishers, ...consumers])
      await lambda.idle()
    },
  }
}
