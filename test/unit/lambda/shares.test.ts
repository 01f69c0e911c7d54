/** How queues are shared among workers. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { QueueLag } from '../../../src/lambda/lag.ts'
import { type Share, shareOut, unitsOf } from '../../../src/lambda/shares.ts'

const queueOf = (queueId: number, brokerName = 'broker-a', topic = 'orders') => ({
  topic,
  brokerName,
  queueId,
})
const unit = (queueId: number, lag: number): Share => ({ lag, queues: [queueOf(queueId)] })
const known = (queueId: number, lag: number, brokerName?: string, topic?: string): QueueLag => ({
  queue: queueOf(queueId, brokerName, topic),
  committed: 1n,
  lag,
})
const fresh = (queueId: number, brokerName?: string, topic?: string): QueueLag => ({
  queue: queueOf(queueId, brokerName, topic),
  committed: undefined,
  lag: 0,
})

const lags = fc.array(fc.nat({ max: 1_000_000 }), { minLength: 1, maxLength: 60 })
const workers = fc.integer({ min: 1, max: 20 })

describe('shares', () => {
  it('hold every queue exactly once, are no more than the workers, and none is empty', () => {
    fc.assert(
      fc.property(lags, workers, (all, count) => {
        const shares = shareOut(
          all.map((lag, queueId) => unit(queueId, lag)),
          count,
        )

        const ids = shares.flatMap(({ queues }) => queues.map(({ queueId }) => queueId))
        assert.deepStrictEqual(
          ids.sort((a, b) => a - b),
          all.map((_, queueId) => queueId),
        )
        assert.deepStrictEqual(shares.length, Math.min(count, all.length))
        assert.ok(shares.every(({ queues }) => queues.length > 0))
      }),
    )
  })

  it('differ by no more than the heaviest queue, the heaviest of them first', () => {
    fc.assert(
      fc.property(lags, workers, (all, count) => {
        const sizes = shareOut(
          all.map((lag, queueId) => unit(queueId, lag)),
          count,
        ).map(({ lag }) => lag)

        assert.deepStrictEqual(
          sizes,
          [...sizes].sort((a, b) => b - a),
        )
        assert.ok((sizes[0] ?? 0) - (sizes.at(-1) ?? 0) <= Math.max(...all))
        assert.deepStrictEqual(
          sizes.reduce((sum, each) => sum + each, 0),
          all.reduce((sum, each) => sum + each, 0),
        )
      }),
    )
  })

  it('spread queues without known lag evenly', () => {
    const shares = shareOut([unit(0, 0), unit(1, 0), unit(2, 0), unit(3, 0)], 2)

    assert.deepStrictEqual(
      shares.map(({ queues }) => queues.length),
      [2, 2],
    )
  })
})

describe('the units that are shared', () => {
  const idsOf = (units: readonly Share[]): string[] =>
    units.map(({ queues }) => queues.map(({ brokerName, queueId }) => `${brokerName}/${queueId}`).join(' '))

  it('keep the queues of a broker that the group has never read together', () => {
    const all = [fresh(0), fresh(1), known(0, 5, 'broker-b'), fresh(1, 'broker-b'), fresh(2)]

    assert.deepStrictEqual(idsOf(unitsOf('orders', all, all)), [
      'broker-a/0 broker-a/1 broker-a/2',
      'broker-b/0',
      'broker-b/1',
    ])
  })

  it('leave them out when somebody else has queue 0, and with it the start of them', () => {
    const all = [fresh(0), fresh(1), known(2, 7)]

    assert.deepStrictEqual(idsOf(unitsOf('orders', all, all.slice(1))), ['broker-a/2'])
  })

  it('have the queues of a retry topic one by one', () => {
    const all = [known(0, 3), fresh(0, 'broker-a', '%RETRY%billing'), fresh(0, 'broker-b', '%RETRY%billing')]

    assert.deepStrictEqual(unitsOf('orders', all, all).length, 3)
  })
})
