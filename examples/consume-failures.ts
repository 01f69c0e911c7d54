/** A consumer that says which records failed, and stops before the invocation ends. */
// #region failures
import type { Handler } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'

export const handler: Handler = eventSource(
  { topic: 'orders', consumerGroup: 'billing', batchSize: 500, startingPosition: 'LATEST' },
  async (event, _context, { signal }) => {
    const batchItemFailures: { itemIdentifier: string }[] = []
    for (const records of Object.values(event.records)) {
      for (const record of records) {
        try {
          signal.throwIfAborted()
          await charge(record.messageId, record.json())
        } catch (error) {
          console.error(error)
          batchItemFailures.push({ itemIdentifier: record.recordId })
          break // the rest of this queue comes again, in order
        }
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
