/** The event source, warm, over a whole topic, or some of its queues: every record handed to a handler that does nothing. */
import { randomBytes } from 'node:crypto'
import { setFlagsFromString } from 'node:v8'
import { createClient } from '../../src/index.ts'
import { eventSource } from '../../src/lambda/index.ts'
import { lambdaContext } from '../../src/testing/index.ts'
import { job, measure } from './measure.ts'

// As functions/consume.ts does.
setFlagsFromString('--heap-growing-percent=200')

const client = createClient({ nameServers: job.nameServers })
const logger = { debug() {}, info() {}, warn() {}, error() {} }

/** What the queues hold, by a group that is new. */
async function drain(): Promise<number> {
  const consumerGroup = `${job.group}-${randomBytes(6).toString('hex')}`
  const { topic, batchSize } = job
  const handler = eventSource(
    { topic, consumerGroup, batchSize, onFailure: 'block', client, logger },
    async () => undefined,
  )
  const queues = Array.from({ length: job.queues }, (_, queueId) => ({
    topic,
    brokerName: job.brokerName,
    queueId,
  }))
  const event = { version: 1, eventSource: topic, queues }
  return (await handler(event, lambdaContext({ remainingMs: 120_000 }))).handled
}

await measure('rocketmq-lambda', async (messages) => {
  for (let rest = messages; rest > 0; rest -= job.messages) {
    const handled = await drain()
    if (handled !== job.messages) throw new Error(`${handled} of ${job.messages} were handled`)
  }
})
await client.close()
