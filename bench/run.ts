/**
 * `npm run bench`: this client beside its peers and beside the limit, against one real Apache RocketMQ that it starts
 * itself. Every row is run three times, the programs taking turns, and the medians are printed and written into
 * docs/benchmarks.md.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { commit } from '../scripts/commit.ts'
import { ROCKETMQ_VERSION } from '../test/support/rocketmq/install.ts'
import { authSettings, type RocketMQ, type Settings, startRocketMQ } from '../test/support/rocketmq/start.ts'
import { coldStarts } from './cold.ts'
import { dispatchTicks } from './dispatch.ts'
import { drainProgram, idleRuns } from './event-source.ts'
import { growth } from './growth.ts'
import type { Job } from './job.ts'
import { LIMIT, OWN, type Program, patient, preparePrograms, type Result, runProgram } from './programs.ts'
import { warmPublish } from './publish.ts'
import { type Cells, type Figures, figuresOf, rowTable, table, whole, withTables } from './report.ts'
import { drainRows, FULL, inFlightSteps, otherRows, queueSteps, type Row, rows, WARM_UP } from './rows.ts'
import { transactionRuns } from './transactions.ts'

const HELP = `npm run bench [-- options]

  --only <part>     speed, features, growth, cold, event-source, dispatcher, publish or transactions; may be repeated (default: all, and docs/benchmarks.md is written)
  --repetitions <n> (default 3)
  --scale <x>       so many times the messages (default 1); 0.02 is a quick trial
  --help
`

const PARTS = [
  'speed',
  'event-source',
  'dispatcher',
  'publish',
  'features',
  'growth',
  'cold',
  'transactions',
] as const
const QUEUES = 8
/** The broker's way through a pull is compiled after some hundred thousand messages. */
const PULL_ROUNDS = 6
const TRANSACTIONS = { processes: 20, count: 50 }
const page = join(import.meta.dirname, '../docs/benchmarks.md')
/** What ran, as the programs call themselves. */
const versions = new Set<string>()
const administrator = { accessKey: 'bench', secretKey: 'bench-secret' }

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    repetitions: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
})
const repetitions = Number(values.repetitions)
const scale = Number(values.scale)
const wanted = (part: string): boolean => values.only.length === 0 || values.only.includes(part)
const unknown = values.only.find((part) => !PARTS.some((each) => each === part))

if (values.help) console.log(HELP)
else if (unknown !== undefined || !(repetitions >= 1) || !(scale > 0)) {
  console.error(`wrong option${unknown === undefined ? '' : `: --only takes ${PARTS.join(', ')}`}\n\n${HELP}`)
  process.exitCode = 2
} else await main()

async function main(): Promise<void> {
  const isComparing = PARTS.some((part) => part !== 'transactions' && wanted(part))
  const programs = isComparing ? await preparePrograms() : []
  const sections = isComparing ? await compare(programs) : []
  if (wanted('transactions')) {
    const { processes, count } = TRANSACTIONS
    sections.push('### Transactions', await transactionRuns(processes, Math.ceil(count * scale)))
  }
  const text = `${conditions(programs)}\n\n${sections.join('\n\n')}`
  if (values.only.length > 0 || scale !== 1) return console.log(`\n${text}`)
  await writeFile(page, withTables(await readFile(page, 'utf8'), text))
  console.log('\nwritten into docs/benchmarks.md')
}

/** What is measured with one broker, beside the limit and the peers. */
async function compare(programs: readonly Program[]): Promise<string[]> {
  const peers = programs.filter(({ name }) => name !== LIMIT && name !== OWN)
  const both = programs.filter(({ name }) => name === LIMIT || name === OWN)
  const sections: string[] = []
  const broker = await start()
  try {
    if (wanted('speed')) {
      sections.push('### At full speed')
      for (const row of rows) sections.push(rowTable(row, await measure(broker, row, programs)))
    }
    if (wanted('event-source')) {
      const limit = programs.filter(({ name }) => name === LIMIT)
      sections.push('### The event source')
      const both = [...limit, await drainProgram()]
      for (const row of drainRows) sections.push(rowTable(row, await measure(broker, row, both)))
      sections.push(await idleRuns(broker.nameServers, 'bench'))
    }
    if (wanted('dispatcher')) sections.push('### The dispatcher', await dispatchTicks(broker.nameServers))
    if (wanted('publish'))
      sections.push('### Publishing', await warmPublish(broker.nameServers, broker.address, 'bench'))
    if (wanted('features')) sections.push('### Other bodies and features', await features(broker, both))
    if (wanted('growth')) sections.push('### How cost grows', await steps(broker, both), await growth())
    if (wanted('cold')) {
      const { nameServers: nameServer, address } = broker
      const target = {
        nameServer,
        broker: address,
        brokerName: 'broker-a',
        topic: 'bench',
        fullTopic: 'full',
      }
      sections.push('### Cold starts', await coldStarts(target, peers))
    }
  } finally {
    await broker.stop()
  }
  return sections
}

/** A running broker with the topics `bench` (8 queues), `bench-1`, `bench-64`, and `full`, which has the messages to pull. */
interface Bench {
  nameServers: string
  address: string
  pid: number
  certificatePath: string | undefined
  stop: RocketMQ['stop']
}

async function start(settings: Settings = {}, signed = false): Promise<Bench> {
  console.log(`Starting Apache RocketMQ ${ROCKETMQ_VERSION} …`)
  const rocketmq = await startRocketMQ({
    optimized: true,
    settings: { ...patient, ...settings },
    ...(signed && { administrator }),
  })
  const [broker] = rocketmq.brokers
  if (!broker) throw new Error('no broker')
  const { nameServers, certificatePath } = rocketmq
  const stop = (): Promise<void> => rocketmq.stop()
  const bench = { nameServers, address: broker.address, pid: broker.pid, certificatePath, stop }
  try {
    for (const [topic, queues] of [
      ['bench', QUEUES],
      ['full', QUEUES],
      ...queueSteps.map((n) => [`bench-${n}`, n]),
    ]) {
      const counts = ['-r', `${queues}`, '-w', `${queues}`]
      await rocketmq.mqadmin(
        'updateTopic',
        '-n',
        nameServers,
        '-c',
        'DefaultCluster',
        '-t',
        `${topic}`,
        ...counts,
      )
    }
    // The broker's own code has to be compiled too before anything is compared.
    const own = { name: OWN, command: [process.execPath, join(import.meta.dirname, 'programs/client.ts')] }
    const credentials = signed ? administrator : {}
    const prepare = async (job: Row['job'], warmUp: number): Promise<void> => {
      const result = await runProgram(
        own,
        jobOf(bench, { job: { ...job, ...credentials }, warmUp }),
        broker.pid,
      )
      if ('problem' in result) throw new Error(result.problem)
    }
    await prepare({ work: 'send', inFlight: 64, messages: Math.ceil(100_000 * scale) }, WARM_UP)
    if (signed) return bench
    await prepare({ work: 'send', inFlight: 64, messages: FULL, topic: 'full' }, 0)
    for (let round = 0; round < PULL_ROUNDS; round++)
      await prepare({ work: 'pull', messages: FULL, topic: 'full' }, 0)
    return bench
  } catch (error) {
    await stop()
    throw error
  }
}

function jobOf({ nameServers, address }: Bench, { job, warmUp = WARM_UP }: Pick<Row, 'job' | 'warmUp'>): Job {
  const { batchSize = 32 } = job
  const unit = job.work === 'batch' ? batchSize * QUEUES : QUEUES
  const round = (messages: number): number => Math.max(1, Math.round(messages / unit)) * unit
  const messages = round((job.messages ?? 1_000) * (job.topic === 'full' ? 1 : scale))
  return {
    nameServers,
    broker: address,
    brokerName: 'broker-a',
    topic: job.work === 'pull' || job.work === 'drain' ? 'full' : 'bench',
    queues: QUEUES,
    group: `bench-${job.work}`,
    bodyBytes: 1_024,
    inFlight: 1,
    ...job,
    batchSize,
    messages,
    warmup: warmUp === 0 ? 0 : round(messages * warmUp),
  }
}

/** The programs take turns, each turn beginning with another one. */
async function measure(bench: Bench, row: Row, programs: readonly Program[]): Promise<Figures[]> {
  const job = jobOf(bench, row)
  const { warmUp = WARM_UP } = row
  const results = programs.map((): Result[] => [])
  for (let repetition = 0; repetition < repetitions; repetition++)
    for (let turn = 0; turn < programs.length; turn++) {
      const index = (turn + repetition) % programs.length
      const program = programs[index] as Program
      results[index]?.push(await runProgram(program, job, bench.pid))
    }
  const figures = programs.map(({ name }, index) => figuresOf(name, results[index] ?? [], warmUp))
  for (const result of results.flat()) if ('outcome' in result) versions.add(result.outcome.program)
  const checksums = new Set(figures.flatMap(({ checksum = [] }) => checksum))
  if (checksums.size > 1) throw new Error(`${row.name}: the programs read different things`)
  print(row.name, figures)
  return figures
}

function print(name: string, figures: readonly Figures[]): void {
  const limit = figures.find((each) => each.name === LIMIT)
  console.log(`\n${name}`)
  for (const each of figures) {
    const { perSecond, clientCpuMs, brokerCpuMs, peakMegabytes, problem } = each
    if (problem !== undefined) {
      console.log(`  ${each.name.padEnd(16)} ${problem}`)
      continue
    }
    const ratios = limit
      ? `${(perSecond / limit.perSecond).toFixed(2).padStart(6)} of it, CPU ${(clientCpuMs / limit.clientCpuMs).toFixed(2)} ×`
      : ''
    const cpu = `${clientCpuMs.toFixed(1)} + ${brokerCpuMs.toFixed(1)} ms CPU per 1,000`
    console.log(
      `  ${each.name.padEnd(16)} ${whole(perSecond).padStart(9)}/s  ${cpu}  ${whole(peakMegabytes)} MB ${ratios}`,
    )
  }
}

async function features(plain: Bench, both: readonly Program[]): Promise<string> {
  const own = both.filter(({ name }) => name === OWN)
  const lines: Cells[] = []
  const add = async (bench: Bench, row: Row, programs: readonly Program[]): Promise<void> => {
    const [first, second] = await measure(bench, row, programs)
    const figures = second ?? first
    if (!figures) return
    const ratio = second && first ? (second.perSecond / first.perSecond).toFixed(2) : ''
    const { perSecond, clientCpuMs, brokerCpuMs, peakMegabytes, problem } = figures
    lines.push(
      problem === undefined
        ? [
            row.name,
            whole(perSecond),
            ratio,
            clientCpuMs.toFixed(1),
            brokerCpuMs.toFixed(1),
            whole(peakMegabytes),
          ]
        : [row.name, problem, '', '', '', ''],
    )
  }
  for (const row of otherRows) {
    const { feature, job } = row
    if (feature === 'acl') {
      const signed = await start(authSettings(administrator), true)
      try {
        await add(signed, { ...row, job: { ...job, ...administrator } }, own)
      } finally {
        await signed.stop()
      }
    } else if (feature === 'tls') {
      const { certificatePath: tlsCa } = plain
      if (tlsCa === undefined) lines.push([row.name, 'no openssl here', '', '', '', ''])
      else await add(plain, { ...row, job: { ...job, tlsCa } }, own)
    } else if (feature) await add(plain, { ...row, job: { ...job, compression: true } }, own)
    else await add(plain, row, both)
  }
  return table(['sends', 'messages/s', 'of the limit', 'CPU', 'broker CPU', 'peak MB'], lines)
}

async function steps(bench: Bench, both: readonly Program[]): Promise<string> {
  const send: Row['job'] = { work: 'send', messages: 24_000 }
  const inFlight: Cells[] = []
  for (const step of inFlightSteps) {
    const figures = await measure(
      bench,
      { name: `${step} in flight`, job: { ...send, inFlight: step } },
      both,
    )
    inFlight.push([step, ...pair(figures)])
  }
  const queues: Cells[] = []
  for (const step of queueSteps) {
    const job = { ...send, inFlight: 64, topic: `bench-${step}`, queues: step }
    queues.push([step, ...pair(await measure(bench, { name: `${step} queues`, job }, both))])
  }
  const head = ['the limit, messages/s', 'rocketmq-lambda', 'of the limit', 'CPU']
  return `${table(['sends in flight', ...head], inFlight)}\n\n${table(['queues, 64 sends in flight', ...head], queues)}`
}

function pair([limit, own]: readonly Figures[]): Cells {
  if (!limit || !own) return []
  const { perSecond, clientCpuMs } = own
  return [
    whole(limit.perSecond),
    whole(perSecond),
    (perSecond / limit.perSecond).toFixed(2),
    clientCpuMs.toFixed(1),
  ]
}

/** What the figures were made with. */
function conditions(programs: readonly Program[]): string {
  const [cpu] = cpus()
  const machine = `${cpus().length} × ${cpu?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux`
  const date = new Date().toISOString().slice(0, 10)
  const missing = programs.flatMap(({ name, problem }) =>
    problem === undefined ? [] : [`${name}: ${problem}`],
  )
  return [
    `Made from commit ${commit('src', 'bench')} on ${date}: Apache RocketMQ ${ROCKETMQ_VERSION}, ${[...versions, ...(versions.size === 0 ? [`node ${process.version}`] : [])].join('; ')}; ${machine}.`,
    `Medians of ${repetitions} runs that took turns. CPU is in milliseconds for 1,000 messages.`,
    ...missing,
  ].join('\n')
}
