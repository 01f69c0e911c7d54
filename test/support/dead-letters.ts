/** Dead letters for tests: messages that are published, and given up at once. */
import { ok } from 'node:assert/strict'
import { SendMessageV2 } from '../../src/commands/send.ts'
import {
  type BatchedMessage,
  type Client,
  createProducer,
  createPullConsumer,
  deadLetterTopic,
} from '../../src/index.ts'
import { plainSend } from '../conformance/cases/requests.ts'

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
  const ends: bigint[] = []
  if (messages.length > 10)
    for (const each of await producer.sendBatch(topic, messages)) {
      if (each.outcome !== 'stored') throw each.error
      ends.push(each.result.queueOffset + 1n)
    }
  else for (const each of messages) ends.push((await producer.send({ topic, ...each })).queueOffset + 1n)
  await bury(client, consumerGroup, topic, ends.at(-1))
}

/**
 * Gives up all that the group has not seen of a topic with one queue.
 * @param end where it ends: of what was stored just now a busy broker shows consumers nothing for a while
 */
export async function bury(client: Client, consumerGroup: string, topic: string, end = 0n): Promise<void> {
  const consumer = createPullConsumer(client, { consumerGroup })
  const [queue] = await consumer.queues(topic)
  ok(queue)
  for (let offset = (await consumer.committedOffset(queue)) ?? 0n; ; ) {
    const { messages, nextBeginOffset } = await consumer.pull(queue, offset)
    if (messages.length === 0 && offset >= end) return
    await Promise.all(messages.map((each) => consumer.sendBack(each, { delayLevel: -1 })))
    offset = nextBeginOffset
    await consumer.commitOffset(queue, offset)
  }
}

/** Adds a letter that says it is compressed, and is not, to those that a group has in queue 0 of broker-a. */
export async function addBroken(
  client: Client,
  consumerGroup: string,
  properties: Readonly<Record<string, string>> = {},
): Promise<void> {
  const topic = deadLetterTopic(consumerGroup)
  const deadline = client.deadline()
  const address = client.routes.address(await client.route(topic, deadline), 'broker-a')
  const request = plainSend(topic, { sysFlag: 1, properties })
  await client.network.call(address, SendMessageV2, request, Buffer.from('no zlib'), { deadline })
}
