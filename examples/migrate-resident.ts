/** A Java listener with the defaults of DefaultMQPushConsumer, as a function: the same group goes on where the listener stopped. */
// #region resident
import type { Handler } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'

export const handler: Handler = eventSource(
  {
    topic: 'orders', // subscribe("orders", "created || paid")
    filter: 'created || paid',
    consumerGroup: 'billing', // the same group: its offsets, retries and dead letters are the broker's
    startingPosition: 'LATEST', // CONSUME_FROM_LAST_OFFSET; only of a group without offsets
    maximumRetryAttempts: 16, // setMaxReconsumeTimes(16)
    parallelizationFactor: 10, // setConsumeThreadMax: batches at once, where the handler waits for others
    batchSize: 32, // setConsumeMessageBatchMaxSize
  },
  async (event) => {
    const batchItemFailures: { itemIdentifier: string }[] = []
    for (const record of Object.values(event.records).flat()) {
      try {
        await charge(record.messageId, record.body)
      } catch (error) {
        console.error(error)
        batchItemFailures.push({ itemIdentifier: record.recordId }) // RECONSUME_LATER, for this message alone
      }
    }
    return { batchItemFailures } // what is not named: CONSUME_SUCCESS
  },
)
// #endregion resident

/** Idempotent: the same message is charged once. */
async function charge(messageId: string, body: Buffer): Promise<void> {
  console.log('charged', messageId, body.toString())
}
