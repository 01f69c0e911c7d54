/**
 * `npm run soak`: what stays behind. Thousands of invocations of one warm environment while its connections break, opening and
 * closing clients, and environments that are copies of each other.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { commit } from '../../scripts/commit.ts'
import { createClient, createProducer } from '../../src/index.ts'
import { seeded } from '../support/random.ts'
import { ROCKETMQ_VERSION } from '../support/rocketmq/install.ts'
import { type ChaosCluster, startCluster } from './cluster.ts'
import { ORDERS, QUEUES, startFunctions } from './functions.ts'
import { writeHistory } from './history.ts'
import { NETWORK_FAULTS } from './proxy.ts'
import { readRecording } from './recording.ts'

const HELP = `npm run soak [-- options]

Counts handles, sockets and memory of one environment over many invocations with faults, of many opened and closed clients, and the
ids of environments that are copies. Exit code 1 when something grows or an id comes twice.

  --invocations <n>  of publish and of consume, each, behind 400 that warm up (default 2000)
  --cycles <n>       clients opened and closed, behind 200 (default 1000)
  --copies <n>       environments with the same host name, pid and clock (default 50)
  --help
`
const SEED = 1
/** A connection breaks in one of so many invocations. */
const FAULT_EVERY = 10
/** Before those that count, of each: until then code is compiled, pools are filled, and V8's heap finds its size. */
const WARM_INVOCATIONS = 400
const WARM_CYCLES = 200
/**
 * What lies between the two quarters is 1,500 invocations: 6 KB that stay behind each of them, or a connection with its buffer of 64 KB
 * behind every tenth, are more. V8 itself moves by some 4 MB.
 */
const MOST_GROWTH_MB = 9
/** Of this process, in which proxies record the bytes of the clients. */
const MOST_GROWTH_HERE_MB = 18
const IDS = 1_000

const { values } = parseArgs({
  options: {
    invocations: { type: 'string', default: '2000' },
    cycles: { type: 'string', default: '1000' },
    copies: { type: 'string', default: '50' },
    help: { type: 'boolean', default: false },
  },
})
const [invocations, cycles, copies] = [values.invocations, values.cycles, values.copies].map(Number) as [
  number,
  number,
  number,
]

if (values.help) console.log(HELP)
else if (![invocations, cycles, copies].every((each) => each >= 1)) {
  console.error(`--invocations, --cycles and --copies take numbers\n\n${HELP}`)
  process.exitCode = 2
} else await main()

async function main(): Promise<void> {
  const folder = join(import.meta.dirname, '../../.build/chaos/soak')
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const settings = { brokers: 1, nameServers: 1, queues: QUEUES }
  console.log(
    `${new Date().toISOString().slice(0, 10)}, seed ${SEED}, one fault in ${FAULT_EVERY} invocations
commit ${commit()}, Node.js ${process.version}, RocketMQ ${ROCKETMQ_VERSION} with ${JSON.stringify(settings)}`,
  )
  let from = 0
  const cluster = await startCluster({ brokers: 1, nameServers: 1, settings: {} }, folder, seeded(SEED))
  try {
    await cluster.createTopic(ORDERS, QUEUES)
    for (const name of ['publish', 'consume-block']) await soak(name, cluster, folder)
    await openAndClose(cluster)
    from = (cluster.proxies['broker-a']?.connections ?? 0) + 1
    await copy(cluster)
  } finally {
    await cluster.stop()
  }
  countClientIds(join(folder, 'broker-a.bytes'), from)
}

interface Sample {
  handles: number
  sockets: number
  rssMB: number
}

/** As /proc has them, of a process that is frozen between its invocations. */
function sampleOf(pid: number): Sample {
  const descriptors = readdirSync(`/proc/${pid}/fd`)
  const targets = descriptors.map((each) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${each}`)
    } catch {
      return '' // the one that read the folder
    }
  })
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1])
  return {
    handles: descriptors.length,
    sockets: targets.filter((each) => each.startsWith('socket:')).length,
    rssMB: (pages * 4_096) / 1e6,
  }
}

/** The first and the last of them. */
function quarters(samples: readonly Sample[]): [Sample[], Sample[]] {
  const length = Math.max(1, Math.floor(samples.length / 4))
  return [samples.slice(0, length), samples.slice(-length)]
}

function most(of: keyof Sample, part: readonly Sample[]): number {
  return Math.max(...part.map((each) => each[of]))
}

/** One environment, again and again. */
async function soak(name: string, cluster: ChaosCluster, folder: string): Promise<void> {
  const history = writeHistory(join(folder, `${name}.jsonl`))
  const lambda = await startFunctions(cluster.nameServers, folder, history)
  const random = seeded(SEED)
  const proxies = Object.values(cluster.proxies)
  const samples: Sample[] = []
  const pids = new Set<number>()
  let failed = 0
  try {
    for (let n = 0; n < WARM_INVOCATIONS + invocations; n++) {
      const proxy = random.pick(proxies)
      // What makes an invocation wait for its end would make this take hours.
      const faults = NETWORK_FAULTS.filter(
        (each) => !['drop', 'silent', 'lost-answer', 'delay'].includes(each),
      )
      proxy.fault = n % FAULT_EVERY === 0 ? random.pick(faults) : undefined
      const event = { topic: ORDERS, messages: [{ shardingKey: 'k', body: { n, key: 'k' } }] }
      const { functionError } = await lambda.invoke(name, name === 'publish' ? event : {})
      proxy.fault = undefined
      if (functionError) failed += 1
      const [pid] = lambda.pids()[name] ?? []
      if (pid === undefined) throw new Error('the environment has gone')
      pids.add(pid)
      if (n >= WARM_INVOCATIONS) samples.push(sampleOf(pid))
    }
  } finally {
    await lambda.close()
    await history.close()
  }
  const crashes = history.all.filter(({ kind }) => kind === 'crash').length
  const [before, behind] = quarters(samples)
  const growth = most('rssMB', behind) - most('rssMB', before)
  console.log(
    `${name}: ${invocations} invocations of ${pids.size} environment, ${failed} failed by faults, ${crashes} crashes; most of the first and of the last quarter:
  handles ${most('handles', before)}, ${most('handles', behind)}; sockets ${most('sockets', before)}, ${most('sockets', behind)}; RSS ${most('rssMB', before).toFixed(1)}, ${most('rssMB', behind).toFixed(1)} MB`,
  )
  check(pids.size === 1, 'the environment did not stay')
  check(crashes === 0, 'it crashed')
  // Of some samples a connection is missing that has just been broken; the most are the same as long as nothing stays behind.
  check(most('handles', behind) === most('handles', before), 'handles are not as they were')
  check(most('sockets', behind) === most('sockets', before), 'sockets are not as they were')
  check(growth < MOST_GROWTH_MB, `memory grows by ${growth.toFixed(1)} MB`)
}

/** Nothing may stay open behind a client. */
async function openAndClose({ nameServers }: ChaosCluster): Promise<void> {
  const resources = (): number =>
    process.getActiveResourcesInfo().filter((each) => each !== 'PipeWrap').length
  const samples: Sample[] = []
  let before = 0
  for (let n = 0; n < WARM_CYCLES + cycles; n++) {
    const client = createClient({ nameServers })
    await createProducer(client, { producerGroup: 'soak' }).send({ topic: ORDERS, body: 'x' })
    await client.close()
    if (n === 0) before = resources()
    if (n >= WARM_CYCLES) samples.push(sampleOf(process.pid))
  }
  const [first, last] = quarters(samples)
  const growth = most('rssMB', last) - most('rssMB', first)
  console.log(
    `${cycles} clients opened and closed: active resources ${before}, ${resources()}; most of the first and of the last quarter:
  handles ${most('handles', first)}, ${most('handles', last)}; sockets ${most('sockets', first)}, ${most('sockets', last)}; RSS ${most('rssMB', first).toFixed(1)}, ${most('rssMB', last).toFixed(1)} MB`,
  )
  check(resources() <= before, 'a closed client leaves something')
  check(most('handles', last) <= most('handles', first), 'handles grow')
  check(most('sockets', last) <= most('sockets', first), 'sockets grow')
  check(growth < MOST_GROWTH_HERE_MB, `memory grows by ${growth.toFixed(1)} MB`)
}

/** What copies of an environment draw by themselves. Resolves to the ids that they have told a broker are theirs. */
async function copy({ nameServers }: ChaosCluster): Promise<void> {
  const drawn: { name: string; messageIds: string[] }[] = []
  // A copy takes 50 MB; what they draw does not go by when.
  for (let n = 0; n < copies; n++) {
    const child = fork(join(import.meta.dirname, 'copied-environment.ts'), [nameServers, String(IDS)])
    const ended = once(child, 'exit')
    const [answer] = await once(child, 'message')
    drawn.push(answer)
    await ended
  }
  const names = new Set(drawn.map(({ name }) => name))
  const messageIds = new Set(drawn.flatMap((each) => each.messageIds))
  console.log(`${copies} environments that are all ${[...names].join(', ')}: ${messageIds.size} message ids`)
  check(names.size === 1, 'they are not copies')
  check(messageIds.size === copies * IDS, 'a message id came twice')
}

/** @param from the first connection that counts */
function countClientIds(recording: string, from: number): void {
  const requests = readRecording(readFileSync(recording)).filter(
    ({ connection, direction }) => connection >= from && direction === 'request',
  )
  const ids = requests.flatMap(({ bytes }) =>
    [...bytes.toString('latin1').matchAll(/"clientId":"([^"]+)"/g)].map(([, id]) => id),
  )
  console.log(`  as the broker got them: ${new Set(ids).size} client ids in ${ids.length} requests`)
  check(ids.length === copies && new Set(ids).size === copies, 'a client id came twice')
}

function check(isSound: boolean, what: string): void {
  if (isSound) return
  console.log(`  FAILED: ${what}`)
  process.exitCode = 1
}
