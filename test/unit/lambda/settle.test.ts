/** What becomes of each record of a batch, with a queue and a consumer that only note what is asked of them. */
import { deepStrictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Message } from '../../../src/client/values.ts'
import type { EventSourceMapping } from '../../../src/lambda/index.ts'
import { resolveEventSource } from '../../../src/lambda/options.ts'
import { DEAD_LETTER, Settlement, type Verdict } from '../../../src/lambda/settle.ts'
import { type MessageFacts, message } from '../../support/records.ts'

interface Settled {
  /** Offsets to be tried again in this invocation. */
  again: bigint[]
  left: bigint[]
  /** Offset and delay level. */
  sentBack: [bigint, number][]
  failure: string | undefined
}

/** Settles batches of one queue, all under the same count of attempts. */
function settling(
  options: Partial<EventSourceMapping>,
): (failed: readonly Message[], verdict?: Partial<Verdict>) => Promise<Settled> {
  const attempts = new Map<Message, number>()
  return async (failed, verdict = {}) => {
    const settled: Settled = { again: [], left: [], sentBack: [], failure: undefined }
    const consumer = {
      sendBack: async ({ queueOffset }: Message, { delayLevel }: { delayLevel: number }) =>
        settled.sentBack.push([queueOffset, delayLevel]),
    }
    const queue = {
      queue: { topic: 'orders', brokerName: 'broker-a', queueId: 0 },
      counts: { failed: 0 },
      failure: undefined,
      leave: ({ queueOffset }: Message) => settled.left.push(queueOffset),
      passed: () => undefined,
    }
    const source = resolveEventSource({ topic: 'orders', consumerGroup: 'billing', ...options }, 'orders')
    const settlement = new Settlement(consumer as never, undefined, source, Date.now())
    const batch = { messages: failed, parts: new Map([[queue, failed]]) }
    const again = await settlement.settle(
      batch as never,
      { failed: new Set(failed), ...verdict } as Verdict,
      attempts,
    )
    return { ...settled, again: again.map(({ queueOffset }) => queueOffset), failure: queue.failure }
  }
}

const at = (queueOffset: bigint, facts: MessageFacts = {}): Message =>
  message({ queueOffset, bornTimestamp: BigInt(Date.now()), ...facts })

describe('records that failed, with onFailure retry', () => {
  it('all go back, also with attempts that are limited', async () => {
    const { again, sentBack } = await settling({ maximumRetryAttempts: 3 })([at(1n), at(2n)])

    deepStrictEqual([again, sentBack.map(([offset]) => offset)], [[], [1n, 2n]])
  })

  it('go back with the level of their attempt', async () => {
    const { sentBack } = await settling({ retryLevels: [3, 5] })([
      at(1n),
      at(2n, { reconsumeTimes: 1 }),
      at(3n, { reconsumeTimes: 9 }),
    ])

    deepStrictEqual(sentBack, [
      [1n, 3],
      [2n, 5],
      [3n, 5],
    ])
  })

  it('become dead letters when they have grown too old while they were handled', async () => {
    const { sentBack } = await settling({ maximumRecordAgeInSeconds: 60 })([message(), at(2n)])

    deepStrictEqual(sentBack, [
      [0n, DEAD_LETTER],
      [2n, 0],
    ])
  })

  it('have the reason of their target told', async () => {
    const { failure } = await settling({})([at(1n)], { reason: 'the target answered no' })

    deepStrictEqual(failure, 'the target answered no')
  })
})

describe('records that failed, with onFailure block', () => {
  const block = { onFailure: 'block', maximumRetryAttempts: 1 } as const

  it('stay, each of them, when attempts are not limited', async () => {
    const { again, left } = await settling({ onFailure: 'block' })([at(1n), at(2n)])

    deepStrictEqual([again, left], [[], [1n, 2n]])
  })

  it('have no attempt counted while they are behind another', async () => {
    const settle = settling(block)
    const [first, second] = [at(1n), at(2n)]

    const both = await settle([first, second])
    const rest = await settle([second])
    const last = await settle([second])

    deepStrictEqual([both.again, rest.again, last.again], [[1n, 2n], [2n], []])
    deepStrictEqual(last.sentBack, [[2n, DEAD_LETTER]])
  })

  it('are behind those of their own sharding key alone when keys go side by side', async () => {
    const settle = settling({ ...block, parallelizationFactor: 2 })
    const records = [
      at(1n, { properties: { __SHARDINGKEY: 'a' } }),
      at(2n, { properties: { __SHARDINGKEY: 'b' } }),
    ]

    await settle(records)
    const { again, sentBack } = await settle(records)

    deepStrictEqual(
      [again, sentBack],
      [
        [],
        [
          [1n, DEAD_LETTER],
          [2n, DEAD_LETTER],
        ],
      ],
    )
  })

  it('become dead letters when they have grown too old, whatever attempts they have', async () => {
    const { again, sentBack } = await settling({ ...block, maximumRecordAgeInSeconds: 60 })([message()])

    deepStrictEqual([again, sentBack], [[], [[0n, DEAD_LETTER]]])
  })
})

describe('a commit', () => {
  it('of a queue whose lease could not be renewed is made while the lease is held, and its failure is told', async () => {
    const seen: string[] = []
    const queueOf = (name: string, isDirty: boolean): object => ({
      queue: { topic: 'orders', brokerName: 'broker-a', queueId: 0 },
      isDirty,
      isHalted: false,
      takeAway: () => [],
      commit: async () => seen.push(`${name} committed`),
      fail: (error: Error) => seen.push(`${name} failed: ${error.message}`),
    })
    const leases = { renew: () => Promise.reject(new Error('the broker is silent')), holds: () => true }
    const source = resolveEventSource({ topic: 'orders', consumerGroup: 'billing' }, 'orders')
    const settlement = new Settlement({} as never, leases as never, source, Date.now())

    await settlement.commit([queueOf('a', true), queueOf('b', false)] as never)

    deepStrictEqual(seen, ['a failed: the broker is silent', 'a committed'])
  })
})
