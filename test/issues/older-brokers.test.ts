/** What brokers before 5.5.0 and the proxy showed: their answers were misunderstood, or what they lack was not noticed. */
import { deepStrictEqual } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import {
  createOffsetAdmin,
  createProducer,
  createPullConsumer,
  type OutgoingMessage,
  type RocketMQError,
} from '../../src/index.ts'
import { versionName } from '../../src/wire/server-version.ts'
import { fakeCluster, type Handler, storing } from '../support/fake-cluster.ts'
import type { FakeAnswer } from '../support/fake-server.ts'

const V4_9_7 = 407
const ORDER: OutgoingMessage = { topic: 'orders', body: 'x' }

/** What a send is refused with by a broker that answers so, and the codes that the broker has seen. */
async function sendTo(
  t: TestContext,
  answer: FakeAnswer,
  message: OutgoingMessage = ORDER,
): Promise<{ told: unknown[]; address: string; seen: number[] }> {
  const answers = {
    [RequestCode.SEND_MESSAGE_V2]: () => answer,
    [RequestCode.GET_ROUTEINFO_BY_TOPIC]: () => answer,
  }
  const cluster = await fakeCluster(t, { brokers: { 'broker-a': answers } })
  const producer = createProducer(cluster.client(), { producerGroup: 'g', retries: 0 })
  const told = await producer.send(message).then(
    ({ status }) => [status],
    ({ name, outcome, retryable, message: text }: RocketMQError) => [name, outcome, retryable, text],
  )
  const { address, frames } = cluster.broker('broker-a')
  return { told, address, seen: frames.map(({ code }) => code) }
}

describe('older brokers', () => {
  it('are known by the number in their frames', () => {
    deepStrictEqual([213, 333, 401, 407, 412, 413, 441, 479, 513].map(versionName), [
      '4.0.0',
      '4.6.0',
      '4.9.4',
      '4.9.7',
      '5.0.0',
      '5.0.0',
      '5.1.4',
      '5.3.3',
      '5.5.0',
    ])
    deepStrictEqual([0, 121, 2_000].map(versionName), ['', '', ''])
  })

  it('that deliver timer messages at once are sent none', async (t) => {
    for (const [field, timer] of [
      ['delayMs', { delayMs: 60_000 }],
      ['deliverAt', { deliverAt: new Date() }],
    ] as const) {
      const unknown = { code: 3, remark: 'not supported', version: V4_9_7 }
      const { told, seen } = await sendTo(t, unknown, { ...ORDER, ...timer })

      const text = `${field}: RocketMQ 4.9.7 delivers at once: use delayLevel, or brokers from 5.0 on`
      deepStrictEqual(
        [told, seen],
        [['ConfigError', 'not-sent', false, text], [RequestCode.GET_ROUTEINFO_BY_TOPIC]],
      )
    }
  })

  it('are sent no timer message by way of a connection that has not told their version', async (t) => {
    const lost: Handler = (_, connection) => connection.reset()
    const told: Handler = () => ({ code: 3, remark: 'not supported', version: V4_9_7 })
    const answers = [lost, told]
    const cluster = await fakeCluster(t, {
      brokers: {
        'broker-a': {
          ...storing(),
          [RequestCode.GET_ROUTEINFO_BY_TOPIC]: (frame, connection) => answers.shift()?.(frame, connection),
        },
      },
    })
    const producer = createProducer(cluster.client(), { producerGroup: 'g' })

    const refused = await producer
      .send({ ...ORDER, delayMs: 60_000 })
      .catch(({ name, field }) => [name, field])

    deepStrictEqual(
      [refused, cluster.codes()],
      [
        ['ConfigError', 'delayMs'],
        [RequestCode.GET_ROUTEINFO_BY_TOPIC, RequestCode.GET_ROUTEINFO_BY_TOPIC],
      ],
    )
  })

  it('that do not tell their version in time are sent no timer message, and the error says so', async (t) => {
    const silent = { 'broker-a': { ...storing(), [RequestCode.GET_ROUTEINFO_BY_TOPIC]: () => undefined } }
    const cluster = await fakeCluster(t, { brokers: silent })
    const producer = createProducer(cluster.client({ timeoutMs: 100 }), { producerGroup: 'g', retries: 0 })

    const told = await producer
      .send({ ...ORDER, delayMs: 60_000 })
      .catch(({ name, outcome }: RocketMQError) => [name, outcome])

    deepStrictEqual(
      [told, cluster.codes()],
      [['TimeoutError', 'not-sent'], [RequestCode.GET_ROUTEINFO_BY_TOPIC]],
    )
  })

  it('that tell no offset as 0 are asked which groups have one', async (t) => {
    const groups = { groupList: ['billing'] }
    const cluster = await fakeCluster(t, {
      brokers: {
        'broker-a': {
          [RequestCode.QUERY_CONSUMER_OFFSET]: () => ({ ext: { offset: '0' }, version: V4_9_7 }),
          [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO]: () => ({
            body: Buffer.from(JSON.stringify(groups)),
            version: V4_9_7,
          }),
        },
      },
    })
    const client = cluster.client()
    const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

    const offsets = await Promise.all(
      ['billing', 'bill'].flatMap((consumerGroup) => [
        createPullConsumer(client, { consumerGroup }).committedOffset(queue),
        createOffsetAdmin(client).committed(consumerGroup, queue),
      ]),
    )

    deepStrictEqual(offsets, [0n, 0n, undefined, undefined])
  })

  it('are named where they do not know a request', async (t) => {
    const { told, address } = await sendTo(t, { code: 3, remark: 'not supported', version: V4_9_7 })

    const text = `${address} answered SEND_MESSAGE_V2 for topic orders with code 3: not supported; RocketMQ 4.9.7 lacks it (docs/brokers.md)`
    deepStrictEqual(told, ['BrokerError', 'refused', false, text])
  })

  it('refuse credentials with an exception, before anything is stored', async (t) => {
    const remark = 'org.apache.rocketmq.acl.common.AclException: No accessKey is configured, …'
    const { told, address } = await sendTo(t, { code: 1, remark, version: V4_9_7 })

    const text = `${address} answered SEND_MESSAGE_V2 for topic orders with code 1: No accessKey is configured; check the credentials`
    deepStrictEqual(told, ['AuthError', 'refused', false, text])
  })

  it('are not proxies, which are told from name servers', async (t) => {
    const { told, address } = await sendTo(t, { code: 15, remark: "Request doesn't have field bname" })

    const text = `nameServers: ${address} is a proxy, not a name server (docs/brokers.md)`
    deepStrictEqual(told, ['ConfigError', 'refused', false, text])
  })
})
