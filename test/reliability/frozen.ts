/** A function that makes one call of the client in an invocation, as the first thing it does. */
import { createClient, createProducer, createPullConsumer } from '../../src/index.ts'

const topic = process.env['TOPIC'] ?? ''
const queue = { topic, brokerName: 'broker-a', queueId: 0 }
const client = createClient()
const producer = createProducer(client, { producerGroup: topic })
const consumer = createPullConsumer(client, { consumerGroup: `${topic}-calls` })

const calls: Record<FrozenEvent['call'], () => Promise<unknown>> = {
  send: () => producer.send({ topic, body: '{}' }),
  pull: () => consumer.pull(queue, 0n, { maxMessages: 1 }),
  'waiting-pull': () => consumer.pull(queue, 0n, { maxMessages: 1, waitMs: 1_000 }),
  commit: () => consumer.commitOffset(queue, 0n),
}

export interface FrozenEvent {
  call: 'send' | 'pull' | 'waiting-pull' | 'commit'
  /** Leaves the call in flight when the invocation ends. */
  leave?: boolean
}

export interface FrozenResult {
  /** How the call ended that was left in flight before. */
  left?: string
  /** How the call ended. */
  outcome?: string
}

const outcomeOf = async (call: Promise<unknown>): Promise<string> =>
  await call.then(
    () => 'done',
    (error: Error & { code?: string }) => error.code ?? error.message,
  )

let inFlight: Promise<string> | undefined

export const handler = async ({ call, leave = false }: FrozenEvent): Promise<FrozenResult> => {
  await client.thaw()
  if (leave) {
    inFlight = outcomeOf(calls[call]())
    return {}
  }
  const outcome = await outcomeOf(calls[call]())
  const left = await inFlight
  inFlight = undefined
  return { outcome, ...(left !== undefined && { left }) }
}
