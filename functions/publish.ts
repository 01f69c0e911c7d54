/**
 * Publishes what an HTTP API, a function URL or a direct invocation hands over.
 *
 * ROCKETMQ_NAMESRV_ADDR     name servers
 * ROCKETMQ_TOPICS           the topics that may be published to, separated by commas
 * ROCKETMQ_PROPERTIES       the properties that a request may give, separated by commas; none when it is empty; default: *, all
 *                           but RocketMQ's own
 * ROCKETMQ_PRODUCER_GROUP   default: the function's own name
 * ROCKETMQ_SECRET_ARN       credentials from Secrets Manager: client-options.ts
 */
import { ConfigError } from '../src/errors.ts'
import { publisher } from '../src/lambda/publisher.ts'
import { isReservedProperty } from '../src/wire/properties.ts'
import { clientOptions } from './client-options.ts'

const {
  ROCKETMQ_TOPICS = '',
  ROCKETMQ_PROPERTIES = '*',
  ROCKETMQ_PRODUCER_GROUP,
  AWS_LAMBDA_FUNCTION_NAME,
} = process.env

const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')

const topics = listOf(ROCKETMQ_TOPICS)
if (topics.length === 0)
  throw new ConfigError(
    'ROCKETMQ_TOPICS',
    'takes the topics that may be published to, separated by commas; got none',
  )

// Not by zod, whose lists would add 2 KB to what every cold start loads.
function propertiesOf(text: string): string[] | undefined {
  if (text.trim() === '*') return undefined
  const names = listOf(text)
  for (const name of names) {
    const wrong = isReservedProperty(name)
      ? 'is a name of RocketMQ’s own, which no request may give'
      : /[\s*;]/.test(name) && 'is no name; names stand with commas between, or * alone for all'
    if (wrong) throw new ConfigError('ROCKETMQ_PROPERTIES', `${JSON.stringify(name)} ${wrong}`)
  }
  return names
}

export const handler: ReturnType<typeof publisher> = publisher({
  topics,
  properties: propertiesOf(ROCKETMQ_PROPERTIES),
  client: clientOptions(),
  producerGroup: ROCKETMQ_PRODUCER_GROUP || AWS_LAMBDA_FUNCTION_NAME || 'publish',
})
