/** For tests of the local Lambda: handlers written into a folder of their own, a clock that is moved, a gate, processes. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { LambdaClient } from '@aws-sdk/client-lambda'
import {
  type Clock,
  type LambdaOptions,
  type LocalFunction,
  type LocalLambda,
  startLambda,
} from '../../src/testing/index.ts'

/** The settings of a function whose file is written for the test. */
export interface TestFunction extends Omit<LocalFunction, 'handler'> {
  /** The text of index.mjs. */
  source: string
}

export async function testFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'local-lambda-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Writes the handlers and starts a local Lambda, which ends with the test. */
export async function localLambda(
  t: TestContext,
  functions: Readonly<Record<string, string | TestFunction>>,
  options: Omit<LambdaOptions, 'functions'> = {},
): Promise<LocalLambda> {
  const folder = await testFolder(t)
  const written: Record<string, LocalFunction> = {}
  for (const [name, each] of Object.entries(functions)) {
    const { source, ...settings } = typeof each === 'string' ? { source: each } : each
    const handler = join(folder, `${name}.mjs`)
    await writeFile(handler, source)
    // What Lambda gives by default is scarce on a busy machine.
    written[name] = { timeoutSeconds: 60, ...settings, handler }
  }
  const lambda = await startLambda({ functions: written, ...options })
  t.after(() => lambda.close())
  return lambda
}

/** AWS's own client, as a user sets it up; it tries once, so that each test sees the first answer. */
export function sdkClient(t: TestContext, { endpoint }: LocalLambda): LambdaClient {
  const client = new LambdaClient({
    endpoint,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  })
  t.after(() => client.destroy())
  return client
}

/** A clock that stands still until it is moved; what falls due is run on the way. */
export function manualClock(start: number = Date.UTC(2026, 0, 1)): Clock & { advance(ms: number): void } {
  let now = start
  const timers = new Set<{ time: number; run: () => void }>()
  return {
    now: () => now,
    at(time, run) {
      const timer = { time, run }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    advance(ms) {
      const end = now + ms
      for (;;) {
        const [next] = [...timers].filter(({ time }) => time <= end).sort((a, b) => a.time - b.time)
        if (!next) break
        timers.delete(next)
        now = Math.max(now, next.time)
        next.run()
      }
      now = end
    },
  }
}

/** What is left when it is over is ended: a test's context, or whatever else runs something. */
export interface Scope {
  after(end: () => unknown): void
}

/** A server at which handlers wait (`await fetch(event.gate)`) until the test lets them go on. */
export async function gate(t: Scope): Promise<{
  url: string
  /** Resolves when so many have come in all. */
  arrived(count: number): Promise<void>
  /** Lets those that wait go on, and all that come later. */
  open(): void
}> {
  const waiting: ServerResponse[] = []
  const watchers: (() => void)[] = []
  let count = 0
  let isOpen = false
  const server = createServer((_, response) => {
    count++
    if (isOpen) response.end()
    else waiting.push(response)
    for (const watch of watchers) watch()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    arrived: (wanted) =>
      new Promise((resolve) => {
        const watch = (): void => {
          if (count >= wanted) resolve()
        }
        watchers.push(watch)
        watch()
      }),
    open() {
      isOpen = true
      for (const response of waiting) response.end()
    },
  }
}

/** The state of a process as /proc has it (`T`: stopped); undefined when it is gone, or waits to be collected. */
export function processState(pid: number): string | undefined {
  try {
    const [state] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? ''
    return state === 'Z' || state === 'X' ? undefined : state
  } catch {
    return undefined
  }
}

/** Looks again and again, while everything else goes on. The test's own time limit ends it. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await setImmediate()
}
