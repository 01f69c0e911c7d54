/**
 * `npm run rocketmq`: a real Apache RocketMQ on this machine, until Ctrl-C. The same harness that the tests use, so it
 * needs Java 11+ and, the first time, Maven. Its store is new at every start and removed at the end.
 */
import { parseArgs } from 'node:util'
import type { RocketMQ, Settings } from '../test/support/rocketmq/start.ts'

const HELP = `npm run rocketmq [-- options]

Starts Apache RocketMQ, name server and broker, until Ctrl-C.

  --version <x.y.z>    another version than ROCKETMQ_VERSION, or 5.5.0: docs/brokers.md lists those that are tested
  --brokers <n>        masters in the cluster (default 1)
  --replicas           one replica for each master
  --port <n>           port of the name server (default: a free one)
  --features           property filters, message recall, transaction checks every second
  --set <key>=<value>  a line of broker.conf; may be repeated
  --mqadmin <command>  run one command of mqadmin when started, such as "topicList" or "clusterList"; may be repeated
  --optimized          slower to start, faster under load: for benches
  --help
`

const { values } = parseArgs({
  options: {
    version: { type: 'string' },
    brokers: { type: 'string', default: '1' },
    replicas: { type: 'boolean', default: false },
    port: { type: 'string' },
    features: { type: 'boolean', default: false },
    set: { type: 'string', multiple: true, default: [] },
    mqadmin: { type: 'string', multiple: true, default: [] },
    optimized: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(HELP)
else await main()

async function main(): Promise<void> {
  // Read when the harness is loaded, so this comes first.
  if (values.version !== undefined) process.env['ROCKETMQ_VERSION'] = values.version
  const { ROCKETMQ_VERSION } = await import('../test/support/rocketmq/install.ts')
  const { featureSettings, startRocketMQ } = await import('../test/support/rocketmq/start.ts')
  console.log(
    `Starting Apache RocketMQ ${ROCKETMQ_VERSION} (the first time it is downloaded from Maven Central) …`,
  )
  const masters = Array.from({ length: count('brokers', values.brokers) }, (_, index) => ({
    name: `broker-${String.fromCharCode(97 + index)}`,
  }))
  const replicas = values.replicas ? masters.map(({ name }) => ({ name, role: 'SLAVE' as const })) : []
  const rocketmq = await startRocketMQ({
    brokers: [...masters, ...replicas],
    settings: { ...(values.features ? featureSettings : {}), ...Object.fromEntries(values.set.map(setting)) },
    optimized: values.optimized,
    ...(values.port === undefined ? {} : { nameServerPort: count('port', values.port) }),
  })
  const stopped = waitForSignal()
  describe(rocketmq)
  for (const line of values.mqadmin) {
    const [command = '', ...args] = line.split(' ')
    console.log(await rocketmq.mqadmin(command, ...args))
  }
  await stopped
  await rocketmq.stop()
}

function describe(rocketmq: RocketMQ): void {
  const { nameServers, certificatePath } = rocketmq
  const pids = rocketmq.nameServerProcesses.map((server) => server.pid).join(' ')
  console.log(`\n${'name server'.padEnd(14)}${nameServers.padEnd(24)}pid ${pids}`)
  for (const { name, address, pid, folder } of rocketmq.brokers) {
    console.log(`${name.padEnd(14)}${address.padEnd(24)}pid ${pid}   ${folder}`)
  }
  console.log(`\n  export ROCKETMQ_NAMESRV_ADDR='${nameServers}'`)
  if (certificatePath !== undefined)
    console.log(`  export ROCKETMQ_TLS_CA=${certificatePath}   # TLS, on the same ports`)
  console.log('\nCtrl-C stops it and removes the store.')
}

function count(option: string, text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`--${option} takes a positive integer, got ${text}`)
  return number
}

function setting(text: string): [string, Settings[string]] {
  const equals = text.indexOf('=')
  if (equals < 1) throw new Error(`--set takes key=value, got ${text}`)
  return [text.slice(0, equals), text.slice(equals + 1)]
}

function waitForSignal(): Promise<void> {
  return new Promise((resolve) => {
    const keepAlive = setInterval(() => {}, 1 << 30)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        clearInterval(keepAlive)
        resolve()
      })
    }
  })
}
