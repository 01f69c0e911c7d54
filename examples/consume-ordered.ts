/** A consumer of records whose order matters: a queue waits for what failed. */
// #region ordered
import type { Handler } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'

export const handler: Handler = eventSource(
  { topic: 'orders', consumerGroup: 'billing', onFailure: 'block', startingPosition: 'LATEST' },
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
// #endregion ordered

/** Idempotent: the same messageId is charged once. */
async function charge(messageId: string, order: unknown): Promise<void> {
  console.log('charged', messageId, order)
}
