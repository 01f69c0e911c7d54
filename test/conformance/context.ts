/** What every case of the suite gets: a broker, a client, names of its own, and the few verbs that cases share. */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Command } from '../../src/commands/define.ts'
import { UpdateAndCreateSubscriptionGroup } from '../../src/commands/groups.ts'
import { GetBrokerClusterInfo, GetRouteInfoByTopic } from '../../src/commands/route.ts'
import { type CreateTopicRequest, UpdateAndCreateTopic } from '../../src/commands/topics.ts'
import {
  type Client,
  type ClientOptions,
  createClient,
  createProducer,
  createPullConsumer,
  type Message,
  type MessageQueue,
  type Producer,
  type PullConsumer,
  type PullConsumerOptions,
  RocketMQError,
} from '../../src/index.ts'
import type { Answer } from '../../src/net/network.ts'
import type { Recording } from './recorder.ts'
import type { Instead } from './versions.ts'

/** What a broker may have switched off. A case then asserts that it refuses as Apache's broker does with the setting off. */
export interface Features {
  /** enablePropertyFilter */
  sql92: boolean
  /** recallMessageEnable */
  recall: boolean
}

/** What differs between versions in details that cases go by; factsOf (versions.ts) has them. */
export interface Facts {
  /** As brokers write it. */
  versionName: string
  /** What is told for a queue without an offset where the group has one of another queue of the topic. */
  unsetOffset: 0n | undefined
  /** How a write is answered that names a queue that there is not, or something else out of range. */
  wrongQueue: { responseCode: number; outcome: string }
  /** Retries of popped messages name their group. */
  originGroup: boolean
  suspendIsNoAttempt: boolean
  /** A pop of a negative count is refused, and a change of the time behind the last message. */
  popBounds: boolean
  /** A delivered message still says where it was a half message. */
  halfPlace: boolean
  /** A send is answered with a transactionId, and a delivered message has it. */
  transactionId: boolean
  /** A check names its broker. */
  checkBroker: boolean
  /** A check names the topic of half messages. */
  checkTopic: boolean
  heartbeatV2: boolean
}

export interface BrokerUnderTest {
  nameServers: string
  features: Features
  facts: Facts
  /** Name of a case → what is asserted in its place, because the version lacks something. */
  instead?: Readonly<Record<string, Instead>>
  /** Name of a case → why this broker fails it. It must really fail: a difference that is gone must be taken out. */
  differences?: Readonly<Record<string, string>>
  /** Codes of the catalogue that this broker has no answer to, or never sends. Exactly these. */
  unanswered?: readonly number[]
  /** Ends the broker in an orderly way and starts it again on its address, with what it had on disk. */
  restart?: () => Promise<void>
  stop(): Promise<void>
}

export type Cases = Readonly<Record<string, (c: Context) => Promise<void>>>

export interface Context {
  readonly broker: BrokerUnderTest
  readonly facts: Facts
  readonly client: Client
  /** Address of the only master, and its name. */
  readonly master: string
  readonly brokerName: string
  readonly clusterName: string
  readonly producer: Producer
  readonly recording: Recording
  /** Another client, closed at the end of the suite. */
  connect(options?: ClientOptions): Client
  /** A new name that nobody else uses. */
  name(prefix?: string): string
  /** A new topic with a route. @default one queue, perm 6 */
  topic(settings?: Partial<CreateTopicRequest>): Promise<string>
  /** A new group that exists on the broker. */
  group(settings?: { retryMaxTimes?: number }): Promise<string>
  queue(topic: string, queueId?: number): MessageQueue
  consumer(options?: Partial<PullConsumerOptions>): PullConsumer
  /** A low-level call to the master. */
  call<Request, Response, RequestBody, ResponseBody>(
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
    client?: Client,
  ): Promise<Answer<Response, ResponseBody>>
  /** A low-level call to the name server. */
  ask<Request, Response, RequestBody, ResponseBody>(
    command: Command<Request, Response, RequestBody, ResponseBody>,
    request: Request,
    body: RequestBody,
  ): Promise<Answer<Response, ResponseBody>>
  /** All messages of a topic, queue by queue in offset order, as soon as there are `count`. */
  read(topic: string, count: number, options?: Partial<PullConsumerOptions>): Promise<Message[]>
}

const noneIfUnknown = (error: unknown): MessageQueue[] => {
  if (RocketMQError.is(error) && error.responseCode === 17) return []
  throw error
}

/** How long cases wait for what a broker does in its own time. */
const PATIENCE_MS = 25_000

/** Asks again until the answer is neither undefined nor false. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  patienceMs: number = PATIENCE_MS,
): Promise<T> {
  const limit = Date.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (Date.now() > limit) throw new Error(`waited ${patienceMs} ms for ${what}`)
    await delay(20)
  }
}

export interface Failure {
  error: string
  responseCode?: number
  outcome?: string
  field?: string
}

/** How a call failed, as a value to compare. */
export async function failure(promise: Promise<unknown>): Promise<Failure> {
  try {
    await promise
  } catch (error) {
    if (!RocketMQError.is(error)) throw error
    const { name, responseCode, outcome, field } = error
    return {
      error: name,
      ...(responseCode === undefined ? {} : { responseCode }),
      ...(outcome === undefined ? {} : { outcome }),
      ...(field === undefined ? {} : { field }),
    }
  }
  throw new Error('the call was expected to fail, and did not')
}

export async function createContext(
  broker: BrokerUnderTest,
  recording: Recording,
): Promise<Context & { close(): Promise<void> }> {
  const clients: Client[] = []
  const connect = (options: ClientOptions = {}): Client => {
    const client = createClient({ nameServers: broker.nameServers, timeoutMs: 20_000, ...options })
    clients.push(client)
    return client
  }
  const client = connect()
  const info = await client.nameServers.call(GetBrokerClusterInfo, {}, undefined, client.deadline({}))
  const [data] = info.body.brokerAddrTable.values()
  const master = data?.brokerAddrs.get(0)
  if (!data || master === undefined) throw new Error('the broker under test is not registered')
  const { brokerName, cluster: clusterName } = data

  const call: Context['call'] = (command, request, body, by = client) =>
    by.network.call(master, command, request, body, { deadline: by.deadline({}) })
  const ask: Context['ask'] = (command, request, body) =>
    client.nameServers.call(command, request, body, client.deadline({}))
  const name = (prefix = 'c'): string => `${prefix}-${randomBytes(6).toString('hex')}`
  const consumer: Context['consumer'] = (options = {}) =>
    createPullConsumer(client, { consumerGroup: name('reader'), ...options })
  return {
    broker,
    facts: broker.facts,
    client,
    master,
    brokerName,
    clusterName,
    recording,
    producer: createProducer(client, { producerGroup: 'conformance' }),
    connect,
    name,
    async topic(settings = {}) {
      const topic = settings.topic ?? name('topic')
      await call(UpdateAndCreateTopic, { topic, readQueueNums: 1, writeQueueNums: 1, ...settings }, undefined)
      await until(`the route of ${topic}`, () =>
        ask(GetRouteInfoByTopic, { topic, acceptStandardJsonOnly: true }, undefined).then(
          () => true,
          () => undefined,
        ),
      )
      return topic
    },
    async group(settings = {}) {
      const groupName = name('group')
      await call(UpdateAndCreateSubscriptionGroup, {}, { groupName, ...settings })
      return groupName
    },
    queue: (topic, queueId = 0) => ({ topic, brokerName, queueId }),
    consumer,
    call,
    ask,
    async read(topic, count, options = {}) {
      const reader = consumer(options)
      const read = new Map<number, { next: bigint; messages: Message[] }>()
      return await until(`${count} messages of ${topic}`, async () => {
        // What a broker creates by itself is at the name server a moment later.
        for (const queue of await reader.queues(topic).catch(noneIfUnknown)) {
          const at = read.get(queue.queueId) ?? { next: 0n, messages: [] }
          read.set(queue.queueId, at)
          const result = await reader.pull(queue, at.next)
          at.next = result.nextBeginOffset
          at.messages.push(...result.messages)
        }
        const messages = [...read.entries()].sort(([a], [b]) => a - b).flatMap(([, each]) => each.messages)
        return messages.length >= count ? messages : undefined
      })
    },
    async close() {
      await Promise.all(clients.map((each) => each.close()))
    },
  }
}
