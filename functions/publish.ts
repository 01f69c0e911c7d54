/**
 * Publishes what an HTTP API, a function URL or a direct invocation hands over.
 *
 * ROCKETMQ_NAMESRV_ADDR     name servers
 * ROCKETMQ_TOPICS           the topics that may be published to, separated by commas
 * ROCKETMQ_PRODUCER_GROUP   default: the function's own name
 */
import { publisher } from '../src/lambda/publisher.ts'

const { ROCKETMQ_TOPICS = '', ROCKETMQ_PRODUCER_GROUP, AWS_LAMBDA_FUNCTION_NAME } = process.env

export const handler: ReturnType<typeof publisher> = publisher({
  topics: ROCKETMQ_TOPICS.split(',')
    .map((topic) => topic.trim())
    .filter((topic) => topic !== ''),
  producerGroup: ROCKETMQ_PRODUCER_GROUP ?? AWS_LAMBDA_FUNCTION_NAME ?? 'publish',
})
