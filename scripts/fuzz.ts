/**
 * `npm run fuzz -- [--long] [--frames N] [--bodies N] [--seed S]`: mutated inputs against everything that decodes what comes from
 * outside (test/support/fuzz-targets.ts), frames, then bodies, in a process of its own with somebody who watches it; then
 * inputs of up to 16 MiB (test/support/large-inputs.ts), of each of which the memory is measured.
 * Prints the figures. Exit code 1 when an input ends in an error that is not ours, hangs, or memory grows.
 */
import { fork } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type FuzzResult, fuzz, type Group, HANG_MS, inputOf, targetsOf } from '../test/support/fuzz.ts'
import { isWithin, MOST_GROWTH, measureLarge } from '../test/support/measure-large.ts'
import { commit } from './commit.ts'

/** Nothing heard of an input for so long: it will not end. Loading, on a busy machine, takes a part of it. */
const SILENCE_MS = 60_000
/** Until then caches fill and code is compiled. */
const WARM_UP = 0.1
const SAMPLES = 50

interface Report extends FuzzResult {
  seconds: number
  /** Of memory that is still taken after a collection, beyond what it was after the warm-up. */
  growthBytes: number
  rssBytes: number
}

const QUICK = 50_000
const LONG = 1_000_000

const { values } = parseArgs({
  options: {
    long: { type: 'boolean', default: false },
    frames: { type: 'string' },
    bodies: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000_007) },
    group: { type: 'string' },
    place: { type: 'string', default: '' },
    help: { type: 'boolean', default: false },
  },
})
const usual = values.long ? LONG : QUICK
const counts: Record<Group, number> = {
  frames: Number(values.frames ?? usual),
  bodies: Number(values.bodies ?? usual),
}
const seed = Number(values.seed)

if (values.help || ![...Object.values(counts), seed].every(Number.isSafeInteger)) {
  console.log(
    `usage: npm run fuzz -- [--long] [--frames <count>] [--bodies <count>] [--seed <integer>]; ${QUICK} of each, ${LONG} with --long`,
  )
  process.exit(values.help ? 0 : 1)
}
if (values.group === undefined) await main()
else await work(values.group as Group)

async function main(): Promise<void> {
  console.log(`seed ${seed}, commit ${commit('src', 'scripts', 'test')}, node ${process.version}`)
  // One after the other: the times are theirs alone.
  for (const group of ['frames', 'bodies'] as const) if (!(await watch(group))) process.exitCode = 1
  if (!(await large())) process.exitCode = 1
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

/** The inputs of size, each by itself. */
async function large(): Promise<boolean> {
  const results = await measureLarge()
  const failed = results.filter((result) => !isWithin(result))
  const most = results.reduce((one, other) => (other.growthBytes > one.growthBytes ? other : one))
  const slowest = results.reduce((one, other) => (other.ms > one.ms ? other : one))
  console.log(`large: ${results.length} inputs of up to 16 MiB, ${results.filter(({ end }) => end === 'refused').length} of them refused
  others than expected: ${failed.length}; the slowest took ${slowest.ms.toFixed(0)} ms of CPU (${slowest.target}: ${slowest.what})
  most RSS of one beyond what there was: ${mib(most.growthBytes)} (${most.target}: ${most.what})`)
  for (const { target, what, end, expected, growthBytes } of failed)
    console.log(`  ${target}: ${what}: ${end}, expected ${expected}; ${mib(growthBytes)}`)
  return failed.length === 0
}

/** Runs one group in a process, and prints what came of it. Resolves to whether all was well. */
async function watch(group: Group): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'))
  const place = join(folder, 'place')
  const child = fork(
    import.meta.filename,
    [...process.argv.slice(2), '--seed', String(seed), '--group', group, '--place', place],
    {
      // The young generation has its full size from the beginning: when it grows later, that is no leak.
      execArgv: ['--expose-gc', '--min-semi-space-size=16', '--max-semi-space-size=16'],
    },
  )
  let isHung = false
  const hang = (): void => {
    isHung = true
    child.kill('SIGKILL')
  }
  let timer = setTimeout(hang, SILENCE_MS)
  let report: Report | undefined
  child.on('message', (message: Report | 'alive') => {
    clearTimeout(timer)
    timer = setTimeout(hang, SILENCE_MS)
    if (message !== 'alive') report = message
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  child.on('exit', () => resolve())
  await promise
  clearTimeout(timer)
  if (!report) {
    const index = Number(readFileSync(place, 'latin1') || 0)
    const { target, input } = inputOf(targetsOf(group), index, seed)
    console.log(
      `${group}: input ${index} ${isHung ? 'hangs' : 'ended the process'}: ${target.name}, hex ${input.toString('hex')}`,
    )
  } else print(group, report)
  rmSync(folder, { recursive: true })
  return report !== undefined && report.failures.length === 0 && report.growthBytes < MOST_GROWTH
}

function print(group: Group, report: Report): void {
  const { count, targets, refused, failures, slowestMs, slowest, seconds, growthBytes, rssBytes } = report
  const hangs = failures.filter(({ error }) => error.startsWith('took '))
  console.log(`${group}: ${count} inputs of ${targets} targets in ${seconds.toFixed(0)} s, ${refused} of them refused
  untyped errors: ${failures.length - hangs.length}
  hangs over ${HANG_MS} ms: ${hangs.length}; the slowest took ${slowestMs.toFixed(0)} ms (${slowest})
  RSS growth after the warm-up: ${mib(growthBytes)}, to ${mib(rssBytes)}`)
  for (const { target, index, hex, error } of failures)
    console.log(`  input ${index}, ${target}, hex ${hex.slice(0, 20_000)}\n    ${error}`)
}

/** In the process of a group. */
async function work(group: Group): Promise<void> {
  console.warn = () => undefined
  const count = counts[group]
  const file = openSync(values.place, 'w')
  const began = performance.now()
  const every = Math.max(1, Math.floor(count / SAMPLES))
  let warmBytes = 0
  let mostBytes = 0
  let toldAt = 0
  const result = await fuzz(targetsOf(group), count, seed, (index) => {
    writeSync(file, String(index), 0)
    const now = performance.now()
    if (now - toldAt > 1_000) {
      toldAt = now
      process.send?.('alive')
    }
    if (index % every !== 0) return
    globalThis.gc?.()
    const bytes = process.memoryUsage.rss()
    if (index <= count * WARM_UP) warmBytes = Math.max(warmBytes, bytes)
    else mostBytes = Math.max(mostBytes, bytes)
  })
  closeSync(file)
  const report: Report = {
    ...result,
    seconds: (performance.now() - began) / 1000,
    growthBytes: Math.max(0, mostBytes - warmBytes),
    rssBytes: mostBytes,
  }
  process.send?.(report, () => process.exit())
}
