/** A test of a consuming function against a broker in memory: `node --test examples/test-consume.ts` after `npm run build`. */
// #region test
import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { createClient, createProducer } from 'rocketmq-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'
import { lambdaContext, scheduledEvent, startBroker } from 'rocketmq-lambda/testing'

test('every order is billed once, and its offset is committed', async () => {
  await using broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers })
  const producer = createProducer(client, { producerGroup: 'shop' })
  for (const body of ['order 1', 'order 2']) await producer.send({ topic: 'orders', body })
  await client.close()

  const billed: string[] = []
  const options = {
    topic: 'orders',
    consumerGroup: 'billing',
    startingPosition: 'TRIM_HORIZON' as const,
    client: { nameServers: broker.nameServers },
  }
  const handler = eventSource(options, async (event) => {
    for (const record of Object.values(event.records).flat()) billed.push(record.body.toString())
  })
  await handler(scheduledEvent(), lambdaContext({ remainingMs: 5_000 }))

  deepStrictEqual(billed, ['order 1', 'order 2'])
  const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
  deepStrictEqual(broker.committedOffset('billing', queue), 2n)
})
// #endregion test
