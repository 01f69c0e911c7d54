/**
 * Access control before 5.3 (plain_acl.yml), on the versions that have it: who is refused, how it is told, and that the same
 * signature is taken. That of 5.3 and later is in security.test.ts.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  type Client,
  type Credentials,
  createClient,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
  type RocketMQError,
} from '../../src/index.ts'
import { ROCKETMQ_VERSION, realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'
import { until } from './context.ts'

const TOPIC = 'secured'
const GROUP = 'secured-readers'
const credentialsOf = (user: string): Credentials => ({ accessKey: user, secretKey: `${user}-secret` })

const account = (user: string, admin: boolean, topicPerm: string, groupPerm: string): string => `
- accessKey: ${user}
  secretKey: ${user}-secret
  whiteRemoteAddress:
  admin: ${admin}
  defaultTopicPerm: DENY
  defaultGroupPerm: DENY
  topicPerms:
  - ${TOPIC}=${topicPerm}
  groupPerms:
  - ${GROUP}=${groupPerm}`
const ACCOUNTS = `globalWhiteRemoteAddresses:
accounts:${account('administrator', true, 'PUB|SUB', 'SUB')}${account('producer', false, 'PUB', 'DENY')}${account('consumer', false, 'SUB', 'SUB')}
`

if (ROCKETMQ_VERSION < '5.3.0' && (await realBrokerAvailable())) {
  describe('a broker with plain_acl.yml', () => {
    let rocketmq: RocketMQ
    const clients: Client[] = []
    const connect = (credentials?: Credentials): Client => {
      const client = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 15_000, credentials })
      clients.push(client)
      return client
    }
    const send = (credentials?: Credentials) =>
      createProducer(connect(credentials), { producerGroup: 'writers' }).send({ topic: TOPIC, body: 'ü' })
    const refusal = async (promise: Promise<unknown>): Promise<RocketMQError> =>
      await promise.then(
        () => Promise.reject(new Error('the call was expected to be refused')),
        (error: RocketMQError) => error,
      )

    before(async () => {
      rocketmq = await startRocketMQ({ settings: { aclEnable: true }, plainAcl: ACCOUNTS })
      const client = connect(credentialsOf('administrator'))
      await createTopicAdmin(client).create(TOPIC, { readQueueNums: 1 })
      await until('the route', () =>
        createPullConsumer(client, { consumerGroup: GROUP })
          .queues(TOPIC)
          .catch(() => undefined),
      )
    })
    after(async () => {
      await Promise.all(clients.map((client) => client.close()))
      await rocketmq?.stop()
    })

    it('who has the permission sends, reads and commits', async () => {
      await send(credentialsOf('producer'))
      const consumer = createPullConsumer(connect(credentialsOf('consumer')), { consumerGroup: GROUP })
      const [queue] = await consumer.queues(TOPIC)
      ok(queue)
      const { messages } = await consumer.pull(queue, 0n, { waitMs: 5_000 })
      const before = await consumer.committedOffset(queue)
      await consumer.commitOffset(queue, 1n)
      deepStrictEqual(
        [messages.map(({ body }) => body.toString()), before, await consumer.committedOffset(queue)],
        [['ü'], undefined, 1n],
      )
    })

    it('whoever has no key, an unknown one, a wrong one or no permission gets an AuthError that says which, and nothing was stored', async () => {
      const refusals = await Promise.all([
        refusal(send()),
        refusal(send(credentialsOf('stranger'))),
        refusal(send({ accessKey: 'producer', secretKey: 'wrong-secret' })),
        refusal(send(credentialsOf('consumer'))),
      ])
      for (const { name, outcome, retryable } of refusals)
        deepStrictEqual([name, outcome, retryable], ['AuthError', 'refused', false])
      deepStrictEqual(
        refusals.map(({ message }) => message.replace(/^.* with code 1: /, '')),
        [
          'No accessKey is configured; check the credentials',
          'No acl config for stranger; check the credentials',
          'Check signature failed for accessKey=producer; check the credentials',
          `No default permission for topic:${TOPIC}; check the grants`,
        ],
      )
    })
  })
}
