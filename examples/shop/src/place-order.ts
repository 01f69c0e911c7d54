/** Takes an order by HTTP. It is billed half an hour later: so long a customer may think again. */
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda'
import { type Client, createProducer } from 'rocketmq-lambda'
import type { LambdaContext } from 'rocketmq-lambda/lambda'
import { type Order, readOrder } from './order.ts'

const BILLED_AFTER_MS = 30 * 60_000

type HttpHandler = (
  event: Pick<APIGatewayProxyEventV2, 'body' | 'isBase64Encoded'>,
  context: LambdaContext,
) => Promise<APIGatewayProxyStructuredResultV2>

export function placeOrder(client: Client): HttpHandler {
  const producer = createProducer(client, { producerGroup: 'shop' })
  return async ({ body = '', isBase64Encoded }, context) => {
    let order: Order
    try {
      order = readOrder(JSON.parse(Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8').toString()))
    } catch (error) {
      return { statusCode: 400, body: String(error) }
    }
    await client.thaw() // connections that died while the function was frozen
    const message = {
      topic: 'orders',
      body: JSON.stringify(order),
      keys: order.order,
      delayMs: BILLED_AFTER_MS,
    }
    const deadlineMs = Date.now() + context.getRemainingTimeInMillis() - 500
    const { messageId } = await producer.send(message, { deadlineMs })
    return { statusCode: 202, body: JSON.stringify({ messageId }) }
  }
}
