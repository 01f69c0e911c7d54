/** What the conformance suite does not ask of users of the local broker: patterns, changes under way, and wrong options. */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import {
  type Client,
  createClient,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
} from '../../../../src/index.ts'
import { GetProducerConnectionList } from '../../../../src/testing/broker/handlers/more-commands.ts'
import { type LocalBroker, type LocalUser, startBroker } from '../../../../src/testing/index.ts'

type Grants = LocalUser['grants']

async function open(t: TestContext, grants: Grants): Promise<{ broker: LocalBroker; client: Client }> {
  const users = { shop: { secretKey: 'shop-secret', grants } }
  const broker = await startBroker({ topics: ['orders', 'orders-eu', 'refunds'], users })
  const credentials = { accessKey: 'shop', secretKey: 'shop-secret' }
  const client = createClient({ nameServers: broker.nameServers, credentials })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  return { broker, client }
}

/** The topics of the three that a send is taken for. */
async function sendable(client: Client): Promise<string[]> {
  const producer = createProducer(client, { producerGroup: 'shop' })
  const taken: string[] = []
  for (const topic of ['orders', 'orders-eu', 'refunds'])
    await producer.send({ topic, body: 'x' }).then(
      () => taken.push(topic),
      () => undefined,
    )
  return taken
}

describe('users of the local broker', () => {
  for (const [what, grants, topics] of [
    ['a name', { 'Topic:orders': ['Pub'] }, ['orders']],
    ['what begins so', { 'Topic:orders*': ['Pub'] }, ['orders', 'orders-eu']],
    ['every topic', { 'Topic:*': ['Pub'] }, ['orders', 'orders-eu', 'refunds']],
    ['everything', { '*': ['Pub'] }, ['orders', 'orders-eu', 'refunds']],
    ['every action', { 'Topic:refunds': ['All'] }, ['refunds']],
    ['another kind of resource', { 'Group:*': ['All'], 'Cluster:*': ['All'] }, []],
    ['nothing', {}, []],
    ['no grants: all', undefined, ['orders', 'orders-eu', 'refunds']],
  ] as [string, Grants, string[]][])
    it(`may use what a grant of ${what} names`, async (t) => {
      const { client } = await open(t, grants)

      deepStrictEqual(await sendable(client), topics)
    })

  it('may be changed and removed while clients are connected', async (t) => {
    const { broker, client } = await open(t, {})
    const seen = [await sendable(client)]
    broker.setUser('shop', { secretKey: 'shop-secret', grants: { 'Topic:refunds': ['Pub'] } })
    seen.push(await sendable(client))
    broker.setUser('shop', { secretKey: 'shop-secret', disabled: true })
    seen.push(await sendable(client))
    broker.setUser('shop', undefined)
    seen.push(await sendable(client))

    deepStrictEqual(seen, [[], ['refunds'], [], []])
    await rejects(createTopicAdmin(client).describe('orders'), { code: 'RMQ_AUTH' })
  })

  it('need the cluster for its producers, and a group for its retries', async (t) => {
    const { broker, client } = await open(t, { 'Group:billing': ['Sub'], 'Topic:orders': ['Sub'] })
    const address = broker.brokers[0]?.address ?? ''
    const request = { producerGroup: 'shop' }
    const producers = client.network.call(address, GetProducerConnectionList, request, undefined, {
      deadline: client.deadline(),
    })
    const retries = { topic: '%RETRY%billing', brokerName: 'broker-a', queueId: 0 }

    await rejects(producers, { remark: /Cluster:DefaultCluster/ })
    const pulled = await createPullConsumer(client, { consumerGroup: 'billing' })
      .pull(retries, 0n)
      .catch(({ code }: { code: string }) => code)
    deepStrictEqual(pulled === 'RMQ_AUTH', false)
  })

  it('begin access control with the first one, or with an empty list', async (t) => {
    const answers: string[] = []
    for (const users of [undefined, {}]) {
      const broker = await startBroker({ topics: ['orders'], ...(users && { users }) })
      const client = createClient({ nameServers: broker.nameServers })
      t.after(async () => {
        await client.close()
        await broker.close()
      })
      const send = () =>
        createProducer(client, { producerGroup: 'shop' })
          .send({ topic: 'orders', body: 'x' })
          .then(
            ({ status }) => answers.push(status),
            ({ code }: { code: string }) => answers.push(code),
          )
      await send()
      broker.setUser('shop', { secretKey: 'x' })
      await send()
    }

    deepStrictEqual(answers, ['SEND_OK', 'RMQ_AUTH', 'RMQ_AUTH', 'RMQ_AUTH'])
  })

  it('are refused by name when they are none, without their keys', async () => {
    for (const [user, field] of [
      [{}, 'users.shop.secretKey'],
      [{ secretKey: '' }, 'users.shop.secretKey'],
      [{ secretKey: 'hidden', grant: {} }, 'users.shop.grant'],
      [{ secretKey: 'hidden', disabled: 'no' }, 'users.shop.disabled'],
      [{ secretKey: 'hidden', grants: [] }, 'users.shop.grants'],
      [{ secretKey: 'hidden', grants: { orders: ['Pub'] } }, 'users.shop.grants'],
      [{ secretKey: 'hidden', grants: { 'Topic:orders': 'Pub' } }, 'users.shop.grants.Topic:orders'],
      [{ secretKey: 'hidden', grants: { 'Topic:orders': ['Publish'] } }, 'users.shop.grants.Topic:orders'],
      [null, 'users.shop'],
      ['hidden', 'users.shop'],
    ] as const)
      await rejects(
        startBroker({ users: { shop: user as never } }),
        (error: { field?: string; message: string }) =>
          error.field === field && !/hidden/.test(error.message),
        field,
      )
  })
})
