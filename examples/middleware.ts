/** A function of its own that also sends: a warm client on middy's context. */
// #region middleware
import middy, { type MiddyfiedHandler } from '@middy/core'
import type { Context } from 'aws-lambda'
import { type Client, createProducer } from 'rocketmq-lambda'
import { rocketmq } from 'rocketmq-lambda/lambda'

type Order = { order: number }
type ContextWithClient = Context & { rocketmq: Client }

async function place(event: Order, context: ContextWithClient): Promise<string> {
  const producer = createProducer(context.rocketmq, { producerGroup: 'order-service' })
  const { messageId } = await producer.send(
    { topic: 'orders', body: JSON.stringify(event), keys: `order-${event.order}` },
    { deadlineMs: Date.now() + context.getRemainingTimeInMillis() - 500 },
  )
  return messageId
}

export const handler: MiddyfiedHandler<Order, string, Error, ContextWithClient> = middy<
  Order,
  string,
  Error,
  ContextWithClient
>()
  .use(rocketmq())
  .handler(place)
// #endregion middleware
