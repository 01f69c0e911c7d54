/** The consuming handler against a broker in memory: results, committed offsets, failures, and a broker that fails. */
import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { createClient, createProducer } from 'rocketmq-lambda'
import { type LocalBroker, lambdaContext, scheduledEvent, startBroker } from 'rocketmq-lambda/testing'
import { billOrders } from '../src/bill-orders.ts'

const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

/** A broker on which these orders wait, and the handler as it is deployed. */
async function shop(...orders: unknown[]): Promise<{
  broker: LocalBroker
  handler: ReturnType<typeof billOrders>
}> {
  const broker = await startBroker({ topics: { orders: { queues: 1 }, invoices: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers })
  const producer = createProducer(client, { producerGroup: 'shop' })
  for (const order of orders) await producer.send({ topic: 'orders', body: JSON.stringify(order) })
  return { broker, handler: billOrders(client) }
}

const order = (name: string, cents: number): object => ({
  order: name,
  items: [{ product: 'tea', cents, count: 2 }],
})

const invoices = (broker: LocalBroker): unknown[] =>
  broker.messages('invoices').map(({ body }) => JSON.parse(body.toString()))

test('each order has its invoice, and its offset is committed', async () => {
  const { broker, handler } = await shop(order('order-1', 450), order('order-2', 100))
  await using _ = broker

  const { handled, remainingLag } = await handler(scheduledEvent(), lambdaContext())

  deepStrictEqual({ handled, remainingLag }, { handled: 2, remainingLag: 0 })
  deepStrictEqual(invoices(broker), [
    { order: 'order-1', totalCents: 900 },
    { order: 'order-2', totalCents: 200 },
  ])
  deepStrictEqual(broker.committedOffset('billing', queue), 2n)
})

test('an order that cannot be billed is tried four times and then a dead letter; the others are billed', async (t) => {
  t.mock.method(console, 'error', () => {})
  const { broker, handler } = await shop(order('order-1', 450), order('order-2', -1), order('order-3', 100))
  await using _ = broker

  const { handled, sentBack } = await handler(scheduledEvent(), lambdaContext())
  for (let attempt = 0; attempt < 3; attempt++) {
    await broker.clock.advance(60_000)
    await handler(scheduledEvent(), lambdaContext())
  }

  deepStrictEqual({ handled, sentBack }, { handled: 2, sentBack: 1 })
  deepStrictEqual(invoices(broker).length, 2)
  deepStrictEqual(broker.committedOffset('billing', queue), 3n)
  const [letter, ...more] = broker.messages('%DLQ%billing').map(({ body }) => JSON.parse(body.toString()))
  deepStrictEqual([letter, more], [order('order-2', -1), []])
})

test('what a busy broker does not take is billed ten seconds later', async (t) => {
  t.mock.method(console, 'error', () => {})
  const { broker, handler } = await shop(order('order-1', 450))
  await using _ = broker
  const busy = broker.faults.add({ fault: 'busy', code: 310, topic: 'invoices' })

  await handler(scheduledEvent(), lambdaContext())
  deepStrictEqual(invoices(broker), [])

  busy.remove()
  await broker.clock.advance(10_500)
  await handler(scheduledEvent(), lambdaContext())
  deepStrictEqual(invoices(broker), [{ order: 'order-1', totalCents: 900 }])
})

test('an order is billed again when a killed broker has lost the commit', async () => {
  const { broker, handler } = await shop(order('order-1', 450))
  await using _ = broker
  await handler(scheduledEvent(), lambdaContext())

  await broker.brokers[0]?.kill()
  await broker.brokers[0]?.start()
  await handler(scheduledEvent(), lambdaContext())

  const ids = broker.messages('invoices').map(({ properties }) => properties['UNIQ_KEY'])
  deepStrictEqual([ids.length, new Set(ids).size], [2, 1]) // known as a copy
})
