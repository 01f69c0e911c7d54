import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClient } from '../../../src/client/client.ts'
import { createProducer } from '../../../src/client/producer.ts'
import { createPullConsumer } from '../../../src/client/puller.ts'
import { RequestCode } from '../../../src/commands/index.ts'
import { createCertificate } from '../../support/certificates.ts'
import { fakeCluster, json, storing } from '../../support/fake-cluster.ts'
import { closedPort, fakeServer } from '../../support/fake-server.ts'
import { rejection } from '../../support/net.ts'

const SEND = RequestCode.SEND_MESSAGE_V2
const order = { topic: 'orders', body: 'x' }
const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

describe('a client', () => {
  it('connects to nothing until it is used', async (t) => {
    const cluster = await fakeCluster(t)
    const client = cluster.client()
    createProducer(client, { producerGroup: 'g' })
    createPullConsumer(client, { consumerGroup: 'g' })
    await client.thaw()

    strictEqual(cluster.nameServer.connections.length, 0)
  })

  it('has one connection to each address, for everything on top of it', async (t) => {
    const MAX = RequestCode.GET_MAX_OFFSET
    const cluster = await fakeCluster(t, {
      brokers: { 'broker-a': { ...storing(), [MAX]: () => ({ ext: { offset: '1' } }) } },
    })
    const client = cluster.client()
    const producers = ['g1', 'g2'].map((producerGroup) => createProducer(client, { producerGroup }))
    const consumer = createPullConsumer(client, { consumerGroup: 'g' })

    await Promise.all([
      ...producers.flatMap((producer) => Array.from({ length: 25 }, () => producer.send(order))),
      ...Array.from({ length: 25 }, () => consumer.maxOffset(queue)),
    ])

    deepStrictEqual(
      [cluster.nameServer.connections.length, cluster.broker().connections.length, cluster.codes().length],
      [1, 1, 75],
    )
  })

  it('that is closed settles its calls with a ClosedError, whatever they wait for', async (t) => {
    const [silent, blackHole] = await Promise.all([fakeServer(t), fakeServer(t, undefined, { deaf: true })])
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': { [SEND]: () => undefined } } })
    const down = await closedPort()
    const clients = {
      answer: cluster.client(),
      route: createClient({ nameServers: silent.address }),
      handshake: createClient({ nameServers: blackHole.address, tls: true }),
      pause: createClient({ nameServers: down }),
    }

    const calls = Object.entries(clients).map(async ([what, client]) => {
      const { code, outcome } = await rejection(createProducer(client, { producerGroup: 'g' }).send(order))
      return [what, code, outcome]
    })
    await Promise.all([cluster.broker().arrived(1), silent.arrived(1), blackHole.connected(1)])
    await Promise.all(Object.values(clients).map((client) => client.close()))

    deepStrictEqual(await Promise.all(calls), [
      ['answer', 'RMQ_CLOSED', 'unknown'],
      ['route', 'RMQ_CLOSED', 'not-sent'],
      ['handshake', 'RMQ_CLOSED', 'not-sent'],
      ['pause', 'RMQ_CLOSED', 'not-sent'],
    ])
    await cluster.broker().connections[0]?.closed
  })

  it('that is closed takes no more calls, and may be closed again', async (t) => {
    const cluster = await fakeCluster(t)
    const client = cluster.client()
    const producer = createProducer(client, { producerGroup: 'g' })
    const consumer = createPullConsumer(client, { consumerGroup: 'g' })
    await producer.send(order)
    await client.close()
    await client.close()
    await client.thaw()

    for (const call of [
      producer.send(order),
      producer.sendOneway(order),
      consumer.queues('new'),
      consumer.maxOffset(queue),
    ]) {
      strictEqual((await rejection(call))['code'], 'RMQ_CLOSED')
    }
    strictEqual(cluster.codes().length, 1)
  })

  it('that was frozen while its broker closed the connection sends the next message without a failure', async (t) => {
    const cluster = await fakeCluster(t)
    const client = cluster.client()
    const producer = createProducer(client, { producerGroup: 'g', retries: 0 })
    await producer.send(order)
    for (const connection of cluster.broker().connections) connection.end()
    for (const connection of cluster.nameServer.connections) connection.reset()

    await client.thaw()

    strictEqual((await producer.send(order)).status, 'SEND_OK')
    strictEqual(cluster.broker().connections.length, 2)
  })

  it('with credentials signs what it asks of name servers and brokers alike', async (t) => {
    const cluster = await fakeCluster(t)
    const client = cluster.client({ credentials: async () => ({ accessKey: 'AK', secretKey: 'SK' }) })

    await createProducer(client, { producerGroup: 'g' }).send(order)

    const frames = [...cluster.nameServer.frames, ...cluster.broker().frames]
    deepStrictEqual(
      frames.map(({ ext }) => [ext['AccessKey'], typeof ext['Signature']]),
      Array(2).fill(['AK', 'string']),
    )
  })

  it('with tls speaks it to name servers and brokers alike', async (t) => {
    const root = createCertificate({ name: 'test root' })
    const tls = createCertificate({ name: 'broker', issuer: root, hosts: ['127.0.0.1'] })
    const broker = await fakeServer(
      t,
      (frame, connection) => connection.reply(frame, { ext: { msgId: 'a', queueId: '0', queueOffset: '0' } }),
      { tls },
    )
    const body = json({
      queueDatas: [{ brokerName: 'a', readQueueNums: 1, writeQueueNums: 1, perm: 6 }],
      brokerDatas: [{ cluster: 'c', brokerName: 'a', brokerAddrs: { 0: broker.address } }],
    })
    const names = await fakeServer(t, (frame, connection) => connection.reply(frame, { body }), { tls })
    const client = createClient({ nameServers: names.address, tls: { ca: root.cert } })
    t.after(() => client.close())

    strictEqual((await createProducer(client, { producerGroup: 'g' }).send(order)).status, 'SEND_OK')
    deepStrictEqual([names.codes, broker.codes], [[RequestCode.GET_ROUTEINFO_BY_TOPIC], [SEND]])
  })

  it('finishes a storm of calls to a broker that is down, with a handful of attempts to connect', async (t) => {
    const cluster = await fakeCluster(t, { brokers: { a: {} } })
    const client = cluster.client()
    const producer = createProducer(client, { producerGroup: 'g', retries: 1 })
    await cluster.broker('a').close()

    const results = await Promise.all(Array.from({ length: 200 }, () => rejection(producer.send(order))))

    ok(results.every(({ code, outcome }) => code === 'RMQ_CONNECT' && outcome === 'not-sent'))
    ok(cluster.nameServer.frames.length < 20, `${cluster.nameServer.frames.length} routes fetched`)
  })
})
