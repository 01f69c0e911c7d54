/** The check against a broker and a table in memory: what it commits, rolls back, and leaves open. */
import { deepStrictEqual } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createClient, createTransactionProducer } from 'rocketmq-lambda'
import { transactionChecker } from 'rocketmq-lambda/lambda'
import { type LocalBroker, lambdaContext, scheduledEvent, startBroker } from 'rocketmq-lambda/testing'
import { startTable } from '../local/table.ts'
import { resolveOrder } from '../src/check-orders.ts'
import { type OrderTable, orderTable } from '../src/order-table.ts'
import { PRODUCER_GROUP } from '../src/place-order.ts'

const order = { id: 'order-1', product: 'tea', count: 2 }

interface Shop {
  broker: LocalBroker
  table: OrderTable
  /** Begins the transaction of the order, and dies; gives the id of the message. */
  abandon: () => Promise<string>
  check: (writtenWithinMs: number) => Promise<{ committed: number; rolledBack: number; unknown: number }>
}

async function openShop(t: TestContext): Promise<Shop> {
  // Rounds of checks come often, so that one falls into a short window.
  const broker = await startBroker({
    topics: { orders: { queues: 1 } },
    transactionTimeOut: 100,
    transactionCheckInterval: 100,
  })
  const local = await startTable('orders')
  t.after(async () => {
    await broker.close()
    await local[Symbol.asyncDispose]()
  })
  const client = createClient({ nameServers: broker.nameServers })
  const table = orderTable(local.dynamodb, 'orders')
  const transactions = createTransactionProducer(client, { producerGroup: PRODUCER_GROUP })
  return {
    broker,
    table,
    abandon: async () =>
      (await transactions.begin({ topic: 'orders', body: JSON.stringify(order), keys: order.id })).messageId,
    check: async (writtenWithinMs) => {
      const logger = { debug: () => {}, info: () => {}, warn: () => {} }
      const handler = transactionChecker(
        { producerGroup: PRODUCER_GROUP, windowMs: 1_500, logger, client },
        resolveOrder(table, { writtenWithinMs }),
      )
      const { committed, rolledBack, unknown } = await handler(scheduledEvent(), lambdaContext())
      return { committed, rolledBack, unknown }
    },
  }
}

const delivered = ({ broker }: Shop): unknown[] =>
  broker.messages('orders').map(({ properties }) => properties['UNIQ_KEY'])

test('an order that was written is committed', async (t) => {
  const shop = await openShop(t)
  const messageId = await shop.abandon()
  await shop.table.place(order, messageId)

  const result = await shop.check(60_000)

  deepStrictEqual([result, delivered(shop)], [{ committed: 1, rolledBack: 0, unknown: 0 }, [messageId]])
})

test('one that may still be written is left open', async (t) => {
  const shop = await openShop(t)
  await shop.abandon()

  const result = await shop.check(60_000)

  deepStrictEqual(result, { committed: 0, rolledBack: 0, unknown: 1 })
  deepStrictEqual([await shop.table.find('order-1'), delivered(shop)], [undefined, []])
})

test('one that was not written in time is rolled back, and cannot be placed any more', async (t) => {
  const shop = await openShop(t)
  const messageId = await shop.abandon()

  const result = await shop.check(0)
  const late = await shop.table.place(order, messageId)

  deepStrictEqual(result, { committed: 0, rolledBack: 1, unknown: 0 })
  deepStrictEqual([late.state, delivered(shop)], ['abandoned', []])
})

test('of two transactions for one order that which wrote it is committed, the other rolled back', async (t) => {
  const shop = await openShop(t)
  const [first, second] = [await shop.abandon(), await shop.abandon()]
  const item = await shop.table.place(order, second)
  const lost = await shop.table.place(order, first)

  const result = await shop.check(60_000)

  deepStrictEqual([lost, result], [item, { committed: 1, rolledBack: 1, unknown: 0 }])
  deepStrictEqual(delivered(shop), [second])
})
