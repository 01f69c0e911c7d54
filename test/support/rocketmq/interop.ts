/**
 * Apache's Java client as a peer in tests: the typed side of interop/Interop.java. One JVM for a whole suite, up in
 * about a second; calls run side by side. 64-bit numbers are decimal text here, as they come.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { removeFolderAtExit, startJava } from './jvm.ts'

export interface JavaClientOptions {
  /** Speak TLS; the server's certificate is not verified. @default false */
  tls?: boolean
  /** Namespace v1, wrapped around topics and groups. */
  namespace?: string
  accessKey?: string
  secretKey?: string
  securityToken?: string
}

export interface JavaQueue {
  topic: string
  brokerName: string
  queueId: number
}

/** Groups are optional everywhere. @default "interop-group" */
export interface JavaMessage {
  topic: string
  body: Uint8Array | string
  tag?: string
  keys?: readonly string[]
  flag?: number
  /** The user's. */
  properties?: Readonly<Record<string, string>>
  /** Set as they are, without the check that keeps users from reserved names. */
  systemProperties?: Readonly<Record<string, string>>
  delayLevel?: number
  delayMs?: number
  /** Epoch ms. */
  deliverAt?: number
  waitStoreMsgOK?: boolean
}

export interface JavaSend extends JavaMessage {
  producerGroup?: string
  /** Chooses the queue with SelectMessageQueueByHash. */
  shardingKey?: string
  queue?: JavaQueue
  /** Compresses every body, however short. */
  compress?: 'ZLIB' | 'LZ4' | 'ZSTD'
}

export interface JavaSendResult {
  status: string
  /** UNIQ_KEY; of a batch all of them, separated by commas. */
  messageId: string
  offsetMessageId?: string
  queue: JavaQueue
  queueOffset: string
  transactionId?: string
  recallHandle?: string
}

/** A message with all that a user of the Java client can see; `body` is decompressed. */
export interface JavaReceived {
  topic: string
  messageId: string
  offsetMessageId?: string
  tag?: string
  keys: string[]
  /** The user's and the system's. */
  properties: Record<string, string>
  body: Buffer
  brokerName?: string
  queueId: number
  queueOffset: string
  commitLogOffset: string
  bornTimestamp: string
  storeTimestamp: string
  bornHost: string
  storeHost: string
  reconsumeTimes: number
  flag: number
  sysFlag: number
  bodyCrc: number
  storeSize: number
  preparedTransactionOffset: string
  transactionId?: string
}

export interface JavaPullResult {
  status: 'FOUND' | 'NO_NEW_MSG' | 'NO_MATCHED_MSG' | 'OFFSET_ILLEGAL'
  nextBeginOffset: string
  minOffset: string
  maxOffset: string
  messages: JavaReceived[]
}

interface Filter {
  /** Tag expression. @default "*" */
  filter?: string
  sql?: string
}

type OnQueue = { queue: JavaQueue; consumerGroup?: string }

/** Every method rejects with a {@link JavaError} when the Java client throws. */
export interface JavaClient {
  readonly pid: number
  send(message: JavaSend): Promise<JavaSendResult>
  /** Resolves when the Java client has returned, not when the broker has the message. */
  sendOneway(message: JavaSend): Promise<void>
  sendBatch(batch: {
    topic: string
    messages: readonly Omit<JavaMessage, 'topic'>[]
    producerGroup?: string
    queue?: JavaQueue
  }): Promise<JavaSendResult>
  /**
   * Sends the half message and ends it with `outcome` (`unknown` leaves it to the check). A check from the broker is
   * answered by the message's user property `onCheck`: `commit`, `rollback`, or nothing for unknown.
   */
  sendTransaction(
    message: JavaMessage & { producerGroup?: string; outcome: 'commit' | 'rollback' | 'unknown' },
  ): Promise<JavaSendResult>
  /** The half messages that brokers have asked about so far. */
  transactionChecks(producerGroup?: string): Promise<JavaReceived[]>
  /** @returns the message id. */
  recall(recall: { topic: string; recallHandle: string; producerGroup?: string }): Promise<string>
  pull(pull: OnQueue & Filter & { offset: bigint | number; maxMessages?: number }): Promise<JavaPullResult>
  /** Pulls the message at the offset and sends it back to its retry topic. */
  sendBack(back: OnQueue & { offset: bigint | number; delayLevel: number }): Promise<void>
  /**
   * Runs a push consumer, from the beginning for a new group, until it has received `expected` messages, attempts
   * that were made to fail included; then it commits and leaves. @default timeoutMs 120000
   */
  consume(
    consume: Filter & {
      topic: string
      consumerGroup?: string
      expected: number
      timeoutMs?: number
      orderly?: boolean
      /** How many attempts of each message fail; they come again after about a second. */
      failures?: number
    },
  ): Promise<JavaReceived[]>
  /** Runs a lite pull consumer in the same way. */
  litePull(
    consume: Filter & { topic: string; consumerGroup?: string; expected: number; timeoutMs?: number },
  ): Promise<JavaReceived[]>
  queues(topic: string, consumerGroup?: string): Promise<JavaQueue[]>
  /** `-1` when the broker has none. */
  committedOffset(of: OnQueue): Promise<string>
  commitOffset(of: OnQueue & { offset: bigint | number }): Promise<void>
  minOffset(of: OnQueue): Promise<string>
  maxOffset(of: OnQueue): Promise<string>
  searchOffset(of: OnQueue & { timestamp: number }): Promise<string>
  /** By offset message id, or by UNIQ_KEY. */
  viewMessage(topic: string, messageId: string): Promise<JavaReceived>
  queryByKey(query: {
    topic: string
    key: string
    maxMessages?: number
    begin?: number
    end?: number
  }): Promise<JavaReceived[]>
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What the Java client threw; `responseCode` is the broker's, where it answered. */
export class JavaError extends Error {
  readonly responseCode: number | undefined
  constructor(message: string, responseCode: number | undefined) {
    super(message)
    this.responseCode = responseCode
  }
}

interface Answer {
  id?: number
  result?: unknown
  error?: string
  responseCode?: number
}

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
}

/** The last one: a consumer looks for new retry queues every second, not every 20. */
const FLAGS = [
  '-Xmx512m',
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  '-Drocketmq.client.rebalance.waitInterval=1000',
]

/** Starts the JVM; its clients connect when they are first used. */
export async function startJavaClient(
  nameServers: string,
  options: JavaClientOptions = {},
): Promise<JavaClient> {
  // The Java client writes logs to the home folder, and native libraries to the temporary one.
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-java-'))
  removeFolderAtExit(folder)
  const java = await startJava({
    mainClass: 'Interop',
    args: [JSON.stringify({ nameServers, ...options })],
    jvm: [...FLAGS, `-Duser.home=${folder}`, `-Djava.io.tmpdir=${folder}`],
    cwd: folder,
  })
  const { child } = java
  const { stdin, stdout, stderr } = child
  if (!stdin || !stdout || !stderr) throw new Error('the Java client has no pipes')
  const waiting = new Map<number, Waiting>()
  let lastErrors = ''
  stderr.setEncoding('utf8').on('data', (text: string) => {
    lastErrors = (lastErrors + text).slice(-4000)
  })
  stdin.on('error', () => {}) // told by the exit
  let becameReady: () => void = () => {}
  const ready = new Promise<void>((resolve) => {
    becameReady = resolve
  })
  createInterface({ input: stdout }).on('line', (line) => {
    const answer: Answer = JSON.parse(line)
    if (answer.id === undefined) return becameReady()
    const call = waiting.get(answer.id)
    waiting.delete(answer.id)
    if (answer.error === undefined) call?.resolve(answer.result)
    else call?.reject(new JavaError(answer.error, answer.responseCode))
  })
  const ended = java.ended.then((end) => {
    const error = new Error(`the Java client ended (${end}):\n${lastErrors}`)
    for (const call of waiting.values()) call.reject(error)
    waiting.clear()
    return error
  })
  const failure = await Promise.race([ready, ended])
  if (failure) throw failure

  // A suite that forgets to stop the client must still come to an end: only calls keep this process alive.
  const pipes = [stdin, stdout, stderr].filter((pipe) => pipe instanceof Socket)
  const keepAlive = (): void => {
    for (const pipe of pipes) pipe[waiting.size > 0 ? 'ref' : 'unref']()
  }
  keepAlive()

  let id = 0
  const call = async <T>(command: string, args: object = {}): Promise<T> => {
    if (java.end !== undefined) throw await ended
    const result = await new Promise<unknown>((resolve, reject) => {
      waiting.set(++id, { resolve, reject })
      keepAlive()
      stdin.write(`${JSON.stringify({ id, command, ...args }, writeValue)}\n`)
    }).finally(keepAlive)
    return result as T
  }
  const stop = async (): Promise<void> => {
    stdin.end()
    await java.wait()
    await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  return {
    pid: java.pid,
    send: (message) => call('send', withBody(message)),
    sendOneway: (message) => call('send', { ...withBody(message), oneway: true }),
    sendBatch: (batch) => call('sendBatch', { ...batch, messages: batch.messages.map(withBody) }),
    sendTransaction: (message) => call('sendTransaction', withBody(message)),
    transactionChecks: async (producerGroup) =>
      (await call<RawReceived[]>('transactionChecks', { producerGroup })).map(toReceived),
    recall: (recall) => call('recall', recall),
    pull: async (pull) => {
      const result = await call<JavaPullResult & { messages: RawReceived[] }>('pull', pull)
      return { ...result, messages: result.messages.map(toReceived) }
    },
    sendBack: (back) => call('sendBack', back),
    consume: async (consume) => (await call<RawReceived[]>('consume', consume)).map(toReceived),
    litePull: async (consume) => (await call<RawReceived[]>('litePull', consume)).map(toReceived),
    queues: (topic, consumerGroup) => call('queues', { topic, consumerGroup }),
    committedOffset: (of) => call('committedOffset', of),
    commitOffset: (of) => call('commitOffset', of),
    minOffset: (of) => call('minOffset', of),
    maxOffset: (of) => call('maxOffset', of),
    searchOffset: (of) => call('searchOffset', of),
    viewMessage: async (topic, messageId) => toReceived(await call('viewMessage', { topic, messageId })),
    queryByKey: async (query) => (await call<RawReceived[]>('queryByKey', query)).map(toReceived),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

type RawReceived = Omit<JavaReceived, 'body'> & { body: string }

function toReceived(raw: RawReceived): JavaReceived {
  return { ...raw, body: Buffer.from(raw.body, 'base64') }
}

function withBody<T extends { body: Uint8Array | string }>(message: T): Omit<T, 'body'> & { body: string } {
  return { ...message, body: Buffer.from(message.body).toString('base64') }
}

function writeValue(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
