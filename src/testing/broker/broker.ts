/**
 * The local broker: a name server and one or more brokers in this process, in memory, on 127.0.0.1. For development and
 * tests, never for production. It speaks the real protocol, so that any client of RocketMQ can use it, and answers as
 * RocketMQ 5.5.0 does; docs/testing.md has a table of all known differences.
 */

import { groupConfig } from '../../commands/groups.ts'
import { ConfigError } from '../../errors.ts'
import { checkArray, checkInt, checkObject, checkText } from '../../wire/checks.ts'
import { fieldsOf } from '../../wire/fields.ts'
import { decodeMessages, type StoredMessage } from '../../wire/message.ts'
import { checkGroupName, checkTopicName } from '../../wire/names.ts'
import { AccessControl, type LocalUser } from './access.ts'
import { createClock, type TestClock } from './clock.ts'
import { type FaultRule, type FaultRules, Faults } from './faults.ts'
import { adminHandlers } from './handlers/admin.ts'
import { clientHandlers } from './handlers/clients.ts'
import { messageHandlers } from './handlers/messages.ts'
import { offsetHandlers } from './handlers/offsets.ts'
import { popAckHandlers } from './handlers/pop-acks.ts'
import { popHandlers } from './handlers/pops.ts'
import { pullHandlers } from './handlers/pulls.ts'
import { retryHandlers } from './handlers/retries.ts'
import { sendHandlers } from './handlers/sends.ts'
import { transactionHandlers } from './handlers/transactions.ts'
import { createNameServer } from './name-server.ts'
import { BrokerNode, type NodeContext } from './node.ts'
import { Registry } from './registry.ts'
import type { BrokerLogger, Server } from './server.ts'
import { MAX_QUEUES, PERM_READ_WRITE, topicConfig } from './topics.ts'

export interface LocalTopicSettings {
  /** Queues on each broker. @default 4 */
  queues?: number
  /** @default `queues` */
  readQueueNums?: number
  /** @default `queues` */
  writeQueueNums?: number
  /** 6 is read and write, 4 read, 2 write. @default 6 */
  perm?: number
}

export interface LocalBrokerOptions {
  /** Port of the name server; brokers take free ones. @default 0: a free one */
  port?: number
  /** Topics to begin with: their names, or settings by name. @default none */
  topics?: readonly string[] | Readonly<Record<string, LocalTopicSettings>>
  /** How many brokers, named broker-a, broker-b, … @default 1 */
  brokers?: number
  /** @default "DefaultCluster" */
  clusterName?: string
  /** Its time. Several brokers may share one. @default a clock of its own, which runs */
  clock?: TestClock
  /** Fault rules to begin with. @default none */
  faults?: readonly FaultRule[]
  /** Bytes that each broker keeps; beyond, the oldest messages go and `minOffset` moves. At least 16 MiB. @default 512 MiB */
  retentionBytes?: number
  /** Who may do what, by access key: requests to brokers must then be signed. @default no access control */
  users?: Readonly<Record<string, LocalUser>>
  /** The first send to a topic creates it. @default true */
  autoCreateTopics?: boolean
  /** The first use of a group creates it. @default true */
  autoCreateGroups?: boolean
  /** Timer messages can be recalled (recallMessageEnable). @default false */
  recall?: boolean
  /** Ms between two rounds of checks of transactions. @default 30000 */
  transactionCheckInterval?: number
  /** Ms from the birth of a half message to its first check. @default 6000 */
  transactionTimeOut?: number
  /** Checks before a half message is given up. @default 15 */
  transactionCheckMax?: number
  /** Told why connections were closed, and of failures inside. @default silent */
  logger?: BrokerLogger
}

/** A server that can go away and come back, under its address. */
export interface LocalServer {
  /** `127.0.0.1:port`. */
  readonly address: string
  /** False while it is stopped or killed. */
  readonly isRunning: boolean
  /** Nothing is read or answered until `resume`; connections stay open. */
  freeze(): void
  resume(): void
  /** In an orderly way: commits are kept, locks and registrations are gone, and so are the broker's routes. */
  stop(): Promise<void>
  /** As kill -9: connections are reset, and commits since the last saving (every 5 s, first after 10) are lost,
   * those of pops too. What was popped, and what was acknowledged, is kept. */
  kill(): Promise<void>
  /** Starts it again. Does nothing when it runs. */
  start(): Promise<void>
}

/** How far a consumer group is in one queue. */
export interface QueueLag {
  consumerGroup: string
  queue: { topic: string; brokerName: string; queueId: number }
  committedOffset: bigint
  /** The offset that the next message gets. */
  maxOffset: bigint
  /** Messages behind the committed offset. */
  lag: bigint
}

export interface LocalBroker {
  /** What a client takes as `nameServers`. */
  readonly nameServers: string
  readonly nameServer: LocalServer
  readonly brokers: readonly (LocalServer & { readonly name: string })[]
  readonly clock: TestClock
  readonly faults: FaultRules
  /** Creates a topic on every broker, or changes it. Its routes are there when it returns. */
  createTopic(topic: string, settings?: LocalTopicSettings): void
  /** Creates a group on every broker, with the default settings. */
  createGroup(group: string): void
  /** Adds a user, or gives it another key and other grants; undefined removes it. The next request is judged by it. */
  setUser(accessKey: string, user: LocalUser | undefined): void
  /**
   * All stored messages of a topic, broker by broker, queue by queue, in order; %RETRY% and %DLQ% topics too.
   * @throws ProtocolError for a message that says it is compressed and is not, or would take more than 16 MiB
   */
  messages(topic: string): StoredMessage[]
  /** The committed offset of one queue; undefined when the group has none. */
  committedOffset(
    group: string,
    queue: { topic: string; brokerName: string; queueId: number },
  ): bigint | undefined
  /** How far each group is, in the queues in which it has a committed offset; by group, topic, broker and queue. */
  lag(): QueueLag[]
  /** Ends everything. Nothing is left that keeps the process alive. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const OPTIONS: readonly (keyof LocalBrokerOptions)[] = [
  'port',
  'topics',
  'brokers',
  'clusterName',
  'clock',
  'faults',
  'retentionBytes',
  'users',
  'autoCreateTopics',
  'autoCreateGroups',
  'recall',
  'transactionCheckInterval',
  'transactionTimeOut',
  'transactionCheckMax',
  'logger',
]

const SILENT: BrokerLogger = { warn: () => {}, error: () => {} }
const DEFAULT_RETENTION_BYTES = 512 << 20
const MAX_BROKERS = 26

/**
 * Starts a local broker; it is ready when this resolves, within a few ms.
 * @throws ConfigError naming a wrong option; ConnectError when the port is in use
 * @example
 * await using broker = await startBroker({ topics: ['orders'] })
 * const client = createClient({ nameServers: broker.nameServers })
 */
export async function startBroker(options: LocalBrokerOptions = {}): Promise<LocalBroker> {
  checkOptions(options)
  const { port = 0, brokers: count = 1, clusterName = 'DefaultCluster', clock = createClock() } = options
  const names = Array.from({ length: count }, (_, index) => `broker-${String.fromCharCode(97 + index)}`)
  const faults = new Faults(['name-server', ...names])
  for (const rule of options.faults ?? []) faults.add(rule)
  const access = new AccessControl(clusterName)
  if (options.users) access.turnOn()
  for (const [accessKey, user] of Object.entries(options.users ?? {})) access.set(accessKey, user)
  const context: NodeContext = {
    access,
    registry: new Registry(clusterName),
    clock,
    faults,
    logger: options.logger ?? SILENT,
    handlers: new Map([
      ...sendHandlers(),
      ...transactionHandlers(),
      ...pullHandlers(),
      ...popHandlers(),
      ...popAckHandlers(),
      ...offsetHandlers(),
      ...retryHandlers(),
      ...clientHandlers(),
      ...adminHandlers(),
      ...messageHandlers(),
    ]),
  }
  const nodes = names.map(
    (brokerName) =>
      new BrokerNode(
        {
          brokerName,
          port: 0,
          retentionBytes: options.retentionBytes ?? DEFAULT_RETENTION_BYTES,
          autoCreateTopics: options.autoCreateTopics ?? true,
          autoCreateGroups: options.autoCreateGroups ?? true,
          recall: options.recall ?? false,
          transactionCheckInterval: options.transactionCheckInterval ?? 30_000,
          transactionTimeOut: options.transactionTimeOut ?? 6_000,
          transactionCheckMax: options.transactionCheckMax ?? 15,
        },
        context,
      ),
  )
  const nameServer = createNameServer(port, context)
  const close = async (): Promise<void> => {
    for (const node of nodes) node.clock.cancelAll()
    await Promise.all([nameServer.close(), ...nodes.map((node) => node.stop())])
    for (const node of nodes) node.clock.cancelAll()
  }
  try {
    await nameServer.listen()
    for (const node of nodes) await node.start()
    const broker = publicFace(nodes, nameServer, context, faults, close)
    for (const [topic, settings] of topicsOf(options.topics)) broker.createTopic(topic, settings)
    return broker
  } catch (error) {
    await close()
    throw error
  }
}

function checkOptions(options: LocalBrokerOptions): void {
  checkKeys('startBroker', checkObject('startBroker', options), OPTIONS)
  checkInt('port', options.port ?? 0, 0, 65_535)
  checkInt('brokers', options.brokers ?? 1, 1, MAX_BROKERS)
  checkText('clusterName', options.clusterName ?? 'DefaultCluster')
  checkInt('transactionCheckInterval', options.transactionCheckInterval ?? 1, 1)
  checkInt('transactionTimeOut', options.transactionTimeOut ?? 0)
  checkInt('transactionCheckMax', options.transactionCheckMax ?? 1, 1)
  checkArray('faults', options.faults ?? [])
  checkObject('users', options.users ?? {})
  for (const name of ['autoCreateTopics', 'autoCreateGroups', 'recall'] as const) {
    if (typeof (options[name] ?? true) !== 'boolean') throw new ConfigError(name, 'takes true or false')
  }
  if (options.clock !== undefined && typeof options.clock?.advance !== 'function')
    throw new ConfigError('clock', 'takes what createClock() gives')
  const logger = options.logger ?? SILENT
  if (typeof logger.warn !== 'function' || typeof logger.error !== 'function')
    throw new ConfigError('logger', 'takes { warn, error }, such as console')
  if (typeof (options.topics ?? []) !== 'object')
    throw new ConfigError('topics', 'takes a list of names, or settings by name')
}

/** @param what in the text of the error */
function checkKeys(what: string, value: object, known: readonly string[], prefix = ''): void {
  for (const name of Object.keys(value)) {
    if (!known.includes(name))
      throw new ConfigError(prefix + name, `is not an option of ${what}; there are ${known.join(', ')}`)
  }
}

function topicsOf(topics: LocalBrokerOptions['topics'] = []): [string, LocalTopicSettings][] {
  return Array.isArray(topics) ? topics.map((topic: string) => [topic, {}]) : Object.entries(topics)
}

function publicFace(
  nodes: readonly BrokerNode[],
  nameServer: Server,
  { clock, access }: NodeContext,
  faults: Faults,
  close: () => Promise<void>,
): LocalBroker {
  const face: LocalBroker = {
    nameServers: nameServer.address,
    nameServer: {
      address: nameServer.address,
      get isRunning() {
        return nameServer.isListening
      },
      freeze: () => nameServer.freeze(),
      resume: () => nameServer.resume(),
      stop: () => nameServer.close(),
      kill: () => nameServer.close({ reset: true }),
      start: () => nameServer.listen(),
    },
    brokers: nodes.map((node) => ({
      name: node.brokerName,
      address: node.server.address,
      get isRunning() {
        return node.server.isListening
      },
      freeze: () => node.server.freeze(),
      resume: () => node.server.resume(),
      stop: () => node.stop(),
      kill: () => node.kill(),
      start: () => node.start(),
    })),
    clock,
    faults,
    createTopic(topic, settings = {}) {
      checkTopicName(topic)
      const config = configOf(topic, settings)
      for (const node of nodes) node.topics.set(config)
    },
    createGroup(group) {
      checkGroupName(group, 'group')
      for (const { groups } of nodes) if (!groups.has(group)) groups.set(group, groupConfig(group))
    },
    setUser: (accessKey, user) => access.set(accessKey, user),
    messages: (topic) => nodes.flatMap((node) => [...node.store.records(topic)].flatMap(decodeRecord)),
    committedOffset(group, { topic, brokerName, queueId }) {
      const node = nodes.find((each) => each.brokerName === brokerName)
      if (!node) throw new ConfigError('queue.brokerName', `${brokerName} is none of the brokers`)
      return node.offsets.get(group, topic, queueId)
    },
    lag: () => nodes.flatMap(lagOf).sort(byName),
    close,
    [Symbol.asyncDispose]: close,
  }
  return face
}

function lagOf({ brokerName, offsets, store }: BrokerNode): QueueLag[] {
  return [...offsets.all()].flatMap(([key, queues]) => {
    const at = key.lastIndexOf('@')
    const [topic, consumerGroup] = [key.slice(0, at), key.slice(at + 1)]
    return [...queues].map(([queueId, committedOffset]) => {
      const maxOffset = BigInt(store.queue(topic, queueId)?.max ?? 0)
      const queue = { topic, brokerName, queueId }
      return { consumerGroup, queue, committedOffset, maxOffset, lag: maxOffset - committedOffset }
    })
  })
}

function byName(a: QueueLag, b: QueueLag): number {
  return (
    compare(a.consumerGroup, b.consumerGroup) ||
    compare(a.queue.topic, b.queue.topic) ||
    compare(a.queue.brokerName, b.queue.brokerName) ||
    a.queue.queueId - b.queue.queueId
  )
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** One by one: what a record takes is limited, not what the topic holds. */
function decodeRecord(record: Buffer): StoredMessage[] {
  const { messages, undecodable } = decodeMessages(Buffer.from(record))
  if (undecodable[0]) throw undecodable[0].reason
  return messages.map((message) => fieldsOf(message) as unknown as StoredMessage)
}

function configOf(topic: string, settings: LocalTopicSettings): ReturnType<typeof topicConfig> {
  const field = `topics.${topic}`
  checkKeys(
    'a topic',
    checkObject(field, settings),
    ['queues', 'readQueueNums', 'writeQueueNums', 'perm'],
    `${field}.`,
  )
  const { queues = 4, readQueueNums = queues, writeQueueNums = queues, perm = PERM_READ_WRITE } = settings
  for (const [name, value] of Object.entries({ queues, readQueueNums, writeQueueNums })) {
    checkInt(`${field}.${name}`, value, 0, MAX_QUEUES)
  }
  if (!Number.isInteger(perm) || (perm & ~PERM_READ_WRITE) !== 0)
    throw new ConfigError(`${field}.perm`, `takes 6, 4, 2 or 0, got ${perm}`)
  return topicConfig(topic, queues, { readQueueNums, writeQueueNums, perm })
}
