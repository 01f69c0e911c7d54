/**
 * One RocketMQ server as a process: started from a properties file, ready when its log says so, stopped, killed,
 * paused and started again on the same ports and the same store.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type JavaProcess, startJava } from './jvm.ts'

/** Lines of a properties file. */
export type Settings = Readonly<Record<string, string | number | boolean>>

export interface ServerOptions {
  /** What to call it in errors. */
  label: string
  mainClass: string
  /** Its home: configuration, store and logs. */
  folder: string
  settings: Settings
  jvm: readonly string[]
  /** Resolves to true once others can use it; asked again and again after its log said that it has started. */
  isReady?: () => Promise<boolean>
}

export interface Server {
  /** The pid of the running process, or of the last one. */
  readonly pid: number
  readonly logFile: string
  start(settings?: Settings): Promise<void>
  /** Ends it with SIGTERM: the store is flushed and it leaves the name server. A broker takes up to 11 s. */
  stop(): Promise<void>
  /** Ends it with SIGKILL. */
  kill(): Promise<void>
  /** Stops the process in its tracks (SIGSTOP): connections stay open and nothing answers. */
  pause(): void
  resume(): void
}

const START_TIMEOUT_MS = 90_000
const STOP_TIMEOUT_MS = 30_000

/** What a server prints when its ports are taken. */
const PORT_TAKEN = /BindException|Address already in use|bind.*failed/i

/** Thrown when a server could not bind; the caller may choose other ports. */
export class PortTakenError extends Error {}

/** Describes a server; `start()` starts it. */
export function createServer(options: ServerOptions): Server {
  const { label, mainClass, folder, jvm, isReady } = options
  const logFile = join(folder, 'console.log')
  const configuration = join(folder, 'server.conf')
  let settings = options.settings
  let java: JavaProcess | undefined

  const running = (): JavaProcess => {
    if (!java || java.end !== undefined) throw new Error(`${label} is not running`)
    return java
  }
  const failure = (process: JavaProcess, what: string): Error => {
    const text = `${label} ${what}. Last lines of ${logFile}:\n${process.lastLines()}`
    return PORT_TAKEN.test(text) ? new PortTakenError(text) : new Error(text)
  }

  const start = async (changes: Settings = {}): Promise<void> => {
    if (java && java.end === undefined) throw new Error(`${label} is running`)
    settings = { ...settings, ...changes }
    writeLogging(folder)
    writeFileSync(configuration, formatSettings(settings))
    const from = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0
    const flags = [...jvm, `-Duser.home=${folder}`, `-Djava.io.tmpdir=${folder}`]
    const env = { ROCKETMQ_HOME: folder }
    const process = await startJava({
      mainClass,
      args: ['-c', configuration],
      jvm: flags,
      env,
      logFile,
      cwd: folder,
    })
    java = process
    const limit = Date.now() + START_TIMEOUT_MS
    let booted = false
    for (;;) {
      if (process.end !== undefined) throw failure(process, `ended while starting (${process.end})`)
      booted ||= (await readFile(logFile, 'utf8')).slice(from).includes('boot success')
      if (booted && (!isReady || (await isReady()))) return
      if (Date.now() > limit) {
        process.child.kill('SIGKILL')
        throw failure(process, `was not ready after ${START_TIMEOUT_MS / 1000} s`)
      }
      await delay(50)
    }
  }

  const end = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    if (!java || java.end !== undefined) return
    const { child } = java
    child.kill(signal)
    child.kill('SIGCONT')
    const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await java.wait()
    clearTimeout(impatience)
  }

  return {
    get pid() {
      if (!java) throw new Error(`${label} was never started`)
      return java.pid
    },
    logFile,
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => {
      const { child, pid: its } = running()
      child.kill('SIGSTOP')
      waitForStop(its)
    },
    resume: () => void running().child.kill('SIGCONT'),
  }
}

/** A thread that runs on another core may still answer for a moment. Where there is no /proc this is not waited for. */
function waitForStop(pid: number): void {
  if (process.platform !== 'linux') return
  const isStopped = (thread: string): boolean => {
    try {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')
      return /^ [TtZX]/.test(stat.slice(stat.lastIndexOf(')') + 1))
    } catch {
      return false // it has just ended; the next listing is without it
    }
  }
  const limit = Date.now() + STOP_TIMEOUT_MS
  while (!readdirSync(`/proc/${pid}/task`).every(isStopped))
    if (Date.now() > limit) throw new Error(`process ${pid} does not stop`)
}

const LOGGING = `<configuration>
  <appender name="file" class="ch.qos.logback.core.FileAppender">
    <file>\${user.home}/logs/rocketmqlogs/all.log</file>
    <encoder><pattern>%d{HH:mm:ss.SSS} %p %logger{0} %t - %m%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="file" /></root>
</configuration>
`

/** Programs of 4.x do not start without these files in their home; those of 5.x have their own in their jars. */
export function writeLogging(home: string): void {
  mkdirSync(join(home, 'conf'), { recursive: true })
  for (const program of ['namesrv', 'broker', 'tools'])
    writeFileSync(join(home, `conf/logback_${program}.xml`), LOGGING)
}

function formatSettings(settings: Settings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${String(value).replaceAll('\\', '\\\\')}\n`)
    .join('')
}
