/** The HTTP handler against a broker in memory. Each test has a broker of its own; the files run at the same time. */
import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { createClient } from 'rocketmq-lambda'
import { httpEvent, lambdaContext, startBroker } from 'rocketmq-lambda/testing'
import { placeOrder } from '../src/place-order.ts'

const order = { order: 'order-1', items: [{ product: 'tea', cents: 450, count: 2 }] }

// #region clock
test('an order reaches the topic half an hour later', async () => {
  await using broker = await startBroker({ topics: ['orders'] })
  const handler = placeOrder(createClient({ nameServers: broker.nameServers }))
  const stored = (): unknown[] => broker.messages('orders').map(({ body }) => JSON.parse(body.toString()))

  const { statusCode } = await handler(httpEvent('POST', '/orders', order), lambdaContext())

  await broker.clock.advance(29 * 60_000)
  const early = stored()
  await broker.clock.advance(60_000)
  deepStrictEqual([statusCode, early, stored()], [202, [], [order]])
})
// #endregion clock

test('an order without items is refused, and nothing is sent', async () => {
  await using broker = await startBroker({ topics: ['orders'] })
  const handler = placeOrder(createClient({ nameServers: broker.nameServers }))

  const event = httpEvent('POST', '/orders', { order: 'order-1', items: [] })
  const { statusCode, body } = await handler(event, lambdaContext())

  deepStrictEqual([statusCode, body], [400, 'TypeError: items: takes what is ordered'])
  await broker.clock.advance(60 * 60_000)
  deepStrictEqual(broker.messages('orders'), [])
})

test('an order is placed although the first answer is lost', async () => {
  await using broker = await startBroker({ topics: ['orders'] })
  const handler = placeOrder(createClient({ nameServers: broker.nameServers, timeoutMs: 1_000 }))
  const lost = broker.faults.add({ fault: 'lose-answer', code: 310, topic: 'orders', times: 1 })

  const { statusCode } = await handler(httpEvent('POST', '/orders', order), lambdaContext())

  await broker.clock.advance(30 * 60_000)
  const ids = broker.messages('orders').map(({ properties }) => properties['UNIQ_KEY'])
  deepStrictEqual([statusCode, lost.hits, ids.length, new Set(ids).size], [202, 1, 2, 1]) // a copy, with the same id
})
