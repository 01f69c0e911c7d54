/**
 * What the factories for administrators say and do, against Apache's mqadmin on the same broker: what it prints is read
 * column by column. On Apache RocketMQ with two masters, and on the local broker.
 */
import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  type Client,
  createClient,
  createClusterAdmin,
  createGroupAdmin,
  createMessageQuery,
  createOffsetAdmin,
  createProducer,
  createPullConsumer,
  createRegistration,
  createTopicAdmin,
  type SendResult,
  serve,
} from '../../src/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { createUser } from '../support/rocketmq/acl.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { authSettings, featureSettings, mqadmin, startRocketMQ } from '../support/rocketmq/start.ts'

interface Bench {
  nameServers: string
  mqadmin(...args: string[]): Promise<string>
  stop(): Promise<void>
}

const CLUSTER = 'DefaultCluster'
const BROKERS = ['broker-a', 'broker-b']

/** The columns of the lines that begin with a word, in the order of their text. */
const rows = (output: string, first: string): string[][] =>
  output
    .split('\n')
    .filter((line) => line.startsWith(first))
    .map((line) => line.trim().split(/\s+/))
    .toSorted((a, b) => (a.join(' ') < b.join(' ') ? -1 : 1))

const available = await realBrokerAvailable()

const startReal = async (): Promise<Bench> => {
  const rocketmq = await startRocketMQ({ brokers: [{}, {}], settings: featureSettings })
  return {
    nameServers: rocketmq.nameServers,
    mqadmin: (...args) => rocketmq.mqadmin(args[0] ?? '', ...args.slice(1)),
    stop: () => rocketmq.stop(),
  }
}

const startLocal = async (): Promise<Bench> => {
  const broker = await startBroker({ brokers: 2 })
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-mqadmin-'))
  return {
    nameServers: broker.nameServers,
    mqadmin: (...args) => mqadmin(folder, broker.nameServers, args),
    async stop() {
      await broker.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

for (const [what, start] of [
  ['Apache RocketMQ', startReal],
  ['the local broker', startLocal],
] as const) {
  describe(`administration beside mqadmin, on ${what}`, { skip: !available }, () => {
    let bench: Bench
    let client: Client
    let last: Promise<unknown> = Promise.resolve()
    /** One after the other: mqadmin gives up a request after 5 s, in which several do not start on a small machine. */
    const run = (...args: string[]): Promise<string> => {
      const next = last.then(() => bench.mqadmin(...args))
      last = next.catch(() => undefined)
      return next
    }

    before(async () => {
      bench = await start()
      client = createClient({ nameServers: bench.nameServers, timeoutMs: 20_000 })
    })
    after(async () => {
      await client?.close()
      await bench?.stop()
    })

    /** A topic of two queues on each of two brokers, with `count` messages, round the queues. */
    const filled = async (topic: string, count: number): Promise<SendResult[]> => {
      await createTopicAdmin(client).create(topic, { readQueueNums: 2 })
      await until(`the route of ${topic}`, async () => {
        const route = await createTopicAdmin(client)
          .route(topic)
          .catch(() => undefined)
        return route?.brokerDatas.length === 2
      })
      const producer = createProducer(client, { producerGroup: 'p' })
      const sent: SendResult[] = []
      for (let n = 0; n < count; n++) {
        const queue = { topic, brokerName: BROKERS[n % 2] ?? '', queueId: (n >> 1) % 2 }
        sent.push(await producer.send({ topic, body: String(n), keys: `key-${n}`, tag: 't', queue }))
      }
      await until('the messages', async () => {
        const { queues } = await createTopicAdmin(client).stats(topic)
        return queues.reduce((sum, { maxOffset }) => sum + Number(maxOffset), 0) === count
      })
      return sent
    }

    it('clusterList has the brokers and addresses of the cluster', async () => {
      const described = await createClusterAdmin(client).describe()
      const printed = rows(await run('clusterList'), CLUSTER).map((row) => row.slice(0, 4))
      deepStrictEqual(
        described.flatMap(({ cluster, brokers }) =>
          brokers.flatMap(({ brokerName, addresses }) =>
            Object.entries(addresses).map(([id, address]) => [cluster, brokerName, id, address]),
          ),
        ),
        printed,
      )
    })

    it('getBrokerConfig has the settings of a broker', async () => {
      const [config] = await createClusterAdmin(client).config({ brokerName: 'broker-a' })
      const printed = await run('getBrokerConfig', '-b', config?.address ?? '')
      const values = Object.fromEntries(
        [...printed.matchAll(/^(\S+)\s+=\s+(.*?)\s*$/gm)].map(([, name, value]) => [name, value]),
      )
      for (const name of ['brokerName', 'transactionTimeOut', 'transactionCheckMax', 'autoCreateTopicEnable'])
        deepStrictEqual([name, config?.config[name]], [name, values[name]])
    })

    it('topicList has the topics of the list', async () => {
      await filled('listed', 0)
      const printed = new Set((await run('topicList')).split('\n').filter((line) => /^[%\w-]+$/.test(line)))
      const listed = (await createTopicAdmin(client).list()).map(({ topic }) => topic)
      // Other cases make topics meanwhile.
      for (const name of ['listed', 'TBW102', ...BROKERS, CLUSTER])
        deepStrictEqual([name, printed.has(name), listed.includes(name)], [name, true, true])
    })

    it('topicRoute and topicStatus have the route and the ends of the queues', async () => {
      await filled('described', 7)
      const topics = createTopicAdmin(client)
      const [route, status] = await Promise.all([
        run('topicRoute', '-t', 'described'),
        run('topicStatus', '-t', 'described'),
      ])
      const ours = await topics.route('described')
      const { brokerDatas, queueDatas } = JSON.parse(route.replace(/(\d+):"/g, '"$1":"'))
      const byName = <T extends { brokerName: string }>(list: readonly T[]): T[] =>
        list.toSorted((a, b) => (a.brokerName < b.brokerName ? -1 : 1))
      deepStrictEqual(byName(ours.queueDatas), byName(queueDatas as typeof ours.queueDatas))
      deepStrictEqual(
        byName(ours.brokerDatas).map((each) => ({
          ...each,
          brokerAddrs: Object.fromEntries(each.brokerAddrs),
        })),
        byName(brokerDatas),
      )
      const stats = await topics.stats('described')
      deepStrictEqual(
        stats.queues.map(({ queue, minOffset, maxOffset }) =>
          [queue.brokerName, queue.queueId, minOffset, maxOffset].map(String),
        ),
        rows(status, 'broker-').map((row) => row.slice(0, 4)),
      )
    })

    it('updateTopic and deleteTopic are seen by us, and ours by mqadmin', async () => {
      const topics = createTopicAdmin(client)
      await run('updateTopic', '-c', CLUSTER, '-t', 'theirs', '-r', '3', '-w', '2', '-p', '4')
      const described = await topics.describe('theirs')
      deepStrictEqual(
        described.map(({ brokerName, readQueueNums, writeQueueNums, perm }) => [
          brokerName,
          readQueueNums,
          writeQueueNums,
          perm,
        ]),
        BROKERS.map((name) => [name, 3, 2, 4]),
      )
      await run('deleteTopic', '-c', CLUSTER, '-t', 'theirs')
      const gone = await topics.describe('theirs').catch((error: Error) => error.name)
      await filled('ours', 1)
      await topics.delete('ours')
      const failed = await run('topicRoute', '-t', 'ours').catch((error: Error) => error.message)
      match(failed, /CODE: 17/)
      deepStrictEqual(gone, 'RouteError')
    })

    it('updateSubGroup and deleteSubGroup are seen by us, and ours by getConsumerConfig', async () => {
      const groups = createGroupAdmin(client)
      await run('updateSubGroup', '-c', CLUSTER, '-g', 'their-group', '-r', '5', '-q', '2')
      const theirs = await groups.describe('their-group')
      await groups.create('our-group', { retryMaxTimes: 7, retryQueueNums: 3 })
      const [printed] = await Promise.all([
        run('getConsumerConfig', '-g', 'our-group'),
        run('deleteSubGroup', '-c', CLUSTER, '-g', 'their-group', '-r', 'true'),
      ])
      const values = (name: string): string[] =>
        [...printed.matchAll(new RegExp(`^${name}\\s+=\\s+(\\S+)`, 'gm'))].map(([, value = '']) => value)
      deepStrictEqual(
        [
          theirs.map(({ brokerName, config }) => [brokerName, config.retryMaxTimes, config.retryQueueNums]),
          values('retryMaxTimes'),
          values('retryQueueNums'),
          await groups.describe('their-group').catch((error: { responseCode: number }) => error.responseCode),
        ],
        [BROKERS.map((name) => [name, 5, 2]), ['7', '7'], ['3', '3'], 26],
      )
    })

    /** As consumerProgress prints it: topic, broker, queue, broker offset, consumer offset, lag. */
    const progress = async (group: string, ...more: string[]): Promise<string[][]> =>
      rows(await run('consumerProgress', '-g', group, ...more), '')
        .filter((row) => row[1]?.startsWith('broker-'))
        .map((row) => row.slice(0, 6))
    const lag = async (consumerGroup: string, topic?: string): Promise<string[][]> => {
      const { queues } = await createGroupAdmin(client).stats(consumerGroup, { topic })
      return queues.map(({ queue, brokerOffset, consumerOffset, lag: open }) =>
        [queue.topic, queue.brokerName, queue.queueId, brokerOffset, consumerOffset, open].map(String),
      )
    }

    it('consumerProgress has the lag of the group, retries included', async () => {
      const sent = await filled('progress', 12)
      await createGroupAdmin(client).create('behind')
      const consumer = createPullConsumer(client, { consumerGroup: 'behind' })
      for (const queue of await consumer.queues('progress'))
        await consumer.commitOffset(queue, BigInt(queue.queueId))
      // One on each broker: mqadmin asks those only that have the retry topic.
      for (const { queue } of sent.slice(0, 2)) {
        const [message] = (await consumer.pull(queue, 0n)).messages
        ok(message)
        await consumer.sendBack(message, { delayLevel: 1 })
      }
      await until('the retries', async () => {
        const retries = await consumer.queues('%RETRY%behind')
        const ends = await Promise.all(retries.map((queue) => consumer.maxOffset(queue)))
        return ends.length === 2 && ends.every((end) => end === 1n)
      })
      for (const queue of await consumer.queues('%RETRY%behind')) await consumer.commitOffset(queue, 0n)
      const printed = await progress('behind')
      deepStrictEqual([await lag('behind'), printed.length], [printed, 6])
      deepStrictEqual(await lag('behind', 'progress'), await progress('behind', '-t', 'progress'))
    })

    it('resetOffsetByTime leads where our plan does, and ours is what it sees', async () => {
      const sent = await filled('resets', 12)
      const groups = createGroupAdmin(client)
      const offsets = createOffsetAdmin(client)
      await Promise.all([groups.create('their-reset'), groups.create('our-reset')])
      const middle = await createMessageQuery(client).byOffsetId(sent[6]?.offsetMessageId ?? '')
      const timestamp = middle?.storeTimestamp ?? 0
      for (const [to, argument] of [
        [{ timestamp }, String(timestamp)],
        [{ timestamp: 1 }, '1'],
        [{ timestamp: Date.now() + 3_600_000 }, '-1'],
        ['latest', '-1'],
        ['earliest', '0'],
      ] as const) {
        const plan = await offsets.plan({ consumerGroup: 'our-reset', topic: 'resets', to })
        await offsets.reset(plan)
        const printed = rows(
          await run('resetOffsetByTime', '-g', 'their-reset', '-t', 'resets', '-s', argument),
          'broker-',
        )
        deepStrictEqual(
          plan.queues.map(({ queue, to: offset }) => [queue.brokerName, queue.queueId, offset].map(String)),
          printed,
        )
        deepStrictEqual(await lag('our-reset', 'resets'), await lag('their-reset', 'resets'))
      }
      const queues = [{ topic: 'resets', brokerName: 'broker-a', queueId: 1 }]
      await offsets.reset(await offsets.plan({ consumerGroup: 'our-reset', queues, to: { offset: 2n } }))
      deepStrictEqual(
        (await progress('our-reset', '-t', 'resets')).map((row) => row[4]),
        ['0', '2', '0', '0'],
      )
    })

    it('queryMsgById, queryMsgByKey and queryMsgByUniqueKey find what we find', async () => {
      const [, second] = await filled('queried', 4)
      ok(second)
      const query = createMessageQuery(client)
      await until('the index', async () => (await query.byKey('queried', 'key-1')).length > 0)
      const [byId, byKey, byUniqueKey] = await Promise.all([
        run('queryMsgById', '-t', 'queried', '-i', second.offsetMessageId),
        run('queryMsgByKey', '-t', 'queried', '-k', 'key-1'),
        run('queryMsgByUniqueKey', '-t', 'queried', '-i', second.messageId),
      ])
      const valueIn = (printed: string, name: string): string | undefined =>
        new RegExp(`^${name}:\\s+(.+?)\\s*$`, 'm').exec(printed)?.[1]
      const ours = await query.byOffsetId(second.offsetMessageId)
      const expected = [
        second.offsetMessageId,
        String(ours?.queue.queueId),
        String(ours?.queueOffset),
        '[key-1]',
        '[t]',
      ]
      const names = ['OffsetID', 'Queue ID', 'Queue Offset', 'Keys', 'Tags']
      deepStrictEqual(
        names.map((name) => valueIn(byId, name)),
        expected,
      )
      deepStrictEqual(
        names.slice(1).map((name) => valueIn(byUniqueKey, name)),
        expected.slice(1),
      )
      const [row] = rows(byKey, second.messageId)
      const [found] = await query.byKey('queried', 'key-1')
      const [same] = await query.byMessageId('queried', second.messageId)
      deepStrictEqual(
        [row?.slice(0, 3), found?.offsetMessageId, same?.offsetMessageId],
        [
          [second.messageId, String(found?.queue.queueId), String(found?.queueOffset)],
          second.offsetMessageId,
          second.offsetMessageId,
        ],
      )
    })

    it('consumerConnection, consumerStatus and direct consumption get answers from serve', async () => {
      const sent = await filled('served', 4)
      await createGroupAdmin(client).create('servers')
      const consumer = createPullConsumer(client, { consumerGroup: 'servers' })
      for (const queue of await consumer.queues('served')) await consumer.commitOffset(queue, 1n)
      const stop = new AbortController()
      const handled: string[] = []
      const member = createClient({ nameServers: bench.nameServers, timeoutMs: 20_000 })
      const served = serve(member, {
        consumerGroup: 'servers',
        clientId: 'fn@1',
        subscriptions: { served: 't || u' },
        windowMs: 300_000,
        signal: stop.signal,
        handlers: {
          consumeDirectly: async ({ body }) => {
            handled.push(body.toString())
            if (body.toString() === '1') throw new Error('out of stock')
          },
        },
      }).catch((error: Error) => error.name)
      await until('the member', async () => (await createGroupAdmin(client).members('servers')).length > 0)
      const directly = (n: number): Promise<string> =>
        run(
          'queryMsgById',
          '-t',
          'served',
          '-i',
          sent[n]?.offsetMessageId ?? '',
          '-g',
          'servers',
          '-d',
          'fn@1',
        )
      const [connection, status, worked, failed] = await Promise.all([
        run('consumerConnection', '-g', 'servers'),
        run('consumerStatus', '-g', 'servers', '-i', 'fn@1'),
        directly(0),
        directly(1),
      ])
      stop.abort()
      const ended = await served
      await member.close()

      deepStrictEqual(
        rows(connection, 'fn@1').map(([id, , language, version]) => [id, language, version]),
        [['fn@1', 'OTHER', 'V5_5_0']],
      )
      match(connection, /served\s+t \|\| u/)
      match(status, /PROP_CONSUME_TYPE\s+: CONSUME_PASSIVELY/)
      match(status, /Topic: served\s.*SubExpression: t \|\| u/)
      deepStrictEqual(
        rows(status, 'served').filter((row) => row.length === 4),
        BROKERS.flatMap((name) => ['0', '1'].map((id) => ['served', name, id, '1'])),
      )
      match(worked, /consumeResult=CR_SUCCESS/)
      match(failed, /consumeResult=CR_THROW_EXCEPTION, remark=Error: out of stock/)
      deepStrictEqual([handled.toSorted(), ended], [['0', '1'], 'AbortError'])
    })
  })
}

describe('a broker that resets offsets through its members', { skip: !available }, () => {
  it('has the reset committed by serve', async () => {
    await using rocketmq = await startRocketMQ({
      settings: { ...featureSettings, useServerSideResetOffset: false },
    })
    const client = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 20_000 })
    const topics = createTopicAdmin(client)
    await topics.create('orders', { readQueueNums: 1 })
    await createGroupAdmin(client).create('billing')
    await until('the route', () =>
      topics.route('orders').then(
        () => true,
        () => undefined,
      ),
    )
    const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
    const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
    for (let n = 0; n < 3; n++)
      await createProducer(client, { producerGroup: 'p' }).send({ topic: 'orders', body: 'x', queue })
    await consumer.commitOffset(queue, 1n)
    const offsets = createOffsetAdmin(client)
    await until('the messages', async () => (await offsets.max(queue)) === 3n)
    const reset = async (to: 'earliest' | 'latest'): Promise<void> =>
      await offsets.reset(await offsets.plan({ consumerGroup: 'billing', topic: 'orders', to }))
    // Nobody is online: committed, as mqadmin does.
    await reset('earliest')
    const offline = await consumer.committedOffset(queue)

    const member = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 20_000 })
    const served = serve(member, {
      consumerGroup: 'billing',
      clientId: 'fn@1',
      subscriptions: { orders: '*' },
      windowMs: 20_000,
    })
    await until('the member', async () => (await createGroupAdmin(client).members('billing')).length > 0)
    // The broker would go by a time only, for every queue: not what was planned.
    const online = await reset('earliest').catch(({ message }: Error) => message)
    match(String(online), /resets through members that are online.*fn@1/)
    await rocketmq.mqadmin('resetOffsetByTime', '-g', 'billing', '-t', 'orders', '-s', '-1')
    const { resets } = await served
    const committed = await consumer.committedOffset(queue)
    await Promise.all([client.close(), member.close()])
    deepStrictEqual(
      [offline, resets, committed],
      [0n, [{ topic: 'orders', queues: [{ queue, offset: 3n }] }], 3n],
    )
  })

  it('is known by what may be asked, where access control is on, and is not guessed', async () => {
    const credentials = { accessKey: 'root', secretKey: 'root-secret' }
    await using rocketmq = await startRocketMQ({
      settings: { ...authSettings(credentials), useServerSideResetOffset: false },
    })
    const { nameServers } = rocketmq
    const address = rocketmq.brokers[0]?.address ?? ''
    const root = createClient({ nameServers, credentials, timeoutMs: 20_000 })
    const topics = createTopicAdmin(root)
    await topics.create('orders', { readQueueNums: 2 })
    await createGroupAdmin(root).create('billing')
    await until('the route', () =>
      topics.route('orders').then(
        () => true,
        () => undefined,
      ),
    )
    const queues = [0, 1].map((queueId) => ({ topic: 'orders', brokerName: 'broker-a', queueId }))
    const [queue] = queues
    ok(queue)
    const consumer = createPullConsumer(root, { consumerGroup: 'billing' })
    for (const each of queues) {
      await createProducer(root, { producerGroup: 'p' }).send({ topic: 'orders', body: 'x', queue: each })
      await consumer.commitOffset(each, 1n)
    }
    const own = ['Get', 'Update'] as const
    await createUser(root, address, 'ops', { 'Topic:orders': own, 'Group:billing': own })
    const ops = createClient({
      nameServers,
      credentials: { accessKey: 'ops', secretKey: 'ops-secret' },
      timeoutMs: 20_000,
    })
    const offsets = createOffsetAdmin(ops)
    const stands = (): Promise<unknown> => Promise.all(queues.map((each) => consumer.committedOffset(each)))
    await until('the messages', async () => (await offsets.max(queue)) === 1n)

    const plan = await offsets.plan({ consumerGroup: 'billing', queues: [queue], to: 'earliest' })
    await offsets.reset(plan)
    const offline = await stands()
    await consumer.commitOffset(queue, 1n)
    const member = createRegistration(root, { clientId: 'fn@1', consumers: [{ consumerGroup: 'billing' }] })
    await member.heartbeat()
    const online = await offsets.reset(plan).catch(({ message }: Error) => message)
    await member.unregister()
    const afterwards = await stands()
    await Promise.all([root.close(), ops.close()])

    match(String(online), /resets through members that are online.*fn@1/)
    deepStrictEqual(
      [offline, afterwards],
      [
        [0n, 1n],
        [1n, 1n],
      ],
    )
  })
})
