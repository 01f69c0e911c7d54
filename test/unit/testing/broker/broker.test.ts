import { deepStrictEqual, match, ok, rejects, throws } from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import {
  type Client,
  createClient,
  createProducer,
  createPullConsumer,
  retryTopic,
} from '../../../../src/index.ts'
import { type LocalBroker, type LocalBrokerOptions, startBroker } from '../../../../src/testing/index.ts'
import type { Frame } from '../../../../src/wire/frame.ts'
import { openRaw } from '../../../conformance/raw.ts'

async function withBroker(
  options: LocalBrokerOptions,
  run: (broker: LocalBroker, client: Client) => Promise<void>,
): Promise<void> {
  await using broker = await startBroker(options)
  const client = createClient({ nameServers: broker.nameServers })
  try {
    await run(broker, client)
  } finally {
    await client.close()
  }
}

const bodies = (broker: LocalBroker, topic: string): string[] =>
  broker.messages(topic).map((message) => message.body.toString())

describe('the local broker', () => {
  it('has the topics it is started with, by name or with settings', async () => {
    await withBroker({ topics: ['plain'] }, async (_broker, client) => {
      const consumer = createPullConsumer(client, { consumerGroup: 'g' })
      deepStrictEqual((await consumer.queues('plain')).length, 4)
    })
    await withBroker(
      { topics: { wide: { queues: 3 }, closed: { perm: 2 } }, brokers: 2 },
      async (_broker, client) => {
        const consumer = createPullConsumer(client, { consumerGroup: 'g' })
        deepStrictEqual(
          [(await consumer.queues('wide')).map((queue) => queue.brokerName), await consumer.queues('closed')],
          [['broker-a', 'broker-a', 'broker-a', 'broker-b', 'broker-b', 'broker-b'], []],
        )
      },
    )
  })

  it('lets half an hour of retries pass at once', () =>
    withBroker({ topics: { orders: { queues: 1 } } }, async (broker, client) => {
      const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
      await createProducer(client, { producerGroup: 'p' }).send({ topic: 'orders', body: 'poison' })
      let queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
      const seen: number[] = []
      for (let offset = 0n; seen.length < 4; ) {
        const [message] = (await consumer.pull(queue, offset)).messages
        ok(message)
        seen.push(message.reconsumeTimes)
        await consumer.sendBack(message)
        offset = queue.topic === 'orders' ? 0n : offset + 1n
        queue = { ...queue, topic: retryTopic('billing') }
        await broker.clock.advance(30 * 60_000)
      }
      deepStrictEqual(seen, [0, 1, 2, 3])
      const [first, second] = broker.messages(retryTopic('billing'))
      ok(first && second && second.storeTimestamp - first.storeTimestamp >= 30n * 60_000n)
    }))

  it('ends a lease after 60 s, and not before', () =>
    withBroker({ topics: ['orders'] }, async (broker, client) => {
      const [queue] = await createPullConsumer(client, { consumerGroup: 'g' }).queues('orders')
      ok(queue)
      const [a, b] = [0, 1].map(() => createPullConsumer(client, { consumerGroup: 'g' }))
      const granted = [await a?.lock([queue])]
      await broker.clock.advance(59_000)
      granted.push(await b?.lock([queue]))
      await broker.clock.advance(1_500)
      granted.push(await b?.lock([queue]))
      deepStrictEqual(granted, [[queue], [], [queue]])
    }))

  it('ends a pull that waits when the clock has passed its time', () =>
    withBroker({ topics: { orders: { queues: 1 } } }, async (broker, client) => {
      const consumer = createPullConsumer(client, { consumerGroup: 'g' })
      const [queue] = await consumer.queues('orders')
      ok(queue)
      const waiting = consumer.pull(queue, 0n, { waitMs: 15_000 })
      await consumer.maxOffset(queue) // answered behind it
      await broker.clock.advance(20_000)
      deepStrictEqual((await waiting).status, 'NO_NEW_MESSAGE')
    }))

  it('keeps messages and commits over a stop, and is not in the routes meanwhile', () =>
    withBroker({ topics: { orders: { queues: 1 } } }, async (broker, client) => {
      const [only] = broker.brokers
      const producer = createProducer(client, { producerGroup: 'p' })
      const consumer = createPullConsumer(client, { consumerGroup: 'g' })
      broker.createGroup('g')
      await producer.send({ topic: 'orders', body: 'before' })
      const [queue] = await consumer.queues('orders')
      ok(queue && only)
      await consumer.commitOffset(queue, 1n)
      await only.stop()
      const fresh = createClient({ nameServers: broker.nameServers })
      await rejects(createPullConsumer(fresh, { consumerGroup: 'g' }).queues('orders'), { responseCode: 17 })
      await fresh.close()
      await only.start()
      await producer.send({ topic: 'orders', body: 'after' })
      deepStrictEqual(
        [bodies(broker, 'orders'), await consumer.committedOffset(queue)],
        [['before', 'after'], 1n],
      )
      deepStrictEqual(broker.committedOffset('g', queue), 1n)
    }))

  it('tells the lag of each group, queue by queue, where it has committed an offset', () =>
    withBroker({ topics: { orders: { queues: 1 } }, brokers: 2 }, async (broker, client) => {
      const message = { topic: 'orders', body: 'order', shardingKey: 'one queue' }
      const producer = createProducer(client, { producerGroup: 'p' })
      await producer.send(message)
      const { queue: used } = await producer.send(message)
      for (const group of ['billing', 'shipping']) broker.createGroup(group)
      const billing = createPullConsumer(client, { consumerGroup: 'billing' })
      const empty = (await billing.queues('orders')).find(({ brokerName }) => brokerName !== used.brokerName)
      ok(empty)
      await createPullConsumer(client, { consumerGroup: 'shipping' }).commitOffset(used, 2n)
      await billing.commitOffset(used, 1n)
      await billing.commitOffset(empty, 0n)

      const { topic } = message
      const rows = [
        {
          consumerGroup: 'billing',
          queue: { topic, brokerName: used.brokerName, queueId: 0 },
          committedOffset: 1n,
          maxOffset: 2n,
          lag: 1n,
        },
        {
          consumerGroup: 'billing',
          queue: { topic, brokerName: empty.brokerName, queueId: 0 },
          committedOffset: 0n,
          maxOffset: 0n,
          lag: 0n,
        },
        {
          consumerGroup: 'shipping',
          queue: { topic, brokerName: used.brokerName, queueId: 0 },
          committedOffset: 2n,
          maxOffset: 2n,
          lag: 0n,
        },
      ]
      const isFirst = used.brokerName === 'broker-a'
      deepStrictEqual(broker.lag(), isFirst ? rows : [rows[1], rows[0], rows[2]])
    }))

  it('lets the oldest messages go beyond its retention, and a reader is told where the rest begins', () =>
    withBroker({ topics: { orders: { queues: 1 } }, retentionBytes: 16 << 20 }, async (broker, client) => {
      const producer = createProducer(client, { producerGroup: 'p', compression: 'none' })
      const body = Buffer.alloc(1 << 20)
      for (let n = 0; n < 20; n++) await producer.send({ topic: 'orders', body })
      const consumer = createPullConsumer(client, { consumerGroup: 'g' })
      const [queue] = await consumer.queues('orders')
      ok(queue)
      const minOffset = await consumer.minOffset(queue)
      const { status, nextBeginOffset } = await consumer.pull(queue, 0n)
      ok(minOffset > 0n)
      deepStrictEqual([status, nextBeginOffset], ['OFFSET_MOVED', minOffset])
      deepStrictEqual(BigInt(broker.messages('orders').length), 20n - minOffset)
    }))

  it('gives all messages of a topic, however large they are in all', () =>
    withBroker({ topics: ['orders'] }, async (broker, client) => {
      const producer = createProducer(client, { producerGroup: 'p' })
      const body = Buffer.alloc(4 << 20) // compressed on the way, and in the store
      for (let n = 0; n < 20; n++) await producer.send({ topic: 'orders', body })
      const lengths = broker.messages('orders').map((message) => message.body.length)
      deepStrictEqual(
        lengths,
        Array.from({ length: 20 }, () => 4 << 20),
      )
    }))

  it('says why when a message cannot be decoded', () =>
    withBroker({ topics: ['orders'] }, async (broker) => {
      const raw = await openRaw(broker.brokers[0]?.address ?? '')
      const ext = {
        a: 'p',
        b: 'orders',
        c: 'TBW102',
        d: '4',
        e: '0',
        f: '1',
        g: '1',
        h: '0',
        i: '',
        j: '0',
        k: 'false',
      }
      await raw.ask({ code: 310, ext, body: Buffer.from('not compressed') })
      raw.close()
      throws(() => broker.messages('orders'), { name: 'ProtocolError' })
    }))

  it('takes no more than 65,536 queues, which its tables would not survive', () =>
    withBroker({}, async (broker) => {
      const raw = await openRaw(broker.brokers[0]?.address ?? '')
      const update = (readQueueNums: string): Promise<Frame> =>
        raw.ask({
          code: 17,
          ext: {
            topic: 'wide',
            defaultTopic: 'TBW102',
            readQueueNums,
            writeQueueNums: '1',
            perm: '6',
            topicFilterType: 'SINGLE_TAG',
            topicSysFlag: '0',
            order: 'false',
          },
        })
      const group = JSON.stringify({ groupName: 'g', retryQueueNums: 65_537 })
      const answers = [await update('65536'), await update('65537'), await update('2147483647')]
      answers.push(await raw.ask({ code: 200, body: Buffer.from(group) }))
      raw.close()
      deepStrictEqual(
        answers.map(({ code, remark }) => [code, remark]),
        [
          [0, 'not set any response code'],
          [29, 'readQueueNums: the local broker takes at most 65536, got 65537'],
          [29, 'readQueueNums: the local broker takes at most 65536, got 2147483647'],
          [29, 'retryQueueNums: the local broker takes at most 65536, got 65537'],
        ],
      )
    }))

  it('has a name server that goes away and comes back while the brokers stay', () =>
    withBroker({ topics: ['orders'] }, async (broker, client) => {
      const producer = createProducer(client, { producerGroup: 'p' })
      await producer.send({ topic: 'orders', body: 'x' })
      await broker.nameServer.stop()
      await producer.send({ topic: 'orders', body: 'x' }) // by the route that it has
      deepStrictEqual([broker.nameServer.isRunning, broker.brokers[0]?.isRunning], [false, true])
      await broker.nameServer.start()
      const fresh = createClient({ nameServers: broker.nameServers })
      deepStrictEqual((await createPullConsumer(fresh, { consumerGroup: 'g' }).queues('orders')).length, 4)
      await fresh.close()
    }))

  it('answers what came while it was frozen once it goes on', () =>
    withBroker({ topics: ['orders'] }, async (broker, client) => {
      const producer = createProducer(client, { producerGroup: 'p' })
      await producer.send({ topic: 'orders', body: 'x' })
      broker.brokers[0]?.freeze()
      const sending = producer.send({ topic: 'orders', body: 'y' })
      await createPullConsumer(client, { consumerGroup: 'g' }).queues('orders') // the name server is not frozen
      const before = broker.messages('orders').length
      broker.brokers[0]?.resume()
      deepStrictEqual([before, (await sending).status, broker.messages('orders').length], [1, 'SEND_OK', 2])
    }))

  it('gives up after 10 s on a client that does not say how it is', () =>
    withBroker({ topics: ['orders'] }, async (broker) => {
      const [member, admin] = [
        await openRaw(broker.brokers[0]?.address ?? ''),
        await openRaw(broker.brokers[0]?.address ?? ''),
      ]
      const consumer = {
        groupName: 'g',
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'CLUSTERING',
        consumeFromWhere: 'x',
      }
      const heartbeat = { clientID: 'silent', producerDataSet: [], consumerDataSet: [consumer] }
      await member.ask({ code: 34, body: Buffer.from(JSON.stringify(heartbeat)) })
      const asking = admin.ask({ code: 307, ext: { consumerGroup: 'g', clientId: 'silent' } })
      await admin.ask({ code: 30, ext: { topic: 'orders', queueId: '0' } }) // answered behind it
      await broker.clock.advance(10_000)
      deepStrictEqual((await asking).code, 207)
      member.close()
      admin.close()
    }))

  it('closes the connection of bytes that are no frame, says why, and goes on with the others', async () => {
    const warnings: string[] = []
    const logger = { warn: (text: string) => void warnings.push(text), error: () => {} }
    await withBroker({ topics: ['orders'], logger }, async (broker, client) => {
      const producer = createProducer(client, { producerGroup: 'p' })
      await producer.send({ topic: 'orders', body: 'x' })
      const port = Number(broker.brokers[0]?.address.split(':')[1])
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'))
        socket.on('close', () => resolve())
      })
      deepStrictEqual((await producer.send({ topic: 'orders', body: 'y' })).status, 'SEND_OK')
    })
    deepStrictEqual(warnings.length, 1)
    match(warnings[0] ?? '', /^broker-a closed 127\.0\.0\.1:\d+: length of the frame must be/)
  })

  it('says in one line that its port is in use', async () => {
    await using broker = await startBroker()
    const port = Number(broker.nameServers.split(':')[1])
    await rejects(startBroker({ port }), {
      name: 'ConnectError',
      message: `name-server: 127.0.0.1:${port} is in use`,
    })
  })

  it('refuses options that there are not, or that are of another kind', async () => {
    const wrong: [unknown, string][] = [
      [null, 'startBroker'],
      [{ topics: 'orders' }, 'topics'],
      [{ topics: { orders: { queue: 3 } } }, 'topics.orders.queue'],
      [{ topics: { orders: 3 } }, 'topics.orders'],
      [{ topics: { orders: { perm: '6' } } }, 'topics.orders.perm'],
      [{ topics: { orders: { queues: 65_537 } } }, 'topics.orders.queues'],
      [{ clock: {} }, 'clock'],
      [{ logger: {} }, 'logger'],
      [{ clusterName: '' }, 'clusterName'],
      [{ autoCreateTopics: 'no' }, 'autoCreateTopics'],
      [{ faults: { fault: 'busy' } }, 'faults'],
      [{ topic: 'orders' }, 'topic'],
      [{ port: -1 }, 'port'],
      [{ brokers: 0 }, 'brokers'],
      [{ retentionBytes: 1 }, 'retentionBytes'],
      [{ topics: { orders: { queues: -1 } } }, 'topics.orders.queues'],
      [{ topics: ['with space'] }, 'topic'],
    ]
    for (const [options, field] of wrong)
      await rejects(startBroker(options as LocalBrokerOptions), { code: 'RMQ_CONFIG', field })
  })

  it('creates no topics and groups where that is off', () =>
    withBroker(
      { autoCreateTopics: false, autoCreateGroups: false, topics: ['orders'] },
      async (_broker, client) => {
        await rejects(createProducer(client, { producerGroup: 'p' }).send({ topic: 'new', body: 'x' }), {
          responseCode: 17,
        })
        const consumer = createPullConsumer(client, { consumerGroup: 'g' })
        const [queue] = await consumer.queues('orders')
        ok(queue)
        await rejects(consumer.pull(queue, 0n), { responseCode: 26 })
      },
    ))

  it('leaves nothing behind that keeps a process alive', async () => {
    const testing = new URL('../../../../src/testing/index.ts', import.meta.url)
    const program = `
      import { startBroker } from '${testing.href}'
      const broker = await startBroker({ topics: ['orders'] })
      broker.clock.at(broker.clock.now() + 3_600_000, () => {})
      await broker.close()`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
      stdio: 'inherit',
    })
    deepStrictEqual(await new Promise((resolve) => child.once('exit', resolve)), 0)
  })
})
