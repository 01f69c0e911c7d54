/** The events of a topic go to a function in any language. */
import type { Handler } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'

export const handler: Handler = eventSource({
  topic: 'orders',
  consumerGroup: 'billing',
  target: { functionName: 'charge-orders', qualifier: 'live' },
  continuation: true,
})
