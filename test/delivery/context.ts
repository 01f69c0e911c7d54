/** What each case of the delivery suite gets: a broker, topics and groups of its own, functions in a local Lambda, the ledger. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { bundleOptions } from '../../scripts/bundle.ts'
import {
  type CreateTopicRequest,
  DeleteTopicInBroker,
  UpdateAndCreateTopic,
} from '../../src/commands/topics.ts'
import {
  type Client,
  createClient,
  createPullConsumer,
  type Message,
  type MessageQueue,
} from '../../src/index.ts'
import type { EventSourceMapping, EventSourceResult } from '../../src/lambda/index.ts'
import { type LocalFunction, type LocalLambda, startLambda } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import type { Scope } from '../support/local-lambda.ts'
import type { Entry, Order } from './orders.ts'

/** Brokers close a connection that was silent for 120 s. */
export const FROZEN_MS = 130_000

/** A lease ends at the broker 60 s after it was taken or renewed. */
export const LEASE_MS = 60_000

/** Two brokers, broker-a and broker-b, and what an outsider does with them. */
export interface Cluster {
  readonly nameServers: string
  readonly addresses: Readonly<Record<string, string>>
  /** It filters by SQL92, which the local broker does not. */
  readonly hasSql92: boolean
  /** Sends one message after the other, round the queues or into one. */
  send(topic: string, bodies: readonly string[], queue?: MessageQueue): Promise<void>
  /** By `<broker>/<queueId>`: where the queue ends, and where the group stands. */
  progress(group: string, topic: string): Promise<Record<string, [end: string, committed: string]>>
  /** An administrator moves the group to a time, in every queue. */
  reset(group: string, topic: string, timestamp: number): Promise<void>
  /** As kill -9; resolves when the broker is there again. */
  crash(brokerName: string): Promise<void>
  /** Lets time pass at the brokers. */
  pass(ms: number): Promise<void>
}

/** How a function was invoked and how it ended. */
export interface Invocation {
  result: EventSourceResult
  /** What it failed with. */
  error: string | undefined
  /** The environment was new. */
  isCold: boolean
}

export interface Func {
  lambda: LocalLambda
  /** Of all invocations, in the order in which the lines came. */
  ledger: readonly Entry[]
  readonly invoke: () => Promise<Invocation>
}

export interface Context extends Cluster {
  readonly client: Client
  readonly topic: string
  readonly group: string
  /** Creates the topic, or changes it; on one broker or on both. */
  createTopic(settings?: Partial<CreateTopicRequest>, brokerName?: string): Promise<void>
  deleteTopic(): Promise<void>
  queue(queueId?: number, brokerName?: string): MessageQueue
  /** Sends numbered orders. */
  order(count: number, of?: (n: number) => Partial<Order>, queue?: MessageQueue): Promise<void>
  /** A function with a mapping of the topic and the group. */
  func(
    mapping?: Partial<EventSourceMapping> & { client?: object },
    settings?: Partial<LocalFunction>,
    /** Settings of its target, which has that name. */
    target?: Partial<LocalFunction>,
  ): Promise<Func>
  /** What a topic holds. */
  stored(topic: string): Promise<Message[]>
}

let bundling: Promise<string> | undefined

/** The folder of the bundled functions, made once for a suite. */
async function bundle(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-delivery-'))
  process.once('exit', () => void rm(folder, { recursive: true, force: true }))
  const entryPoints = ['handler', 'target'].map((name) => join(import.meta.dirname, `${name}.ts`))
  await build({ ...bundleOptions, entryPoints, outdir: folder })
  return folder
}

let count = 0

export async function createContext(t: Scope, cluster: Cluster): Promise<Context> {
  count += 1
  const topic = `delivery-${count}`
  const group = `group-${count}`
  const { nameServers, addresses } = cluster
  const client = createClient({ nameServers, timeoutMs: 20_000, routeTtlMs: 1 })
  t.after(() => client.close())
  const routes = createPullConsumer(client, { consumerGroup: group })
  const queue: Context['queue'] = (queueId = 0, brokerName = 'broker-a') => ({ topic, brokerName, queueId })
  let orders = 0
  return {
    ...cluster,
    client,
    topic,
    group,
    queue,
    async createTopic(settings = {}, brokerName) {
      const request = { topic, readQueueNums: 1, writeQueueNums: 1, ...settings }
      for (const [name, address] of Object.entries(addresses))
        if (brokerName === undefined || brokerName === name) {
          await client.network.call(address, UpdateAndCreateTopic, request, undefined, {
            deadline: client.deadline(),
          })
          // A producer that finds no route yet lets each broker make the topic as it likes.
          await until(`the route of ${topic} at ${name}`, async () => {
            const queues = await routes.queues(topic).catch(() => [])
            return queues.filter((each) => each.brokerName === name).length === request.readQueueNums
          })
        }
    },
    async deleteTopic() {
      for (const address of Object.values(addresses))
        await client.network.call(address, DeleteTopicInBroker, { topic }, undefined, {
          deadline: client.deadline(),
        })
    },
    async order(many, of = () => ({}), to) {
      const bodies = Array.from({ length: many }, () => {
        const n = orders++
        return JSON.stringify({ n, ...of(n) })
      })
      await cluster.send(topic, bodies, to)
    },
    async func({ client: options = {}, ...mapping } = {}, settings = {}, target) {
      bundling ??= bundle()
      const folder = await bundling
      const sources = {
        topic,
        consumerGroup: group,
        ...(target && { target: { functionName: 'target' } }),
        ...mapping,
        // A busy machine is no reason to fail.
        client: { nameServers, timeoutMs: 10_000, ...options },
      }
      const environment = { ROCKETMQ_EVENT_SOURCES: JSON.stringify(sources) }
      const ledger: Entry[] = []
      const consume = {
        handler: join(folder, 'handler.mjs'),
        timeoutSeconds: 60,
        ...settings,
        environment: { ...environment, ...settings.environment },
      }
      const receiver = { handler: join(folder, 'target.mjs'), timeoutSeconds: 60, ...target }
      const lambda = await startLambda({
        functions: target ? { consume, target: receiver } : { consume },
        onLog: ({ line }) => {
          if (line.startsWith('{"what":')) ledger.push(JSON.parse(line) as Entry)
        },
      })
      t.after(() => lambda.close())
      const invoke = async (): Promise<Invocation> => {
        const { payload, functionError, report } = await lambda.invoke('consume')
        const { errorType } = payload as { errorType?: string }
        return {
          result: payload as EventSourceResult,
          error: functionError === undefined ? undefined : errorType,
          isCold: report?.initMs !== undefined,
        }
      }
      return { lambda, ledger, invoke }
    },
    async stored(name) {
      const consumer = createPullConsumer(client, { consumerGroup: `reader-${group}` })
      const messages: Message[] = []
      for (const each of await consumer.queues(name)) {
        let offset = 0n
        for (let more = true; more; ) {
          const pulled = await consumer.pull(each, offset)
          messages.push(...pulled.messages)
          more = pulled.nextBeginOffset > offset
          offset = pulled.nextBeginOffset
        }
      }
      return messages
    },
  }
}

/** How often each order was done. */
export function timesDone(ledger: readonly Entry[]): number[] {
  const times: number[] = []
  for (const { what, n } of ledger) if (what === 'end') times[n] = (times[n] ?? 0) + 1
  return Array.from(times, (each) => each ?? 0)
}

/** So many orders, each done once. */
export const onceEach = (many: number): number[] => Array.from({ length: many }, () => 1)

/**
 * Of each queue that two invocations had at once: where the second one began. An invocation has a queue from the first record that
 * it begins there to the end of its last: it does not take one again that it has lost.
 */
export function doubleOwners(ledger: readonly Entry[]): string[] {
  const lines = ledger.toSorted((a, b) => a.at - b.at)
  // Maps: objects would sort invocations whose names are numbers.
  return [...Map.groupBy(lines, ({ queue }) => queue)].flatMap(([queue, entries]) => {
    let until = -Infinity
    return [...Map.groupBy(entries, ({ invocation }) => invocation).values()].flatMap((own) => {
      const [first] = own
      const wasOwned = first !== undefined && first.at < until
      until = Math.max(until, own.at(-1)?.at ?? until)
      return wasOwned ? [`${queue}/${first.offset}`] : []
    })
  })
}

/**
 * Invokes until so many orders are done, and done so many times in all; gives how the invocations ended. What is in a retry
 * topic, or hidden, comes meanwhile.
 */
export async function untilDone(
  c: Context,
  { invoke, ledger }: Pick<Func, 'invoke' | 'ledger'>,
  orders: number,
  times: number = orders,
): Promise<Invocation[]> {
  const invocations: Invocation[] = []
  const isDone = (): boolean => {
    const done = timesDone(ledger)
    const count = done.filter((each) => each > 0).length
    return count >= orders && done.reduce((sum, each) => sum + each, 0) >= times
  }
  while (!isDone()) {
    await c.pass(1_100)
    invocations.push(await invoke())
  }
  return invocations
}
