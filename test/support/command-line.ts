/** For tests of the command line: it runs in a process of its own, from the sources. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { until } from '../conformance/context.ts'

const root: string = join(import.meta.dirname, '../..')
export const MAIN: string = join(root, 'src/cli/main.ts')
/** On a machine without time a command needs most of it to start. */
const PATIENCE_MS = 120_000

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface RunningCommand {
  readonly child: ChildProcessByStdio<Writable | null, Readable, Readable>
  /** What it has printed so far. */
  readonly output: Pick<Ended, 'stdout' | 'stderr'>
  /** Resolves when stdout has it anywhere; rejects when the process ends before. */
  seen(pattern: RegExp): Promise<void>
  /** Resolves to the match when stdout has it, from where the last match ended; rejects when the process ends before. */
  printed(pattern: RegExp): Promise<RegExpExecArray>
  readonly ended: Promise<Ended>
}

export interface CommandOptions {
  /** The program. @default the sources' */
  main?: string
  cwd?: string
  environment?: Readonly<Record<string, string>>
  /** What stdin has. @default nothing */
  input?: string
}

export function startCommand(args: readonly string[], options: CommandOptions = {}): RunningCommand {
  const { main = MAIN, cwd = root, environment = {}, input } = options
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  const child = spawn(process.execPath, [main, ...args], {
    cwd,
    env: { ...inherited, NO_COLOR: '1', ...environment },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  }) as ChildProcessByStdio<Writable | null, Readable, Readable>
  child.stdin?.end(input)
  const output = { stdout: '', stderr: '' }
  const watchers = new Set<() => void>()
  let from = 0
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
      for (const watch of watchers) watch()
    })
  const closed = once(child, 'close') as Promise<[code: Ended['code'], signal: Ended['signal']]>
  const ended = closed.then(([code, signal]) => ({ code, signal, ...output }))
  /** Resolves to what `find` gives, as soon as it gives something. */
  const waitFor = <T>(find: () => T | null): Promise<T> =>
    new Promise((resolve, reject) => {
      const watch = (): void => {
        const found = find()
        if (found === null) return
        watchers.delete(watch)
        resolve(found)
      }
      watchers.add(watch)
      watch()
      void ended.then(() => reject(new Error(`it ended before: ${output.stdout}${output.stderr}`)))
    })
  return {
    child,
    output,
    ended,
    async seen(pattern) {
      await waitFor(() => pattern.exec(output.stdout))
    },
    printed: (pattern) =>
      waitFor(() => {
        const match = pattern.exec(output.stdout.slice(from))
        if (match) from += match.index + match[0].length
        return match
      }),
  }
}

export const runCommand = async (args: readonly string[], options?: CommandOptions): Promise<Ended> =>
  await startCommand(args, options).ended

/** Waits for what a running command brings about, unless it ends before. */
export async function broughtAbout(
  { ended, output }: RunningCommand,
  what: string,
  isThere: () => boolean | Promise<boolean>,
): Promise<void> {
  const isOver = ended.then(() => {
    throw new Error(`it ended before: ${output.stdout}${output.stderr}`)
  })
  await Promise.race([until(what, isThere, PATIENCE_MS), isOver])
}

/** The command with a stdout that takes nothing, as a file on a full disk: Linux has one. */
export async function runOnFullDisk(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Pick<Ended, 'code' | 'stderr'>> {
  await using full = await open('/dev/full', 'w')
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...inherited, NO_COLOR: '1', ...environment },
    stdio: ['ignore', full.fd, 'pipe'],
  })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [code] = (await once(child, 'close')) as [code: number | null]
  return { code, stderr }
}

/** Whether there is a program that makes terminals: util-linux's. */
export const hasTerminal: boolean = process.platform === 'linux'

/**
 * The command on a terminal of its own.
 * @param answer typed as soon as it asks
 */
export async function runOnTerminal(
  args: readonly string[],
  answer: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; output: string }> {
  // Node takes no terminal of a continuous integration for one with colours.
  const { NODE_TEST_CONTEXT: _, NO_COLOR: __, CI: ___, ...inherited } = process.env
  const line = [process.execPath, MAIN, ...args].map((word) => `'${word}'`).join(' ')
  const child = spawn('script', ['-qefc', line, '/dev/null'], {
    env: { ...inherited, TERM: 'xterm', ...environment },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  let asked = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (asked || !output.includes('[y/N]')) return
    asked = true
    child.stdin.write(answer)
  })
  const [code] = (await once(child, 'close')) as [code: number | null]
  child.stdin.destroy()
  return { code, output }
}
