/** A function that publishes what an HTTP API, a function URL or a direct invocation hands over. */
// #region publish
import type { Handler } from 'aws-lambda'
import { publisher } from 'rocketmq-lambda/lambda'

// POST /topics/orders/messages {"body": {"order": 1}, "tag": "created", "keys": "order-1"}
export const handler: Handler = publisher({ topics: ['orders'], producerGroup: 'order-api' })
// #endregion publish
