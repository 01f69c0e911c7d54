/** Who has the queues on real brokers: of invocations that contend for them, and for how long nobody has when an owner is gone. */
import { createClient, createProducer } from '../../src/index.ts'
import { takeTurns } from '../delivery/contention.ts'
import { type Cluster, type Context, createContext } from '../delivery/context.ts'
import { startCluster } from '../delivery/rocketmq-cluster.ts'
import { gate, type Scope } from '../support/local-lambda.ts'
import { type ApartFigures, contendApart } from './contend-apart.ts'

const TURNS = 20
const KILLS = 3

export interface LeaseFigures {
  contention: ApartFigures
  /** From the start of the next invocation to its handler, when the last one had ended. */
  afterEndMs: number[]
  /** From the kill to the next owner's handler, with one invocation after the other. */
  afterKillMs: number[]
}

export async function measureLeases(invocations: number): Promise<LeaseFigures> {
  await using stack = new AsyncDisposableStack()
  const scope: Scope = { after: (end) => stack.defer(async () => void (await end())) }
  const started = await startCluster()
  stack.defer(() => started.stop())
  // Java's producer gives up after 3 s, which a busy machine takes; who sends makes no difference here.
  const client = createClient({ nameServers: started.nameServers, timeoutMs: 20_000 })
  stack.defer(() => client.close())
  const producer = createProducer(client, { producerGroup: 'leases' })
  const cluster: Cluster = {
    ...started,
    async send(topic, bodies, queue) {
      for (const body of bodies) await producer.send({ topic, body, ...(queue && { queue }) })
    },
  }
  const context = async (): Promise<Context> => await createContext(scope, cluster)

  const contention = await contendApart(await context(), invocations)
  const { gaps } = await takeTurns(await context(), TURNS)
  const contexts = await Promise.all(Array.from({ length: KILLS }, context))
  return {
    contention,
    afterEndMs: gaps,
    afterKillMs: await Promise.all(contexts.map((c) => takeFromKilled(scope, c))),
  }
}

async function takeFromKilled(scope: Scope, c: Context): Promise<number> {
  const door = await gate(scope)
  await c.createTopic()
  await c.order(2, (n) => (n === 0 ? { gate: door.url } : {}))
  const { lambda, invoke, ledger } = await c.func()
  const running = invoke()
  await door.arrived(1)

  const [pid = 0] = lambda.pids()['consume'] ?? []
  process.kill(-pid, 'SIGKILL')
  const killedAt = Date.now()
  door.open()
  await running
  const before = ledger.length
  while (ledger.length === before) await invoke()

  return (ledger[before]?.at ?? Number.NaN) - killedAt
}
