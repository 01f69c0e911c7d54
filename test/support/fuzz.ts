/**
 * A mutational fuzzer for everything that decodes what comes from outside (fuzz-targets.ts). Each input follows from the seed,
 * its number and its target alone, so that one can be made again without those before it.
 *
 * The invariant: a result, or an error of this package; in less than a second; and memory does not grow.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { RocketMQError } from '../../src/errors.ts'
import { HttpError } from '../../src/lambda/http.ts'
import { mutateBytes, mutateFrame, mutateJson } from './fuzz-mutations.ts'
import { allTargets, type Target } from './fuzz-targets.ts'
import { seeded } from './random.ts'

export type Group = Target['group']

/** What broke the invariant. */
export interface Failure {
  target: string
  index: number
  hex: string
  error: string
}

export interface FuzzResult {
  /** Inputs that were run. */
  count: number
  targets: number
  /** Those that ended in an error of ours. */
  refused: number
  failures: Failure[]
  slowestMs: number
  slowest: string
}

export const HANG_MS = 1_000
const MOST_FAILURES = 20

/** The input of this number, and its target. */
export function inputOf(
  targets: readonly Target[],
  index: number,
  seed: number,
): { target: Target; input: Buffer } {
  const target = targets[index % targets.length] as Target
  const random = seeded(Math.imul(seed, 0x9e37_79b1) ^ Math.imul(index + 1, 0x85eb_ca6b))
  const [source, other] = [random.pick(target.seeds), random.pick(target.seeds)]
  const isSound = random.below(4) > 0
  let input: Buffer | undefined
  if (isSound && target.shape === 'json') input = mutateJson(source, other, random)
  if (isSound && target.shape === 'frame') input = mutateFrame(source, other, random)
  return { target, input: input ?? mutateBytes(source, other, random) }
}

/** In the order of a round: one that has several of its inputs is in it several times, apart. */
export function roundOf(targets: readonly Target[]): Target[] {
  const places = targets.flatMap((target) => {
    const { weight = 1 } = target
    return Array.from({ length: weight }, (_, turn) => ({ target, at: (turn + 0.5) / weight }))
  })
  return places.sort((a, b) => a.at - b.at).map(({ target }) => target)
}

export const targetsOf = (group: Group): Target[] =>
  roundOf(allTargets().filter((target) => target.group === group))

/** Whether it ended in an error of ours. @throws any other */
export async function refuses(target: Target, input: Buffer): Promise<boolean> {
  try {
    // Not each has a promise, and a turn for those that have none would be most of the time.
    const result = target.run(input)
    if (result instanceof Promise) await result
    return false
  } catch (error) {
    if (error instanceof RocketMQError || error instanceof HttpError) return true
    throw error
  }
}

/** Runs `count` inputs of the targets by turns. */
export async function fuzz(
  targets: readonly Target[],
  count: number,
  seed: number,
  onInput?: (index: number) => void,
): Promise<FuzzResult> {
  const result: FuzzResult = {
    count: 0,
    targets: new Set(targets).size,
    refused: 0,
    failures: [],
    slowestMs: 0,
    slowest: '',
  }
  // Most inputs end in an error, and most of their time would be its stack.
  Error.stackTraceLimit = 5
  let stray: unknown
  const onStray = (error: unknown): void => {
    stray ??= error
  }
  process.on('unhandledRejection', onStray)
  for (let index = 0; index < count && result.failures.length < MOST_FAILURES; index++) {
    onInput?.(index)
    const { target, input } = inputOf(targets, index, seed)
    const fail = (error: unknown): void => {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      result.failures.push({ target: target.name, index, hex: input.toString('hex'), error: what })
    }
    try {
      const began = performance.now()
      if (await refuses(target, input)) result.refused += 1
      let ms = performance.now() - began
      // A machine that was busy with something else is not ten times.
      for (let again = 0; again < 9 && ms >= HANG_MS; again++) {
        const from = performance.now()
        await refuses(target, input)
        ms = Math.min(ms, performance.now() - from)
      }
      if (ms >= HANG_MS) fail(`took ${Math.round(ms)} ms`)
      if (ms > result.slowestMs) Object.assign(result, { slowestMs: ms, slowest: target.name })
      if (stray !== undefined) fail(stray)
    } catch (error) {
      fail(error)
    }
    stray = undefined
    result.count = index + 1
  }
  process.off('unhandledRejection', onStray)
  for (const target of targets) target.end?.()
  return result
}

/** An input that once broke something, or would: kept, and run by the tests. */
export interface Kept {
  target: string
  why: string
  hex?: string
  text?: string
  /** Repeated so often. */
  times?: number
}

/** The inputs of test/corpus. */
export function keptInputs(): { target: string; why: string; input: Buffer }[] {
  const path = join(import.meta.dirname, '../corpus/inputs.json')
  return (JSON.parse(readFileSync(path, 'utf8')) as Kept[]).map(
    ({ target, why, hex, text = '', times = 1 }) => ({
      target,
      why,
      input: hex === undefined ? Buffer.from(text.repeat(times)) : Buffer.from(hex.repeat(times), 'hex'),
    }),
  )
}

/** Runs one input. @throws what is no error of ours */
export async function replay(targets: readonly Target[], name: string, input: Buffer): Promise<void> {
  const target = targets.find((each) => each.name === name)
  if (!target) throw new Error(`there is no target ${name}`)
  await refuses(target, input)
  target.end?.()
}
