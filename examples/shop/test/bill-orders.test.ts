/** The consuming handler against a broker and a table in memory: one invoice for each order, whatever is killed, repeated or down. */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb'
import { createClient, createProducer, type Producer } from 'rocketmq-lambda'
import { type LocalBroker, lambdaContext, scheduledEvent, startBroker } from 'rocketmq-lambda/testing'
import { type LocalTable, startTable } from '../local/table.ts'
import { billOrders } from '../src/bill-orders.ts'

const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

interface Shop {
  broker: LocalBroker
  table: LocalTable
  producer: Producer
  /** The handler as it is deployed, started by its schedule. */
  bill: () => ReturnType<ReturnType<typeof billOrders>>
}

/** A broker on which these orders wait. */
async function openShop(t: TestContext, ...orders: unknown[]): Promise<Shop> {
  const broker = await startBroker({ topics: { orders: { queues: 1 }, invoices: { queues: 1 } } })
  const table = await startTable('billed')
  t.after(async () => {
    await broker.close()
    await table[Symbol.asyncDispose]()
  })
  const client = createClient({ nameServers: broker.nameServers })
  const producer = createProducer(client, { producerGroup: 'shop' })
  for (const order of orders) await producer.send({ topic: 'orders', body: JSON.stringify(order) })
  const billed = new DynamoDBPersistenceLayer({ tableName: 'billed', awsSdkV3Client: table.dynamodb })
  const handler = billOrders(client, billed)
  return { broker, table, producer, bill: () => handler(scheduledEvent(), lambdaContext()) }
}

const order = (name: string, cents: number): object => ({
  order: name,
  items: [{ product: 'tea', cents, count: 2 }],
})

const invoices = ({ broker }: Shop): unknown[] =>
  broker.messages('invoices').map(({ body }) => JSON.parse(body.toString()))

test('each order has its invoice, and its offset is committed', async (t) => {
  const shop = await openShop(t, order('order-1', 450), order('order-2', 100))

  const { handled, remainingLag } = await shop.bill()

  deepStrictEqual({ handled, remainingLag }, { handled: 2, remainingLag: 0 })
  deepStrictEqual(invoices(shop), [
    { order: 'order-1', totalCents: 900 },
    { order: 'order-2', totalCents: 200 },
  ])
  deepStrictEqual(shop.broker.committedOffset('billing', queue), 2n)
})

test('an order that a sender has sent twice, because it did not hear of the first, is billed once', async (t) => {
  const shop = await openShop(t)
  const message = { topic: 'orders', body: JSON.stringify(order('order-1', 450)), messageId: 'ORDER-1' }
  await shop.producer.send(message)
  await shop.producer.send(message)

  const { handled } = await shop.bill()

  deepStrictEqual([handled, invoices(shop)], [2, [{ order: 'order-1', totalCents: 900 }]])
})

test('an order is billed once, although it comes again because a killed broker has lost the commit', async (t) => {
  const shop = await openShop(t, order('order-1', 450))
  await shop.bill()

  await shop.broker.brokers[0]?.kill()
  await shop.broker.brokers[0]?.start()
  const { handled } = await shop.bill()

  deepStrictEqual([handled, invoices(shop).length], [1, 1])
})

test('an order that cannot be billed is tried four times and then a dead letter; the others are billed', async (t) => {
  t.mock.method(console, 'error', () => {})
  const shop = await openShop(t, order('order-1', 450), order('order-2', -1), order('order-3', 100))

  const { handled, sentBack } = await shop.bill()
  for (let attempt = 0; attempt < 3; attempt++) {
    await shop.broker.clock.advance(60_000)
    await shop.bill()
  }

  deepStrictEqual({ handled, sentBack }, { handled: 2, sentBack: 1 })
  deepStrictEqual(invoices(shop).length, 2)
  deepStrictEqual(shop.broker.committedOffset('billing', queue), 3n)
  const letters = shop.broker.messages('%DLQ%billing').map(({ body }) => JSON.parse(body.toString()))
  deepStrictEqual(letters, [order('order-2', -1)])
})

test('what a busy broker does not take is billed ten seconds later', async (t) => {
  t.mock.method(console, 'error', () => {})
  const shop = await openShop(t, order('order-1', 450))
  const busy = shop.broker.faults.add({ fault: 'busy', code: 310, topic: 'invoices' })

  await shop.bill()
  deepStrictEqual(invoices(shop), [])

  busy.remove()
  await shop.broker.clock.advance(10_500)
  await shop.bill()
  deepStrictEqual(invoices(shop), [{ order: 'order-1', totalCents: 900 }])
})

test('while the table is down nothing is billed, and the invocation fails; later all is billed once', async (t) => {
  t.mock.method(console, 'error', () => {})
  const shop = await openShop(t, order('order-1', 450), order('order-2', 100))
  const down = t.mock.method(shop.table.dynamodb, 'send', () => Promise.reject(new Error('socket hang up')))

  await rejects(shop.bill(), { name: 'IdempotencyPersistenceLayerError' })
  deepStrictEqual(invoices(shop), [])

  down.mock.restore()
  await shop.broker.clock.advance(10_500)
  await shop.bill()
  deepStrictEqual(invoices(shop), [
    { order: 'order-1', totalCents: 900 },
    { order: 'order-2', totalCents: 200 },
  ])
})
