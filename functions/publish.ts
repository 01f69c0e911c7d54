/**
 * Publishes what an HTTP API, a function URL or a direct invocation hands over.
 *
 * ROCKETMQ_NAMESRV_ADDR     name servers
 * ROCKETMQ_TOPICS           the topics that may be published to, separated by commas
 * ROCKETMQ_PRODUCER_GROUP   default: the function's own name
 * ROCKETMQ_SECRET_ARN       credentials from Secrets Manager: client-options.ts
 */
import { ConfigError } from '../src/errors.ts'
import { publisher } from '../src/lambda/publisher.ts'
import { clientOptions } from './client-options.ts'

const { ROCKETMQ_TOPICS = '', ROCKETMQ_PRODUCER_GROUP, AWS_LAMBDA_FUNCTION_NAME } = process.env
const topics = ROCKETMQ_TOPICS.split(',')
  .map((topic) => topic.trim())
  .filter((topic) => topic !== '')
if (topics.length === 0)
  throw new ConfigError(
    'ROCKETMQ_TOPICS',
    'takes the topics that may be published to, separated by commas; got none',
  )

export const handler: ReturnType<typeof publisher> = publisher({
  topics,
  client: clientOptions(),
  producerGroup: ROCKETMQ_PRODUCER_GROUP || AWS_LAMBDA_FUNCTION_NAME || 'publish',
})
