/**
 * Java processes that cannot outlive this one.
 *
 * One watchdog shell per Node process reads the pids of its Java processes, and the folders they write to, from a
 * pipe. When the pipe closes, however this process ended (return, exception, Ctrl-C, kill -9), the watchdog kills
 * what is left, stopped processes too, and removes the folders. Each JVM reports its own pid through the same pipe
 * before it becomes Java, so there is no moment at which it is not known.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { installRocketMQ, javaTool } from './install.ts'

const WATCHDOG = `
pids=' ' folders=
while read -r verb value; do
  case $verb in
    started) pids="$pids$value " ;;
    ended) pids="\${pids%% $value *} \${pids#* $value }" ;;
    folder) folders="$folders $value" ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
for again in 1 2 3; do
  for folder in $folders; do rm -rf "$folder"; done
  sleep 1 # a process may still write while it dies
done
`

/** Writes its pid to the watchdog on descriptor 3, then becomes the program. */
const REPORT = 'echo "started $$" >&3; exec "$@" 3>&-'

let watchdog: Writable | undefined

function tellWatchdog(line: string): void {
  watchdogPipe().write(`${line}\n`)
}

function watchdogPipe(): Writable {
  if (watchdog) return watchdog
  // Detached: Ctrl-C on the terminal must not reach the watchdog before it has done its work.
  const child = spawn('sh', ['-c', WATCHDOG], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  })
  child.unref()
  const pipe = child.stdin
  if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
  pipe.on('error', () => {})
  watchdog = pipe
  return pipe
}

/** Removes a folder when this process has ended. Paths without spaces only. */
export function removeFolderAtExit(folder: string): void {
  tellWatchdog(`folder ${folder}`)
}

export interface JavaOptions {
  mainClass: string
  /** @default that of the installation */
  classPath?: string | undefined
  args?: readonly string[]
  /** Flags of the JVM. */
  jvm?: readonly string[]
  env?: Readonly<Record<string, string>>
  /** Where standard output and error go; without it both are pipes. */
  logFile?: string
  cwd?: string
}

/** A running Java program. */
export interface JavaProcess {
  readonly child: ChildProcess
  readonly pid: number
  /** Settles when it has ended, with its exit code or the signal that ended it. Does not keep this process alive. */
  readonly ended: Promise<string>
  /** As `ended`, and keeps this process alive until then. */
  readonly wait: () => Promise<string>
  /** The reason `ended` gave, or undefined while it runs. */
  readonly end: string | undefined
  /** The last lines of its log file. */
  lastLines(): string
}

/** Starts a Java program on RocketMQ's class path, under the watchdog. */
export async function startJava(options: JavaOptions): Promise<JavaProcess> {
  const { mainClass, args = [], jvm = [], env = {}, logFile, cwd } = options
  const { classPath = (await installRocketMQ()).classPath } = options
  const command = [javaTool('java'), ...jvm, '-cp', classPath, mainClass, ...args]
  const log = logFile === undefined ? undefined : openSync(logFile, 'a')
  const child = spawn('sh', ['-c', REPORT, 'sh', ...command], {
    stdio: ['pipe', log ?? 'pipe', log ?? 'pipe', watchdogPipe()],
    env: { ...process.env, ...env },
    cwd,
    detached: true,
  })
  if (log !== undefined) closeSync(log)
  let end: string | undefined
  const ended = new Promise<string>((resolve) => {
    const settle = (reason: string): void => {
      end ??= reason
      tellWatchdog(`ended ${child.pid}`)
      resolve(end)
    }
    child.once('error', (error) => settle(String(error)))
    child.once('exit', (code, signal) => settle(signal ?? `exit code ${code}`))
  })
  if (child.pid === undefined) throw new Error(`sh could not be started: ${await ended}`)
  child.unref()
  const { pid } = child
  return {
    child,
    pid,
    ended,
    wait: () => {
      child.ref()
      return ended
    },
    get end() {
      return end
    },
    lastLines: () => (logFile === undefined ? '' : lastLines(logFile)),
  }
}

/** The last lines of a log, without logback's talk about its own configuration and the frames of other libraries. */
function lastLines(file: string): string {
  const noise = / \|-(?:INFO|WARN) in |^\s+at (?!org\.apache\.rocketmq)|^\s*$/
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines
    .filter((line) => !noise.test(line))
    .slice(-20)
    .join('\n')
}
