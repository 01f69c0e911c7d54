/** A cold start of the client alone: 100 messages of one queue, the offset committed and acknowledged, all closed. */
import { createClient, createPullConsumer } from '../../src/index.ts'

const { nameServer, queue, consumerGroup } = JSON.parse(process.argv[2] ?? '')
const client = createClient({ nameServers: nameServer })
const consumer = createPullConsumer(client, { consumerGroup })
let offset = 0n
let messages = 0
while (messages < 100) {
  const result = await consumer.pull(queue, offset, { maxMessages: Math.min(32, 100 - messages) })
  messages += result.messages.length
  offset = result.nextBeginOffset
}
await consumer.commitOffset(queue, offset)
await client.close()
process.stdout.write('done')
