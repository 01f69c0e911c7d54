/** The handler of an SQS queue serves a topic too, while publishers move: one file, two exports, two functions. */
// #region sqs
import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch'
import type { Handler, SQSHandler, SQSRecord } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'

const processor = new BatchProcessor(EventType.SQS)

/** Started by the queue, as before. */
export const fromQueue: SQSHandler = async (event, context) =>
  await processPartialResponse(event, charge, processor, {
    context,
    // Otherwise it throws when all of a batch failed, and a thrown error is an outage: it ends the invocation.
    throwOnFullBatchFailure: false,
  })

/** Started by a schedule. */
export const fromTopic: Handler = eventSource(
  { topic: 'orders', consumerGroup: 'billing', eventFormat: 'sqs', batchSize: 10, maximumRetryAttempts: 4 },
  fromQueue,
)
// #endregion sqs

/** Idempotent on an id of the order: of the queue and of the topic a copy has different message ids. */
async function charge({ body }: SQSRecord): Promise<void> {
  const { order } = JSON.parse(body) as { order: string }
  console.log('charged', order)
}
