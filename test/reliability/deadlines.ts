/**
 * How long calls and functions take with servers that hang (SIGSTOP: connections stay, nothing answers) or that accept and
 * never answer. The tests and `npm run figures` stand on it.
 */
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../../scripts/bundle.ts'
import * as errors from '../../src/errors.ts'
import {
  type CallOptions,
  type ClientOptions,
  createClient,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
  createTransactionProducer,
} from '../../src/index.ts'
import { httpEvent, type LocalFunction, scheduledEvent, startLambda } from '../../src/testing/index.ts'
import type { RocketMQ } from '../support/rocketmq/start.ts'
import { type Ended, endings, readyCalls } from './calls.ts'

/** A deadline of a call, and the time limit of a function. */
export const DEADLINE_MS = 2_100
const TIMEOUT_MS = DEADLINE_MS / 3
const LIMIT_SECONDS = 6
/** What has more time than three times `timeoutMs` when it is given no deadline. */
const OWN_LIMITS_MS: Readonly<Record<string, number>> = {
  // Brokers look at held pulls every 5 s.
  'pull that waits': DEADLINE_MS + 5_500,
  'pop that waits': DEADLINE_MS + 500,
  // The window, what its handler may take, a second to leave, and timeoutMs.
  serve: 500 + 9_000 + 1_000 + TIMEOUT_MS,
  check: 500 + 10_000 + 1_000 + TIMEOUT_MS,
}
const SECRET = 'a secret of more than 32 characters'

/** One call under one condition. */
export interface CallFigure extends Ended {
  condition: string
}

/** What the calls need of a broker. */
export const SETTINGS = { recallMessageEnable: true, waitTimeMillsInSendQueue: 20_000 } as const

/** Every call of the client, by its own deadline and by that of `timeoutMs`, under each condition. */
export async function measureCalls({
  nameServers,
  brokers,
  nameServerProcesses,
}: RocketMQ): Promise<CallFigure[]> {
  await using mute = await openMute()
  const figures: CallFigure[] = []
  const servers = [...brokers, ...nameServerProcesses]
  const measure = async (
    condition: string,
    options: ClientOptions,
    hang: () => void,
    end: () => void,
  ): Promise<void> => {
    const client = createClient({ nameServers, timeoutMs: 20_000, ...options })
    const impatient = createClient({ nameServers, timeoutMs: TIMEOUT_MS, ...options })
    const [calls, timed] = [await readyCalls(client), await readyCalls(impatient)]
    try {
      hang()
      const deadline = (): CallOptions => ({ deadlineMs: Date.now() + DEADLINE_MS })
      for (const each of await endings(calls, deadline, () => DEADLINE_MS))
        figures.push({ ...each, condition: `${condition}, deadlineMs` })
      const implied = (name: string): number => OWN_LIMITS_MS[name] ?? DEADLINE_MS
      for (const each of await endings(timed, () => ({}), implied))
        figures.push({ ...each, condition: `${condition}, timeoutMs` })
    } finally {
      end()
      await Promise.all([client.close(), impatient.close()])
    }
  }
  const pause = (some: RocketMQ['nameServerProcesses']) => () => {
    for (const each of some) each.pause()
  }
  const resume = (): void => {
    for (const each of servers) each.resume()
  }

  await measure('broker hangs', {}, pause(brokers), resume)
  await measure('name server and broker hang', { routeTtlMs: 1 }, pause(servers), resume)
  let isMute = false
  const addressMap = (address: string): string => (isMute ? mute.address : address)
  const setMute = (to: boolean) => () => {
    isMute = to
  }
  await measure('broker never answers', { addressMap }, setMute(true), setMute(false))
  return figures
}

/** Accepts, reads and says nothing. */
async function openMute(): Promise<{ address: string; [Symbol.asyncDispose](): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined).resume())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** An invocation with a broker that hangs. */
export interface FunctionFigure {
  name: string
  condition: string
  /** What its error is called, or `done` and the status; `Late` when a timer of its own process was first, `Crash` of one that nobody caught. */
  outcome: string
  /** What was left of its time when it returned. */
  leftMs: number
}

/** Errors of this package, or of several of them. */
const OURS = new Set([...Object.keys(errors), 'AggregateError'])

/** Whether it ended with an answer or with an error of this package: not late, not killed, and by no fault of its own. */
export const isSound = ({ outcome }: FunctionFigure): boolean =>
  /^done( \d+)?$/.test(outcome) || OURS.has(outcome)

/**
 * Every deployed function, cold and warm, with servers that hang.
 * @param folder for bundles
 * @param patienceSeconds so much longer than the functions know Lambda waits, and they are judged by a timer of theirs (timed.ts)
 */
export async function measureFunctions(
  { nameServers, brokers, nameServerProcesses }: RocketMQ,
  folder: string,
  patienceSeconds = 0,
): Promise<FunctionFigure[]> {
  const topic = 'hung-functions'
  await using client = disposable(createClient({ nameServers, timeoutMs: 20_000 }))
  await createTopicAdmin(client).create(topic, { readQueueNums: 4, writeQueueNums: 4 })
  const producer = createProducer(client, { producerGroup: topic })
  const transactions = createTransactionProducer(client, { producerGroup: topic, secret: SECRET })
  const consumer = createPullConsumer(client, { consumerGroup: topic })
  const environment = {
    ROCKETMQ_NAMESRV_ADDR: nameServers,
    ROCKETMQ_EVENT_SOURCES: JSON.stringify({ orders: { topic, consumerGroup: topic } }),
    ROCKETMQ_TOPICS: topic,
    ROCKETMQ_PRODUCER_GROUP: topic,
    ROCKETMQ_TRANSACTION_SECRET: SECRET,
    ROCKETMQ_WORKER_FUNCTION: 'consume',
    ROCKETMQ_CHECK_WINDOW_MS: '1000',
  }
  const limitMs = LIMIT_SECONDS * 1_000
  const func = (handler: string, more: Record<string, string> = {}): LocalFunction => ({
    handler: patienceSeconds > 0 ? join(folder, 'timed.mjs') : handler,
    environment: { ...environment, ...more, TIMED_HANDLER: handler, TIMED_LIMIT_MS: `${limitMs}` },
    timeoutSeconds: LIMIT_SECONDS + patienceSeconds,
    maximumRetryAttempts: 0,
  })
  const entryPoints = {
    'in-batch': join(import.meta.dirname, '../delivery/handler.ts'),
    timed: join(import.meta.dirname, 'timed.ts'),
  }
  await build({ ...bundleOptions, entryPoints, outdir: folder })
  const [consume, dispatch, publish, end, check] = (await Promise.all(
    ['consume', 'dispatch', 'publish', 'end-transaction', 'check-transactions'].map((name) =>
      bundleFunction(name, folder),
    ),
  )) as [string, string, string, string, string]
  const mapping = { topic, client: { nameServers } }
  const inBatch = (mode: string): Record<string, string> => ({
    ROCKETMQ_EVENT_SOURCES: JSON.stringify({ ...mapping, mode, consumerGroup: `${topic}-${mode}` }),
  })
  const functions = {
    consume: func(consume),
    dispatch: func(dispatch),
    publish: func(publish),
    'end-transaction': func(end),
    'check-transactions': func(check),
    'in-batch': func(join(folder, 'in-batch.mjs'), inBatch('pull')),
    'in-batch-pop': func(join(folder, 'in-batch.mjs'), inBatch('pop')),
  }
  const body = JSON.stringify({ n: 0 })
  const post = { body }
  const transaction = await transactions.begin({ topic, body })
  const events: Record<keyof typeof functions, unknown> = {
    consume: scheduledEvent(),
    dispatch: scheduledEvent(),
    publish: httpEvent('POST', `/topics/${topic}/messages`, post),
    'end-transaction': httpEvent('POST', '/transactions/commit', { transaction }),
    'check-transactions': scheduledEvent(),
    'in-batch': scheduledEvent(),
    'in-batch-pop': scheduledEvent(),
  }
  const names = Object.keys(functions) as (keyof typeof functions)[]
  const figures: FunctionFigure[] = []
  const invokeAll = async (
    lambda: Awaited<ReturnType<typeof startLambda>>,
    condition: string,
    some: readonly (keyof typeof functions)[],
  ): Promise<void> => {
    await Promise.all(
      some.map(async (name) => {
        const { payload, functionError, report } = await lambda.invoke(name, events[name])
        const { errorType, statusCode } = (payload ?? {}) as { errorType?: string; statusCode?: number }
        const outcome = functionError === undefined ? `done ${statusCode ?? ''}`.trim() : (errorType ?? '')
        const leftMs = limitMs - (report?.durationMs ?? 0)
        figures.push({ name, condition, outcome, leftMs })
      }),
    )
  }
  const order = async (count: number, text: object): Promise<void> => {
    for (let n = 0; n < count; n++) await producer.send({ topic, body: JSON.stringify({ n, ...text }) })
  }
  const hang = (some: RocketMQ['nameServerProcesses']): void => {
    for (const each of some) each.pause()
  }
  const servers = [...brokers, ...nameServerProcesses]
  const resume = (): void => {
    for (const each of servers) each.resume()
  }

  const crashes: FunctionFigure[] = []
  const onLog = ({ functionName: name, line }: { functionName: string; line: string }): void => {
    if (/Uncaught|Unhandled/.test(line))
      crashes.push({ name, condition: line, outcome: 'Crash', leftMs: Number.NaN })
  }

  await order(8, {})
  await using lambda = await startLambda({ functions, onLog })
  await invokeAll(lambda, 'all is well', names)
  figures.length = 0
  await order(8, {})
  hang(brokers)
  await invokeAll(lambda, 'warm, broker hangs', names)
  await using cold = await startLambda({ functions, onLog })
  await invokeAll(cold, 'cold, broker hangs', names)
  hang(nameServerProcesses)
  await using colder = await startLambda({ functions, onLog })
  await invokeAll(colder, 'cold, all hang', names)
  resume()
  // In the middle of a batch: the handlers need 1 s for it.
  await consumer.queues(topic)
  await using busy = await startLambda({
    functions,
    onLog(log) {
      onLog(log)
      if (log.line.startsWith('{"what":')) begun.resolve()
    },
  })
  const begun = Promise.withResolvers<void>()
  await order(8, { ms: 200 })
  const running = invokeAll(busy, 'in a batch, broker hangs', ['in-batch', 'in-batch-pop'])
  await begun.promise
  hang(brokers)
  await running
  resume()
  return [...figures, ...crashes]
}

const disposable = <T extends { close(): Promise<void> }>(client: T): T & AsyncDisposable =>
  Object.assign(client, { [Symbol.asyncDispose]: () => client.close() })
