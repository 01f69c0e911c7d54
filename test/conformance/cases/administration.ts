/** The factories for administrators (src/client/admin), each call against the broker's own state. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { GetBrokerRuntimeInfo } from '../../../src/commands/broker.ts'
import {
  type Client,
  createClusterAdmin,
  createGroupAdmin,
  createMessageQuery,
  createOffsetAdmin,
  createRegistration,
  createTopicAdmin,
  type Message,
  retryTopic,
} from '../../../src/index.ts'
import { type Cases, type Context, failure, until } from '../context.ts'

const bodies = (messages: readonly Message[]): string[] => messages.map(({ body }) => body.toString())

/** Numbers as bodies, in one queue; resolves when they can be read. */
async function fill(c: Context, topic: string, count: number, queueId = 0): Promise<void> {
  const queue = c.queue(topic, queueId)
  for (let n = 0; n < count; n++) await c.producer.send({ topic, body: String(n), keys: `key-${n}`, queue })
  await until(
    `${count} messages of ${topic}`,
    async () => (await createOffsetAdmin(c.client).max(queue)) === BigInt(count),
  )
}

const isRouted = (client: Client, topic: string): Promise<true> =>
  until(`the route of ${topic}`, () =>
    createTopicAdmin(client)
      .route(topic)
      .then(
        () => true as const,
        () => undefined,
      ),
  )

export const administration: Cases = {
  'a topic is created once, changed, described and deleted': async (c) => {
    const topics = createTopicAdmin(c.client)
    const topic = c.name('topic')
    const place = { brokerName: c.brokerName, cluster: c.clusterName, address: c.master }
    const rest = { topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false }
    const attributes = { 'message.type': 'FIFO' }
    const made = { ...place, readQueueNums: 4, writeQueueNums: 4, perm: 6, attributes, ...rest }

    deepStrictEqual(await topics.create(topic, { readQueueNums: 4, attributes }), [made])
    deepStrictEqual(await topics.create(topic, { readQueueNums: 4, attributes }), [made])
    deepStrictEqual(await failure(topics.create(topic, { readQueueNums: 2 })), {
      error: 'ConfigError',
      outcome: 'not-sent',
      field: 'topic',
    })
    deepStrictEqual(await topics.describe(topic), [made])
    const changed = { ...made, readQueueNums: 6, perm: 4 }
    deepStrictEqual(await topics.update(topic, { readQueueNums: 6, perm: 4 }), [changed])
    deepStrictEqual(await topics.describe(topic), [changed])

    await isRouted(c.client, topic)
    deepStrictEqual(await topics.delete(topic), {
      brokers: [place],
      nameServers: c.client.nameServers.addresses,
    })
    const unknown = { error: 'RouteError', responseCode: 17, outcome: 'not-sent' }
    deepStrictEqual(
      [
        await failure(topics.delete(topic)),
        await failure(topics.update(topic, {})),
        await failure(topics.describe(topic)),
        await failure(topics.route(topic)),
        await failure(topics.stats(topic)),
        await failure(topics.consumers(topic)),
      ],
      Array(6).fill(unknown),
    )
  },

  'the topics of the brokers are listed as such, and left alone': async (c) => {
    const topics = createTopicAdmin(c.client)
    const topic = await c.topic()
    const group = await c.group()
    await c.producer.send({ topic, body: 'x' })
    const [message] = await c.read(topic, 1)
    ok(message)
    const consumer = c.consumer({ consumerGroup: group })
    await consumer.sendBack(message, { delayLevel: -1 })

    const kinds = await until('the dead-letter topic', async () => {
      const listed = new Map((await topics.list()).map((each) => [each.topic, each.kind]))
      return listed.has(`%DLQ%${group}`) ? listed : undefined
    })
    deepStrictEqual(
      [topic, `%DLQ%${group}`, 'TBW102', c.brokerName, c.clusterName, `${c.clusterName}_REPLY_TOPIC`].map(
        (each) => kinds.get(each),
      ),
      ['normal', 'dead-letter', 'system', 'system', 'system', 'system'],
    )
    const refused = { error: 'ConfigError', outcome: 'not-sent', field: 'topic' }
    deepStrictEqual(
      [await failure(topics.delete('TBW102')), await failure(topics.update('TBW102', {}))],
      [refused, refused],
    )
  },

  'the statistics of a topic have the ends of its queues, and who consumes it': async (c) => {
    const topics = createTopicAdmin(c.client)
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    const consumerGroup = await c.group()
    await fill(c, topic, 2, 1)
    const [, last] = await c.read(topic, 2)
    const before = await topics.consumers(topic)
    await c.consumer({ consumerGroup }).commitOffset(c.queue(topic, 1), 1n)

    const stats = await topics.stats(topic)
    deepStrictEqual(JSON.parse(JSON.stringify(stats)), {
      topic,
      queues: [
        { queue: c.queue(topic, 0), minOffset: '0', maxOffset: '0', lastUpdateTimestamp: 0 },
        {
          queue: c.queue(topic, 1),
          minOffset: '0',
          maxOffset: '2',
          lastUpdateTimestamp: last?.storeTimestamp,
        },
      ],
    })
    deepStrictEqual([before, await topics.consumers(topic)], [[], [consumerGroup]])
  },

  'a group is created once, changed, described, listed and deleted': async (c) => {
    const groups = createGroupAdmin(c.client)
    const group = c.name('group')
    const unknown = { error: 'BrokerError', responseCode: 26, outcome: 'not-sent' }
    // Asking for it does not create it.
    deepStrictEqual(
      [await failure(groups.describe(group)), await failure(groups.stats(group))],
      [unknown, unknown],
    )
    deepStrictEqual((await groups.list()).includes(group), false)

    const [made] = await groups.create(group, { retryMaxTimes: 3 })
    deepStrictEqual(await groups.create(group, { retryMaxTimes: 3 }), [made])
    deepStrictEqual(await failure(groups.create(group)), {
      error: 'ConfigError',
      outcome: 'not-sent',
      field: 'consumerGroup',
    })
    const [changed] = await groups.update(group, { retryQueueNums: 2, consumeEnable: false })
    const [described] = await groups.describe(group)
    deepStrictEqual(
      [described?.config, changed?.config, (await groups.list()).includes(group)],
      [
        { ...made?.config, retryQueueNums: 2, consumeEnable: false },
        { ...made?.config, retryQueueNums: 2, consumeEnable: false },
        true,
      ],
    )
    const { brokerId } = JSON.parse(JSON.stringify(described)).config
    deepStrictEqual(brokerId, '0')

    deepStrictEqual(await groups.delete(group), [
      { brokerName: c.brokerName, cluster: c.clusterName, address: c.master },
    ])
    deepStrictEqual(await failure(groups.delete(group)), unknown)
  },

  'the lag of a group is what it has not committed, its retry topic included': async (c) => {
    const groups = createGroupAdmin(c.client)
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    const consumerGroup = await c.group()
    const consumer = c.consumer({ consumerGroup })
    await fill(c, topic, 5)
    const [message] = await c.read(topic, 5)
    ok(message)
    await consumer.commitOffset(c.queue(topic), 2n)
    await consumer.sendBack(message, { delayLevel: 1 })
    const retry = c.queue(retryTopic(consumerGroup))
    await until('the retry', async () => (await consumer.queues(retry.topic)).length > 0)
    await c.read(retry.topic, 1)
    await consumer.commitOffset(retry, 0n)

    const stats = await groups.stats(consumerGroup)
    const one = await groups.stats(consumerGroup, { topic })
    deepStrictEqual(
      stats.queues.map(({ queue, brokerOffset, consumerOffset, lag }) => [
        queue,
        brokerOffset,
        consumerOffset,
        lag,
      ]),
      [
        [retry, 1n, 0n, 1n],
        [c.queue(topic, 0), 5n, 2n, 3n],
        [c.queue(topic, 1), 0n, 0n, 0n],
      ],
    )
    deepStrictEqual([stats.lag, one.lag, one.queues.length], [4n, 3n, 2])
  },

  'offsets are read of queues that exist only': async (c) => {
    const offsets = createOffsetAdmin(c.client)
    const topic = await c.topic()
    const consumerGroup = await c.group()
    await fill(c, topic, 3)
    const [, second] = await c.read(topic, 3)
    const queue = c.queue(topic)
    const time = second?.storeTimestamp ?? 0
    await c.consumer({ consumerGroup }).commitOffset(queue, 2n)
    deepStrictEqual(
      [
        await offsets.min(queue),
        await offsets.max(queue),
        await offsets.committed(consumerGroup, queue),
        await offsets.committed(c.name('nobody'), queue),
        await offsets.search(queue, 0),
        await offsets.search(queue, new Date(time + 3_600_000)),
        await offsets.search(queue, time + 3_600_000, { boundary: 'upper' }),
      ],
      [0n, 3n, 2n, undefined, 0n, 3n, 2n],
    )
    deepStrictEqual(
      [
        await failure(offsets.max({ ...queue, queueId: 1 })),
        await failure(offsets.max({ ...queue, brokerName: 'broker-z' })),
        await failure(offsets.max(c.queue(c.name('nowhere')))),
      ],
      [
        { error: 'ConfigError', outcome: 'not-sent', field: 'queue.queueId' },
        { error: 'ConfigError', outcome: 'not-sent', field: 'queue.brokerName' },
        { error: 'RouteError', outcome: 'not-sent', responseCode: 17 },
      ],
    )
  },

  'a reset does what its plan shows, for a topic, a queue and a group': async (c) => {
    const offsets = createOffsetAdmin(c.client)
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    const consumerGroup = await c.group()
    const consumer = c.consumer({ consumerGroup })
    const [q0, q1] = [c.queue(topic, 0), c.queue(topic, 1)]
    await fill(c, topic, 4, 0)
    await fill(c, topic, 2, 1)
    const messages = await c.read(topic, 6)
    await consumer.commitOffset(q0, 3n)
    const stands = async () => [await consumer.committedOffset(q0), await consumer.committedOffset(q1)]

    const plan = await offsets.plan({ consumerGroup, topic, to: 'latest' })
    deepStrictEqual(JSON.parse(JSON.stringify(plan)), {
      consumerGroup,
      queues: [
        { queue: q0, from: '3', to: '4', minOffset: '0', maxOffset: '4' },
        { queue: q1, to: '2', minOffset: '0', maxOffset: '2' },
      ],
    })
    deepStrictEqual(await stands(), [3n, undefined])
    await offsets.reset(plan)
    deepStrictEqual(await stands(), [4n, 2n])
    // The group is sent there by its next pull; until then commits are ignored.
    deepStrictEqual(await failure(consumer.commitOffset(q0, 1n)), {
      error: 'OffsetResetError',
      responseCode: 0,
      outcome: 'refused',
    })
    const pulled = await consumer.pull(q0, 3n)
    deepStrictEqual([pulled.status, pulled.nextBeginOffset], ['OFFSET_MOVED', 4n])

    await offsets.reset(await offsets.plan({ consumerGroup, queues: [q0], to: { offset: 1n } }))
    deepStrictEqual(await stands(), [1n, 2n])
    const timestamp = messages[2]?.storeTimestamp ?? 0
    const whole = await offsets.plan({ consumerGroup, to: { timestamp } })
    const expected = [await offsets.search(q0, timestamp), await offsets.search(q1, timestamp)]
    deepStrictEqual(
      whole.queues.map(({ queue, from, to }) => [queue, from, to]),
      [
        [q0, 1n, expected[0]],
        [q1, 2n, expected[1]],
      ],
    )
    await offsets.reset(whole)
    deepStrictEqual(await stands(), expected)
  },

  'a reset to a time before the first message leads to it, and to one after the last to the end': async (
    c,
  ) => {
    const offsets = createOffsetAdmin(c.client)
    const topic = await c.topic()
    const consumerGroup = await c.group()
    await fill(c, topic, 2)
    const to = async (timestamp: number) =>
      (await offsets.plan({ consumerGroup, topic, to: { timestamp } })).queues.map((each) => each.to)
    deepStrictEqual([await to(1), await to(Date.now() + 60_000)], [[0n], [2n]])
  },

  'a reset is stored also while members are online': async (c) => {
    const offsets = createOffsetAdmin(c.client)
    const topic = await c.topic()
    const consumerGroup = await c.group()
    await fill(c, topic, 2)
    const clientId = c.name('client')
    const consumers = [{ consumerGroup, subscriptions: { [topic]: '*' } }]
    const registration = createRegistration(c.connect(), { clientId, consumers })
    await registration.heartbeat()
    const plan = await offsets.plan({ consumerGroup, topic, to: { offset: 1n } })
    await offsets.reset(plan)
    const members = await createGroupAdmin(c.client).members(consumerGroup)
    await registration.unregister()
    deepStrictEqual([members, await offsets.committed(consumerGroup, c.queue(topic))], [[clientId], 1n])
  },

  'a reset of what is not there is refused before anything is changed': async (c) => {
    const offsets = createOffsetAdmin(c.client)
    const topic = await c.topic()
    const consumerGroup = await c.group()
    await fill(c, topic, 2)
    const queues = [c.queue(topic)]
    const wrong = (field: string) => ({ error: 'ConfigError', outcome: 'not-sent', field })
    deepStrictEqual(
      [
        await failure(offsets.plan({ consumerGroup, queues, to: { offset: 3n } })),
        await failure(offsets.plan({ consumerGroup, queues, to: { offset: -1n } })),
        await failure(offsets.plan({ consumerGroup, queues: [c.queue(topic, 1)], to: 'latest' })),
        await failure(offsets.plan({ consumerGroup: c.name('nobody'), queues, to: 'latest' })),
        await failure(offsets.plan({ consumerGroup, topic: c.name('nowhere'), to: 'latest' })),
      ],
      [
        wrong('to.offset'),
        wrong('to.offset'),
        wrong('queue.queueId'),
        { error: 'BrokerError', outcome: 'not-sent', responseCode: 26 },
        { error: 'RouteError', outcome: 'not-sent', responseCode: 17 },
      ],
    )
    deepStrictEqual(await offsets.committed(consumerGroup, c.queue(topic)), undefined)
  },

  'a group that was reset counts as one that consumes the topic': async (c) => {
    const offsets = createOffsetAdmin(c.client)
    const topic = await c.topic()
    const consumerGroup = await c.group()
    await offsets.reset(await offsets.plan({ consumerGroup, topic, to: 'latest' }))
    const { queues } = await createGroupAdmin(c.client).stats(consumerGroup)
    deepStrictEqual(
      [await createTopicAdmin(c.client).consumers(topic), queues.map(({ queue }) => queue)],
      [[consumerGroup], [c.queue(topic)]],
    )
  },

  'messages are found by their ids and keys': async (c) => {
    const query = createMessageQuery(c.client)
    const topic = await c.topic()
    const { messageId, offsetMessageId } = await c.producer.send({
      topic,
      body: 'first',
      keys: ['one', 'ключ'],
    })
    await c.producer.send({ topic, body: 'second', keys: 'one' })
    await c.producer.send({ topic, body: 'again', messageId })
    await until('the index', async () => (await query.byMessageId(topic, messageId)).length === 2)
    const byId = await query.byOffsetId(offsetMessageId, { topic })
    deepStrictEqual(
      [
        [byId?.body.toString(), byId?.messageId, byId?.queue],
        bodies(await query.byKey(topic, 'one')),
        bodies(await query.byKey(topic, 'one', { maxMessages: 1 })),
        bodies(await query.byKey(topic, 'ключ')),
        bodies(await query.byKey(topic, 'one', { to: (byId?.storeTimestamp ?? 0) - 1 })),
        bodies(await query.byKey(topic, 'none')),
        bodies(await query.byMessageId(topic, messageId)),
        bodies(await query.byMessageId(topic, c.name())),
      ],
      [
        ['first', messageId, c.queue(topic)],
        ['first', 'second'],
        ['second'],
        ['first'],
        [],
        [],
        ['first', 'again'],
        [],
      ],
    )
  },

  'an offset message id that leads nowhere is told from a message that is gone': async (c) => {
    const query = createMessageQuery(c.client)
    const topic = await c.topic()
    const { offsetMessageId } = await c.producer.send({ topic, body: 'x' })
    const elsewhere = `0A010203${offsetMessageId.slice(8)}`
    const gone = `${offsetMessageId.slice(0, 16)}00000000FFFFFFFF`
    const wrong = { error: 'ConfigError', outcome: 'not-sent', field: 'offsetMessageId' }
    deepStrictEqual(
      [
        await query.byOffsetId(gone),
        await failure(query.byOffsetId(elsewhere)),
        await failure(query.byOffsetId('nonsense')),
        await failure(query.byKey(c.name('nowhere'), 'key')),
      ],
      [undefined, wrong, wrong, { error: 'RouteError', outcome: 'not-sent', responseCode: 17 }],
    )
  },

  'the cluster is described with every broker and address': async (c) => {
    deepStrictEqual(await createClusterAdmin(c.client).describe(), [
      {
        cluster: c.clusterName,
        brokers: [{ brokerName: c.brokerName, addresses: { 0: c.master }, enableActingMaster: false }],
      },
    ])
  },

  'the settings of the brokers are read by their names': async (c) => {
    const [read, ...others] = await createClusterAdmin(c.client).config({ brokerName: c.brokerName })
    const { brokerName, brokerClusterName, brokerId, transactionTimeOut, transactionCheckMax } =
      read?.config ?? {}
    deepStrictEqual(
      [
        read?.address,
        brokerName,
        brokerClusterName,
        brokerId,
        transactionTimeOut,
        transactionCheckMax,
        others,
      ],
      [c.master, c.brokerName, c.clusterName, '0', '1000', '15', []],
    )
  },

  'the clock of a broker is when it was started and how long it runs': async (c) => {
    const before = Date.now()
    const limits = { deadline: c.client.deadline() }
    const { body } = await c.client.network.call(c.master, GetBrokerRuntimeInfo, {}, undefined, limits)
    const { bootTimestamp, runtime = '', brokerVersionDesc } = body.table
    const parts = /^\[ (\d+) days, (\d+) hours, (\d+) minutes, (\d+) seconds \]$/.exec(runtime)?.slice(1)
    const seconds = parts?.map(Number).reduce((sum, each, at) => sum * ([1, 24, 60, 60][at] ?? 1) + each, 0)
    const time = Number(bootTimestamp) + (seconds ?? Number.NaN) * 1_000
    deepStrictEqual(
      [brokerVersionDesc, time > before - 1_000, time <= Date.now()],
      [c.facts.versionName, true, true],
      `${time} from ${before}: ${runtime}`,
    )
  },

  'with a namespace an administrator sees and names what is its own': async (c) => {
    const client = c.connect({ namespace: 'INST' })
    const [topic, group] = [c.name('topic'), c.name('group')]
    await createTopicAdmin(client).create(topic, { readQueueNums: 1 })
    await createGroupAdmin(client).create(group)
    const stored = `INST%${topic}`
    await isRouted(client, topic)
    const listed = async (by: Client) => (await createTopicAdmin(by).list()).map((each) => each.topic)
    deepStrictEqual(
      {
        own: (await listed(client)).filter((each) => each.includes(topic)),
        others: (await listed(c.client)).filter((each) => each.includes(topic)),
        groups: (await createGroupAdmin(client).list()).filter((each) => each.includes(group)),
        stats: (await createTopicAdmin(client).stats(topic)).queues.map(({ queue }) => queue.topic),
      },
      { own: [topic], others: [stored], groups: [group], stats: [topic] },
    )
  },
}
