/** Lets the planned faults come, and notes when each began and ended and whom it met. */
import { setTimeout as wait } from 'node:timers/promises'
import type { LocalLambda } from '../../src/testing/index.ts'
import { processState } from '../support/local-lambda.ts'
import type { Random } from '../support/random.ts'
import type { ChaosCluster } from './cluster.ts'
import type { Happening, History } from './history.ts'
import type { NetworkFault } from './proxy.ts'
import type { FunctionTarget, PlannedFault, Schedule } from './schedule.ts'

/** Environments are frozen most of the time; two windows of the check are 8 s apart. */
const WAIT_FOR_WORK_MS = 20_000
/** Some of them are at work for 20 ms only. */
const LOOK_MS = 5
/** What an environment has written before it stopped is read by then. */
const READ_MS = 500
/** Its last lines are among so many of the history. */
const LAST_LINES = 50

/** Which functions each kind of them is. */
const NAMES: Readonly<Record<FunctionTarget, RegExp>> = {
  worker: /^consume-/,
  dispatcher: /^dispatch$/,
  publisher: /^publish$/,
  'end-transaction': /^end-transaction$/,
  'check-transactions': /^check-transactions$/,
  sleeper: /^consume-long$/,
}

export interface Stage {
  cluster: ChaosCluster
  lambda: LocalLambda
  history: History
  random: Random
}

type Fault = Extract<Happening, { kind: 'fault' }>
/** When it was done to whom; undefined: there was nobody to do it to. */
type Come = (fault: PlannedFault, stage: Stage) => Promise<Omit<Fault, 'kind' | 'what'> | undefined>

/** Resolves when the last is over. */
export async function letFaultsCome(schedule: Schedule, durationMs: number, stage: Stage): Promise<void> {
  const start = Date.now()
  const tell = (at: number, text: string): void =>
    console.log(`${((at - start) / 1_000).toFixed(0).padStart(4)} s  ${text}`)
  const inTurn = async (faults: readonly PlannedFault[], come: Come): Promise<void> => {
    for (const fault of faults) {
      await wait(Math.max(0, start + fault.at - Date.now()))
      const { what } = fault
      const done = await come(fault, stage)
      if (!done) {
        const at = Date.now()
        stage.history.add({ kind: 'fault', what, target: fault.target, at, until: at, met: 0 })
        tell(at, `${what}: no ${fault.target} was at work`)
        continue
      }
      stage.history.add({ kind: 'fault', what, ...done })
      const { at, until, target, met } = done
      const seconds = ((until - at) / 1_000).toFixed(1)
      tell(at, `${what} ${target}, ${seconds} s${met === undefined ? '' : `, met ${met}`}`)
    }
  }
  await Promise.all([
    inTurn(schedule.servers, breakServer),
    inTurn(schedule.functions, breakFunction),
    inTurn(schedule.network, breakNetwork),
    inTurn(schedule.sleeper, breakFunction),
    wait(durationMs),
  ])
}

const breakNetwork: Come = async ({ what, target, forMs }, { cluster }) => {
  const proxy = cluster.proxies[target]
  if (!proxy) throw new Error(`there is no ${target}`)
  const at = Date.now()
  proxy.fault = what as NetworkFault
  await wait(forMs)
  const { met } = proxy
  proxy.fault = undefined
  return { at, until: Date.now(), target, met }
}

const breakServer: Come = async ({ what, target, forMs }, { cluster }) => {
  const server = cluster.servers[target]
  if (!server) throw new Error(`there is no ${target}`)
  const at = Date.now()
  if (what === 'suspend') {
    server.pause()
    await wait(forMs)
    server.resume()
  } else {
    await server.kill()
    await server.start()
  }
  return { at, until: Date.now(), target }
}

const breakFunction: Come = async ({ what, target, forMs }, stage) => {
  const { lambda, history, random } = stage
  const name = NAMES[target as FunctionTarget]
  const atWork = (): { each: string; pid: number }[] =>
    Object.entries(lambda.pids()).flatMap(([each, pids]) =>
      name.test(each)
        ? pids.filter((pid) => isAtWork(pid) && hasStarted(history, pid)).map((pid) => ({ each, pid }))
        : [],
    )
  const limit = Date.now() + WAIT_FOR_WORK_MS
  for (; Date.now() < limit; await wait(LOOK_MS)) {
    const all = atWork()
    if (all.length === 0) continue
    const { each, pid } = random.pick(all)
    const invocation = target === 'sleeper' ? handlerIn(history, pid) : ''
    if (invocation === undefined) continue
    const at = Date.now()
    process.kill(pid, what === 'kill' ? 'SIGKILL' : 'SIGSTOP')
    if (what === 'kill') return { at, until: Date.now(), target: `${each} ${pid}` }
    if (target === 'sleeper') {
      await wait(READ_MS)
      // It had ended meanwhile; the next one may have been stopped in its place, which would stay so.
      if (hasEnded(history, invocation)) {
        if (processState(pid) !== undefined) process.kill(pid, 'SIGCONT')
        continue
      }
    }
    // An environment is killed at its time limit, suspended or not.
    while (Date.now() < at + forMs && processState(pid) !== undefined) await wait(LOOK_MS)
    const until = Date.now()
    if (processState(pid) !== undefined) process.kill(pid, 'SIGCONT')
    return { at, until, target: `${each} ${pid}` }
  }
  return undefined
}

/** Not frozen between invocations. */
const isAtWork = (pid: number): boolean => /^[RS]/.test(processState(pid) ?? '')

/** An environment that is still starting has no invocation yet that a kill would end: what it fails with tells of no process. */
const hasStarted = ({ all }: History, pid: number): boolean =>
  all.some((each) => each.kind === 'invocation' && each.pid === pid)

/** The invocation in which an environment has records in its hands, as far as it has told. */
function handlerIn({ all }: History, pid: number): string | undefined {
  const lines = all.slice(-LAST_LINES)
  const last = lines.findLast((each) => each.kind === 'record' && each.pid === pid)
  if (last?.kind !== 'record' || last.what !== 'start') return undefined
  return hasEnded({ all: lines }, last.invocation) ? undefined : last.invocation
}

const hasEnded = ({ all }: Pick<History, 'all'>, invocation: string): boolean =>
  all.some((each) => each.kind === 'invocation' && each.invocation === invocation)

/** How often each kind of fault has met servers and functions of each kind; `met nobody`: no frame came by, or nobody was at work. */
export function faultTable(history: readonly Happening[]): string {
  const counts = new Map<string, Map<string, number>>()
  const columns = new Set<string>()
  for (const each of history) {
    if (each.kind !== 'fault') continue
    const column = each.met === 0 ? NOBODY : kindOf(each.target)
    columns.add(column)
    const row = counts.get(each.what) ?? new Map<string, number>()
    row.set(column, (row.get(column) ?? 0) + 1)
    counts.set(each.what, row)
  }
  const names = [...columns].sort((a, b) => Number(a === NOBODY) - Number(b === NOBODY) || (a < b ? -1 : 1))
  const width = Math.max(...[...counts.keys()].map(({ length }) => length))
  const line = (what: string, cells: readonly string[]): string =>
    [what.padEnd(width), ...cells.map((cell, index) => cell.padStart(names[index]?.length ?? 0))]
      .join('  ')
      .trimEnd()
  return [
    line('', names),
    ...[...counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, row]) =>
        line(
          what,
          names.map((name) => String(row.get(name) ?? '')),
        ),
      ),
  ].join('\n')
}

const NOBODY = 'met nobody'

/** `broker`, `replica`, `name server`, or the name of a function. */
function kindOf(target: string): string {
  const [, kind = ''] = /^(broker|replica|name server|consume|[a-z-]+)/.exec(target) ?? []
  return kind
}
