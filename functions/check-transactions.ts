/**
 * Answers for the transactions that nobody ended, by resolve-transaction.ts. A schedule starts it: every two minutes, and every
 * hour with the input `{ "sweep": true }`.
 *
 * ROCKETMQ_NAMESRV_ADDR      name servers
 * ROCKETMQ_PRODUCER_GROUP    that of who begins transactions
 * ROCKETMQ_CHECK_WINDOW_MS   how long to be there, longer than the brokers' transactionCheckInterval. Default: 35000
 * ROCKETMQ_SECRET_ARN        credentials from Secrets Manager: client-options.ts
 *
 * With POWERTOOLS_METRICS_NAMESPACE it writes CloudWatch metrics: metrics-options.ts.
 */
import { transactionChecker } from '../src/lambda/transaction-checker.ts'
import { clientOptions } from './client-options.ts'
import { metricsOptions } from './metrics-options.ts'
import { producerGroup } from './producer-group.ts'
import { resolveTransaction } from './resolve-transaction.ts'

const { ROCKETMQ_CHECK_WINDOW_MS } = process.env

export const handler: ReturnType<typeof transactionChecker> = transactionChecker(
  {
    producerGroup: producerGroup(),
    windowMs: ROCKETMQ_CHECK_WINDOW_MS ? Number(ROCKETMQ_CHECK_WINDOW_MS) : undefined,
    metrics: metricsOptions(),
    client: clientOptions(),
  },
  resolveTransaction,
)
