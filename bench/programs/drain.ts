/** The event source, warm, over a whole topic: every record of it handed to a handler that does nothing. */
import { randomBytes } from 'node:crypto'
import { createClient } from '../../src/index.ts'
import { eventSource, type RecordHandler } from '../../src/lambda/index.ts'
import { lambdaContext } from '../../src/testing/index.ts'
import { job, measure } from './measure.ts'

const client = createClient({ nameServers: job.nameServers })
const logger = { debug() {}, info() {}, warn() {}, error() {} }

/** By a group that is new. */
async function drain(handle: RecordHandler): Promise<number> {
  const consumerGroup = `${job.group}-${randomBytes(6).toString('hex')}`
  const { topic, batchSize } = job
  const handler = eventSource({ topic, consumerGroup, batchSize, onFailure: 'block', client, logger }, handle)
  return (await handler({}, lambdaContext({ remainingMs: 120_000 }))).handled
}

/** Stops when about so many have passed. */
async function warmUp(messages: number): Promise<void> {
  const enough = new Error('enough')
  let count = 0
  const handle: RecordHandler = async ({ records }) => {
    for (const { length } of Object.values(records)) count += length
    if (count >= messages) throw enough
  }
  await drain(handle).catch((error: unknown) => {
    if (error !== enough) throw error
  })
}

await measure('rocketmq-lambda', async (messages) => {
  if (messages === job.warmup) return await warmUp(messages)
  const handled = await drain(async () => undefined)
  if (handled !== messages) throw new Error(`${handled} of ${messages} were handled`)
})
await client.close()
