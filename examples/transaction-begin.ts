/** A function that begins transactions for callers over HTTP, besides publishing. */
// #region begin
import type { Handler } from 'aws-lambda'
import { publisher } from 'rocketmq-lambda/lambda'

// POST /topics/orders/transactions {"body": {"order": 1}}
export const handler: Handler = publisher({
  topics: ['orders'],
  producerGroup: 'order-api',
  transactions: { secret: process.env['ROCKETMQ_TRANSACTION_SECRET'] ?? '' },
})
// #endregion begin
