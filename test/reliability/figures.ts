/**
 * `npm run figures`: what tests do not assert because a busy machine would fail them, measured on a real broker. How late calls and
 * functions end with servers that hang, how often the first call after a freeze succeeds, how often a peer is connected to, and who has the queues.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { commit } from '../../scripts/commit.ts'
import { createClient, createPullConsumer } from '../../src/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { SETTINGS as LEASE_SETTINGS } from '../delivery/rocketmq-cluster.ts'
import { ROCKETMQ_VERSION } from '../support/rocketmq/install.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'
import {
  type CallFigure,
  DEADLINE_MS,
  isSound,
  measureCalls,
  measureFunctions,
  SETTINGS,
} from './deadlines.ts'
import { isPromised, measureThaws, type ThawFigure } from './freeze.ts'
import { measureInterrupted } from './interrupted.ts'
import { measureLeases } from './leases.ts'

const HELP = `npm run figures [-- options] [deadlines] [functions] [freeze] [reconnects] [leases]

Prints what was measured, and what of it is beyond its figure in docs/reliability.md: then its exit code is 1.

  --rounds <n>   how often each freeze is made: 72 first calls for each length (default 3)
  --invocations <n>   how many contend for the same 8 queues (default 1000)
  --help
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    invocations: { type: 'string', default: '1000' },
    help: { type: 'boolean', default: false },
  },
})
/** What is not as docs/reliability.md says. */
const beyond: string[] = []
const isWanted = (part: string): boolean => positionals.length === 0 || positionals.includes(part)

if (values.help) console.log(HELP)
else await main()

async function main(): Promise<void> {
  console.log(`${new Date().toISOString().slice(0, 10)}, commit ${commit('src', 'functions', 'test')}`)
  console.log(
    `RocketMQ ${ROCKETMQ_VERSION} with ${JSON.stringify(SETTINGS)}, Node ${process.versions.node}, ${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)}\n`,
  )
  if (isWanted('reconnects')) await reconnects()
  if (isWanted('leases')) await leases()
  if (['deadlines', 'functions', 'freeze'].some(isWanted)) await servers()
  console.log(`\n${beyond.length} beyond ${beyond.length === 1 ? 'its figure' : 'their figures'}`)
  for (const each of beyond) console.log(`  ${each}`)
  if (beyond.length > 0) process.exitCode = 1
}

/** With one broker: what hangs, and what was frozen. */
async function servers(): Promise<void> {
  await using rocketmq = await startRocketMQ({ settings: SETTINGS })
  if (isWanted('deadlines')) {
    const figures = await measureCalls(rocketmq)
    console.log(`## Calls with a deadline in ${DEADLINE_MS} ms\n`)
    console.log('| condition | calls | slowest | took | late by |\n|---|---|---|---|---|')
    for (const [condition, all = []] of Map.groupBy(figures, (each) => each.condition)) {
      const [slowest] = all.toSorted((a, b) => lateBy(b) - lateBy(a))
      if (!slowest) continue
      for (const each of all)
        if (lateBy(each) > 10) beyond.push(`${each.name}, ${condition}: late by ${lateBy(each).toFixed(1)} %`)
      console.log(
        `| ${condition} | ${all.length} | ${slowest.name} | ${slowest.tookMs} of ${slowest.allowedMs} ms | ${lateBy(slowest).toFixed(1)} % |`,
      )
    }
  }
  if (isWanted('functions')) {
    const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-figures-'))
    const figures = await measureFunctions(rocketmq, folder)
    await rm(folder, { recursive: true, force: true })
    console.log('\n## Functions with servers that hang\n')
    console.log('| condition | function | ended with | left of its time |\n|---|---|---|---|')
    for (const { condition, name, outcome, leftMs } of figures) {
      console.log(`| ${condition} | ${name} | ${outcome} | ${Math.round(leftMs)} ms |`)
      if (!isSound({ name, condition, outcome, leftMs }))
        beyond.push(`${name}, ${condition}: ended with ${outcome}`)
      if (!(leftMs >= 500)) beyond.push(`${name}, ${condition}: ${Math.round(leftMs)} ms left`)
    }
  }
  if (isWanted('freeze')) await freezes(rocketmq)
}

/** First calls behind a freeze, and what became of what was in flight. */
async function freezes(rocketmq: RocketMQ): Promise<void> {
  const between = await measureThaws(rocketmq, Number(values.rounds))
  const within = await measureInterrupted(rocketmq, Number(values.rounds))
  const figures = [
    ...between,
    ...within.map((each) => ({ ...each, name: `${each.name} before`, left: each.ended })),
  ]
  const slowest = (some: readonly ThawFigure[]): string =>
    `${Math.round(Math.max(...some.map(({ tookMs }) => tookMs)))} ms`
  const counts = (some: readonly string[]): string =>
    Object.entries(Object.groupBy(some, (each) => each))
      .map(([what, all = []]) => `${what}: ${all.length}`)
      .join(', ')
  console.log('\n## First calls after a freeze\n')
  console.log('| frozen | first calls | succeeded | with connections that | slowest |\n|---|---|---|---|---|')
  for (const [frozen, all = []] of Map.groupBy(figures, (each) => each.frozen)) {
    const done = all.filter(({ outcome }) => outcome === 'done')
    for (const each of all.filter(isPromised)) {
      const { name, end, outcome } = each
      if (outcome !== 'done') beyond.push(`${name}, frozen for ${frozen}, connections ${end}: ${outcome}`)
    }
    const ends = counts(done.map(({ end }) => end))
    console.log(`| ${frozen} | ${all.length} | ${done.length} | ${ends} | ${slowest(all)} |`)
  }
  console.log(
    '\n| first call | number | succeeded | slowest | with connections that vanished |\n|---|---|---|---|---|',
  )
  for (const [name, all = []] of Map.groupBy(figures, (each) => each.name)) {
    const done = all.filter(({ outcome }) => outcome === 'done').length
    const heard = all.filter(({ end }) => end !== 'vanish')
    const vanished = all.filter(({ end }) => end === 'vanish')
    console.log(`| ${name} | ${all.length} | ${done} | ${slowest(heard)} | ${slowest(vanished)} |`)
  }
  console.log('\n## What was in flight at a freeze\n')
  console.log(
    'Calls with a timeoutMs of 1000 ms, functions with 300 s: within them when frozen for up to 130 s, beyond with 20 min.\n',
  )
  console.log('| in flight | frozen up to 130 s | 20 min |\n|---|---|---|')
  for (const [name, all = []] of Map.groupBy(
    figures.filter(({ left }) => left !== undefined),
    (each) => each.name,
  )) {
    const [short, long] = [true, false].map((isShort) =>
      counts(all.filter(({ frozen }) => (frozen !== '20 min') === isShort).map(({ left = '' }) => left)),
    )
    console.log(`| ${name.replace(/, one in flight$| before$/, '')} | ${short} | ${long} |`)
  }
  const untrue = within.flatMap((each) => each.untrue)
  const copies = within.reduce((sum, each) => sum + each.copies, 0)
  console.log(
    `\n${untrue.length} of ${within.length} functions told what is not true; ${copies} messages were stored once more, under their ids`,
  )
  for (const each of untrue) console.log(each)
  beyond.push(...untrue)
}

/** In percent of what it had. */
function lateBy({ tookMs, allowedMs }: CallFigure): number {
  return (100 * (tookMs - allowedMs)) / allowedMs
}

/** A broker that closes each connection when it is asked something, under calls without a pause. */
async function reconnects(): Promise<void> {
  const SECONDS = 20
  const times: number[] = []
  const server = createServer((socket: Socket) => {
    times.push(performance.now())
    socket.on('error', () => undefined).once('data', () => socket.resetAndDestroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = `127.0.0.1:${(server.address() as { port: number }).port}`
  const broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers, addressMap: () => address })
  const consumer = createPullConsumer(client, { consumerGroup: 'g' })
  const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
  const end = performance.now() + SECONDS * 1_000
  let calls = 0
  const call = async (): Promise<void> => {
    while (performance.now() < end) {
      await consumer.commitOffset(queue, 0n).catch(() => undefined)
      calls += 1
    }
  }
  await Promise.all(Array.from({ length: 20 }, call))
  await client.close()
  await broker.close()
  server.close()
  const most = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length))
  const gaps = times.slice(2).map((at, index) => Math.round(at - (times[index] ?? 0)))
  console.log('## Connects to a broker that closes at once, under 20 callers without a pause\n')
  console.log(`${times.length} in ${SECONDS} s for ${calls} calls, ${most} in one second at most`)
  console.log(`from each to the next but one: ${Math.min(...gaps)} to ${Math.max(...gaps)} ms\n`)
  if (most > 2) beyond.push(`${most} connects in one second`)
}

/** Who has the queues of two brokers, and for how long nobody has. */
async function leases(): Promise<void> {
  const { contention, afterEndMs, afterKillMs } = await measureLeases(Number(values.invocations))
  const { processes, messages, owners, denied, cut, lost, twice, doubleOwners } = contention
  const spread = (all: readonly number[]): string =>
    [0.5, 0.99, 1]
      .map((part) => `${(all[Math.ceil(part * all.length) - 1] ?? Number.NaN).toFixed(0)} ms`)
      .join(', ')
  console.log('## Leases\n')
  console.log(`two brokers with ${JSON.stringify(LEASE_SETTINGS)}, 8 queues\n`)
  console.log(
    `${values.invocations} invocations in ${processes} processes for some of them each: ${owners} got queues, ${denied} had to leave some to others, ${cut} were cut off`,
  )
  console.log(`${doubleOwners.length} double owners; ${lost} of ${messages} messages lost, ${twice} twice`)
  const { afterEnd, afterCut } = contention
  console.log('from the last record of a queue’s owner to the first of the next one (median, 99 %, longest):')
  console.log(`  ${afterEnd.length} times behind one that had ended: ${spread(afterEnd)}`)
  if (afterCut.length > 0)
    console.log(`  ${afterCut.length} times behind one that was cut off: ${spread(afterCut)}`)
  console.log('takeover, from the start of the next invocation, or the kill, to the first record:')
  console.log(
    `  after a clean end: ${spread(afterEndMs.toSorted((a, b) => a - b))} (${afterEndMs.length} times)`,
  )
  console.log(`  after a kill: ${afterKillMs.map((ms) => `${Math.round(ms)} ms`).join(', ')}\n`)
  for (const each of doubleOwners) beyond.push(`double owner: ${each}`)
  if (lost > 0) beyond.push(`${lost} messages lost`)
  for (const ms of afterEndMs)
    if (!(ms < 1_000)) beyond.push(`taken over ${Math.round(ms)} ms after a clean end`)
  for (const ms of afterKillMs)
    if (!(ms <= 61_000)) beyond.push(`taken over ${Math.round(ms)} ms after a kill`)
}
