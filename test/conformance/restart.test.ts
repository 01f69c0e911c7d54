/**
 * Servers that go away and come back: two masters, a replica and two name servers of Apache RocketMQ. The cases run one
 * after another on one cluster; each leaves it whole.
 */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { PULL_SUBSCRIPTION, PullMessage } from '../../src/commands/pull.ts'
import { GetRouteInfoByTopic } from '../../src/commands/route.ts'
import { UpdateAndCreateTopic } from '../../src/commands/topics.ts'
import {
  type Client,
  createClient,
  createProducer,
  createPullConsumer,
  type MessageQueue,
  type Producer,
  type PullConsumer,
} from '../../src/index.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type Broker, type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'
import { failure, until } from './context.ts'

const QUEUES = 2
/** The id of a master in a route. */
const MASTER = 0
/**
 * A broker reports to name servers once in 10 s, and waits up to 24 s for one that does not answer; on a machine without time
 * everything of it takes longer.
 */
const ROUTED_MS = 60_000
/** A replica copies topics once in 60 s, or a minute later where its master did not answer. */
const COPIED_MS = 150_000

if (await realBrokerAvailable()) {
  describe('servers that go away and come back', { concurrency: false }, () => {
    let rocketmq: RocketMQ
    let a: Broker
    let replica: Broker
    let b: Broker
    let client: Client
    let producer: Producer
    let consumer: PullConsumer

    /** Every name server routes to so many masters. */
    const isRouted = async (topic: string, brokers: number): Promise<void> => {
      for (const address of client.nameServers.addresses)
        await until(
          `the route of ${topic} at ${address}`,
          async () => {
            const route = await client.network
              .call(address, GetRouteInfoByTopic, { topic }, undefined, { deadline: client.deadline({}) })
              .catch(() => undefined)
            const masters = route?.body.brokerDatas.filter(({ brokerAddrs }) => brokerAddrs.has(MASTER))
            return masters?.length === brokers
          },
          ROUTED_MS,
        )
    }
    const createTopic = async (topic: string, on: readonly Broker[]): Promise<string> => {
      const deadline = client.deadline({})
      const request = { topic, readQueueNums: QUEUES, writeQueueNums: QUEUES }
      for (const { address } of on)
        await client.network.call(address, UpdateAndCreateTopic, request, undefined, { deadline })
      await isRouted(topic, on.length)
      return topic
    }
    const read = (topic: string, count: number, from: PullConsumer = consumer): Promise<string[]> =>
      until(`${count} messages of ${topic}`, async () => {
        const bodies: string[] = []
        for (const queue of await from.queues(topic)) {
          const { messages } = await from.pull(queue, 0n)
          bodies.push(...messages.map((message) => message.body.toString()))
        }
        return bodies.length >= count ? bodies.toSorted() : undefined
      })
    const connect = (): Client =>
      createClient({
        nameServers: rocketmq.nameServers,
        timeoutMs: 15_000,
        routeTtlMs: 3_600_000,
        pool: { maxIdleMs: 3_600_000 },
      })

    before(async () => {
      rocketmq = await startRocketMQ({
        nameServers: 2,
        brokers: [{ name: 'broker-a' }, { name: 'broker-b' }, { name: 'broker-a', role: 'SLAVE' }],
        settings: {
          flushConsumerOffsetInterval: 1_000,
          waitTimeMillsInSendQueue: 20_000,
          registerNameServerPeriod: 10_000,
          slaveTimeout: 500,
          // Otherwise a send to a topic whose broker is away creates it on another.
          autoCreateTopicEnable: false,
          // Otherwise a replica answers every pull with code 2, as if it were busy.
          slaveReadEnable: true,
        },
      })
      const find = (name: string, isReplica: boolean): Broker => {
        const found = rocketmq.brokers.find(
          (each) => each.name === name && each.folder.endsWith('-1') === isReplica,
        )
        if (!found) throw new Error(`no broker ${name}`)
        return found
      }
      a = find('broker-a', false)
      replica = find('broker-a', true)
      b = find('broker-b', false)
      // Routes and connections never expire here: what is out of date must be found out by using it.
      client = connect()
      producer = createProducer(client, { producerGroup: 'restart' })
      consumer = createPullConsumer(client, { consumerGroup: 'restart' })
      await createTopic('replicated', [a])
    })
    after(async () => {
      await client?.close()
      await rocketmq?.stop()
    })

    afterEach(async () => {
      for (const server of [...rocketmq.nameServerProcesses, ...rocketmq.brokers]) {
        await server.start().catch((error: Error) => {
          if (!error.message.endsWith('is running')) throw error
        })
      }
    })

    it('the first send after a broker was stopped and started again succeeds', async () => {
      const topic = await createTopic('stopped', [b])
      await producer.send({ topic, body: 'before' })
      await b.restart()
      const { status } = await producer.send({ topic, body: 'after' })
      deepStrictEqual([status, await read(topic, 2)], ['SEND_OK', ['after', 'before']])
    })

    it('the first calls after a broker was killed and started again succeed, and a sharding key keeps its queue', async () => {
      const [topic, both] = [await createTopic('killed', [b]), await createTopic('sharded', [a, b])]
      const [queue] = await consumer.queues(topic)
      ok(queue)
      const sharded = async (shardingKey: string) =>
        (await producer.send({ topic: both, body: 'x', shardingKey })).queue
      const homes = [await sharded('k1'), await sharded('k2'), await sharded('k3'), await sharded('k4')]
      deepStrictEqual(new Set(homes.map(({ brokerName }) => brokerName)), new Set(['broker-a', 'broker-b']))
      await producer.send({ topic, body: 'before' })
      await read(topic, 1)
      await b.restart({ kill: true })
      await consumer.commitOffset(queue, 1n)
      deepStrictEqual([await consumer.committedOffset(queue), await consumer.lock([queue])], [1n, [queue]])
      await producer.send({ topic, body: 'after' })
      deepStrictEqual(await read(topic, 2), ['after', 'before'])
      deepStrictEqual(
        [await sharded('k1'), await sharded('k2'), await sharded('k3'), await sharded('k4')],
        homes,
      )
    })

    it('while a broker is away what must go to it is not sent, the rest goes to the other master, until it is back', async () => {
      const [only, both] = [await createTopic('only-on-b', [b]), await createTopic('on-both', [a, b])]
      const onB: MessageQueue = { topic: both, brokerName: 'broker-b', queueId: 1 }
      const brokers = async (count: number): Promise<Set<string>> => {
        const names = new Set<string>()
        for (let n = 0; n < count; n++)
          names.add((await producer.send({ topic: both, body: 'x' })).queue.brokerName)
        return names
      }
      await producer.send({ topic: only, body: 'before' })
      deepStrictEqual(await brokers(4), new Set(['broker-a', 'broker-b']))

      await b.kill()
      const outcomes = [
        (await failure(producer.send({ topic: only, body: 'lost' }))).outcome,
        (await failure(producer.send({ topic: both, body: 'lost', queue: onB }))).outcome,
        ...(
          await producer.sendBatch(only, [{ body: 'lost' }]).catch((error: { outcome: string }) => [error])
        ).map((each) => each.outcome),
      ]
      deepStrictEqual(outcomes, ['not-sent', 'not-sent', 'not-sent'])
      deepStrictEqual(await brokers(8), new Set(['broker-a']))
      const batch = await producer.sendBatch(both, [{ body: 'x' }])
      deepStrictEqual(
        batch.map((each) => each.outcome),
        ['stored'],
      )

      await b.start()
      await producer.send({ topic: only, body: 'after' })
      deepStrictEqual((await producer.send({ topic: both, body: 'x', queue: onB })).queue, onB)
      deepStrictEqual(await read(only, 2), ['after', 'before'])
      client.routes.forget(await client.route(both, client.deadline({}))) // in a function its 30 s are over
      deepStrictEqual(await brokers(4), new Set(['broker-a', 'broker-b']))
      deepStrictEqual((await read(both, 18)).length, 18)
    })

    it('a send that hangs on a stopped process is repeated elsewhere, and the copies have one id', async (t) => {
      t.after(() => b.resume()) // also when it fails: the next tests need it
      const topic = await createTopic('hanging', [a, b])
      const impatient = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 1_000 })
      const sender = createProducer(impatient, { producerGroup: 'restart' })
      for (let n = 0; n < 4; n++) await sender.send({ topic, body: 'warm up' }) // connected to both
      b.pause()
      const sent = [
        await sender.send({ topic, body: 'x', messageId: 'ONE' }),
        await sender.send({ topic, body: 'x', messageId: 'TWO' }),
      ]
      deepStrictEqual(
        sent.map(({ queue }) => queue.brokerName),
        ['broker-a', 'broker-a'],
      )
      const onB: MessageQueue = { topic, brokerName: 'broker-b', queueId: 0 }
      deepStrictEqual(
        await failure(
          createProducer(impatient, { producerGroup: 'restart', retries: 0 }).send({
            topic,
            body: 'x',
            queue: onB,
          }),
        ),
        {
          error: 'TimeoutError',
          outcome: 'unknown',
        },
      )
      b.resume()
      await impatient.close()
      const ids = await until('both messages', async () => {
        const found = new Set<string>()
        for (const queue of await consumer.queues(topic)) {
          for (const message of (await consumer.pull(queue, 0n)).messages) found.add(message.messageId)
        }
        return found.has('ONE') && found.has('TWO')
      })
      ok(ids)
    })

    it('a name server that is away costs nothing but its turn', async () => {
      const topic = await createTopic('named', [a, b])
      const [server] = rocketmq.nameServerProcesses
      ok(server)
      await server.kill()
      for (let n = 0; n < 4; n++) {
        const fresh = connect() // begins with either of them
        deepStrictEqual(
          (await createPullConsumer(fresh, { consumerGroup: 'restart' }).queues(topic)).length,
          2 * QUEUES,
        )
        await fresh.close()
      }
      await producer.send({ topic, body: 'x' })
      await server.start()
      // It knows nothing until the brokers register again.
      await isRouted(topic, 2)
    })

    it('without a master its queues are read from the replica, and nothing is committed or locked', async () => {
      const topic = 'replicated' // created first of all: a replica copies topics from its master once in 60 s
      const [queue] = await consumer.queues(topic)
      ok(queue)
      await producer.send({ topic, body: 'x', queue })
      const pull = {
        consumerGroup: 'restart',
        topic,
        queueId: queue.queueId,
        queueOffset: 0n,
        maxMsgNums: 32,
        sysFlag: PULL_SUBSCRIPTION,
        subscription: '*',
      }
      const onReplica = async (): Promise<boolean> =>
        client.network
          .call(replica.address, PullMessage, pull, undefined, { deadline: client.deadline({}) })
          .then(
            ({ code }) => code === 0,
            () => false,
          )
      await until('the replica to have the message', onReplica, COPIED_MS)
      await a.kill()
      const { status, messages } = await until('the route to the replica', () =>
        consumer.pull(queue, 0n).catch(() => undefined),
      )
      deepStrictEqual([status, messages.map((message) => message.body.toString())], ['FOUND', ['x']])
      for (const write of [
        () => consumer.commitOffset(queue, 1n),
        () => consumer.lock([queue]),
        () => producer.send({ topic, body: 'x' }),
        () => consumer.sendBack(messages[0] as (typeof messages)[number]),
      ]) {
        await rejects(write, { outcome: 'not-sent' })
      }
      await a.start()
      await consumer.commitOffset(queue, 1n)
      deepStrictEqual(await consumer.committedOffset(queue), 1n)
    })

    it('a send says how well it was stored', async () => {
      const topic = await createTopic('statuses', [a, b])
      const status = async ({ name }: Broker) =>
        (await producer.send({ topic, body: 'x', queue: { topic, brokerName: name, queueId: 0 } })).status
      // With one replica in sync, the default, a SYNC_MASTER waits for none.
      await Promise.all([
        a.restart({ kill: true, settings: { brokerRole: 'SYNC_MASTER', inSyncReplicas: 2 } }),
        b.restart({ kill: true, settings: { flushDiskType: 'SYNC_FLUSH', syncFlushTimeout: -1_000 } }),
      ])
      await until('the replica to follow', async () => (await status(a)) === 'SEND_OK', ROUTED_MS)
      replica.pause()
      await until('a copy that is too slow', async () => (await status(a)) === 'FLUSH_SLAVE_TIMEOUT')
      replica.resume()
      await until('a flush that is too slow', async () => (await status(b)) === 'FLUSH_DISK_TIMEOUT')
      ok((await read(topic, 3)).length >= 3, 'all of them are stored')
    })
  })
}
