/** A consumer that says which records failed; they come again later. */
// #region failures
import type { Handler } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'

export const handler: Handler = eventSource(
  { topic: 'orders', consumerGroup: 'billing', batchSize: 500, maximumRetryAttempts: 5 },
  async (event) => {
    const batchItemFailures: { itemIdentifier: string }[] = []
    for (const record of Object.values(event.records).flat()) {
      try {
        await charge(record.messageId, record.json())
      } catch (error) {
        console.error(error)
        batchItemFailures.push({ itemIdentifier: record.recordId })
      }
    }
    return { batchItemFailures }
  },
)
// #endregion failures

/** Idempotent: the same messageId is charged once. */
async function charge(messageId: string, order: unknown): Promise<void> {
  console.log('charged', messageId, order)
}
