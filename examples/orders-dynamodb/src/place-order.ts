/**
 * Takes an order by HTTP: a transaction is begun, the order is written, the transaction is ended. When the process dies in
 * between, or does not hear what became of its write, the check finds out (check-orders.ts).
 */
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda'
import { type Client, createTransactionProducer } from 'rocketmq-lambda'
import type { LambdaContext } from 'rocketmq-lambda/lambda'
import { type Order, readOrder } from './order.ts'
import type { OrderItem, OrderTable } from './order-table.ts'

/** Of the functions that place orders and of the one that checks: brokers ask it. */
export const PRODUCER_GROUP = 'order-service'

type HttpHandler = (
  event: Pick<APIGatewayProxyEventV2, 'body' | 'isBase64Encoded'>,
  context: LambdaContext,
) => Promise<APIGatewayProxyStructuredResultV2>

/** The order's id is taken: the transaction is rolled back. */
class TakenError extends Error {
  readonly item: OrderItem

  constructor(item: OrderItem) {
    super('there is an order with this id')
    this.item = item
  }
}

export function placeOrder(client: Client, table: OrderTable): HttpHandler {
  const transactions = createTransactionProducer(client, { producerGroup: PRODUCER_GROUP })

  const write = async (order: Order, messageId: string): Promise<void> => {
    const item = await table.place(order, messageId).catch((error: Error) => {
      // It may have been written all the same. Neither commit nor roll back: the check looks.
      throw Object.assign(error, { outcome: 'unknown' })
    })
    if (item.state !== 'placed' || item.messageId !== messageId) throw new TakenError(item)
  }

  return async ({ body = '', isBase64Encoded }, context) => {
    let order: Order
    try {
      order = readOrder(JSON.parse(Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8').toString()))
    } catch (error) {
      return answer(400, { detail: String(error) })
    }
    await client.thaw() // connections that died while the function was frozen
    const message = { topic: 'orders', body: JSON.stringify(order), keys: order.id }
    const deadlineMs = Date.now() + context.getRemainingTimeInMillis() - 500
    try {
      const { messageId } = await transactions.run(message, (begun) => write(order, begun.messageId), {
        deadlineMs,
      })
      return answer(201, { id: order.id, messageId })
    } catch (error) {
      if (error instanceof TakenError) return taken(order, error.item)
      console.error(`order ${order.id}:`, error)
      return answer(503, {
        detail: 'it is not known whether the order is placed: repeat it, with the same id',
      })
    }
  }
}

/** The same order again is no fault: its first answer was lost, say. */
function taken(order: Order, item: OrderItem): APIGatewayProxyStructuredResultV2 {
  if (item.order === JSON.stringify(order)) return answer(200, { id: order.id, messageId: item.messageId })
  const was =
    item.state === 'placed' ? 'another order has this id' : 'the order was abandoned: take another id'
  return answer(409, { detail: was })
}

const answer = (statusCode: number, body: object): APIGatewayProxyStructuredResultV2 => ({
  statusCode,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
