/** A handler of a self-managed Kafka cluster that consumes a topic unchanged. */
// #region kafka
import type { Handler } from 'aws-lambda'
import { eventSource, type KafkaIdentifier } from 'rocketmq-lambda/lambda'

export const handler: Handler = eventSource(
  { topic: 'orders', consumerGroup: 'billing', eventFormat: 'kafka' },
  async ({ records }) => {
    const batchItemFailures: { itemIdentifier: KafkaIdentifier }[] = []
    for (const [partition, batch] of Object.entries(records)) {
      for (const { offset, value } of batch) {
        try {
          await charge(JSON.parse(Buffer.from(value, 'base64').toString()))
        } catch (error) {
          console.error(error)
          batchItemFailures.push({ itemIdentifier: { partition, offset } })
        }
      }
    }
    return { batchItemFailures }
  },
)
// #endregion kafka

async function charge(order: unknown): Promise<void> {
  console.log('charged', order)
}
