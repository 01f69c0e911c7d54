import { deepStrictEqual, strictEqual } from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { fuzz, type Group, inputOf, keptInputs, replay, targetsOf } from '../support/fuzz.ts'
import { isWithin, measureLarge } from '../support/measure-large.ts'

/** `npm run fuzz` runs more. */
const COUNTS: Record<Group, number> = { frames: 5_000, bodies: 15_000 }

describe('whatever comes from outside', () => {
  before(() => {
    console.warn = () => undefined // what functions say of brokers that answer nonsense
  })

  for (const [group, count] of Object.entries(COUNTS) as [Group, number][]) {
    it(`${count} mutated ${group} give a result or an error of ours`, async () => {
      const { failures, count: done } = await fuzz(targetsOf(group), count, 1)

      deepStrictEqual({ failures, done }, { failures: [], done: count })
    })
  }

  for (const { target, why, input } of keptInputs())
    it(`${target}: ${why}`, async () => {
      await replay([...targetsOf('frames'), ...targetsOf('bodies')], target, input)
    })

  it('as large as frames are, and however many values it holds, takes less than 64 MiB and ends as expected', async () => {
    const results = await measureLarge()

    deepStrictEqual(
      results.filter((result) => !isWithin(result)),
      [],
    )
    strictEqual(results.length > 40, true)
  })

  it('is made again from the seed and its number alone', () => {
    const [targets, again] = [targetsOf('bodies'), targetsOf('bodies')]
    for (const index of [0, 7, 1_234]) {
      const { target, input } = inputOf(targets, index, 3)
      const second = inputOf(again, index, 3)
      deepStrictEqual([second.target.name, second.input], [target.name, input])
    }
    strictEqual(inputOf(targets, 0, 3).input.equals(inputOf(targets, 0, 4).input), false)
  })
})
