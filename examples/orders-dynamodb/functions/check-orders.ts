/**
 * A schedule starts it: every two minutes, and every hour with the input `{ "sweep": true }`.
 *
 * ROCKETMQ_NAMESRV_ADDR      name servers
 * ROCKETMQ_CHECK_WINDOW_MS   how long to be there, longer than the brokers' transactionCheckInterval. Default: 35000
 * ORDER_WRITTEN_WITHIN_MS    when an order that is not written is abandoned; longer than place-order may take. Default: 60000
 */
import type { Handler } from 'aws-lambda'
import { transactionChecker } from 'rocketmq-lambda/lambda'
import { resolveOrder } from '../src/check-orders.ts'
import { PRODUCER_GROUP } from '../src/place-order.ts'
import { table } from './dynamodb.ts'

const { ROCKETMQ_CHECK_WINDOW_MS = '35000', ORDER_WRITTEN_WITHIN_MS = '60000' } = process.env

export const handler: Handler = transactionChecker(
  { producerGroup: PRODUCER_GROUP, windowMs: Number(ROCKETMQ_CHECK_WINDOW_MS), metrics: true },
  resolveOrder(table, { writtenWithinMs: Number(ORDER_WRITTEN_WITHIN_MS) }),
)
