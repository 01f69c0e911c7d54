/** A function that ends transactions which another one began. */
// #region end
import type { Handler } from 'aws-lambda'
import { transactionEnder } from 'rocketmq-lambda/lambda'

// POST /transactions/commit or /transactions/rollback {"transaction": "1.eyJ2ZXJ…"}
export const handler: Handler = transactionEnder({
  topics: ['orders'],
  producerGroup: 'order-api',
  secret: process.env['ROCKETMQ_TRANSACTION_SECRET'] ?? '',
})
// #endregion end
