/**
 * Publishes what an HTTP API, a function URL or a direct invocation hands over.
 *
 * ROCKETMQ_NAMESRV_ADDR         name servers
 * ROCKETMQ_TOPICS               the topics that may be published to, separated by commas
 * ROCKETMQ_PROPERTIES           the properties that a request may give, separated by commas; none when it is empty; default: *,
 *                               all but RocketMQ's own
 * ROCKETMQ_PRODUCER_GROUP       default: the function's own name; with transactions that of who ends and checks them, without a default
 * ROCKETMQ_TRANSACTION_SECRET   begins transactions too: its secret, or several separated by commas, the first of which signs
 * ROCKETMQ_SECRET_ARN           credentials from Secrets Manager: client-options.ts
 */
import { ConfigError } from '../src/errors.ts'
import { publisher } from '../src/lambda/publisher.ts'
import { isReservedProperty } from '../src/wire/properties.ts'
import { clientOptions } from './client-options.ts'
import { listOf, requiredList } from './lists.ts'
import { producerGroup } from './producer-group.ts'

const {
  ROCKETMQ_PROPERTIES = '*',
  ROCKETMQ_PRODUCER_GROUP,
  ROCKETMQ_TRANSACTION_SECRET = '',
  AWS_LAMBDA_FUNCTION_NAME,
} = process.env

const secret = listOf(ROCKETMQ_TRANSACTION_SECRET)

// Not by zod, which nothing else here needs: every cold start would load it.
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
  topics: requiredList('ROCKETMQ_TOPICS', 'the topics that may be published to'),
  properties: propertiesOf(ROCKETMQ_PROPERTIES),
  client: clientOptions(),
  ...(secret.length > 0
    ? { producerGroup: producerGroup(), transactions: { secret } }
    : { producerGroup: ROCKETMQ_PRODUCER_GROUP || AWS_LAMBDA_FUNCTION_NAME || 'publish' }),
})
