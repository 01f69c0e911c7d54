/** Schedules of faults. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NETWORK_FAULTS } from './proxy.ts'
import { FUNCTIONS, PROCESS_FAULTS, planFaults, SLEEP_MS } from './schedule.ts'

const brokers = ['broker-a', 'broker-b']
const others = ['replica of broker-a', 'name server 0', 'name server 1']
const extent = { seed: 42, durationMs: 600_000, everyMs: 30_000, brokers, others }

describe('a schedule of faults', () => {
  it('is the same for the same seed, and another for another', () => {
    const planned = planFaults(extent)

    assert.deepStrictEqual(planFaults(extent), planned)
    assert.notDeepStrictEqual(planFaults({ ...extent, seed: 43 }), planned)
  })

  it('has a server every 30 s, and a function between two of them', () => {
    const { servers, functions } = planFaults(extent)

    const times = (count: number, from: number): number[] =>
      Array.from({ length: count }, (_, index) => from + index * 30_000)
    assert.deepStrictEqual(
      [servers.map(({ at }) => at), functions.map(({ at }) => at)],
      [times(20, 15_000), times(19, 30_000)],
    )
  })

  it('kills and suspends each server and each kind of function within ten minutes, with any seed', () => {
    const targets = [...brokers, ...others, ...FUNCTIONS.filter((each) => each !== 'sleeper')]
    const wanted = targets.flatMap((target) => PROCESS_FAULTS.map((what) => `${what} ${target}`))

    for (let seed = 0; seed < 100; seed++) {
      const { servers, functions } = planFaults({ ...extent, seed })

      const planned = new Set([...servers, ...functions].map(({ what, target }) => `${what} ${target}`))
      assert.deepStrictEqual(
        wanted.filter((each) => !planned.has(each)),
        [],
        `seed ${seed}`,
      )
    }
  })

  it('meets each kind of function within three minutes, with any seed', () => {
    for (let seed = 0; seed < 100; seed++) {
      const { functions } = planFaults({ ...extent, durationMs: 180_000, seed })

      assert.deepStrictEqual(
        functions.map(({ target }) => target).sort(),
        FUNCTIONS.filter((each) => each !== 'sleeper').sort(),
      )
    }
  })

  it('breaks connections in each way within ten minutes, and those of each server, with any seed', () => {
    for (let seed = 0; seed < 100; seed++) {
      const { network } = planFaults({ ...extent, seed })

      assert.deepStrictEqual(
        [new Set(network.map(({ what }) => what)), new Set(network.map(({ target }) => target))],
        [new Set(NETWORK_FAULTS), new Set([...brokers, ...others])],
        `seed ${seed}`,
      )
    }
  })

  it('lets one that consumes sleep longer than a lease, where a run is long enough, and ends it in time', () => {
    for (let seed = 0; seed < 100; seed++) {
      const [sleep, ...more] = planFaults({ ...extent, seed }).sleeper

      assert.ok(sleep && more.length === 0)
      assert.deepStrictEqual([sleep.what, sleep.forMs], ['suspend', SLEEP_MS])
      assert.ok(sleep.at >= 60_000 && sleep.at + SLEEP_MS <= extent.durationMs - 60_000, `${sleep.at}`)
    }
    assert.deepStrictEqual(planFaults({ ...extent, durationMs: 180_000 }).sleeper, [])
  })
})
