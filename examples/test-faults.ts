/** Time, faults and users of the broker in memory: `node --test examples/test-faults.ts` after `npm run build`. */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { test } from 'node:test'
// #region faults
import { createClient, createProducer } from 'rocketmq-lambda'
import { startBroker } from 'rocketmq-lambda/testing'

test('a send whose answer is lost is repeated under its id', async () => {
  await using broker = await startBroker({ topics: ['orders'] })
  const client = createClient({ nameServers: broker.nameServers, timeoutMs: 1_000 })
  const producer = createProducer(client, { producerGroup: 'shop', retries: 0 })
  const message = { topic: 'orders', body: 'order 1', messageId: 'ORDER-1' }

  broker.faults.add({ fault: 'lose-answer', code: 310, topic: 'orders', times: 1 })
  await rejects(producer.send(message), { outcome: 'unknown' })
  await producer.send(message)

  const stored = broker.messages('orders').map(({ properties }) => properties['UNIQ_KEY'])
  deepStrictEqual(stored, ['ORDER-1', 'ORDER-1'])
  await client.close()
})
// #endregion faults

// #region clock
test('a reminder comes after half an hour', async () => {
  await using broker = await startBroker({ topics: ['reminders'] })
  const client = createClient({ nameServers: broker.nameServers })
  const producer = createProducer(client, { producerGroup: 'shop' })
  await producer.send({ topic: 'reminders', body: 'pay', delayMs: 30 * 60_000 })

  await broker.clock.advance(29 * 60_000)
  const early = broker.messages('reminders').length
  await broker.clock.advance(60_000)
  deepStrictEqual([early, broker.messages('reminders').length], [0, 1])
  await client.close()
})
// #endregion clock

// #region users
test('the key is rotated between two sends', async () => {
  const grants = { 'Topic:orders': ['Pub'] } as const
  await using broker = await startBroker({
    topics: ['orders'],
    users: { shop: { secretKey: 'old', grants } },
  })
  let secretKey = 'old'
  const credentials = () => ({ accessKey: 'shop', secretKey })
  const client = createClient({ nameServers: broker.nameServers, credentials })
  const producer = createProducer(client, { producerGroup: 'shop' })
  await producer.send({ topic: 'orders', body: 'order 1' })

  secretKey = 'new'
  broker.setUser('shop', { secretKey, grants })
  await producer.send({ topic: 'orders', body: 'order 2' })

  await rejects(producer.send({ topic: 'refunds', body: 'order 2' }), { code: 'RMQ_AUTH' })
  await client.close()
})
// #endregion users
