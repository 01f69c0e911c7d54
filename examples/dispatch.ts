/** A dispatcher: a schedule starts it, and it starts workers for what waits. */
import type { Handler } from 'aws-lambda'
import { dispatcher } from 'rocketmq-lambda/lambda'

// The mappings that the worker has, by the names under which it knows them.
export const handler: Handler = dispatcher({
  eventSources: {
    orders: { topic: 'orders', consumerGroup: 'billing', lagThreshold: 5_000 },
    refunds: { topic: 'refunds', consumerGroup: 'billing-refunds', maximumConcurrency: 2 },
  },
  functionName: 'consume',
})
