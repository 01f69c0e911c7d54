/** Schedules of faults. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NETWORK_FAULTS } from './proxy.ts'
import { planFaults } from './schedule.ts'

const extent = {
  seed: 42,
  durationMs: 600_000,
  everyMs: 30_000,
  brokers: ['broker-a', 'broker-b'],
  nameServers: 2,
}

describe('a schedule of faults', () => {
  it('is the same for the same seed, and another for another', () => {
    const planned = planFaults(extent)

    assert.deepStrictEqual(planFaults(extent), planned)
    assert.notDeepStrictEqual(planFaults({ ...extent, seed: 43 }), planned)
  })

  it('has each kind of fault within ten minutes, and a process every 30 s', () => {
    const planned = planFaults(extent)

    const kinds = new Set(planned.map(({ what }) => what))
    const processes = planned.filter(({ what }) => what === 'kill' || what === 'suspend')
    assert.deepStrictEqual(
      ['kill', 'suspend', ...NETWORK_FAULTS].filter((each) => !kinds.has(each as never)),
      [],
    )
    assert.deepStrictEqual(
      processes.map(({ at }) => at),
      Array.from({ length: 20 }, (_, index) => 15_000 + index * 30_000),
    )
  })
})
