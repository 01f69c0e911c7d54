/**
 * `npm run chaos`: the bundled functions on real brokers while faults come, and what a judge finds in the history of it.
 * docs/reliability.md says what is promised, and which figure tells of it.
 */
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { commit } from '../../scripts/commit.ts'
import { createClient } from '../../src/index.ts'
import type { LocalLambda } from '../../src/testing/index.ts'
import { seeded } from '../support/random.ts'
import { ROCKETMQ_VERSION } from '../support/rocketmq/install.ts'
import { startCluster } from './cluster.ts'
import { noteCommits } from './commits.ts'
import { drained } from './drained.ts'
import { faultTable, letFaultsCome } from './faults.ts'
import { findingsOf } from './findings.ts'
import { GROUPS, ORDERS, PAYMENTS, QUEUES, startFunctions } from './functions.ts'
import { readHistory, writeHistory } from './history.ts'
import { judge } from './judge.ts'
import { contentOf, halvesOf, noteHeld, noteStalls, sampleOffsets } from './observe.ts'
import { planFaults } from './schedule.ts'
import { startWorkload } from './workload.ts'

const HELP = `npm run chaos [-- options]

Kills, suspends and cuts off what the functions need, by a schedule that follows from the seed, and judges what became of
every message. Exit code 1, and the history is kept, when something was lost, swapped, owned by two or left unfinished and no
fault of the schedule explains it.

  --seed <n>       (default: the time)
  --minutes <n>    how long faults come; everything has to come to its end behind them (default 10)
  --every <s>      a server is killed or suspended so often, and a function as well (default 30)
  --keep           keep the history, too, when nothing was found
  --judge <file>   judge a history again, and run nothing
  --help
`
const BROKERS = 2
const NAME_SERVERS = 2
/** Brokers as shipped, but for the checks of transactions, which would take most of the run, and reads from the replica. */
const SETTINGS = {
  transactionTimeOut: 6_000,
  transactionCheckInterval: 5_000,
  registerNameServerPeriod: 10_000,
  waitTimeMillsInSendQueue: 5_000,
  // Otherwise a replica answers every pull with code 2, as if it were busy.
  slaveReadEnable: true,
}
/** Leases of those that were killed last end after 60 s. */
const PATIENCE_MS = 240_000
const LOOK_EVERY_MS = 5_000

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    minutes: { type: 'string', default: '10' },
    every: { type: 'string', default: '30' },
    keep: { type: 'boolean', default: false },
    judge: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const [seed, minutes, every] = [values.seed, values.minutes, values.every].map(Number) as [
  number,
  number,
  number,
]

if (values.help) console.log(HELP)
else if (values.judge !== undefined) tell(values.judge)
else if (!Number.isSafeInteger(seed) || !(minutes > 0) || !(every > 0)) {
  console.error(`--seed, --minutes and --every take numbers\n\n${HELP}`)
  process.exitCode = 2
} else await main()

async function main(): Promise<void> {
  const folder = join(import.meta.dirname, '../../.build/chaos', String(seed))
  // What a run with this seed has left is what a second one is compared with.
  await rm(`${folder}-before`, { recursive: true, force: true })
  if (existsSync(folder)) await rename(folder, `${folder}-before`)
  await mkdir(folder, { recursive: true })
  const file = join(folder, 'history.jsonl')
  const history = writeHistory(file)
  const madeOf = commit()
  const at = Date.now()
  const everyMs = every * 1_000
  const settings = JSON.stringify({
    brokers: BROKERS,
    replicas: 1,
    nameServers: NAME_SERVERS,
    queues: QUEUES,
    ...SETTINGS,
  })
  console.log(
    `${new Date(at).toISOString().slice(0, 10)}, seed ${seed}, ${minutes} minutes, a server and a function killed or suspended every ${every} s
commit ${madeOf}, Node.js ${process.version}, RocketMQ ${ROCKETMQ_VERSION} with ${settings}`,
  )
  history.add({ kind: 'run', seed, at, minutes, everyMs, commit: madeOf, settings })
  const random = seeded(seed)
  const cluster = await startCluster(
    { brokers: BROKERS, replica: true, nameServers: NAME_SERVERS, settings: SETTINGS },
    folder,
    random,
  )
  let lambda: LocalLambda | undefined
  const client = createClient({ nameServers: cluster.nameServers, timeoutMs: 10_000 })
  try {
    for (const topic of [ORDERS, PAYMENTS]) await cluster.createTopic(topic, QUEUES)
    lambda = await startFunctions(cluster.nameServers, folder, history)
    const workload = startWorkload(lambda, history, seed)
    const sampling = sampleOffsets(client, cluster, history)
    const watching = noteStalls(history)
    const durationMs = minutes * 60_000
    const { brokers } = cluster
    const others = Object.keys(cluster.servers).filter((name) => !brokers.includes(name))
    const planned = planFaults({ seed, durationMs, everyMs, brokers, others })
    history.add({ kind: 'begin', at: Date.now() })
    await letFaultsCome(planned, durationMs, { cluster, lambda, history, random })
    await workload.stopPublishing()
    history.add({ kind: 'healed', at: Date.now() })
    const isDrained = await drained({
      groups: GROUPS,
      workload,
      history,
      contentOf: (topic) => contentOf(client, topic),
      halvesOf: () => halvesOf(client, cluster),
      patienceMs: PATIENCE_MS,
      pauseMs: LOOK_EVERY_MS,
    })
    await workload.stop()
    await sampling.stop()
    watching.stop()
    await noteHeld(client, history)
    for (const half of await halvesOf(client, cluster)) history.add(half)
    const connections = Object.values(cluster.proxies).reduce((sum, proxy) => sum + proxy.connections, 0)
    history.add({ kind: 'over', at: Date.now(), isDrained, connections })
  } finally {
    await client.close()
    await lambda?.close()
    await cluster.stop()
    // What was recorded until then.
    for (const broker of cluster.brokers) await noteCommits(join(folder, `${broker}.bytes`), broker, history)
    await history.close()
  }
  const isSound = tell(file)
  if (isSound && !values.keep) await rm(folder, { recursive: true, force: true })
  else console.log(`history and bytes: ${folder}`)
}

/** Prints the figures and what was found. */
function tell(file: string): boolean {
  const history = readHistory(file)
  const run = history.find((each) => each.kind === 'run')
  console.log(`run at commit ${run?.commit ?? 'unknown'}, judged at commit ${commit()}`)
  console.log(faultTable(history))
  const verdict = judge(history)
  const begin = history.find((each) => each.kind === 'begin')
  for (const line of findingsOf(verdict, begin?.at ?? 0)) console.log(line)
  const isSound = verdict.violations.length === 0
  process.exitCode = isSound ? 0 : 1
  return isSound
}
