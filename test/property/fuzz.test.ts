import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from '../support/fuzz.ts'

/** `npm run fuzz -- --count N --seed S` runs more. */
const COUNT = 120_000

test(`${COUNT} mutated frames and bodies give a result or an error of ours`, () => {
  deepStrictEqual(fuzz(COUNT, 1), { count: COUNT })
})
