/**
 * What large inputs take: run by `measureLarge` in a process of its own, because the most memory that a process ever had
 * never becomes less.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { refuses } from './fuzz.ts'
import { allTargets, type Target } from './fuzz-targets.ts'
import { largeInputs } from './large-inputs.ts'

export const MOST_GROWTH: number = 64 * 1024 * 1024

export interface LargeResult {
  target: string
  what: string
  bytes: number
  /** `taken`, `refused`, or an error that is not ours. */
  end: string
  /** What was expected of it. */
  expected: string
  /** CPU time. */
  ms: number
  /** The most memory (RSS) while it was read, beyond what there was before; 0 where another one had taken more. */
  growthBytes: number
}

/** An input that takes too much is measured again, and its least counts. */
const ATTEMPTS = 3
/** Nothing heard for so long: an input that does not end. */
const SILENCE_MS = 120_000

/** Measures all of them in a process. @throws when it ends before its time, or hangs; `stack` is what it said last */
export async function measureLarge(onResult?: (result: LargeResult) => void): Promise<LargeResult[]> {
  const results: LargeResult[] = []
  const child: ChildProcess = fork(import.meta.filename, [], {
    // The young generation has its full size from the beginning, and the heap is that of a small function.
    execArgv: [
      '--expose-gc',
      '--min-semi-space-size=16',
      '--max-semi-space-size=16',
      '--max-old-space-size=400',
    ],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const { promise, resolve } = Promise.withResolvers<number | string | null>()
  const hang = (): void => void child.kill('SIGKILL')
  let timer = globalThis.setTimeout(hang, SILENCE_MS)
  child.on('message', (result: LargeResult) => {
    clearTimeout(timer)
    timer = globalThis.setTimeout(hang, SILENCE_MS)
    results.push(result)
    onResult?.(result)
  })
  child.on('exit', (code, signal) => resolve(code ?? signal))
  const ended = await promise
  clearTimeout(timer)
  const next = largeInputs()[results.length]
  if (next) throw new Error(`${next.target}: ${next.what}: ended the process (${ended})`)
  return results
}

/** Whether it kept to what is promised. */
export const isWithin = ({ end, expected, growthBytes }: LargeResult): boolean =>
  end === expected && growthBytes < MOST_GROWTH

async function measure(): Promise<void> {
  console.warn = () => undefined
  const targets = new Map<string, Target>(allTargets().map((target) => [target.name, target]))
  const inputs = largeInputs()
  // Code is compiled, and pages of the young generation are taken, by what is small.
  for (let round = 0; round < 400; round++)
    for (const name of new Set(inputs.map(({ target }) => target))) {
      const target = targets.get(name)
      if (!target) throw new Error(`there is no target ${name}`)
      for (const seed of target.seeds) await refuses(target, seed).catch(() => undefined)
    }
  for (const { target: name, what, isTaken, make } of inputs) {
    const target = targets.get(name) as Target
    const input = make()
    const expected = isTaken ? 'taken' : 'refused'
    let result: LargeResult | undefined
    // What a collector without a processor left lying is not what it takes: that it takes each time.
    for (let attempt = 0; attempt < ATTEMPTS && !(result && isWithin(result)); attempt++)
      result = { target: name, what, bytes: input.length, expected, ...(await measureOnce(target, input)) }
    process.send?.(result)
  }
  for (const target of targets.values()) target.end?.()
}

async function measureOnce(
  target: Target,
  input: Buffer,
): Promise<Pick<LargeResult, 'end' | 'ms' | 'growthBytes'>> {
  // What is free is given back, so that none of it is taken instead of new memory.
  for (let turn = 0; turn < 2; turn++) {
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    await setTimeout(20)
  }
  forgetPeak()
  const before = process.memoryUsage.rss()
  const peakBefore = peak()
  const cpu = process.cpuUsage()
  const end = await refuses(target, input).then(
    (isRefused) => (isRefused ? 'refused' : 'taken'),
    (error: unknown) => String(error),
  )
  const { user, system } = process.cpuUsage(cpu)
  return {
    end,
    ms: (user + system) / 1000,
    growthBytes: peak() > peakBefore ? peak() - before : 0,
  }
}

/** The most memory since `forgetPeak`; where that is not Linux, since the process began, so that less is seen of smaller inputs. */
function peak(): number {
  try {
    return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) * 1024
  } catch {
    return process.resourceUsage().maxRSS * 1024
  }
}

function forgetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {
    // Not Linux.
  }
}

if (process.argv[1] === import.meta.filename) {
  await measure()
  process.disconnect()
}
