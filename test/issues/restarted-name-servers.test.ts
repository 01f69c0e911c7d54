/**
 * A name server that was just started knows no topics and no brokers until they report: warm functions failed for up to 30 s, for
 * brokers that were well, or could not commit what they had handled.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { createProducer, createPullConsumer } from '../../src/index.ts'
import { type FakeTopic, fakeCluster, type Handler, storing } from '../support/fake-cluster.ts'
import type { FakeConnection } from '../support/fake-server.ts'
import { until } from '../support/local-lambda.ts'
import { rejection } from '../support/net.ts'

it('what was routed before is sent and read while the name server does not know the topic yet', async (t) => {
  const cluster = await fakeCluster(t, {
    brokers: { 'broker-a': { ...storing(), [RequestCode.GET_MAX_OFFSET]: () => ({ ext: { offset: '7' } }) } },
  })
  const client = cluster.client({ routeTtlMs: 1 })
  const producer = createProducer(client, { producerGroup: 'g' })
  const consumer = createPullConsumer(client, { consumerGroup: 'g' })
  await producer.send({ topic: 'orders', body: 'x' })

  delete cluster.topics['orders']
  client.routes.forget(await client.route('orders', client.deadline()))
  const { queue } = await producer.send({ topic: 'orders', body: 'y' })
  const end = await consumer.maxOffset(queue)

  deepStrictEqual([queue.brokerName, end], ['broker-a', 7n])
})

it('what was begun at a broker that has not reported yet is ended there for a minute, and nothing new is begun', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
  const committing = { ...storing(), [RequestCode.UPDATE_CONSUMER_OFFSET]: () => ({}) }
  const cluster = await fakeCluster(t, { brokers: { 'broker-a': storing(), 'broker-b': committing } })
  const client = cluster.client({ routeTtlMs: 1 })
  const producer = createProducer(client, { producerGroup: 'g' })
  const consumer = createPullConsumer(client, { consumerGroup: 'g' })
  const queue = { topic: 'orders', brokerName: 'broker-b', queueId: 0 }
  await client.route('orders', client.deadline())

  cluster.topics['orders'] = { brokers: ['broker-a'] }
  for (const ms of [1, 59_999]) {
    t.mock.timers.tick(ms)
    await consumer.commitOffset(queue, 7n)
    for (let n = 0; n < 4; n++) await producer.send({ topic: 'orders', body: 'x' })
  }
  t.mock.timers.tick(1)
  const gone = await rejection(consumer.commitOffset(queue, 7n))
  cluster.topics['orders'] = {}
  t.mock.timers.tick(1)
  await consumer.commitOffset(queue, 7n)

  deepStrictEqual(cluster.codes('broker-b'), [15, 15, 15])
  deepStrictEqual([gone['code'], gone['outcome']], ['RMQ_ROUTE', 'not-sent'])
})

it('what was begun at a master whose replica has reported before it is ended there for a minute, and is read from the replica', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
  const withoutMaster: string[] = []
  const read = (): object => ({
    code: 19,
    ext: { nextBeginOffset: 0, minOffset: 0, maxOffset: 0, suggestWhichBrokerId: 0 },
  })
  const cluster = await fakeCluster(t, {
    brokers: {
      'broker-a': storing(),
      'broker-b': { ...storing(), [RequestCode.UPDATE_CONSUMER_OFFSET]: () => ({}) },
    },
    replicas: { 'broker-b': { 1: { [RequestCode.PULL_MESSAGE]: read } } },
    withoutMaster,
  })
  const client = cluster.client({ routeTtlMs: 1 })
  const producer = createProducer(client, { producerGroup: 'g' })
  const consumer = createPullConsumer(client, { consumerGroup: 'g' })
  const queue = { topic: 'orders', brokerName: 'broker-b', queueId: 0 }
  await client.route('orders', client.deadline())

  withoutMaster.push('broker-b')
  for (const ms of [1, 59_999]) {
    t.mock.timers.tick(ms)
    await consumer.commitOffset(queue, 7n)
    await consumer.pull(queue, 0n)
    for (let n = 0; n < 4; n++) await producer.send({ topic: 'orders', body: 'x' })
  }
  t.mock.timers.tick(1)
  const gone = await rejection(consumer.commitOffset(queue, 7n))
  await consumer.pull(queue, 0n)

  deepStrictEqual(
    [cluster.codes('broker-b'), cluster.codes('broker-b/1')],
    [
      [15, 15],
      [11, 11, 11],
    ],
  )
  deepStrictEqual([gone['code'], gone['outcome']], ['RMQ_ROUTE', 'not-sent'])
})

it('a sharding key keeps its queue while the broker has not reported yet, and leaves a broker that is gone at once', async (t) => {
  const cluster = await fakeCluster(t, { brokers: { 'broker-a': storing(), 'broker-b': storing() } })
  const client = cluster.client({ routeTtlMs: 1 })
  const producer = createProducer(client, { producerGroup: 'g' })
  const send = async (shardingKey: string): Promise<string> => {
    const { queue } = await producer.send({ topic: 'orders', body: 'x', shardingKey })
    return `${queue.brokerName}/${queue.queueId}`
  }
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const sendAll = async (): Promise<string[]> => {
    const places: string[] = []
    for (const key of keys) places.push(await send(key))
    client.routes.forget(await client.route('orders', client.deadline()))
    return places
  }

  const before = await sendAll()
  cluster.topics['orders'] = { brokers: ['broker-a'] }
  const unreported = [await sendAll(), await sendAll()]
  await cluster.broker('broker-b').close()
  const gone = await sendAll()
  cluster.topics['orders'] = {}

  deepStrictEqual(new Set(before.map((place) => place[7])), new Set(['a', 'b']))
  deepStrictEqual(unreported, [before, before])
  deepStrictEqual(new Set(gone.map((place) => place[7])), new Set(['a']))
})

for (const [what, handler] of [
  ['is silent', () => undefined],
  ['closes each connection', (_: unknown, connection: FakeConnection) => void connection.socket.destroy()],
  ['has the topic no more', () => ({ code: 17, remark: 'topic[orders] not exist' })],
] as const)
  it(`a sharding key leaves a broker that is not listed any more and ${what} when it has found out`, async (t) => {
    const store = storing()[RequestCode.SEND_MESSAGE_V2] as Handler
    let isGone = false
    const cluster = await fakeCluster(t, {
      brokers: {
        'broker-a': storing(),
        'broker-b': {
          [RequestCode.SEND_MESSAGE_V2]: (frame, connection) => (isGone ? handler : store)(frame, connection),
        },
      },
    })
    const client = cluster.client({ routeTtlMs: 1, timeoutMs: 500 })
    const producer = createProducer(client, { producerGroup: 'g', retries: 0 })
    const keyOf = async (brokerName: string): Promise<string> => {
      for (let n = 0; ; n++) {
        const { queue } = await producer.send({ topic: 'orders', body: 'x', shardingKey: `${n}` })
        if (queue.brokerName === brokerName) return `${n}`
      }
    }
    const shardingKey = await keyOf('broker-b')

    cluster.topics['orders'] = { brokers: ['broker-a'] }
    client.routes.forget(await client.route('orders', client.deadline()))
    isGone = true
    const failed = await rejection(producer.send({ topic: 'orders', body: 'x', shardingKey }))
    const { queue } = await producer.send({ topic: 'orders', body: 'x', shardingKey })

    ok(failed['code'])
    deepStrictEqual(queue.brokerName, 'broker-a')
  })

it('a batch of a sharding key fails at a broker that is not listed any more and is gone, and the next one leaves it', async (t) => {
  const cluster = await fakeCluster(t, { brokers: { 'broker-a': storing(), 'broker-b': storing() } })
  const client = cluster.client({ routeTtlMs: 1 })
  const producer = createProducer(client, { producerGroup: 'g' })
  let shardingKey = ''
  for (let n = 0, brokerName = ''; brokerName !== 'broker-b'; n++) {
    shardingKey = `${n}`
    const { queue } = await producer.send({ topic: 'orders', body: 'x', shardingKey })
    brokerName = queue.brokerName
  }
  const batch = async (): Promise<(string | undefined)[]> => {
    const results = await producer.sendBatch('orders', [
      { body: 'x', shardingKey },
      { body: 'y', shardingKey },
    ])
    return results.map((each) => (each.outcome === 'stored' ? each.result.queue.brokerName : each.outcome))
  }

  cluster.topics['orders'] = { brokers: ['broker-a'] }
  client.routes.forget(await client.route('orders', client.deadline()))
  const unreported = await batch()
  const broker = cluster.broker('broker-b')
  const connection = await client.network.pool.get(broker.address, client.deadline())
  await broker.close()
  // Written into a connection whose end has not come yet, it would be unknown.
  await until(() => !connection.isUsable(60_000))
  const batches = [await batch(), await batch()]

  deepStrictEqual(unreported, ['broker-b', 'broker-b'])
  deepStrictEqual(batches, [
    ['not-sent', 'not-sent'],
    ['broker-a', 'broker-a'],
  ])
})

it('what is sent to a topic of which only a replica has reported yet goes to its master', async (t) => {
  const withoutMaster: string[] = []
  const cluster = await fakeCluster(t, { replicas: { 'broker-a': { 1: {} } }, withoutMaster })
  const producer = createProducer(cluster.client({ routeTtlMs: 1 }), { producerGroup: 'g' })
  await producer.send({ topic: 'orders', body: '1' })

  withoutMaster.push('broker-a')
  const client = cluster.client({ routeTtlMs: 1 })
  const { queue } = await producer.send({ topic: 'orders', body: '2' })
  const cold = await rejection(
    createProducer(client, { producerGroup: 'g' }).send({ topic: 'orders', body: '3' }),
  )

  deepStrictEqual([queue.brokerName, cold['code'], cold['outcome']], ['broker-a', 'RMQ_ROUTE', 'not-sent'])
})

/** What name servers say of `orders` meanwhile, answer by answer. */
const GONE: Readonly<Record<string, readonly (FakeTopic | undefined)[]>> = {
  'do not list a broker': [{ brokers: ['broker-a'] }],
  'know no such topic': [undefined],
  'say now the one and now the other': [{ brokers: ['broker-a'] }, undefined],
  'list fewer and fewer brokers': [{ brokers: ['broker-a'] }, { brokers: [] }],
}

for (const [what, lists] of Object.entries(GONE))
  it(`the minute is counted from the first answer of name servers that ${what}, however many follow`, async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const committing = { ...storing(), [RequestCode.UPDATE_CONSUMER_OFFSET]: () => ({}) }
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': storing(), 'broker-b': committing } })
    const client = cluster.client({ routeTtlMs: 1 })
    const consumer = createPullConsumer(client, { consumerGroup: 'g' })
    const queue = { topic: 'orders', brokerName: 'broker-b', queueId: 0 }
    await client.route('orders', client.deadline())

    const answered: unknown[] = []
    for (let n = 0; n <= 6; n++) {
      const list = lists[n % lists.length]
      if (list) cluster.topics['orders'] = list
      else delete cluster.topics['orders']
      t.mock.timers.tick(n === 0 ? 1 : 10_000)
      const error = await consumer.commitOffset(queue, 7n).catch(({ code }) => code)
      answered.push(error)
    }

    deepStrictEqual(answered, [...Array(6).fill(undefined), 'RMQ_ROUTE'])
  })

it('a name server that is started again later, with nobody asking between, has its minute again', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
  const cluster = await fakeCluster(t)
  const producer = createProducer(cluster.client({ routeTtlMs: 1 }), { producerGroup: 'g' })
  await producer.send({ topic: 'orders', body: '1' })

  delete cluster.topics['orders']
  for (const [body, ms] of [
    ['2', 1],
    ['3', 600_000],
    ['4', 59_999],
  ] as const) {
    t.mock.timers.tick(ms)
    await producer.send({ topic: 'orders', body })
  }
  t.mock.timers.tick(1)
  const gone = await rejection(producer.send({ topic: 'orders', body: '5' }))

  deepStrictEqual([cluster.codes().length, gone['code'], gone['responseCode']], [4, 'RMQ_ROUTE', 17])
})

it('a topic that is gone is refused by its broker meanwhile, and nothing is stored', async (t) => {
  const cluster = await fakeCluster(t, {
    brokers: {
      'broker-a': { [RequestCode.SEND_MESSAGE_V2]: () => ({ code: 17, remark: 'topic[orders] not exist' }) },
    },
  })
  const client = cluster.client()
  const producer = createProducer(client, { producerGroup: 'g' })
  await client.route('orders', client.deadline())

  delete cluster.topics['orders']
  const error = await rejection(producer.send({ topic: 'orders', body: 'x' }))

  deepStrictEqual([error['code'], error['responseCode'], error['outcome']], ['RMQ_BROKER', 17, 'refused'])
})
