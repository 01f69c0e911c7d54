/**
 * The bundled functions, frozen in the middle of a request: a broker has done it, and its answer is held while the process is
 * stopped (SIGSTOP), its clock is moved, and its connections stay or end. What that invocation answers must be true, and the
 * first call behind it must succeed. The tests and `npm run figures` stand on it.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bundleFunction } from '../../scripts/bundle.ts'
import { RequestCode } from '../../src/commands/index.ts'
import {
  type Client,
  createClient,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
  type Message,
} from '../../src/index.ts'
import type { EventSourceMapping, EventSourceResult } from '../../src/lambda/index.ts'
import { httpEvent, type LocalFunction, type LocalLambda, startLambda } from '../../src/testing/index.ts'
import type { Frame } from '../../src/wire/index.ts'
import { until } from '../conformance/context.ts'
import { processState } from '../support/local-lambda.ts'
import type { RocketMQ } from '../support/rocketmq/start.ts'
import { FROZEN_MS, type Frozen, openFreezeClock } from './freeze-clock.ts'
import { ENDS, type End, type FreezeProxy, openFreezeProxy } from './freeze-proxy.ts'

/** One freeze of one function. */
export interface InterruptedFigure {
  name: string
  frozen: Frozen
  end: End
  /** How the invocation ended: its status, `done`, or the type of its error. */
  ended: string
  /** From the thaw to that. */
  endedMs: number
  /** Of the first call behind it: `done`, or what went wrong. */
  outcome: string
  tookMs: number
  /** What was told otherwise than it is. */
  untrue: string[]
  /** How often a message was stored again, always under its id. */
  copies: number
}

const [SENT, CONSUMED] = ['interrupted-sends', 'interrupted-pulls']
const MESSAGES = 3
/** 130 s lie within it, 20 min do not. */
const TIMEOUT_SECONDS = 300
/** A lease ends at the broker 60 s after it was taken, whatever the function's clock says. */
const PATIENCE_MS = 75_000

/** The requests in the middle of which it happens, by the names of functions. */
const REQUESTS: Readonly<Record<string, (request: Frame) => boolean>> = {
  'publish, in its send': ({ code }) => code === RequestCode.SEND_MESSAGE_V2,
  'consume, in its lock': ({ code }) => code === RequestCode.LOCK_BATCH_MQ,
  'consume, in its pull': ({ code, ext }) => code === RequestCode.PULL_MESSAGE && ext['topic'] === CONSUMED,
  'consume, in its commit': ({ code, ext }) =>
    code === RequestCode.UPDATE_CONSUMER_OFFSET && ext['commitOffset'] === String(MESSAGES),
}

interface Subject {
  name: string
  /** Of its own, so that each function's request is held by itself. */
  proxies: readonly FreezeProxy[]
  /** @param freeze which one it is, 0 for none */
  readonly invoke: (freeze: number) => Promise<string>
  /** In the end: what became of what was told in the invocations of a freeze. */
  readonly judge: (freeze: number) => Promise<Pick<InterruptedFigure, 'untrue' | 'copies'>>
}

/** So many freezes of each function in each of its requests, after each length and with each end of its connections. */
export async function measureInterrupted(
  { nameServers, brokers }: RocketMQ,
  rounds: number,
): Promise<InterruptedFigure[]> {
  await using stack = new AsyncDisposableStack()
  const clock = stack.use(await openFreezeClock())
  const client = createClient({ nameServers, timeoutMs: 20_000 })
  stack.defer(() => client.close())
  const producer = createProducer(client, { producerGroup: CONSUMED })
  for (const topic of [SENT, CONSUMED])
    await createTopicAdmin(client).create(topic, { readQueueNums: 1, writeQueueNums: 1 })
  for (let n = 0; n < MESSAGES; n++) await producer.send({ topic: CONSUMED, body: `${n}` })

  const lengths = Object.keys(FROZEN_MS) as Frozen[]
  const freezes = Array.from({ length: rounds }, () =>
    lengths.flatMap((frozen) => ENDS.map((end) => ({ frozen, end }))),
  ).flat()
  const functions: Record<string, LocalFunction> = {}
  const proxies: Record<string, FreezeProxy[]> = {}
  for (const name of Object.keys(REQUESTS)) {
    const addresses = [nameServers, ...brokers.map(({ address }) => address)]
    const own = await Promise.all(addresses.map(openFreezeProxy))
    for (const each of own) stack.defer(() => each.close())
    proxies[name] = own
    // Each freeze has a group of its own: the lease of one before may last at the broker, whose clock is not moved.
    const mappings = Array.from({ length: freezes.length + 1 }, (_, freeze): [string, EventSourceMapping] => [
      mappingOf(freeze),
      { topic: CONSUMED, consumerGroup: groupOf(name, freeze), startingPosition: 'TRIM_HORIZON' },
    ])
    const file = join(clock.folder, `${functionOf(name)}.json`)
    await writeFile(file, JSON.stringify(Object.fromEntries(mappings)))
    functions[functionOf(name)] = {
      handler: await bundleFunction(name.startsWith('publish') ? 'publish' : 'consume', clock.folder),
      timeoutSeconds: TIMEOUT_SECONDS,
      environment: {
        ROCKETMQ_NAMESRV_ADDR: nameServers,
        ROCKETMQ_TIMEOUT_MS: '1000',
        ROCKETMQ_TOPICS: SENT,
        ROCKETMQ_EVENT_SOURCES: file,
        ...clock.environment(own),
      },
    }
  }
  /** By function: the ids of the records that it has printed. */
  const printed = new Map<string, string[]>()
  const lambda = stack.use(
    await startLambda({
      functions,
      onLog: ({ functionName, line }) => {
        if (!line.startsWith('{"message":"record"')) return
        const ids = printed.get(functionName) ?? []
        printed.set(functionName, [...ids, JSON.parse(line).messageId])
      },
    }),
  )
  const subjects = Object.entries(proxies).map(([name, own]): Subject => {
    const ids = (): string[] => printed.get(functionOf(name)) ?? []
    const rest = name.startsWith('publish')
      ? publishing(name, lambda, client)
      : consuming(name, lambda, client, ids)
    return { name, proxies: own, ...rest }
  })

  const figures: Omit<InterruptedFigure, 'untrue' | 'copies'>[] = []
  await Promise.all(subjects.map(({ invoke }) => invoke(0)))
  for (const [index, { frozen, end }] of freezes.entries()) {
    const thaws = await Promise.all(subjects.map((each) => interrupt(lambda, each, index + 1)))
    for (const proxy of Object.values(proxies).flat()) proxy.end(end)
    await clock.advance(FROZEN_MS[frozen])
    await Promise.all(
      thaws.map(async (thaw) => {
        const { name, invoke, ended, endedMs } = await thaw()
        const began = performance.now()
        const first = await invoke(index + 1)
        const outcome = first === '200' ? 'done' : first
        figures.push({ name, frozen, end, ended, endedMs, outcome, tookMs: performance.now() - began })
      }),
    )
  }
  return await Promise.all(
    figures.map(async (figure, at) => {
      const subject = subjects.find(({ name }) => name === figure.name) as Subject
      return { ...figure, ...(await subject.judge(Math.floor(at / subjects.length) + 1)) }
    }),
  )
}

type Thawed = Subject & Pick<InterruptedFigure, 'ended' | 'endedMs'>

/** Stops a function in the middle of its request. Resolves to what lets it go on, and resolves when that invocation is over. */
async function interrupt(
  lambda: LocalLambda,
  subject: Subject,
  freeze: number,
): Promise<() => Promise<Thawed>> {
  const { name, proxies, invoke } = subject
  const isWanted = REQUESTS[name] as (request: Frame) => boolean
  const held = Promise.race(proxies.map((each) => each.holdAt(isWanted)))
  const running = invoke(freeze)
  const missed = running.then((ended) => {
    throw new Error(`${name}: it ended without that request, ${ended}`)
  })
  await Promise.race([held, missed])
  const [pid = 0] = lambda.pids()[functionOf(name)] ?? []
  process.kill(-pid, 'SIGSTOP')
  await until('the process to stand still', () => processState(pid) === 'T')
  return async () => {
    const began = performance.now()
    process.kill(-pid, 'SIGCONT')
    const ended = await running
    return { ...subject, ended, endedMs: performance.now() - began }
  }
}

interface Told {
  body: string
  status: number
  messageId?: string
  outcome?: string
}

function publishing(name: string, lambda: LocalLambda, client: Client): Pick<Subject, 'invoke' | 'judge'> {
  const told: Told[][] = []
  let sent = 0
  let stored: Promise<Message[]> | undefined
  return {
    async invoke(freeze) {
      const body = String(sent++)
      const event = httpEvent('POST', `/topics/${SENT}/messages`, { body })
      const { payload, functionError } = await lambda.invoke(functionOf(name), event)
      if (functionError) return (payload as { errorType: string }).errorType
      const { statusCode, body: text = '{}' } = payload as { statusCode: number; body?: string }
      const { messageId, outcome } = JSON.parse(text)
      told[freeze] = [...(told[freeze] ?? []), { body, status: statusCode, messageId, outcome }]
      return String(statusCode)
    },
    async judge(freeze) {
      stored ??= readAll(client, SENT)
      const untrue: string[] = []
      let copies = 0
      for (const { body, status, messageId, outcome } of told[freeze] ?? []) {
        const own = (await stored).filter((each) => each.body.toString() === body)
        const ids = new Set(own.map((each) => each.messageId))
        copies += own.length - 1
        const isTold = status === 200 || (status === 504 && outcome === 'unknown')
        if (!isTold || ids.size !== 1 || !ids.has(messageId ?? ''))
          untrue.push(`${status} ${outcome} ${messageId}, and stored is ${[...ids].join(', ') || 'nothing'}`)
      }
      return { untrue, copies }
    },
  }
}

/** @param printed the ids of the records that it has begun, in all groups */
function consuming(
  name: string,
  lambda: LocalLambda,
  client: Client,
  printed: () => readonly string[],
): Pick<Subject, 'invoke' | 'judge'> {
  /** By freeze: the ids of records that were begun, and how many were told to be handled. */
  const begun: Set<string>[] = []
  const told: number[] = []
  const invoke = async (freeze: number): Promise<string> => {
    const before = printed().length
    const event = { version: 1, eventSource: mappingOf(freeze) }
    const { payload, functionError } = await lambda.invoke(functionOf(name), event)
    begun[freeze] = new Set([...(begun[freeze] ?? []), ...printed().slice(before)])
    if (functionError) return (payload as { errorType: string }).errorType
    told[freeze] = (told[freeze] ?? 0) + (payload as EventSourceResult).handled
    return 'done'
  }
  return {
    invoke,
    async judge(freeze) {
      const consumer = createPullConsumer(client, { consumerGroup: groupOf(name, freeze) })
      const queue = { topic: CONSUMED, brokerName: 'broker-a', queueId: 0 }
      const committed = async (): Promise<number> => Number((await consumer.committedOffset(queue)) ?? 0)
      const untrue: string[] = []
      const check = (count: number): void => {
        const [handled = 0, done = 0] = [told[freeze], begun[freeze]?.size]
        if (count < handled) untrue.push(`${handled} were told to be handled, ${count} are committed`)
        if (count > done) untrue.push(`${count} are committed, ${done} were begun`)
      }
      check(await committed())
      await until(
        'the rest',
        async () => (await committed()) === MESSAGES || void (await invoke(freeze)),
        PATIENCE_MS,
      )
      check(MESSAGES)
      return { untrue, copies: 0 }
    },
  }
}

const functionOf = (name: string): string => name.replaceAll(/\W+/g, '-')
const mappingOf = (freeze: number): string => `freeze-${freeze}`
const groupOf = (name: string, freeze: number): string => `${functionOf(name)}-${freeze}`

async function readAll(client: Client, topic: string): Promise<Message[]> {
  const consumer = createPullConsumer(client, { consumerGroup: 'interrupted' })
  const messages: Message[] = []
  for (const queue of await consumer.queues(topic)) {
    const end = await consumer.maxOffset(queue)
    for (let offset = 0n; offset < end; ) {
      const pulled = await consumer.pull(queue, offset)
      messages.push(...pulled.messages)
      offset = pulled.nextBeginOffset
    }
  }
  return messages
}
