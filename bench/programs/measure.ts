/**
 * What every measured Node program does around its work: read the job, let a first part pass untimed, take wall-clock
 * time, CPU time and peak memory of the second, print the outcome.
 */
import { readFileSync } from 'node:fs'
import type { Job, Outcome } from '../job.ts'

export const job: Job = JSON.parse(process.argv.at(-1) as string)

/** What the queues of a test body are filled with. */
export const body: Buffer = Buffer.alloc(job.bodyBytes, '0123456789abcdef')

/** Peak memory of this process so far, in bytes. */
export function peakRssBytes(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
}

/** @param work handles so many messages; resolves to their checksum where there is one */
export async function measure(program: string, work: (messages: number) => Promise<unknown>): Promise<void> {
  await work(job.warmup)
  const cpu = process.cpuUsage()
  const start = performance.now()
  const checksum = await work(job.messages)
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const outcome: Outcome = {
    seconds,
    cpuSeconds: (user + system) / 1e6,
    peakRssBytes: peakRssBytes(),
    messages: job.messages,
    ...(typeof checksum === 'number' && { checksum }),
    program: `${program}, node ${process.version}`,
  }
  console.log(JSON.stringify(outcome))
}

/** Calls `one` for each of 0 … count - 1, `inFlight` of them at a time. */
export async function inParallel(
  count: number,
  inFlight: number,
  one: (index: number) => Promise<unknown>,
): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) await one(next++)
  }
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, lane))
}
