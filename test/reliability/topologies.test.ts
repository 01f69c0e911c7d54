/**
 * Brokers and name servers that go away, come back and move, under a client and under the event source: two masters, one
 * with a replica, and two name servers of Apache RocketMQ. What single calls do then is in test/conformance/restart.test.ts.
 * The cases run one after another on one cluster; each leaves it whole.
 */
import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { PULL_SUBSCRIPTION, PullMessage, type PullMessageResponse } from '../../src/commands/pull.ts'
import { GetRouteInfoByTopic } from '../../src/commands/route.ts'
import { UpdateAndCreateTopic } from '../../src/commands/topics.ts'
import {
  BrokerError,
  type Client,
  type ClientOptions,
  createClient,
  createProducer,
  createPullConsumer,
  type MessageQueue,
  type Producer,
  type PullConsumer,
} from '../../src/index.ts'
import { type EventSourceResult, eventSource } from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent } from '../../src/testing/index.ts'
import { failure, until } from '../conformance/context.ts'
import { ROCKETMQ_VERSION, realBrokerAvailable } from '../support/rocketmq/install.ts'
import { findPort } from '../support/rocketmq/ports.ts'
import type { Server } from '../support/rocketmq/server.ts'
import { type Broker, type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'

/**
 * A broker reports to name servers once in 10 s, and waits up to 24 s for one that does not answer; on a machine without time
 * everything of it takes longer.
 */
const ROUTED_MS = 60_000
/** A lease ends by itself after 60 s, and whoever asks for it waits for his turn. */
const LEASED_MS = 75_000
/** A replica copies topics once in 60 s, or a minute later where its master did not answer. */
const COPIED_MS = 150_000
/** For as long a broker that is stopped answers that it is going away; longer than the test needs. */
const DRAIN_SECONDS = 60
const GROUP = 'topologies'
/** The id of a master in a route. */
const MASTER = 0
const isOld = ROCKETMQ_VERSION.startsWith('4.')
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

interface Calls {
  client: Client
  producer: Producer
  consumer: PullConsumer
}

if (await realBrokerAvailable()) {
  describe('servers that go away, come back and move', { concurrency: false }, () => {
    let rocketmq: RocketMQ
    let a: Broker
    let b: Broker
    /** Of broker-a. */
    let replica: Broker
    /** An administrator, whose routes do not last. */
    let admin: Calls

    const connect = (options: ClientOptions = {}, consumerGroup: string = GROUP): Calls => {
      const client = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 15_000, ...options })
      return {
        client,
        producer: createProducer(client, { producerGroup: GROUP }),
        consumer: createPullConsumer(client, { consumerGroup }),
      }
    }
    /** As a warm sandbox has it: what is out of date must be found out by using it. */
    const warm = (t: TestContext, options: ClientOptions = {}, group: string = GROUP): Calls => {
      const calls = connect({ routeTtlMs: 3_600_000, pool: { maxIdleMs: 3_600_000 }, ...options }, group)
      t.after(() => calls.client.close())
      return calls
    }
    const setTopic = async (topic: string, on: readonly Broker[], queues = 2): Promise<void> => {
      const { client } = admin
      const request = { topic, readQueueNums: queues, writeQueueNums: queues }
      for (const { address } of on)
        await client.network.call(address, UpdateAndCreateTopic, request, undefined, {
          deadline: client.deadline(),
        })
    }
    /** Every one of the name servers routes to so many masters. */
    const isRouted = async (
      topic: string,
      brokers: number,
      addresses: readonly string[] = admin.client.nameServers.addresses,
    ): Promise<void> => {
      const { client } = admin
      for (const address of addresses)
        await until(
          `the route of ${topic} at ${address}`,
          async () => {
            const answer = await client.network
              .call(address, GetRouteInfoByTopic, { topic }, undefined, { deadline: client.deadline() })
              .catch(() => undefined)
            const masters = answer?.body.brokerDatas.filter(({ brokerAddrs }) => brokerAddrs.has(MASTER))
            return masters?.length === brokers
          },
          ROUTED_MS,
        )
    }
    const createTopic = async (topic: string, on: readonly Broker[], queues = 2): Promise<string> => {
      await setTopic(topic, on, queues)
      await isRouted(topic, on.length)
      return topic
    }
    /** The event source over a topic, in this process; `bodies` is what its handler was given. */
    const consuming = (
      topic: string,
      client: Client,
    ): { bodies: string[]; run: () => Promise<EventSourceResult> } => {
      const bodies: string[] = []
      const handler = eventSource({ topic, consumerGroup: GROUP, client, logger: quiet }, async (event) => {
        for (const record of Object.values(event.records).flat()) bodies.push(record.body.toString())
      })
      return { bodies, run: () => handler(scheduledEvent(), lambdaContext({ remainingMs: 40_000 })) }
    }
    const send = async (
      producer: Producer,
      topic: string,
      names: readonly string[],
    ): Promise<Set<string>> => {
      const brokers = new Set<string>()
      for (const body of names) brokers.add((await producer.send({ topic, body })).queue.brokerName)
      return brokers
    }

    before(async () => {
      rocketmq = await startRocketMQ({
        nameServers: 2,
        brokers: [
          {
            name: 'broker-a',
            settings: { enableShutdownGracefully: true, shutdownWaitTimeSeconds: DRAIN_SECONDS },
          },
          { name: 'broker-b' },
          { name: 'broker-a', role: 'SLAVE' },
        ],
        settings: {
          flushConsumerOffsetInterval: 500,
          waitTimeMillsInSendQueue: 20_000,
          registerNameServerPeriod: 10_000,
          slaveTimeout: 500,
          autoCreateTopicEnable: false,
          // Otherwise a replica answers every pull with code 2, as if it were busy.
          slaveReadEnable: true,
        },
      })
      const find = (isWanted: (broker: Broker) => boolean): Broker => {
        const found = rocketmq.brokers.find(isWanted)
        if (!found) throw new Error('no such broker')
        return found
      }
      a = find(({ folder }) => folder.endsWith('broker-a'))
      b = find(({ name }) => name === 'broker-b')
      replica = find(({ folder }) => folder.endsWith('broker-a-1'))
      admin = connect({ routeTtlMs: 1 })
      // First of all: a replica copies topics from its master once in 60 s.
      await createTopic('replicated', [a], 1)
    })
    after(async () => {
      await admin?.client.close()
      await rocketmq?.stop()
    })

    it('of two masters one is killed: sends and consuming go on at the other, and nothing is lost when it is back', async (t) => {
      const topic = await createTopic('two-masters', [a, b])
      const { client, producer } = warm(t)
      const { bodies, run } = consuming(topic, client)
      await send(producer, topic, ['1', '2', '3', '4'])
      const begun = await run()
      await send(producer, topic, ['5', '6', '7', '8'])

      await b.kill()
      const brokers = await send(producer, topic, ['9', '10', '11', '12'])
      await isRouted(topic, 1)
      client.routes.forget(await client.route(topic, client.deadline()))
      const reached = await run()
      await b.start()
      await isRouted(topic, 2)
      client.routes.forget(await client.route(topic, client.deadline()))
      const back = await run()

      deepStrictEqual([begun.handled, brokers], [4, new Set(['broker-a'])])
      deepStrictEqual([reached.handled, new Set(reached.queues.map((each) => each.brokerName))], [6, brokers])
      deepStrictEqual([...new Set(bodies)].length, 12)
      deepStrictEqual(
        back.queues.map(({ lag }) => lag),
        [0, 0, 0, 0],
      )
    })

    it('a master that hangs fails the invocation by name, after the other’s queues are done', async (t) => {
      const topic = await createTopic('hanging-master', [a, b])
      const { client, producer } = warm(t, { timeoutMs: 2_000 })
      const { bodies, run } = consuming(topic, client)
      await run()
      await send(producer, topic, ['1', '2', '3', '4'])
      t.after(() => b.resume())

      b.pause()
      const failed = await run().catch((error: Error) => error)
      const reached = [...bodies]
      b.resume()
      // It may read the request for a lease behind the one that gives it back: then it is nobody's until it ends.
      // Until then, and while a busy machine lets it answer late, an invocation may fail again, also behind its handler.
      await until(
        'the other’s messages',
        async () => (await run().catch(() => undefined)) && new Set(bodies).size === 4,
        LEASED_MS,
      )

      ok(failed instanceof Error)
      match(failed.message, new RegExp(b.address))
      deepStrictEqual([reached.length, [...new Set(bodies)].toSorted()], [2, ['1', '2', '3', '4']])
    })

    it('a broker that is started again on another port is found by the first call of every kind', async (t) => {
      const topic = await createTopic('moved', [b], 1)
      const queue: MessageQueue = { topic, brokerName: 'broker-b', queueId: 0 }
      await admin.producer.send({ topic, body: 'x' })
      const [message] = (await admin.consumer.pull(queue, 0n)).messages
      ok(message)
      const calls: Record<string, (calls: Calls) => Promise<unknown>> = {
        send: async ({ producer }) => (await producer.send({ topic, body: 'x' })).status,
        sendBatch: async ({ producer }) => (await producer.sendBatch(topic, [{ body: 'x' }]))[0]?.outcome,
        sendOneway: async ({ producer }) => await producer.sendOneway({ topic, body: 'x' }),
        pull: async ({ consumer }) => (await consumer.pull(queue, 0n, { maxMessages: 1 })).status,
        commitOffset: async ({ consumer }) => await consumer.commitOffset(queue, 1n),
        committedOffset: async ({ consumer }) => typeof (await consumer.committedOffset(queue)),
        minOffset: async ({ consumer }) => await consumer.minOffset(queue),
        maxOffset: async ({ consumer }) => typeof (await consumer.maxOffset(queue)),
        searchOffset: async ({ consumer }) => await consumer.searchOffset(queue, 0),
        lock: async ({ consumer }) => (await consumer.lock([queue])).length,
        unlock: async ({ consumer }) => await consumer.unlock([queue]),
        sendBack: async ({ consumer }) => await consumer.sendBack(message),
      }
      // A group of its own: what is sent back comes to the others' consumers some time.
      const clients = new Map(Object.keys(calls).map((name) => [name, warm(t, {}, topic)]))
      // Which also makes the group.
      for (const { consumer } of clients.values()) await consumer.pull(queue, 0n)
      await clients.get('commitOffset')?.consumer.commitOffset(queue, 0n)

      await b.restart({ kill: true, port: await findPort([-2, 0, 1]) })
      const outcomes: Record<string, unknown> = {}
      for (const [name, call] of Object.entries(calls)) {
        const began = Date.now()
        outcomes[name] = await call(clients.get(name) as Calls)
        t.diagnostic(`${name}: ${Date.now() - began} ms`)
      }

      deepStrictEqual(outcomes, {
        send: 'SEND_OK',
        sendBatch: 'stored',
        sendOneway: undefined,
        pull: 'FOUND',
        commitOffset: undefined,
        committedOffset: 'bigint',
        minOffset: 0n,
        maxOffset: 'bigint',
        searchOffset: 0n,
        lock: 1,
        unlock: undefined,
        sendBack: undefined,
      })
    })

    it('queues that are added under load are used by sends and by pulls, without an error', async (t) => {
      const topic = await createTopic('growing', [a, b], 1)
      const { producer, consumer } = warm(t, { routeTtlMs: 50 })
      const used = new Set<string>()
      const sent = new Set<string>()
      let isOver = false
      const sending = Array.from({ length: 4 }, async () => {
        while (!isOver) {
          const { queue, messageId } = await producer.send({ topic, body: 'x' })
          used.add(`${queue.brokerName}/${queue.queueId}`)
          sent.add(messageId)
        }
      })
      const offsets = new Map<string, bigint>()
      const pulled = new Set<string>()
      const pullAll = async (): Promise<void> => {
        for (const queue of await consumer.queues(topic)) {
          const key = `${queue.brokerName}/${queue.queueId}`
          const { messages, nextBeginOffset } = await consumer.pull(queue, offsets.get(key) ?? 0n)
          offsets.set(key, nextBeginOffset)
          for (const { messageId } of messages) pulled.add(messageId)
        }
      }
      const pulling = (async () => {
        while (!isOver) await pullAll()
      })()
      const settled = Promise.all([...sending, pulling])

      for (const queues of [2, 4, 8]) {
        await setTopic(topic, [a, b], queues)
        await Promise.race([
          settled,
          until(`${2 * queues} queues`, () => used.size === 2 * queues, ROUTED_MS),
        ])
      }
      isOver = true
      await settled
      await until(
        'every message that was sent',
        async () => {
          await pullAll()
          return [...sent].every((messageId) => pulled.has(messageId))
        },
        ROUTED_MS,
      )

      t.diagnostic(`${sent.size} sends while queues were added`)
      // By their ids: a send that was repeated is stored twice.
      deepStrictEqual([used.size, offsets.size, pulled.size], [16, 16, sent.size])
    })

    it('a send that has no replica to wait for says so, and is stored', async (t) => {
      const topic = await createTopic('alone', [b], 1)
      const { producer, consumer } = warm(t)

      await b.restart({ kill: true, settings: { brokerRole: 'SYNC_MASTER', inSyncReplicas: 2 } })
      await isRouted(topic, 1)
      const { status, queue, queueOffset } = await producer.send({ topic, body: 'x' })
      const { messages } = await consumer.pull(queue, queueOffset)
      await b.restart({ kill: true, settings: { brokerRole: 'ASYNC_MASTER', inSyncReplicas: 1 } })

      // Brokers from 5.0 on wait for a replica that is not there, too.
      deepStrictEqual([status, messages.length], [isOld ? 'SLAVE_NOT_AVAILABLE' : 'FLUSH_SLAVE_TIMEOUT', 1])
    })

    it('name servers may be silent or gone in every combination: one is enough, and with none the last route serves on', async (t) => {
      const topic = await createTopic('named', [a, b], 1)
      const servers = rocketmq.nameServerProcesses
      const limits = { timeoutMs: 2_000, routeTtlMs: 1 }
      const kept = warm(t, limits)
      await kept.producer.send({ topic, body: 'x' })
      const queue: MessageQueue = { topic, brokerName: 'broker-b', queueId: 0 }
      const work = async ({ producer, consumer }: Calls): Promise<string> => {
        await producer.send({ topic, body: 'x' })
        await consumer.pull(queue, 0n)
        await consumer.commitOffset(queue, 1n)
        return 'done'
      }
      const settle = async (calls: Calls): Promise<string> =>
        // One that is silent and one that is gone: by the order in which they were asked.
        await work(calls).catch(({ code }: { code: string }) => code.replace(/TIMEOUT|CONNECT/, 'NONE'))
      const tried = async (): Promise<[string, string]> =>
        await Promise.all([settle(kept), settle(warm(t, limits))])
      const addressOf = (server: Server): string =>
        rocketmq.nameServers.split(';')[servers.indexOf(server)] as string
      t.after(() => {
        for (const each of [...servers, replica]) each.resume()
      })
      const withSilent = async (...silent: Server[]): Promise<[string, string]> => {
        for (const each of silent) each.pause()
        const outcome = await tried()
        for (const each of silent) each.resume()
        // Of brokers that gave it up meanwhile it knows nothing until they report again.
        await isRouted(topic, 2, silent.map(addressOf))
        return outcome
      }
      const [one, other] = servers as [Server, Server]

      const outcomes: Record<string, [string, string]> = {}
      outcomes['silent, up'] = await withSilent(one)
      outcomes['up, silent'] = await withSilent(other)
      outcomes['silent, silent'] = await withSilent(one, other)
      await other.kill()
      outcomes['up, gone'] = await tried()
      outcomes['silent, gone'] = await withSilent(one)
      await one.kill()
      outcomes['gone, gone'] = await tried()
      const none = warm(t, limits)
      const error = await none.producer.send({ topic, body: 'x' }).catch((reason: Error) => reason)
      // Whoever reports first, it is no replica: without a master there is nowhere to send to (restarted-name-servers.test.ts).
      replica.pause()
      await other.start()
      const unreported = await settle(kept)
      replica.resume()
      await isRouted(topic, 2, [addressOf(other)])
      outcomes['gone, up'] = await tried()
      outcomes['gone, silent'] = await withSilent(other)
      await one.start()
      await isRouted(topic, 2)
      const again = await tried()

      const done = ['done', 'done']
      deepStrictEqual(outcomes, {
        'silent, up': done,
        'up, silent': done,
        'silent, silent': ['done', 'RMQ_NONE'],
        'up, gone': done,
        'silent, gone': ['done', 'RMQ_NONE'],
        'gone, gone': ['done', 'RMQ_NONE'],
        'gone, up': done,
        'gone, silent': ['done', 'RMQ_NONE'],
      })
      for (const address of rocketmq.nameServers.split(';'))
        match((error as Error).message, new RegExp(address))
      deepStrictEqual([unreported, ...again], ['done', ...done])
    })

    it('a master that drains and goes is left for the other one, and for its replica where only that has the queue', async (t) => {
      const both = await createTopic('draining', [a, b], 1)
      const topic = 'replicated'
      const queue: MessageQueue = { topic, brokerName: 'broker-a', queueId: 0 }
      const { client, producer, consumer } = warm(t)
      const { bodies, run } = consuming(topic, client)
      await send(producer, topic, ['1', '2'])
      const begun = await run()
      await send(producer, topic, ['3'])
      await until(
        'the replica to have the messages',
        async () => {
          const answer = await replicaPull(admin.client, replica, queue).catch(() => undefined)
          return answer?.code === 0 && answer.header.maxOffset === 3n
        },
        COPIED_MS,
      )
      const patient = warm(t)
      await patient.consumer.pull(queue, 0n)
      await send(patient.producer, both, ['x', 'x'])

      const single = createProducer(warm(t).client, { producerGroup: GROUP, retries: 0 })
      await single.send({ topic: both, body: 'x', queue: { ...queue, topic: both } })

      const stopping = a.stop()
      const drained = await until('the broker to drain', async () => {
        const error = await single.send({ topic: both, body: 'x', queue: { ...queue, topic: both } }).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        return error instanceof BrokerError && error.responseCode === 1500 ? error : undefined
      })
      const brokers = await send(patient.producer, both, ['1', '2', '3', '4'])
      const { messages } = await patient.consumer.pull(queue, 0n)
      await a.kill()
      await stopping
      const later = await consumer.pull(queue, 0n)
      const refused = [
        await failure(consumer.commitOffset(queue, 3n)),
        await failure(consumer.lock([queue])),
        await failure(consumer.committedOffset(queue)),
      ]
      const invocation = await run().catch((error: Error) => error)
      const handledMeanwhile = bodies.length
      await a.start()
      await isRouted(topic, 1)
      const committed = await until('the master', () =>
        admin.consumer.committedOffset(queue).catch(() => undefined),
      )
      client.routes.forget(await client.route(topic, client.deadline()))
      const back = await run()

      deepStrictEqual([begun.handled, drained.outcome, brokers], [2, 'refused', new Set(['broker-b'])])
      deepStrictEqual([messages.length, later.messages.length], [3, 3])
      deepStrictEqual(
        refused,
        refused.map(() => ({ error: 'ConnectError', outcome: 'not-sent' })),
      )
      match((invocation as Error).message, new RegExp(a.address))
      deepStrictEqual([handledMeanwhile, committed, back.handled], [2, 2n, 1])
    })
  })
}

async function replicaPull(
  client: Client,
  { address }: Broker,
  { topic, queueId }: MessageQueue,
): Promise<{ code: number; header: PullMessageResponse }> {
  const request = {
    consumerGroup: GROUP,
    topic,
    queueId,
    queueOffset: 0n,
    maxMsgNums: 32,
    sysFlag: PULL_SUBSCRIPTION,
    subscription: '*',
  }
  return await client.network.call(address, PullMessage, request, undefined, { deadline: client.deadline() })
}
