/** The HTTP handler against a broker and a table in memory: what is placed, what is refused, and what is left to the check. */
import { deepStrictEqual } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createClient } from 'rocketmq-lambda'
import { httpEvent, type LocalBroker, lambdaContext, startBroker } from 'rocketmq-lambda/testing'
import { startTable } from '../local/table.ts'
import { type OrderTable, orderTable } from '../src/order-table.ts'
import { placeOrder } from '../src/place-order.ts'

const order = { id: 'order-1', product: 'tea', count: 2 }

interface Shop {
  broker: LocalBroker
  table: OrderTable
  post: (body: unknown) => Promise<{ status: number | undefined; body: Record<string, unknown> }>
}

async function openShop(t: TestContext, wrap = (table: OrderTable): OrderTable => table): Promise<Shop> {
  const broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const local = await startTable('orders')
  t.after(async () => {
    await broker.close()
    await local[Symbol.asyncDispose]()
  })
  const table = orderTable(local.dynamodb, 'orders')
  const handler = placeOrder(createClient({ nameServers: broker.nameServers }), wrap(table))
  return {
    broker,
    table,
    post: async (content) => {
      const { statusCode, body = '' } = await handler(httpEvent('POST', '/orders', content), lambdaContext())
      return { status: statusCode, body: JSON.parse(body) as Record<string, unknown> }
    },
  }
}

const delivered = ({ broker }: Shop): unknown[] =>
  broker.messages('orders').map(({ properties }) => properties['UNIQ_KEY'])

test('an order is in the table, and its message in the topic', async (t) => {
  const shop = await openShop(t)

  const { status, body } = await shop.post(order)

  const { messageId } = body
  deepStrictEqual([status, body], [201, { id: 'order-1', messageId }])
  deepStrictEqual(await shop.table.find('order-1'), {
    state: 'placed',
    messageId,
    order: JSON.stringify(order),
  })
  deepStrictEqual(delivered(shop), [messageId])
})

test('the same order again has the first answer once more; another one under its id is refused', async (t) => {
  const shop = await openShop(t)
  const first = await shop.post(order)

  const again = await shop.post(order)
  const other = await shop.post({ ...order, count: 3 })

  deepStrictEqual(again, { status: 200, body: first.body })
  deepStrictEqual(other, { status: 409, body: { detail: 'another order has this id' } })
  deepStrictEqual(delivered(shop), [first.body['messageId']])
})

test('two at once: one is placed, the other is told so', async (t) => {
  const shop = await openShop(t)

  const answers = await Promise.all([shop.post(order), shop.post(order)])

  const ids = new Set(answers.map(({ body }) => body['messageId']))
  deepStrictEqual(new Set(answers.map(({ status }) => status)), new Set([201, 200]))
  deepStrictEqual(delivered(shop), [...ids])
})

test('an order that makes no sense is refused before a transaction is begun', async (t) => {
  const shop = await openShop(t)

  const { status, body } = await shop.post({ ...order, count: 0 })

  deepStrictEqual([status, body], [400, { detail: 'TypeError: count: takes a number from 1' }])
  deepStrictEqual([delivered(shop), await shop.table.find('order-1')], [[], undefined])
})

test('an order whose write was not answered is neither committed nor rolled back', async (t) => {
  t.mock.method(console, 'error', () => {})
  const shop = await openShop(t, (table) => ({
    ...table,
    place: async (...args) => {
      await table.place(...args)
      throw new Error('socket hang up')
    },
  }))

  const { status } = await shop.post(order)

  const half = shop.broker.messages('RMQ_SYS_TRANS_HALF_TOPIC')
  const ended = shop.broker.messages('RMQ_SYS_TRANS_OP_HALF_TOPIC')
  deepStrictEqual([status, half.length, ended, delivered(shop)], [503, 1, [], []])
})
