import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { UpdateAndCreateSubscriptionGroup } from '../../../src/commands/groups.ts'
import { GetTopicStatsInfo, RequestCode } from '../../../src/commands/index.ts'
import {
  type Client,
  type ClientOptions,
  createClient,
  createClusterAdmin,
  createGroupAdmin,
  createMessageQuery,
  createOffsetAdmin,
  createProducer,
  createPullConsumer,
  createRegistration,
  createTopicAdmin,
  PartialError,
  type Place,
  RocketMQError,
} from '../../../src/index.ts'
import { type LocalBroker, type LocalBrokerOptions, startBroker } from '../../../src/testing/index.ts'
import { fakeCluster } from '../../support/fake-cluster.ts'

const UPDATE_TOPIC = 17
const BROKER_CONFIG = 26
const RESET = 222
const DELETE_IN_BROKER = 215
const DELETE_IN_NAMESRV = 216
const ALL_GROUPS = 201

/** Two masters. */
async function withBroker(
  options: LocalBrokerOptions & { client?: ClientOptions },
  run: (broker: LocalBroker, client: Client) => Promise<void>,
): Promise<void> {
  const { client: clientOptions, ...brokerOptions } = options
  await using broker = await startBroker({ brokers: 2, ...brokerOptions })
  const client = createClient({ nameServers: broker.nameServers, ...clientOptions })
  try {
    await run(broker, client)
  } finally {
    await client.close()
  }
}

const errorOf = async (call: Promise<unknown>): Promise<RocketMQError> => {
  try {
    await call
  } catch (error) {
    ok(error instanceof RocketMQError, String(error))
    return error
  }
  throw new Error('it did not fail')
}

const names = (places: readonly Place[]): (string | undefined)[] => places.map(({ brokerName }) => brokerName)

const refuse = { fault: 'refuse', responseCode: 14, server: 'broker-b' } as const

describe('a group with attributes', () => {
  it('is changed without them, and keeps them', () =>
    withBroker({ brokers: 1 }, async (broker, client) => {
      const groups = createGroupAdmin(client)
      await groups.create('billing')
      const [there] = await groups.describe('billing')
      ok(there)
      const [{ address } = { address: '' }] = broker.brokers
      const settings = { ...there.config, attributes: { '+priority.factor': '10' } }
      const limits = { deadline: client.deadline() }
      await client.network.call(address, UpdateAndCreateSubscriptionGroup, {}, settings, limits)

      await groups.update('billing', { consumeEnable: false })

      const [after] = await groups.describe('billing')
      deepStrictEqual(after?.config, {
        ...there.config,
        consumeEnable: false,
        attributes: { 'priority.factor': '10' },
      })
    }))
})

describe('a call that some masters have done and others have not', () => {
  it('leaves a topic that can be looked at, and deleted by being repeated', () =>
    withBroker({ topics: { orders: { queues: 2 } } }, async (broker, client) => {
      const topics = createTopicAdmin(client)
      const atBroker = broker.faults.add({ ...refuse, code: DELETE_IN_BROKER })
      const first = await errorOf(topics.delete('orders'))
      const { queues } = await topics.stats('orders')
      atBroker.remove()
      const atNameServer = broker.faults.add({ fault: 'refuse', responseCode: 1, code: DELETE_IN_NAMESRV })
      const second = await errorOf(topics.delete('orders'))
      const gone = await errorOf(topics.stats('orders'))
      atNameServer.remove()
      const { brokers } = await topics.delete('orders')

      ok(first instanceof PartialError && second instanceof RocketMQError)
      deepStrictEqual([...new Set(queues.map(({ queue }) => queue.brokerName))], ['broker-b'])
      deepStrictEqual([gone.code, gone.responseCode, brokers], ['RMQ_ROUTE', 17, []])
    }))

  it('says where, and is completed by being repeated', () =>
    withBroker({}, async (broker, client) => {
      const topics = createTopicAdmin(client)
      const fault = broker.faults.add({ ...refuse, code: UPDATE_TOPIC })
      const error = await errorOf(topics.create('orders', { readQueueNums: 3 }))
      ok(error instanceof PartialError)
      const { code, outcome, retryable, responseCode } = error
      const addresses = broker.brokers.map(({ address }) => address)
      deepStrictEqual(
        [
          code,
          outcome,
          retryable,
          responseCode,
          error.done,
          error.failed.map(({ brokerName, address }) => ({ brokerName, address })),
        ],
        [
          'RMQ_PARTIAL',
          'unknown',
          true,
          14,
          [{ brokerName: 'broker-a', address: addresses[0] }],
          [{ brokerName: 'broker-b', address: addresses[1] }],
        ],
      )
      match(error.message, /creating topic orders was done on broker-a \(.*\), not on broker-b \(.*code 14/)
      fault.remove()

      const made = await topics.create('orders', { readQueueNums: 3 })
      deepStrictEqual(names(made), ['broker-a', 'broker-b'])
      deepStrictEqual(names(await topics.describe('orders')), ['broker-a', 'broker-b'])
    }))

  it('is told from one that only reads, of which some have answered', () =>
    withBroker({}, async (broker, client) => {
      broker.faults.add({ ...refuse, code: ALL_GROUPS })
      const error = await errorOf(createGroupAdmin(client).list())
      const [a, b] = broker.brokers.map(({ name, address }) => `${name} (${address})`)
      deepStrictEqual([error.name, error.outcome, error.retryable], ['PartialError', undefined, true])
      ok(error.message.startsWith(`reading the groups was answered by ${a}, not by ${b}: `), error.message)
      ok(error.message.endsWith('; repeat it'), error.message)
    }))

  it('is the error itself when nothing was done anywhere', () =>
    withBroker({}, async (broker, client) => {
      broker.faults.add({ fault: 'refuse', responseCode: 14, code: UPDATE_TOPIC })
      const error = await errorOf(createTopicAdmin(client).create('orders'))
      deepStrictEqual([error.name, error.responseCode, error.outcome], ['BrokerError', 14, 'refused'])
    }))

  it('is told with what is not known first: an answer that was lost may have been done', () =>
    withBroker({ client: { timeoutMs: 1_500 } }, async (broker, client) => {
      broker.faults.add({ fault: 'lose-answer', code: UPDATE_TOPIC, server: 'broker-a' })
      broker.faults.add({ ...refuse, code: UPDATE_TOPIC })
      const error = await errorOf(createTopicAdmin(client).create('orders'))
      deepStrictEqual([error.name, error.outcome], ['TimeoutError', 'unknown'])
    }))

  it('of a reset names the queues, and the rest of the plan can be done again', () =>
    withBroker({ topics: { orders: { queues: 1 } } }, async (broker, client) => {
      broker.createGroup('billing')
      const offsets = createOffsetAdmin(client)
      for (const { name } of broker.brokers) {
        const queue = { topic: 'orders', brokerName: name, queueId: 0 }
        await createProducer(client, { producerGroup: 'p' }).send({ topic: 'orders', body: 'x', queue })
      }
      const plan = await offsets.plan({ consumerGroup: 'billing', topic: 'orders', to: 'latest' })
      const closed = broker.faults.add({ fault: 'refuse', responseCode: 14, code: RESET })
      const nothing = await errorOf(offsets.reset(plan))
      closed.remove()
      deepStrictEqual(
        [nothing.name, (await createGroupAdmin(client).stats('billing', { topic: 'orders' })).lag],
        ['BrokerError', 2n],
      )
      const fault = broker.faults.add({ ...refuse, code: RESET })
      const error = await errorOf(offsets.reset(plan))
      ok(error instanceof PartialError)
      deepStrictEqual(
        [error.done.map(({ queue }) => queue), error.failed.map(({ queue }) => queue)],
        [
          [{ topic: 'orders', brokerName: 'broker-a', queueId: 0 }],
          [{ topic: 'orders', brokerName: 'broker-b', queueId: 0 }],
        ],
      )
      fault.remove()
      await offsets.reset(plan)
      deepStrictEqual((await createGroupAdmin(client).stats('billing')).lag, 0n)
    }))

  it('is not begun where the broker does not say how it resets: that is not guessed', () =>
    withBroker({ topics: { orders: { queues: 1 } }, brokers: 1 }, async (broker, client) => {
      broker.createGroup('billing')
      const offsets = createOffsetAdmin(client)
      const plan = await offsets.plan({ consumerGroup: 'billing', topic: 'orders', to: 'latest' })
      const remark =
        'User:u has no permission to access Cluster:DefaultCluster from 127.0.0.1, no matched policies.'
      broker.faults.add({ fault: 'refuse', code: BROKER_CONFIG, responseCode: 16, remark })
      const reset = broker.faults.add({ fault: 'delay', ms: 0, code: RESET })
      const error = await errorOf(offsets.reset(plan))
      deepStrictEqual([error.name, error.message.includes(remark), reset.hits], ['AuthError', true, 0])
    }))

  it('keeps the name server’s route of a topic that a broker still has', () =>
    withBroker({ topics: ['orders'] }, async (broker, client) => {
      const topics = createTopicAdmin(client)
      const asked = broker.faults.add({ fault: 'delay', ms: 0, code: DELETE_IN_NAMESRV })
      const fault = broker.faults.add({ ...refuse, code: DELETE_IN_BROKER })
      const error = await errorOf(topics.delete('orders'))
      deepStrictEqual([error.name, asked.hits], ['PartialError', 0])
      fault.remove()
      const deleted = await topics.delete('orders')
      deepStrictEqual(
        [names(deleted.brokers), deleted.nameServers],
        [['broker-b'], client.nameServers.addresses],
      )
    }))
})

describe('where a call goes', () => {
  it('is one broker when it is named, and changes concern those that have the topic', () =>
    withBroker({}, async (_, client) => {
      const topics = createTopicAdmin(client)
      const created = await topics.create('orders', { readQueueNums: 2 }, { brokerName: 'broker-b' })
      const updated = await topics.update('orders', { writeQueueNums: 1 })
      deepStrictEqual(
        [
          names(created),
          updated.map(({ brokerName, readQueueNums, writeQueueNums }) => [
            brokerName,
            readQueueNums,
            writeQueueNums,
          ]),
        ],
        [['broker-b'], [['broker-b', 2, 1]]],
      )
    }))

  for (const [what, where, field] of [
    ['a broker', { brokerName: 'broker-z' }, 'brokerName'],
    ['a cluster', { cluster: 'nowhere' }, 'cluster'],
    ['an option', { broker: 'broker-a' }, 'broker'],
  ] as const) {
    it(`is refused for ${what} that there is not, with those that there are`, () =>
      withBroker({ topics: ['orders'] }, async (_, client) => {
        const topics = createTopicAdmin(client)
        const errors = await Promise.all([
          errorOf(topics.create('other', {}, where as object)),
          errorOf(topics.delete('orders', where as object)),
        ])
        deepStrictEqual(
          errors.map((error) => [error.name, error.field]),
          [
            ['ConfigError', field],
            ['ConfigError', field],
          ],
        )
      }))
  }

  it('is nowhere while no broker is registered', () =>
    withBroker({}, async (broker, client) => {
      for (const each of broker.brokers) await each.stop()
      const error = await errorOf(createGroupAdmin(client).list())
      deepStrictEqual([error.name, await createClusterAdmin(client).describe()], ['ConnectError', []])
    }))
})

describe('settings', () => {
  const wrong: readonly (readonly [string, object, string])[] = [
    ['a misspelt name', { readQueues: 2 }, 'readQueues'],
    ['no queues', { readQueueNums: 0 }, 'readQueueNums'],
    ['a permission that is none', { perm: 1 }, 'perm'],
    ['text for a switch', { order: 'yes' }, 'order'],
    ['an attribute with a comma', { attributes: { 'message.type': 'FIFO,x' } }, "attributes['message.type']"],
  ]
  for (const [what, settings, field] of wrong) {
    it(`of a topic with ${what} are refused before anything is asked`, async () => {
      const client = createClient({ nameServers: '127.0.0.1:1' })
      const error = await errorOf(createTopicAdmin(client).create('orders', settings))
      await client.close()
      deepStrictEqual([error.name, error.field], ['ConfigError', field])
    })
  }

  for (const [what, settings, field] of [
    ['a misspelt name', { retryMax: 2 }, 'retryMax'],
    ['a fraction', { retryMaxTimes: 1.5 }, 'retryMaxTimes'],
    ['text for a switch', { consumeEnable: 'no' }, 'consumeEnable'],
  ] as const) {
    it(`of a group with ${what} are refused before anything is asked`, async () => {
      const client = createClient({ nameServers: '127.0.0.1:1' })
      const error = await errorOf(createGroupAdmin(client).create('billing', settings as object))
      await client.close()
      deepStrictEqual([error.name, error.field], ['ConfigError', field])
    })
  }

  it('of a reset are refused when they say nothing, two things, or something else', async () => {
    const client = createClient({ nameServers: '127.0.0.1:1' })
    const offsets = createOffsetAdmin(client)
    const fields = await Promise.all(
      [
        { to: {} },
        { to: { offset: 1n, timestamp: 1 } },
        { to: 'begin' },
        { to: { offset: 1 } },
        { to: { timestamp: 'yesterday' } },
        { to: 'latest', queues: [], topic: 'orders' },
        { to: 'latest', group: 'x' },
      ].map(
        async (request) => (await errorOf(offsets.plan({ consumerGroup: 'g', ...request } as never))).field,
      ),
    )
    await client.close()
    deepStrictEqual(fields, ['to', 'to', 'to', 'to.offset', 'to.timestamp', 'queues', 'group'])
  })
})

describe('a group', () => {
  it('is asked for by name where the list of all is not permitted', () =>
    withBroker({ autoCreateGroups: false }, async (broker, client) => {
      broker.createGroup('billing')
      const remark =
        'User:x has no permission to access Cluster:DefaultCluster from 127.0.0.1, no matched policies.'
      broker.faults.add({ fault: 'refuse', responseCode: 16, remark, code: ALL_GROUPS })
      const groups = createGroupAdmin(client)
      const described = await groups.describe('billing')
      const [unknown, denied] = [await errorOf(groups.describe('nobody')), await errorOf(groups.list())]
      deepStrictEqual(
        [names(described), unknown.responseCode, denied.name, denied.responseCode],
        [['broker-a', 'broker-b'], 26, 'AuthError', 16],
      )
    }))

  it('that may not be read says so also where brokers are too old to be asked by name', () =>
    withBroker({}, async (broker, client) => {
      const remark = 'User:u has no permission to access Group:billing from 127.0.0.1, no matched policies.'
      broker.faults.add({ fault: 'refuse', code: ALL_GROUPS, responseCode: 16, remark })
      broker.faults.add({
        fault: 'refuse',
        code: 352,
        responseCode: 3,
        remark: 'request type 352 not supported',
      })

      const { name, message } = await errorOf(createGroupAdmin(client).describe('billing'))

      deepStrictEqual([name, message.includes(remark)], ['AuthError', true])
    }))

  it('has the members of every master, each once', () =>
    withBroker({}, async (_, client) => {
      const groups = createGroupAdmin(client)
      const registration = createRegistration(client, {
        clientId: 'one',
        consumers: [{ consumerGroup: 'billing' }],
      })
      const places = await registration.heartbeat()
      const during = await groups.members('billing')
      await registration.unregister()
      deepStrictEqual(
        [names(places), during, await groups.members('billing')],
        [['broker-a', 'broker-b'], ['one'], []],
      )
    }))

  it('that is reset as a whole keeps its place in its retry topic, unless that is named', () =>
    withBroker({ topics: { orders: { queues: 1 } }, brokers: 1 }, async (broker, client) => {
      const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
      const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
      await createProducer(client, { producerGroup: 'p' }).send({ topic: 'orders', body: 'x', queue })
      const [message] = (await consumer.pull(queue, 0n)).messages
      ok(message)
      await consumer.sendBack(message, { delayLevel: 1 })
      await broker.clock.advance(5_000)
      const [retry] = await consumer.queues('%RETRY%billing')
      ok(retry)
      await consumer.commitOffset(queue, 1n)
      await consumer.commitOffset(retry, 1n)
      const offsets = createOffsetAdmin(client)
      const whole = await offsets.plan({ consumerGroup: 'billing', to: 'earliest' })
      const named = await offsets.plan({ consumerGroup: 'billing', topic: '%RETRY%billing', to: 'earliest' })
      deepStrictEqual(
        [whole, named].map(({ queues }) => queues.map((each) => [each.queue.topic, each.from, each.to])),
        [[['orders', 1n, 0n]], [['%RETRY%billing', 1n, 0n]]],
      )
    }))
})

describe('a topic on brokers before 5.0, which have no 351', () => {
  it('is created, changed, described and deleted all the same', () =>
    withBroker({}, async (broker, client) => {
      const remark = ' request type 351 not supported'
      broker.faults.add({ fault: 'refuse', code: 351, responseCode: 3, remark })
      const topics = createTopicAdmin(client)

      await topics.create('orders', { readQueueNums: 2 })
      await topics.create('orders', { readQueueNums: 2 })
      await topics.update('orders', { perm: 4 })
      const described = await topics.describe('orders')
      await topics.delete('orders')
      const { responseCode } = await errorOf(topics.describe('orders'))

      deepStrictEqual(
        [
          described.map(({ brokerName, readQueueNums, perm }) => [brokerName, readQueueNums, perm]),
          responseCode,
        ],
        [
          [
            ['broker-a', 2, 4],
            ['broker-b', 2, 4],
          ],
          17,
        ],
      )
    }))
})

describe('a queue that was just added', () => {
  it('is known to who asks, though the route was fetched before', () =>
    withBroker({ brokers: 1 }, async (_, client) => {
      const topics = createTopicAdmin(client)
      const offsets = createOffsetAdmin(client)
      const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 1 }
      await topics.create('orders', { readQueueNums: 1 })
      await createGroupAdmin(client).create('billing')
      const before = await errorOf(offsets.max(queue))
      await topics.update('orders', { readQueueNums: 2, writeQueueNums: 2 })
      const plan = await offsets.plan({ consumerGroup: 'billing', topic: 'orders', to: 'latest' })
      deepStrictEqual([before.field, await offsets.max(queue), plan.queues.length], ['queue.queueId', 0n, 2])
    }))
})

describe('a reset to a time', () => {
  const time = 1_700_000_000_000
  for (const [what, answer, to, last] of [
    ['the first message that is there where the broker tells one that is gone', '0', 5n, time],
    ['the end where the broker tells one behind it', '12', 9n, time],
    ['where the broker says between them', '7', 7n, time],
    ['the last message where that is as late', '8', 8n, time],
    ['the end where the broker tells the last message, and that is older', '8', 9n, time - 1],
  ] as const) {
    it(`leads to ${what}`, async (t) => {
      const offsets = { minOffset: 5n, maxOffset: 9n, lastUpdateTimestamp: BigInt(last) }
      const stats = GetTopicStatsInfo.responseBody.encode({
        offsetTable: [[{ topic: 'orders', brokerName: 'broker-a', queueId: 0 }, offsets]],
      } as never)
      const handlers = {
        [RequestCode.GET_MIN_OFFSET]: () => ({ ext: { offset: '5' } }),
        [RequestCode.GET_MAX_OFFSET]: () => ({ ext: { offset: '9' } }),
        [RequestCode.QUERY_CONSUMER_OFFSET]: () => ({ ext: { offset: '6' } }),
        [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP]: () => ({ ext: { offset: answer } }),
        [RequestCode.GET_TOPIC_STATS_INFO]: () => ({ body: stats ?? Buffer.alloc(0) }),
      }
      const cluster = await fakeCluster(t, { brokers: { 'broker-a': handlers } })
      const queues = [{ topic: 'orders', brokerName: 'broker-a', queueId: 0 }]

      const plan = await createOffsetAdmin(cluster.client()).plan({
        consumerGroup: 'billing',
        queues,
        to: { timestamp: time },
      })

      deepStrictEqual(
        plan.queues.map(({ from, to: target }) => [from, target]),
        [[6n, to]],
      )
    })
  }
})

describe('a group of the brokers', () => {
  it('is neither created nor changed nor deleted', async () => {
    const client = createClient({ nameServers: '127.0.0.1:1' })
    const groups = createGroupAdmin(client)
    const errors = await Promise.all([
      errorOf(groups.create('CID_RMQ_SYS_x')),
      errorOf(groups.update('CID_RMQ_SYS_TRANS', { consumeEnable: false })),
      errorOf(groups.delete('CID_RMQ_SYS_TRANS')),
    ])
    await client.close()
    deepStrictEqual(
      errors.map(({ name, message }) => [name, message]),
      ['CID_RMQ_SYS_x', 'CID_RMQ_SYS_TRANS', 'CID_RMQ_SYS_TRANS'].map((group) => [
        'ConfigError',
        `consumerGroup: ${group} belongs to the brokers`,
      ]),
    )
  })
})

describe('an offset message id', () => {
  it('leads to a broker only where that is allowed', () =>
    withBroker({ topics: ['orders'] }, async (broker, client) => {
      const { offsetMessageId } = await createProducer(client, { producerGroup: 'p' }).send({
        topic: 'orders',
        body: 'x',
      })
      const strict = createClient({ nameServers: broker.nameServers, allowedAddresses: ['10.0.0.0/8'] })
      const error = await errorOf(createMessageQuery(strict).byOffsetId(offsetMessageId))
      await strict.close()
      deepStrictEqual([error.name, error.outcome], ['ConnectError', 'not-sent'])
    }))

  it('leads nowhere where no broker of ours is, so to no link-local address in any form', () =>
    withBroker({}, async (_, client) => {
      const port = '00000050'
      const addresses = ['a9fea9fe', 'fd000ec2000000000000000000000254', '00000000000000000000ffffa9fea9fe']
      const messages = createMessageQuery(client)

      const errors = await Promise.all(
        addresses.map((address) => errorOf(messages.byOffsetId(`${address}${port}${'0'.repeat(16)}`))),
      )

      deepStrictEqual(
        errors.map(({ name, field, outcome }) => [name, field, outcome]),
        addresses.map(() => ['ConfigError', 'offsetMessageId', 'not-sent']),
      )
      ok(errors.every(({ message }) => message.includes('where no broker is registered')))
    }))
})
