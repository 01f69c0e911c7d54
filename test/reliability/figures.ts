/**
 * `npm run figures`: what tests do not assert because a busy machine would fail them, measured on a real broker. How late calls and
 * functions end with servers that hang, how often the first call after a freeze succeeds, how often a peer is connected to, and who has the queues.
 */
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient, createPullConsumer } from '../../src/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { SETTINGS as LEASE_SETTINGS } from '../delivery/rocketmq-cluster.ts'
import { ROCKETMQ_VERSION } from '../support/rocketmq/install.ts'
import { startRocketMQ } from '../support/rocketmq/start.ts'
import { type CallFigure, DEADLINE_MS, measureCalls, measureFunctions, SETTINGS } from './deadlines.ts'
import { measureThaws, type ThawFigure } from './freeze.ts'
import { measureLeases } from './leases.ts'

const HELP = `npm run figures [-- options] [deadlines] [functions] [freeze] [reconnects] [leases]

  --rounds <n>   how often each freeze is made: 36 first calls for each length (default 3)
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
const isWanted = (part: string): boolean => positionals.length === 0 || positionals.includes(part)

if (values.help) console.log(HELP)
else await main()

async function main(): Promise<void> {
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim()
  const changed = git('status', '--porcelain', '--', 'src', 'functions', 'test') === '' ? '' : ' with changes'
  console.log(
    `${new Date().toISOString().slice(0, 10)}, commit ${git('rev-parse', '--short', 'HEAD')}${changed}`,
  )
  console.log(
    `RocketMQ ${ROCKETMQ_VERSION} with ${JSON.stringify(SETTINGS)}, Node ${process.versions.node}, ${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)}\n`,
  )
  if (isWanted('reconnects')) await reconnects()
  if (isWanted('leases')) await leases()
  if (!['deadlines', 'functions', 'freeze'].some(isWanted)) return
  await using rocketmq = await startRocketMQ({ settings: SETTINGS })
  if (isWanted('deadlines')) {
    const figures = await measureCalls(rocketmq)
    console.log(`## Calls with a deadline in ${DEADLINE_MS} ms\n`)
    console.log('| condition | calls | slowest | took | late by |\n|---|---|---|---|---|')
    for (const [condition, all = []] of Map.groupBy(figures, (each) => each.condition)) {
      const [slowest] = all.toSorted((a, b) => lateBy(b) - lateBy(a))
      if (!slowest) continue
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
    for (const { condition, name, outcome, leftMs } of figures)
      console.log(`| ${condition} | ${name} | ${outcome} | ${Math.round(leftMs)} ms |`)
  }
  if (isWanted('freeze')) {
    const figures = await measureThaws(rocketmq, Number(values.rounds))
    console.log('\n## First calls after a freeze\n')
    console.log(
      '| frozen | first calls | succeeded | with connections that | slowest |\n|---|---|---|---|---|',
    )
    for (const [frozen, all = []] of Map.groupBy(figures, (each) => each.frozen)) {
      const slowest = Math.max(...all.map(({ tookMs }) => tookMs))
      const ends = Object.entries(Object.groupBy(all, ({ end }) => end)).map(
        ([end, some]) => `${end}: ${succeeded(some)}`,
      )
      console.log(
        `| ${frozen} | ${all.length} | ${succeeded(all)} | ${ends.join(', ')} | ${Math.round(slowest)} ms |`,
      )
    }
    console.log('\n| function | first calls | succeeded |\n|---|---|---|')
    for (const [name, all = []] of Map.groupBy(figures, (each) => each.name))
      console.log(`| ${name} | ${all.length} | ${succeeded(all)} |`)
  }
}

function succeeded(figures: readonly ThawFigure[]): number {
  return figures.filter(({ outcome }) => outcome === 'done').length
}

/** In percent of what it had. */
function lateBy({ tookMs, allowedMs }: CallFigure): number {
  return (100 * (tookMs - allowedMs)) / allowedMs
}

/** A broker that closes each connection when it is asked something, and one that refuses, under calls without a pause. */
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
}

/** Who has the queues of two brokers, and for how long nobody has. */
async function leases(): Promise<void> {
  const { contention, afterEndMs, afterKillMs } = await measureLeases(Number(values.invocations))
  const { times, doubleOwners, told } = contention
  const lost = times.filter((each) => each === 0).length
  console.log('## Leases\n')
  console.log(`two brokers with ${JSON.stringify(LEASE_SETTINGS)}, 8 queues`)
  console.log(told)
  console.log(`${lost} of ${times.length} messages lost, ${doubleOwners.length} double owners`)
  console.log(
    `after a clean end the next owner's handler began within ${Math.max(...afterEndMs).toFixed(0)} ms (${afterEndMs.length} times)`,
  )
  console.log(`after a kill of the owner, within ${afterKillMs.map((ms) => Math.round(ms)).join(', ')} ms\n`)
}
