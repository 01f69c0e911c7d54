/**
 * The proxy of RocketMQ 5 is not a name server: this client says so. By command only, because the proxy is a download of its own:
 * `ROCKETMQ_PROXY=1 npm test -- conformance/proxy.test.ts`.
 */
import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  type Client,
  createClient,
  createPopConsumer,
  createProducer,
  createPullConsumer,
  createTopicAdmin,
  RocketMQError,
} from '../../src/index.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type RocketMQProxy, startProxy } from '../support/rocketmq/proxy.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'
import { until } from './context.ts'

const TOPIC = 'proxied'

if (process.env['ROCKETMQ_PROXY'] === '1' && (await realBrokerAvailable())) {
  describe('the remoting port of a proxy', () => {
    let rocketmq: RocketMQ
    let proxy: RocketMQProxy
    let client: Client

    before(async () => {
      rocketmq = await startRocketMQ()
      proxy = await startProxy(rocketmq.nameServers)
      const direct = createClient({ nameServers: rocketmq.nameServers })
      await createTopicAdmin(direct).create(TOPIC, { readQueueNums: 1 })
      await direct.close()
      client = createClient({ nameServers: proxy.address, timeoutMs: 10_000 })
      await until('the route', () =>
        createTopicAdmin(client)
          .route(TOPIC)
          .catch(() => undefined),
      )
    })
    after(async () => {
      await client?.close()
      await proxy?.stop()
      await rocketmq?.stop()
    })

    const isTold = async (call: Promise<unknown>): Promise<void> => {
      const error = await call.then(
        () => Promise.reject(new Error('the call was expected to fail')),
        (reason: unknown) => reason,
      )
      ok(RocketMQError.is(error))
      deepStrictEqual([error.name, error.field, error.retryable], ['ConfigError', 'nameServers', false])
      match(error.message, /^nameServers: \S+ is a proxy, not a name server \(docs\/brokers\.md\)$/)
    }

    it('a route leads to the proxy itself', async () => {
      const { brokerDatas } = await createTopicAdmin(client).route(TOPIC)
      deepStrictEqual(
        brokerDatas.map(({ brokerAddrs }) => [...brokerAddrs]),
        [[[0, proxy.address]]],
      )
    })

    it('sends, pulls, offsets and pops are refused with what to correct', async () => {
      const producer = createProducer(client, { producerGroup: 'writers' })
      const consumer = createPullConsumer(client, { consumerGroup: 'readers' })
      const [queue] = await consumer.queues(TOPIC)
      ok(queue)
      await isTold(producer.send({ topic: TOPIC, body: 'x' }))
      const [batched] = await producer.sendBatch(TOPIC, [{ body: 'x' }])
      await isTold(batched && 'error' in batched ? Promise.reject(batched.error) : Promise.resolve())
      await isTold(consumer.pull(queue, 0n))
      await isTold(consumer.committedOffset(queue))
      await isTold(consumer.commitOffset(queue, 1n))
      await isTold(createPopConsumer(client, { consumerGroup: 'poppers' }).pop(TOPIC))
    })
  })
}
