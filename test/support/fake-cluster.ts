/**
 * A name server and brokers, all of them scripted servers: the routes lead to real sockets, so that everything above
 * the wire runs as it does in a function. Scripts see each request by its code and answer as they like.
 */
import type { TestContext } from 'node:test'
import { type Client, createClient } from '../../src/client/client.ts'
import type { ClientOptions } from '../../src/client/options.ts'
import { RequestCode } from '../../src/commands/index.ts'
import type { Frame } from '../../src/wire/index.ts'
import { type FakeAnswer, type FakeConnection, type FakeServer, fakeServer } from './fake-server.ts'

/** What a handler gives: an answer, or nothing when it answered by itself or wants silence. */
export type Handled = FakeAnswer | undefined | Promise<FakeAnswer | undefined>
export type Handler = (frame: Frame, connection: FakeConnection) => Handled
/** By request code. A code without a handler is answered 3, as brokers do. */
export type Handlers = Readonly<Record<number, Handler>>

export interface FakeTopic {
  /** @default 2 */
  readQueueNums?: number
  /** @default 2 */
  writeQueueNums?: number
  /** @default 6: read and write */
  perm?: number
  /** Names of the brokers that have it. @default all */
  brokers?: readonly string[]
}

export interface FakeClusterOptions {
  /** Masters by broker name. @default one, `broker-a`, that stores every send */
  brokers?: Readonly<Record<string, Handlers>>
  /** Replicas by broker name and id. */
  replicas?: Readonly<Record<string, Readonly<Record<number, Handlers>>>>
  /** Broker names whose route lists no master. */
  withoutMaster?: readonly string[]
  /** By name as stored (namespace included). Others answer 17. @default `orders` */
  topics?: Record<string, FakeTopic>
  /** Handlers of the name server, in place of its own. */
  nameServer?: Handlers
}

export class FakeCluster {
  readonly nameServer: FakeServer
  /** By broker name; replicas as `name/id`. */
  readonly brokers: ReadonlyMap<string, FakeServer>
  /** May be changed by the test. */
  readonly topics: Record<string, FakeTopic>
  readonly #t: TestContext

  constructor(
    t: TestContext,
    nameServer: FakeServer,
    brokers: ReadonlyMap<string, FakeServer>,
    topics: Record<string, FakeTopic>,
  ) {
    this.#t = t
    this.nameServer = nameServer
    this.brokers = brokers
    this.topics = topics
  }

  broker(name = 'broker-a'): FakeServer {
    const server = this.brokers.get(name)
    if (!server) throw new Error(`no broker ${name}`)
    return server
  }

  /** All request codes that `name` received. */
  codes(name = 'broker-a'): number[] {
    return this.broker(name).codes
  }

  /** A client of this cluster; it is closed when the test is over. */
  client(options: ClientOptions = {}): Client {
    const client = createClient({ nameServers: this.nameServer.address, timeoutMs: 2_000, ...options })
    this.#t.after(() => client.close())
    return client
  }
}

/** Opens a cluster; it is closed when the test is over. */
export async function fakeCluster(t: TestContext, options: FakeClusterOptions = {}): Promise<FakeCluster> {
  const { brokers = { 'broker-a': storing() }, replicas = {}, withoutMaster = [], nameServer = {} } = options
  const topics = options.topics ?? { orders: {} }
  const servers = new Map<string, FakeServer>()
  for (const [name, handlers] of Object.entries(brokers)) servers.set(name, await handling(t, handlers))
  for (const [name, byId] of Object.entries(replicas)) {
    for (const [id, handlers] of Object.entries(byId))
      servers.set(`${name}/${id}`, await handling(t, handlers))
  }
  const addresses = (name: string): Record<string, string> => {
    const found: Record<string, string> = {}
    for (const [key, server] of servers) {
      const [brokerName, id = '0'] = key.split('/')
      if (brokerName === name && !(id === '0' && withoutMaster.includes(name))) found[id] = server.address
    }
    return found
  }
  const route: Handler = (frame) => {
    const topic = Object.hasOwn(topics, frame.ext['topic'] ?? '')
      ? topics[frame.ext['topic'] ?? '']
      : undefined
    if (!topic) return { code: 17, remark: 'No topic route info in name server' }
    const names = topic.brokers ?? [...new Set([...servers.keys()].map((key) => key.split('/')[0] ?? ''))]
    return { body: routeBody(topic, names, addresses) }
  }
  const names = await handling(t, { [RequestCode.GET_ROUTEINFO_BY_TOPIC]: route, ...nameServer })
  return new FakeCluster(t, names, servers, topics)
}

function routeBody(
  topic: FakeTopic,
  brokerNames: readonly string[],
  addresses: (name: string) => Record<string, string>,
): Buffer {
  const { readQueueNums = 2, writeQueueNums = 2, perm = 6 } = topic
  return json({
    queueDatas: brokerNames.map((brokerName) => ({
      brokerName,
      readQueueNums,
      writeQueueNums,
      perm,
      topicSysFlag: 0,
    })),
    brokerDatas: brokerNames.map((brokerName) => ({
      cluster: 'DefaultCluster',
      brokerName,
      brokerAddrs: addresses(brokerName),
    })),
    filterServerTable: {},
  })
}

/** A server that answers by request code. */
export function handling(t: TestContext, handlers: Handlers): Promise<FakeServer> {
  return fakeServer(t, async (frame, connection) => {
    const handler = handlers[frame.code]
    const answer = handler
      ? await handler(frame, connection)
      : { code: 3, remark: `request type ${frame.code}` }
    if (answer && !connection.socket.destroyed) connection.reply(frame, answer)
  })
}

/** Handlers that answer every request in the same way. */
export const everything = (handler: Handler): Handlers =>
  Object.fromEntries(Object.values(RequestCode).map((code) => [code, handler]))

export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** Handlers of a broker that stores every message, batch and one-way send, with queue offsets from 0 up. */
export function storing(): Handlers {
  let next = 0
  const store: Handler = (frame) => {
    if ((frame.flag & 2) !== 0) return undefined
    const count = frame.code === RequestCode.SEND_BATCH_MESSAGE ? batchLength(frame.body) : 1
    const ids = Array.from({ length: count }, (_, index) => offsetId(next + index))
    const ext = { msgId: ids.join(','), queueId: frame.ext['e'] ?? '0', queueOffset: String(next) }
    next += count
    return { ext }
  }
  return {
    [RequestCode.SEND_MESSAGE]: store,
    [RequestCode.SEND_MESSAGE_V2]: store,
    [RequestCode.SEND_BATCH_MESSAGE]: store,
  }
}

/** The answer of a broker that stored one message. */
export function stored(frame: Frame, code = 0): FakeAnswer {
  return { code, ext: { msgId: offsetId(0), queueId: frame.ext['e'] ?? '0', queueOffset: '0' } }
}

/** An offset message id of 10.0.0.1:10911. */
export function offsetId(commitLogOffset: number): string {
  return `0A00000100002A9F${commitLogOffset.toString(16).toUpperCase().padStart(16, '0')}`
}

function batchLength(body: Buffer): number {
  let count = 0
  for (let at = 0; at + 4 <= body.length; at += body.readInt32BE(at)) count++
  return count
}
