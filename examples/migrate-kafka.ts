/** The handler of a Kafka topic that answers nothing consumes a RocketMQ topic in the same order. */
// #region kafka
import type { Handler, SelfManagedKafkaHandler } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'

/** Written for Kafka: when it throws the whole batch comes again. */
const project: SelfManagedKafkaHandler = async ({ records }) => {
  for (const { key, value } of Object.values(records).flat())
    await apply(Buffer.from(key, 'base64').toString(), Buffer.from(value, 'base64'))
}

export const handler: Handler = eventSource(
  {
    topic: 'orders',
    consumerGroup: 'projection',
    eventFormat: 'kafka',
    onFailure: 'block', // a queue waits for its batch, as a partition does
    startingPosition: 'TRIM_HORIZON',
    batchSize: 100,
  },
  project,
)
// #endregion kafka

/** Idempotent: what is applied twice is there once. */
async function apply(key: string, value: Buffer): Promise<void> {
  console.log('applied', key, value.toString())
}
