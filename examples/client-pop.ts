/** Handles messages of a topic one by one until there are none. Needs `npm run rocketmq` and ROCKETMQ_NAMESRV_ADDR. */
// #region pop
import { createClient, createPopConsumer, createProducer, type PoppedMessage } from 'rocketmq-lambda'

const client = createClient()
const pop = createPopConsumer(client, { consumerGroup: 'mailer', filter: 'created' })
const producer = createProducer(client, { producerGroup: 'mailer' })

async function sendMail(message: PoppedMessage): Promise<void> {
  console.log(message.messageId, message.body.toString())
}

for (;;) {
  const { messages } = await pop.pop('orders', { maxMessages: 8, invisibleMs: 30_000, waitMs: 2_000 })
  if (messages.length === 0) break
  for (const message of messages) {
    try {
      await sendMail(message)
    } catch (error) {
      if (message.reconsumeTimes < 5) {
        await pop.changeInvisibleDuration(message, 60_000) // another attempt in a minute
        continue
      }
      console.error(error)
      await producer.send({ topic: 'orders-failed', body: message.body, keys: [...message.keys] })
    }
    await pop.ack(message)
  }
}
await client.close()
// #endregion pop
