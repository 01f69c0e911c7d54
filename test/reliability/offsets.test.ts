/**
 * Where a group stands must be known, never guessed: whatever an offset is asked for, and however the question fails, nothing of the
 * queue is handled or committed, and least of all does the group begin at one of its ends. Two brokers, one of them behind a proxy
 * that fails these questions and lets all else pass: the other one's queues are worked to their end meanwhile. When the
 * questions are answered again, everything comes that was due before.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { after, describe, it, type TestContext } from 'node:test'
import { InvokeBrokerToResetOffset } from '../../src/commands/consumer-requests.ts'
import { RequestCode } from '../../src/commands/index.ts'
import { UpdateAndCreateTopic } from '../../src/commands/topics.ts'
import {
  createClient,
  createProducer,
  createPullConsumer,
  type MessageQueue,
  RocketMQError,
} from '../../src/index.ts'
import { type EventSourceOptions, type EventSourceResult, eventSource } from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { type Failing, type FailingBroker, failingBroker } from '../support/failing-broker.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { startRocketMQ } from '../support/rocketmq/start.ts'

const {
  QUERY_CONSUMER_OFFSET: QUERY,
  UPDATE_CONSUMER_OFFSET: COMMIT,
  GET_MIN_OFFSET: MIN,
  GET_MAX_OFFSET: MAX,
  SEARCH_OFFSET_BY_TIMESTAMP: SEARCH,
  PULL_MESSAGE: PULL,
} = RequestCode

const NUMBERS = [0, 1, 2, 3, 4]
/** A silent broker is waited for so long; others have the time that a busy machine takes. */
const SILENCE_MS = 6_000
const quiet = { debug() {}, info() {}, warn() {} }

/** How a question fails, and what the invocation fails with. */
const WAYS: Readonly<Record<string, [how: Failing, code: string]>> = {
  'is refused': [{ code: 1, remark: 'java.lang.NullPointerException' }, 'RMQ_BROKER'],
  'meets a busy broker': [{ code: 2, remark: '[TIMEOUT_CLEAN_QUEUE]' }, 'RMQ_BROKER'],
  'is not permitted': [{ code: 16, remark: 'no permission to do it' }, 'RMQ_AUTH'],
  'is not answered in time': ['silent', 'RMQ_TIMEOUT'],
  'loses its connection to a reset': ['reset', 'RMQ_CONNECTION_LOST'],
  'loses its connection to an orderly end': ['end', 'RMQ_CONNECTION_LOST'],
  'loses its connection in the middle of the answer': ['half-frame', 'RMQ_CONNECTION_LOST'],
  'is answered with bytes that are no frame': ['garbage', 'RMQ_PROTOCOL'],
  'is answered with success and no offset': [{}, 'RMQ_PROTOCOL'],
  'is answered with an offset that is no number': [{ ext: { offset: 'x' } }, 'RMQ_PROTOCOL'],
  'is answered with an offset of 2^63': [{ ext: { offset: '9223372036854775808' } }, 'RMQ_PROTOCOL'],
}

interface Question {
  code: number
  mapping?: Partial<EventSourceOptions>
  /** Where the group stands before; left out: it has never been there. */
  committed?: bigint
  /** The question fails from the first record of the broker on, and this is done before. */
  later?: { after?: number; before?: (setting: Setting) => Promise<void> }
  /** Queue 1 is consumed, which the group has no offset of; it has one of queue 0, which is what is asked. */
  isOfQueue0?: boolean
  /** What an administrator has made of it when the question has failed. */
  resetTo?: bigint
  /** Of the broker: what is handled all the same, before the question. @default none */
  handled?: string[]
  /** Of the broker: what is handled when the question is answered again. */
  due: string[]
}

const bodies = (from: number): string[] => NUMBERS.slice(from).map((n) => `broker-a ${n}`)

/** Every question for an offset that an event source asks. */
const QUESTIONS: Readonly<Record<string, Question>> = {
  'where a group stands': {
    code: QUERY,
    committed: 2n,
    mapping: { startingPosition: 'LATEST' },
    due: bodies(2),
  },
  'whether a group has an offset': { code: QUERY, due: bodies(0) },
  'whether the group has read the broker before': {
    code: QUERY,
    committed: 2n,
    isOfQueue0: true,
    mapping: { startingPosition: 'LATEST' },
    due: bodies(0),
  },
  'where the group stands by now, before a commit': {
    code: QUERY,
    committed: 2n,
    later: {},
    mapping: { batchSize: 1 },
    handled: ['broker-a 2'],
    due: bodies(2),
  },
  'where an administrator has reset the group to': {
    code: QUERY,
    committed: 2n,
    // The first of them comes before the commit that is told of the reset.
    later: { after: 1, before: resetToFirst },
    resetTo: 0n,
    handled: bodies(2),
    due: bodies(0),
  },
  'where a queue begins': { code: MIN, mapping: { startingPosition: 'TRIM_HORIZON' }, due: bodies(0) },
  'where a queue ends': { code: MAX, mapping: { startingPosition: 'LATEST' }, due: [] },
  'which offset belongs to a time': {
    code: SEARCH,
    mapping: { startingPosition: 'AT_TIMESTAMP', startingPositionTimestamp: 1 },
    due: bodies(0),
  },
  'where a queue begins that was made anew': { code: MIN, committed: 10n, due: bodies(0) },
}

interface Cluster {
  nameServers: string
  brokers: readonly { readonly name: string; readonly address: string }[]
  stop(): Promise<void>
}

interface Setting {
  topic: string
  group: string
  /** In front of broker-a. */
  proxy: FailingBroker
  /** Asks without the proxy between. */
  committed(brokerName: string, queueId?: number): Promise<bigint | undefined>
  reset(offset: bigint): Promise<void>
  /** Bodies that were handled since the last look. */
  handled(brokerName: string): string[]
  run(
    mapping?: Partial<EventSourceOptions>,
    onFirst?: () => Promise<void>,
    queueId?: number,
  ): Promise<EventSourceResult>
}

async function resetToFirst(setting: Setting): Promise<void> {
  await setting.reset(0n)
}

let count = 0

/** A topic with five messages in one queue of each broker. */
async function setUp(
  t: TestContext,
  { nameServers, brokers }: Cluster,
  { committed, isOfQueue0 }: Partial<Question>,
  timeoutMs: number,
): Promise<Setting> {
  count += 1
  const [topic, group] = [`offsets-${count}`, `group-${count}`]
  const address = brokers.find(({ name }) => name === 'broker-a')?.address ?? ''
  const proxy = await failingBroker(address)
  const honest = createClient({ nameServers, timeoutMs: 20_000, routeTtlMs: 1 })
  const client = createClient({ nameServers, timeoutMs, addressMap: { [address]: proxy.address } })
  t.after(async () => {
    await client.close()
    await honest.close()
    await proxy[Symbol.asyncDispose]()
  })
  const call = { deadline: honest.deadline({ deadlineMs: Date.now() + 20_000 }) }
  for (const broker of brokers) {
    const request = { topic, readQueueNums: 2, writeQueueNums: 2 }
    await honest.network.call(broker.address, UpdateAndCreateTopic, request, undefined, call)
  }
  const consumer = createPullConsumer(honest, { consumerGroup: group })
  await until('the route', async () => {
    const found = await consumer.queues(topic).catch(() => [])
    return found.length === 2 * brokers.length
  })
  const producer = createProducer(honest, { producerGroup: 'shop' })
  const queueOf = (brokerName: string, queueId = isOfQueue0 ? 1 : 0): MessageQueue => ({
    topic,
    brokerName,
    queueId,
  })
  for (const { name } of brokers) {
    const queue = queueOf(name)
    for (const n of NUMBERS) await producer.send({ topic, body: `${name} ${n}`, queue })
    await until('the messages', async () => (await consumer.maxOffset(queue)) === 5n)
    if (committed === undefined) continue
    await consumer.pull(queue, 0n, { maxMessages: 1 }) // or the broker would not know the group
    await consumer.commitOffset(queueOf(name, 0), committed)
  }
  const found: Record<string, string[]> = {}
  return {
    topic,
    group,
    proxy,
    committed: (brokerName, queueId) => consumer.committedOffset(queueOf(brokerName, queueId)),
    async reset(offset) {
      const request = { topic, group, queueId: 0, offset, timestamp: -1n, isForce: true }
      await honest.network.call(address, InvokeBrokerToResetOffset, request, undefined, call)
    },
    handled(brokerName) {
      const own = found[brokerName] ?? []
      delete found[brokerName]
      return own
    },
    async run(mapping = {}, onFirst, queueId) {
      const handler = eventSource(
        { topic, consumerGroup: group, client, logger: quiet, ...mapping },
        async (event) => {
          for (const { brokerName, body } of Object.values(event.records).flat()) {
            found[brokerName] ??= []
            const own = found[brokerName]
            own.push(body.toString())
            if (brokerName === 'broker-a' && own.length === 1) await onFirst?.()
          }
        },
      )
      const queues = brokers.map(({ name }) => queueOf(name, queueId))
      const only = { version: 1, eventSource: topic, queues }
      return await handler(
        queueId === undefined ? scheduledEvent() : only,
        lambdaContext({ remainingMs: 60_000 }),
      )
    },
  }
}

function promises(open: () => Promise<Cluster>): void {
  for (const [question, about] of Object.entries(QUESTIONS)) {
    const { code, committed, mapping, later, isOfQueue0, handled = [], due } = about
    const queueId = isOfQueue0 ? 1 : undefined
    describe(question, { concurrency: 6 }, () => {
      for (const [way, [how, errorCode]] of Object.entries(WAYS))
        it(`${way}: nothing is guessed`, { timeout: 120_000 }, async (t) => {
          const setting = await setUp(t, await open(), about, how === 'silent' ? SILENCE_MS : 10_000)
          const { proxy } = setting
          const rule = { code, how, queueId: 0 }
          if (!later) proxy.fail(rule)

          const error = await setting
            .run(
              mapping,
              async () => {
                if (!later) return
                await later.before?.(setting)
                proxy.fail({ ...rule, after: later.after ?? 0 })
              },
              queueId,
            )
            .catch((failure: unknown) => failure)
          const asked = proxy.requests.map((each) => each.code)
          const ofQueue = proxy.requests.filter(({ ext }) => ext['queueId'] === String(queueId ?? 0))
          const done = new Set(ofQueue.map((each) => each.code))
          const whenFailed = {
            told: RocketMQError.is(error) ? error.code : error,
            handled: setting.handled('broker-a'),
            committed: await setting.committed('broker-a'),
            other: [setting.handled('broker-b').length, await setting.committed('broker-b')],
          }
          proxy.heal()
          await setting.run(mapping, undefined, queueId)

          const isLatest = mapping?.startingPosition === 'LATEST' && committed === undefined
          deepStrictEqual(whenFailed, {
            told: errorCode,
            handled,
            committed: about.resetTo ?? (isOfQueue0 ? undefined : committed),
            other: isLatest ? [0, 5n] : [committed === 2n && !isOfQueue0 ? 3 : 5, 5n],
          })
          ok(asked.includes(code))
          // Behind a reset a commit is in vain; it is what tells of it.
          deepStrictEqual(done.has(COMMIT), about.resetTo !== undefined)
          deepStrictEqual(done.has(PULL), later !== undefined || committed === 10n)
          deepStrictEqual([setting.handled('broker-a'), await setting.committed('broker-a')], [due, 5n])
        })
    })
  }

  it('with pops no offset is asked for at all: a broker knows where the group stands', async (t) => {
    const setting = await setUp(t, await open(), {}, 10_000)
    const code = [QUERY, COMMIT, MIN, MAX, SEARCH, PULL]
    setting.proxy.fail({ code, how: { code: 1 } })

    const { handled } = await setting.run({ mode: 'pop' })

    const asked = setting.proxy.requests.map((each) => each.code)
    deepStrictEqual([handled, setting.handled('broker-a').toSorted()], [10, bodies(0)])
    deepStrictEqual(
      asked.filter((each) => code.includes(each as never)),
      [],
    )
    ok(asked.includes(RequestCode.POP_MESSAGE))
  })
}

/** One cluster for all. Most of them wait most of their time. */
function sharing(start: () => Promise<Cluster>): void {
  let shared: Promise<Cluster> | undefined
  after(async () => await (await shared)?.stop())
  promises(() => (shared ??= start()))
}

describe('an offset that cannot be learned: the local broker', { concurrency: 3 }, () => {
  sharing(async () => {
    const broker = await startBroker({ brokers: 2 })
    return { nameServers: broker.nameServers, brokers: broker.brokers, stop: () => broker.close() }
  })
})

if (await realBrokerAvailable())
  describe('an offset that cannot be learned: RocketMQ', { concurrency: 3 }, () => {
    // A slow machine is no reason to refuse: brokers clean requests out of their queue after 200 ms.
    sharing(() => startRocketMQ({ brokers: [{}, {}], settings: { waitTimeMillsInSendQueue: 20_000 } }))
  })
