/**
 * A connection that ended unseen while a function was frozen, for less than `pool.maxIdleMs`, swallowed the first request. What cannot do
 * harm is made again on another one; pops and registrations were not, and their invocations failed.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import {
  type Client,
  createClient,
  createPopConsumer,
  createProducer,
  createTopicAdmin,
  createTransactionProducer,
  type RocketMQError,
} from '../../src/index.ts'
import { eventSource, transactionChecker } from '../../src/lambda/index.ts'
import { type LocalBroker, lambdaContext, scheduledEvent, startBroker } from '../../src/testing/index.ts'
import { openFreezeProxy } from '../reliability/freeze-proxy.ts'
import { until } from '../support/local-lambda.ts'

const TIMEOUT_MS = 2_000
const logger = { debug() {}, info() {}, warn() {} }

interface Setting {
  broker: LocalBroker
  client: Client
  /** What is connected leads nowhere from now on. */
  vanish: () => void
}

async function open(t: TestContext): Promise<Setting> {
  const broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const address = broker.brokers[0]?.address ?? ''
  const proxies = await Promise.all([broker.nameServers, address].map(openFreezeProxy))
  const [names, node] = proxies.map(({ port }) => `127.0.0.1:${port}`)
  const client = createClient({
    nameServers: names,
    timeoutMs: TIMEOUT_MS,
    addressMap: { [address]: node ?? '' },
  })
  t.after(async () => {
    await client.close()
    for (const each of proxies) each.close()
    await broker.close()
  })
  const vanish = (): void => {
    for (const each of proxies) each.end('vanish')
  }
  return { broker, client, vanish }
}

async function send(broker: LocalBroker, body: string): Promise<void> {
  const client = createClient({ nameServers: broker.nameServers })
  await createProducer(client, { producerGroup: 'shop' }).send({ topic: 'orders', body })
  await client.close()
}

it('a mapping in mode pop goes on behind it; its invocation failed with a TimeoutError', async (t) => {
  const { broker, client, vanish } = await open(t)
  const bodies: string[] = []
  const mapping = { topic: 'orders', consumerGroup: 'billing', mode: 'pop', client, logger } as const
  const consume = eventSource(mapping, async ({ records }) => {
    for (const each of Object.values(records).flat()) bodies.push(each.body.toString())
  })
  const invoke = async () => await consume(scheduledEvent(), lambdaContext({ remainingMs: 30_000 }))
  await send(broker, '1')
  await invoke()
  await send(broker, '2')

  vanish()
  const { handled } = await invoke()

  deepStrictEqual([handled, bodies], [1, ['1', '2']])
})

it('a pop is made again once, and not when a broker has answered one of its invocation', async (t) => {
  const { broker, client } = await open(t)
  const silence = { fault: 'drop', code: RequestCode.POP_MESSAGE, server: 'broker-a' } as const
  let hits = (): number => 0
  const mapping = { topic: 'orders', consumerGroup: 'billing', mode: 'pop', client, logger } as const
  const consume = eventSource(mapping, async () => {
    const fault = broker.faults.add(silence)
    hits = () => fault.hits
  })
  const invoke = async (): Promise<unknown> =>
    await consume(scheduledEvent(), lambdaContext({ remainingMs: 30_000 })).catch(({ name }: Error) => name)
  await send(broker, '1')

  const told = [await invoke(), hits(), await invoke(), hits()]

  deepStrictEqual(told, ['TimeoutError', 1, 'TimeoutError', 3])
})

it('a window of checks is opened behind it; it failed, since no master could be reached', async (t) => {
  const { client, vanish } = await open(t)
  const check = transactionChecker(
    { producerGroup: 'shop', windowMs: 100, client, logger },
    async () => 'commit',
  )
  const invoke = async () => await check(scheduledEvent(), lambdaContext({ remainingMs: 30_000 }))
  await invoke()

  vanish()
  const { unreachable } = await invoke()

  deepStrictEqual(unreachable, [])
})

/** What is made once only. */
function singleCalls(client: Client): (() => Promise<unknown>)[] {
  const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
  const popper = createPopConsumer(client, { consumerGroup: 'billing' })
  const topics = createTopicAdmin(client)
  return [
    () => transactions.begin({ topic: 'orders', body: 'x' }),
    () => popper.pop('orders'),
    () => topics.describe('orders'),
  ]
}

it('what is made once only goes by a connection that was heard from in the last 5 s, and does not meet one that vanished before', async (t) => {
  const { broker, client, vanish } = await open(t)
  const producer = createProducer(client, { producerGroup: 'shop' })
  const oneway = async (): Promise<void> => producer.sendOneway({ topic: 'orders', body: 'one-way' })
  const calls = [...singleCalls(client), oneway]
  // Of a one-way send nobody says that it has come.
  const arrived = async (count: number): Promise<void> =>
    until(() => broker.messages('orders').length === count)
  for (const call of calls) await call()
  await arrived(1)
  let passed = 0
  const now = Date.now.bind(Date)
  t.mock.method(Date, 'now', () => now() + passed)

  for (const call of calls) {
    vanish()
    passed += 5_001
    await call()
  }

  // Nobody says that it has come.
  await arrived(2)
})

it('a connection that was heard from in the last 5 s is used again', async (t) => {
  const { client } = await open(t)
  const [begin] = singleCalls(client)
  await begin?.()
  const get = t.mock.method(client.network.pool, 'get')

  await begin?.()

  const [used] = get.mock.calls.map(({ result }) => result)
  deepStrictEqual(used instanceof Promise, false)
})

it('before that it fails by name, and the next one succeeds', async (t) => {
  const { client, vanish } = await open(t)
  const calls = singleCalls(client)
  const told: unknown[] = []
  for (const call of calls) {
    await call()
    vanish()
    const failed = await call().catch(({ name, outcome }: RocketMQError) => [name, outcome])
    told.push(failed, typeof (await call()))
  }

  deepStrictEqual(told, [
    ['TimeoutError', 'unknown'],
    'object',
    ['TimeoutError', 'unknown'],
    'object',
    ['TimeoutError', undefined], // it only reads
    'object',
  ])
})
