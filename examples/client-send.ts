/** Every way to send. Needs `npm run rocketmq` and ROCKETMQ_NAMESRV_ADDR. */
// #region send
import { createClient, createProducer } from 'rocketmq-lambda'

const client = createClient() // ROCKETMQ_NAMESRV_ADDR
const producer = createProducer(client, { producerGroup: 'order-service' })
const sent = await producer.send({ topic: 'orders', body: '{"order":1}', tag: 'created', keys: 'order-1' })
console.log(sent.status, sent.messageId, sent.queueOffset)
// #endregion send

// #region batch
const results = await producer.sendBatch(
  'orders',
  [1, 2, 3].map((order) => ({ body: JSON.stringify({ order }), shardingKey: 'customer-7' })),
)
for (const each of results) {
  if (each.outcome === 'stored') console.log('stored', each.result.queueOffset)
  else console.error(each.outcome, each.messageId, each.error.message)
}
// #endregion batch

// #region delayed
const tomorrow = new Date(Date.now() + 86_400_000)
const later = await producer.send({ topic: 'reminders', body: 'pay', deliverAt: tomorrow })
console.log(later.recallHandle) // what producer.recall('reminders', …) takes
// #endregion delayed

// #region oneway
await producer.sendOneway({ topic: 'metrics', body: '1' }) // has left; nothing says that it was stored
// #endregion oneway

// #region close
await client.close()
// #endregion close
