/**
 * Starts workers (functions/consume.ts) for what waits in the topics of ROCKETMQ_EVENT_SOURCES. A schedule starts it.
 *
 * ROCKETMQ_NAMESRV_ADDR      name servers
 * ROCKETMQ_EVENT_SOURCES     the worker's own: JSON, or the path of a JSON file in the bundle; mappings by name
 * ROCKETMQ_WORKER_FUNCTION   the worker: its name or ARN, with an alias or version behind a colon
 */
import { ConfigError } from '../src/errors.ts'
import { dispatcher } from '../src/lambda/dispatcher.ts'
import { clientOptions } from './client-options.ts'
import { readEventSources } from './event-sources.ts'

const functionName = process.env['ROCKETMQ_WORKER_FUNCTION'] ?? ''
if (functionName === '')
  throw new ConfigError('ROCKETMQ_WORKER_FUNCTION', 'is not set; it takes the name or the ARN of the worker')

export const handler: ReturnType<typeof dispatcher> = dispatcher({
  eventSources: readEventSources(),
  functionName,
  client: clientOptions(),
})
