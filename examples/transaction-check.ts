/** A function that a schedule starts: it answers for the transactions that nobody ended. */
// #region check
import type { Handler } from 'aws-lambda'
import { transactionChecker } from 'rocketmq-lambda/lambda'

/** Stands for a query of your database. */
const isPlaced = async (messageId: string): Promise<boolean> => messageId.startsWith('order-')

export const handler: Handler = transactionChecker(
  { producerGroup: 'order-api', metrics: true },
  async ({ messageId }) => ((await isPlaced(messageId)) ? 'commit' : 'unknown'),
)
// #endregion check
