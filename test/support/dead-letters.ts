/** Dead letters for tests: messages that are published, and given up at once. */
import { ok } from 'node:assert/strict'
import { type BatchedMessage, type Client, createProducer, createPullConsumer } from '../../src/index.ts'

export const numbered = (count: number): { body: string }[] =>
  Array.from({ length: count }, (_, n) => ({ body: `${n}` }))

/** Publishes to a topic with one queue, and gives all of it up for the group. */
export async function killMessages(
  client: Client,
  consumerGroup: string,
  topic: string,
  messages: readonly BatchedMessage[],
): Promise<void> {
  const producer = createProducer(client, { producerGroup: 'test' })
  if (messages.length > 10) await producer.sendBatch(topic, messages)
  else for (const each of messages) await producer.send({ topic, ...each })
  await bury(client, consumerGroup, topic)
}

/** Gives up all that the group has not seen of a topic with one queue. */
export async function bury(client: Client, consumerGroup: string, topic: string): Promise<void> {
  const consumer = createPullConsumer(client, { consumerGroup })
  const [queue] = await consumer.queues(topic)
  ok(queue)
  for (let offset = (await consumer.committedOffset(queue)) ?? 0n; ; ) {
    const { messages, nextBeginOffset } = await consumer.pull(queue, offset)
    if (messages.length === 0) return
    await Promise.all(messages.map((each) => consumer.sendBack(each, { delayLevel: -1 })))
    offset = nextBeginOffset
    await consumer.commitOffset(queue, offset)
  }
}
