import { deepStrictEqual, ok, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RequestCode } from '../../../src/commands/index.ts'
import {
  consumerDataFromJson,
  createClient,
  createOffsetAdmin,
  createProducer,
  createPullConsumer,
  createRegistration,
  messageFromJson,
  messageQueueFromJson,
  ProtocolError,
  producerDataFromJson,
  pullResultFromJson,
  resetPlanFromJson,
  sendResultFromJson,
  subscriptionDataFromJson,
  toJson,
} from '../../../src/index.ts'
import { startBroker } from '../../../src/testing/index.ts'
import { fakeCluster } from '../../support/fake-cluster.ts'
import { storedMessage } from '../../support/stored-message.ts'

const there = <T>(value: T): unknown => JSON.parse(JSON.stringify(value))

describe('values from JSON', () => {
  it('are what was sent and pulled', async () => {
    await using broker = await startBroker({ topics: { orders: { queues: 1 } } })
    const client = createClient({ nameServers: broker.nameServers })
    const sent = await createProducer(client, { producerGroup: 'p' }).send({
      topic: 'orders',
      body: Buffer.from([0, 255, 1]),
      tag: 't',
      keys: ['k1', 'k2'],
      properties: { mine: 'ü' },
    })
    const consumer = createPullConsumer(client, { consumerGroup: 'g' })
    const pulled = await consumer.pull(sent.queue, 0n)
    const nothing = await consumer.pull(sent.queue, 1n)
    await consumer.commitOffset(sent.queue, 1n)
    const offsets = createOffsetAdmin(client)
    const plan = await offsets.plan({ consumerGroup: 'g', topic: 'orders', to: 'earliest' })
    const again = resetPlanFromJson(there(plan))
    await offsets.reset(again)
    const committed = await consumer.committedOffset(sent.queue)
    await client.close()

    const [message] = pulled.messages
    ok(message)
    deepStrictEqual(
      [
        sendResultFromJson(there(sent)),
        messageFromJson(there(message)),
        pullResultFromJson(there(pulled)),
        pullResultFromJson(there(nothing)),
        messageQueueFromJson(there(sent.queue)),
        again,
        committed,
      ],
      [sent, message, pulled, nothing, sent.queue, plan, 0n],
    )
  })

  it('are the registrations that a heartbeat holds, with the words of the wire', async () => {
    const client = createClient({ nameServers: '127.0.0.1:1', namespace: 'ns' })
    const { data } = createRegistration(client, {
      producerGroups: ['p'],
      consumers: [
        { consumerGroup: 'c', subscriptions: { orders: 'a || b', all: '*', some: { sql: 'n > 1' } } },
      ],
    })
    const [producer] = data.producerDataSet
    const [consumer] = data.consumerDataSet
    const [subscription] = consumer?.subscriptionDataSet ?? []
    ok(producer && consumer && subscription)
    deepStrictEqual(
      [
        producerDataFromJson(there(toJson(producer))),
        consumerDataFromJson(there(toJson(consumer))),
        subscriptionDataFromJson(there(toJson(subscription))),
      ],
      [producer, consumer, subscription],
    )
    const { subVersion: _, ...rest } = subscription
    deepStrictEqual(
      [producer, { ...consumer, subscriptionDataSet: [rest] }],
      [
        { groupName: 'ns%p' },
        {
          groupName: 'ns%c',
          consumeType: 'CONSUME_ACTIVELY',
          messageModel: 'CLUSTERING',
          consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
          subscriptionDataSet: [
            {
              topic: 'ns%orders',
              subString: 'a || b',
              expressionType: 'TAG',
              tagsSet: ['a', 'b'],
              codeSet: [97, 98],
              classFilterMode: false,
            },
          ],
          unitMode: false,
        },
      ],
    )
    await client.close()
  })

  const message = {
    topic: 'orders',
    body: 'eA==',
    keys: [],
    properties: {},
    systemProperties: {},
    messageId: 'id',
    offsetMessageId: 'id',
    queue: { topic: 'orders', brokerName: 'b', queueId: 0 },
    queueOffset: '9223372036854775807',
    commitLogOffset: '0',
    bornTimestamp: 1,
    storeTimestamp: 2,
    bornHost: 'h:1',
    storeHost: 'h:1',
    reconsumeTimes: 0,
    flag: 0,
    sysFlag: 0,
  }

  for (const [what, read, value, field] of [
    ['a number for text', messageFromJson, { ...message, topic: 1 }, 'message.topic'],
    ['an offset that is a number', messageFromJson, { ...message, queueOffset: 1 }, 'message.queueOffset'],
    [
      'an offset beyond 64 bits',
      messageFromJson,
      { ...message, queueOffset: '9223372036854775808' },
      'message.queueOffset',
    ],
    ['a body that is no base64', messageFromJson, { ...message, body: 'ä' }, 'message.body'],
    [
      'a queue without an id',
      messageFromJson,
      { ...message, queue: { topic: 't', brokerName: 'b' } },
      'message.queue.queueId',
    ],
    ['a missing member', messageFromJson, { ...message, messageId: undefined }, 'message.messageId'],
    ['another status', sendResultFromJson, { status: 'OK' }, 'sendResult.status'],
    ['no object', messageQueueFromJson, null, 'queue'],
    ['a list', producerDataFromJson, [], 'producer'],
    [
      'another consume type',
      consumerDataFromJson,
      { groupName: 'g', consumeType: 'PUSH' },
      'consumer.consumeType',
    ],
  ] as const) {
    it(`name the place of ${what}`, () => {
      throws(
        () => read(value),
        (error) => error instanceof ProtocolError && error.field === field,
      )
    })
  }

  for (const time of [1n << 62n, (1n << 63n) - 1n, -(1n << 63n), -1n]) {
    it(`are whatever was decoded: a message that was born at ${time}`, async (t) => {
      const bytes = storedMessage({ bornTimestamp: time, storeTimestamp: time })
      const ext = { suggestWhichBrokerId: '0', nextBeginOffset: '1', minOffset: '0', maxOffset: '1' }
      const handlers = { [RequestCode.PULL_MESSAGE]: () => ({ ext, body: bytes }) }
      const cluster = await fakeCluster(t, { brokers: { 'broker-a': handlers } })
      const consumer = createPullConsumer(cluster.client(), { consumerGroup: 'g' })
      const pulled = await consumer.pull({ topic: 'orders', brokerName: 'broker-a', queueId: 0 }, 0n)

      const again = pullResultFromJson(there(pulled))

      deepStrictEqual(
        [again, again.messages.map(({ bornTimestamp, storeTimestamp }) => [bornTimestamp, storeTimestamp])],
        [pulled, [[Number(time), Number(time)]]],
      )
    })
  }

  it('may be of a message with the largest offset', () => {
    deepStrictEqual(messageFromJson(message).queueOffset, 9223372036854775807n)
  })
})

describe('toJson', () => {
  it('writes what JSON does not have', () => {
    deepStrictEqual(
      toJson({
        a: 1n,
        b: Buffer.from('x'),
        c: new Map([[1, [2n]]]),
        d: new Date(0),
        e: null,
        f: 'text',
        g: [true],
      }),
      { a: '1', b: 'eA==', c: { 1: ['2'] }, d: '1970-01-01T00:00:00.000Z', e: null, f: 'text', g: [true] },
    )
  })
})
