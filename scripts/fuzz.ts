/**
 * `npm run fuzz -- [--count N] [--seed S]`: mutated frames and bodies against the decoders of src/wire
 * (test/support/fuzz.ts). Exit code 1 with the seed and the input when one breaks the invariant.
 */
import { parseArgs } from 'node:util'
import { fuzz } from '../test/support/fuzz.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
    help: { type: 'boolean', default: false },
  },
})
const count = Number(values.count)
const seed = Number(values.seed)
if (values.help || !Number.isSafeInteger(count) || !Number.isSafeInteger(seed) || count < 1) {
  console.log('usage: npm run fuzz -- [--count 1000000] [--seed <integer>]')
  process.exit(values.help ? 0 : 1)
}

console.log(`seed ${seed}`)
const started = performance.now()
const { failure, count: done } = fuzz(count, seed)
const seconds = ((performance.now() - started) / 1000).toFixed(1)
if (failure) {
  console.log(`failed: input ${done} of seed ${seed}, ${failure.target}, hex ${failure.hex}`)
  console.log(failure.error)
  process.exitCode = 1
} else console.log(`${done} inputs in ${seconds} s: each gave a result or an error of ours`)
