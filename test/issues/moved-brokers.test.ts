/** Brokers that drain, or are not where they were: what had another way to go failed all the same. */
import { deepStrictEqual } from 'node:assert/strict'
import { it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { createProducer, createPullConsumer } from '../../src/index.ts'
import { fakeCluster, storing } from '../support/fake-cluster.ts'

const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
const nothingNew = {
  code: 19,
  ext: { nextBeginOffset: '0', minOffset: '0', maxOffset: '0', suggestWhichBrokerId: '0' },
}

it('a pull from a master that drains is answered by its replica', async (t) => {
  const gone: string[] = []
  const draining = (): { code: number } => {
    gone[0] = 'broker-a'
    return { code: 1500 }
  }
  const cluster = await fakeCluster(t, {
    brokers: { 'broker-a': { [RequestCode.PULL_MESSAGE]: draining } },
    replicas: { 'broker-a': { 1: { [RequestCode.PULL_MESSAGE]: () => nothingNew } } },
    withoutMaster: gone,
  })
  const consumer = createPullConsumer(cluster.client(), { consumerGroup: 'g' })

  const { status } = await consumer.pull(queue, 0n)

  deepStrictEqual([status, cluster.codes('broker-a/1').length], ['NO_NEW_MESSAGE', 1])
})

it('a one-way send goes to another broker when the first cannot be connected to', async (t) => {
  const cluster = await fakeCluster(t, { brokers: { 'broker-a': storing(), 'broker-b': storing() } })
  const producer = createProducer(cluster.client(), { producerGroup: 'g' })
  await cluster.broker('broker-a').close()

  for (let n = 0; n < 4; n++) await producer.sendOneway({ topic: 'orders', body: 'x' })
  await cluster.broker('broker-b').arrived(4)

  deepStrictEqual(cluster.codes('broker-b').length, 4)
})
