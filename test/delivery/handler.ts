/** The function of the delivery suite, bundled and run as deployed: a mapping whose handler, or target, handles orders. */
import { number, object } from 'zod/mini'
import { eventSource } from '../../src/lambda/event-source.ts'
import { handleOrders } from './orders.ts'

const { client, ...mapping } = JSON.parse(process.env['ROCKETMQ_EVENT_SOURCES'] ?? '')
const options = {
  ...mapping,
  client,
  // A schema cannot travel in a variable.
  ...(process.env['SCHEMA'] && { schema: object({ n: number() }) }),
  logger: { debug() {}, info() {}, warn() {}, error() {} },
}

export const handler: ReturnType<typeof eventSource> = mapping.target
  ? eventSource(options)
  : eventSource(options, async (event, context) => await handleOrders(event, context.awsRequestId))
