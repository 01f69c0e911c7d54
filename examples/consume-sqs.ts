/** A handler of an SQS queue, with Powertools' batch processor, that consumes a topic unchanged. */
// #region sqs
import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch'
import type { Handler, SQSHandler, SQSRecord } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'

const processor = new BatchProcessor(EventType.SQS)

const handleBatch: SQSHandler = async (event, context) =>
  await processPartialResponse(event, charge, processor, { context })

export const handler: Handler = eventSource(
  { topic: 'orders', consumerGroup: 'billing', eventFormat: 'sqs' },
  handleBatch,
)
// #endregion sqs

/** Idempotent: the same deduplication id is charged once. */
async function charge({ attributes, body }: SQSRecord): Promise<void> {
  console.log('charged', attributes.MessageDeduplicationId, JSON.parse(body))
}
