/** The delivery suite on the local broker: each case has one of its own, whose clock is moved. */

import type { TestContext } from 'node:test'
import { InvokeBrokerToResetOffset } from '../../src/commands/consumer-requests.ts'
import { createClient, createProducer, createPullConsumer } from '../../src/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { contention } from './contention.ts'
import type { Cluster } from './context.ts'
import { delivery } from './suite.ts'

delivery(open)
contention(open)

async function open(t: TestContext): Promise<Cluster> {
  const broker = await startBroker({ brokers: 2 })
  const { nameServers } = broker
  const client = createClient({ nameServers, routeTtlMs: 1 })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const producer = createProducer(client, { producerGroup: 'shop' })
  return {
    nameServers,
    addresses: Object.fromEntries(broker.brokers.map(({ name, address }) => [name, address])),
    hasSql92: false,
    async send(topic, bodies, queue) {
      for (const body of bodies) await producer.send({ topic, body, ...(queue && { queue }) })
    },
    async progress(group, topic) {
      const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
      const queues = await consumer.queues(topic)
      const entries = queues.map(async (queue) => {
        const committed = broker.committedOffset(group, queue)
        return [
          `${queue.brokerName}/${queue.queueId}`,
          [String(await consumer.maxOffset(queue)), String(committed)],
        ] as const
      })
      return Object.fromEntries(await Promise.all(entries)) as Record<string, [string, string]>
    },
    async reset(group, topic, timestamp) {
      const request = { group, topic, timestamp: BigInt(timestamp), isForce: true }
      for (const { brokerName } of await createPullConsumer(client, { consumerGroup: group }).queues(topic)) {
        const { address = '' } = broker.brokers.find(({ name }) => name === brokerName) ?? {}
        await client.network.call(address, InvokeBrokerToResetOffset, request, undefined, {
          deadline: client.deadline(),
        })
      }
    },
    async crash(brokerName) {
      const each = broker.brokers.find(({ name }) => name === brokerName)
      await each?.kill()
      await each?.start()
    },
    pass: async (ms) => await broker.clock.advance(Math.max(0, ms)),
  }
}
