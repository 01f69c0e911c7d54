/**
 * The programs that are compared: each is installed and built below `.build/bench`, and takes a Job. One that cannot be
 * had here is listed with the reason.
 */
import { execFile, spawn } from 'node:child_process'
import { cp, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { installRocketMQ, javaTool } from '../test/support/rocketmq/install.ts'
import type { Settings } from '../test/support/rocketmq/start.ts'
import type { Job, Outcome } from './job.ts'

const run = promisify(execFile)
const here = import.meta.dirname
export const outFolder: string = join(here, '../.build/bench')

export interface Program {
  name: string
  /** Command and arguments, without the job. */
  command: readonly string[]
  /** Why it cannot run here. */
  problem?: string
}

/** For the broker: a busy machine is no reason to refuse messages. */
export const patient: Settings = { waitTimeMillsInSendQueue: 30_000, osPageCacheBusyTimeOutMills: 30_000 }

/** What a program did with a job, or why it did not. */
export type Result = { outcome: Outcome; brokerCpuSeconds: number } | { problem: string }

export const LIMIT = 'the limit'
export const OWN = 'rocketmq-lambda'

export async function preparePrograms(): Promise<Program[]> {
  await mkdir(outFolder, { recursive: true })
  const peers: [name: string, build: () => Promise<string[]>][] = [
    ['ali-ons', buildAliOns],
    ['Go client v2', buildGo],
    ['Java client', buildJava],
  ]
  const programs: Program[] = [
    { name: LIMIT, command: [process.execPath, join(here, 'programs/limit.ts')] },
    { name: OWN, command: [process.execPath, join(here, 'programs/client.ts')] },
  ]
  for (const [name, build] of peers) {
    try {
      programs.push({ name, command: await build() })
    } catch (error) {
      programs.push({ name, command: [], problem: firstLine(error) })
    }
  }
  return programs
}

async function buildAliOns(): Promise<string[]> {
  const folder = join(outFolder, 'ali-ons')
  await cp(join(here, 'peers/ali-ons'), folder, { recursive: true })
  await run('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund'])
  return [process.execPath, join(folder, 'main.mjs')]
}

async function buildGo(): Promise<string[]> {
  const binary = join(outFolder, 'go-client')
  await run('go', ['build', '-trimpath', '-o', binary, '.'], { cwd: join(here, 'peers/go') })
  return [binary]
}

async function buildJava(): Promise<string[]> {
  const { classPath } = await installRocketMQ()
  const classes = join(outFolder, 'java')
  const source = join(here, 'peers/java')
  await run(javaTool('javac'), ['-nowarn', '-cp', classPath, '-d', classes, join(source, 'Bench.java')])
  const flags = [
    `-Drmq.logback.configurationFile=${join(source, 'rmq.logback.xml')}`,
    `-Duser.home=${join(outFolder, 'home')}`,
  ]
  return [javaTool('java'), ...flags, '-cp', `${classes}:${classPath}`, 'Bench']
}

/** Runs a program once, and says what the broker spent on it. */
export async function runProgram(program: Program, job: Job, brokerPid: number): Promise<Result> {
  if (program.problem !== undefined) return { problem: program.problem }
  const [command = '', ...args] = program.command
  const before = await cpuSecondsOf(brokerPid)
  const child = spawn(command, [...args, JSON.stringify(job)], { stdio: ['ignore', 'pipe', 'pipe'] })
  const printed = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text
    })
  const code = await new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (exitCode, signal) => resolve(exitCode ?? signal ?? 'gone'))
  })
  if (code !== 0) return { problem: firstLine(printed.stderr) || `ended with ${code}` }
  const outcome: Outcome = JSON.parse(printed.stdout.trim().split('\n').at(-1) ?? '')
  return { outcome, brokerCpuSeconds: (await cpuSecondsOf(brokerPid)) - before }
}

/** User and system time of a process; Linux counts them in hundredths of a second. */
async function cpuSecondsOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** The line that says what went wrong. */
function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const lines = text.split('\n').map((line) => line.trim())
  // Node prints where it was thrown before what it was.
  return (lines.find((line) => /^\w*Error: /.test(line)) ?? lines.find(Boolean) ?? '').slice(0, 160)
}
