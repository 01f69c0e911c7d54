/** Sends again when it is not known whether the message was stored, so that consumers can tell a copy. */
// #region retry
import { createClient, createMessageId, createProducer, RocketMQError } from 'rocketmq-lambda'

const client = createClient()
const producer = createProducer(client, { producerGroup: 'order-service' })
const message = { topic: 'orders', body: '{"order":1}', messageId: createMessageId() }
try {
  await producer.send(message)
} catch (error) {
  if (!RocketMQError.is(error) || error.outcome !== 'unknown') throw error
  await producer.send(message) // perhaps a second copy, under the same messageId
}
await client.close()
// #endregion retry
