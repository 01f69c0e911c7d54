/** Reads every message of a topic once, with a group of its own. Needs `npm run rocketmq` and ROCKETMQ_NAMESRV_ADDR. */
// #region pull
import { createClient, createPullConsumer } from 'rocketmq-lambda'

const client = createClient()
const consumer = createPullConsumer(client, { consumerGroup: 'audit', filter: 'created || paid' })

for (const queue of await consumer.queues('orders')) {
  let offset = (await consumer.committedOffset(queue)) ?? (await consumer.minOffset(queue))
  for (;;) {
    const result = await consumer.pull(queue, offset)
    for (const message of result.messages) console.log(message.messageId, message.body.toString())
    if (result.undecodable.length > 0) throw result.undecodable[0]?.reason
    offset = result.nextBeginOffset
    await consumer.commitOffset(queue, offset)
    if (offset >= result.maxOffset) break
  }
}
await client.close()
// #endregion pull
