/** Lets the planned faults come, and notes when each began and ended. */
import { setTimeout as wait } from 'node:timers/promises'
import type { LocalLambda } from '../../src/testing/index.ts'
import { processState } from '../support/local-lambda.ts'
import type { Random } from '../support/random.ts'
import type { ChaosCluster } from './cluster.ts'
import type { History } from './history.ts'
import type { NetworkFault } from './proxy.ts'
import type { PlannedFault } from './schedule.ts'

/** Environments are frozen most of the time. */
const WAIT_FOR_WORK_MS = 8_000
const LOOK_MS = 20

export interface Stage {
  cluster: ChaosCluster
  lambda: LocalLambda
  history: History
  random: Random
}

/** Those of processes one after the other, those of the network beside them. Resolves when the last is over. */
export async function letFaultsCome(
  planned: readonly PlannedFault[],
  durationMs: number,
  stage: Stage,
): Promise<void> {
  const start = Date.now()
  const isNetwork = ({ what }: PlannedFault): boolean => what !== 'kill' && what !== 'suspend'
  const inTurn = async (faults: readonly PlannedFault[]): Promise<void> => {
    for (const fault of faults) {
      await wait(Math.max(0, start + fault.at - Date.now()))
      const at = Date.now()
      const target = await (isNetwork(fault) ? breakNetwork(fault, stage) : breakProcess(fault, stage))
      if (target === undefined) continue
      stage.history.add({ kind: 'fault', at, until: Date.now(), what: fault.what, target })
      const seconds = ((at - start) / 1_000).toFixed(0).padStart(4)
      console.log(`${seconds} s  ${fault.what} ${target}, ${((Date.now() - at) / 1_000).toFixed(1)} s`)
    }
  }
  const [network, processes] = [planned.filter(isNetwork), planned.filter((fault) => !isNetwork(fault))]
  await Promise.all([inTurn(network), inTurn(processes), wait(durationMs)])
}

async function breakNetwork({ what, target, forMs }: PlannedFault, { cluster }: Stage): Promise<string> {
  const proxy = cluster.proxies[target]
  if (!proxy) throw new Error(`there is no ${target}`)
  proxy.fault = what as NetworkFault
  await wait(forMs)
  proxy.fault = undefined
  return target
}

/** Gives what it was done to; undefined: there was nothing to do it to. */
async function breakProcess(
  fault: PlannedFault,
  { cluster, lambda, random }: Stage,
): Promise<string | undefined> {
  const { what, target, forMs } = fault
  const [, index] = /^name server (\d+)$/.exec(target) ?? []
  const { brokers, nameServerProcesses } = cluster.rocketmq
  const server = brokers.find(({ name }) => name === target) ?? nameServerProcesses[Number(index)]
  if (server) {
    if (what === 'suspend') {
      server.pause()
      await wait(forMs)
      server.resume()
    } else {
      await server.kill()
      await server.start()
    }
    return target
  }
  const name = { worker: /^consume-/, dispatcher: /^dispatch$/, publisher: /^publish$/ }[target]
  const atWork = (): { each: string; pid: number }[] =>
    Object.entries(lambda.pids()).flatMap(([each, pids]) =>
      name?.test(each) ? pids.filter(isAtWork).map((pid) => ({ each, pid })) : [],
    )
  const limit = Date.now() + WAIT_FOR_WORK_MS
  while (atWork().length === 0 && Date.now() < limit) await wait(LOOK_MS)
  const all = atWork()
  if (all.length === 0) return undefined
  const { each, pid } = random.pick(all)
  if (what === 'kill') process.kill(pid, 'SIGKILL')
  else {
    process.kill(pid, 'SIGSTOP')
    await wait(forMs)
    if (processState(pid) !== undefined) process.kill(pid, 'SIGCONT')
  }
  return `${each} ${pid}`
}

/** Not frozen between invocations. */
const isAtWork = (pid: number): boolean => /^[RS]/.test(processState(pid) ?? '')
