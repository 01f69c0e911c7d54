/**
 * Commits and rolls back the transactions that functions/publish.ts began: an HTTP API, a function URL or a direct invocation.
 *
 * ROCKETMQ_NAMESRV_ADDR         name servers
 * ROCKETMQ_TOPICS               the topics whose transactions may be ended, separated by commas
 * ROCKETMQ_PRODUCER_GROUP       that of who began them
 * ROCKETMQ_TRANSACTION_SECRET   that of who began them; several are separated by commas
 * ROCKETMQ_SECRET_ARN           credentials from Secrets Manager: client-options.ts
 */
import { transactionEnder } from '../src/lambda/transaction-ender.ts'
import { clientOptions } from './client-options.ts'
import { requiredList } from './lists.ts'
import { producerGroup } from './producer-group.ts'

export const handler: ReturnType<typeof transactionEnder> = transactionEnder({
  topics: requiredList('ROCKETMQ_TOPICS', 'the topics whose transactions may be ended'),
  producerGroup: producerGroup(),
  secret: requiredList(
    'ROCKETMQ_TRANSACTION_SECRET',
    'the secret that transactions are signed with, or several',
  ),
  client: clientOptions(),
})
