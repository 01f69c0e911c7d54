/** Topics, groups, offsets and messages, as an administrator sees them. Needs a broker and ROCKETMQ_NAMESRV_ADDR. */
// #region topics
import { createClient, createClusterAdmin, createGroupAdmin, createTopicAdmin } from 'rocketmq-lambda'

const client = createClient()
const topics = createTopicAdmin(client)
const groups = createGroupAdmin(client)

await topics.create('orders', { readQueueNums: 4 })
await groups.create('billing', { retryMaxTimes: 5 })
for (const { brokerName, readQueueNums, perm } of await topics.describe('orders'))
  console.log(brokerName, readQueueNums, perm)
for (const { cluster, brokers } of await createClusterAdmin(client).describe()) console.log(cluster, brokers)

// #endregion topics

// #region partial
import { PartialError } from 'rocketmq-lambda'

try {
  await topics.update('orders', { readQueueNums: 8, writeQueueNums: 8 })
} catch (error) {
  if (!(error instanceof PartialError)) throw error
  for (const { brokerName, address } of error.done) console.log('done', brokerName, address)
  for (const { brokerName, error: reason } of error.failed) console.error('failed', brokerName, reason)
}

// #endregion partial

import { createProducer } from 'rocketmq-lambda'

const sent = await createProducer(client, { producerGroup: 'p' }).send({
  topic: 'orders',
  body: '{"order":1}',
  keys: 'order-1',
})

// #region reset
import { createOffsetAdmin } from 'rocketmq-lambda'

const offsets = createOffsetAdmin(client)
const hourAgo = new Date(Date.now() - 3_600_000)
const plan = await offsets.plan({ consumerGroup: 'billing', topic: 'orders', to: { timestamp: hourAgo } })
for (const { queue, from, to } of plan.queues) console.log(queue.brokerName, queue.queueId, from, '→', to)
await offsets.reset(plan)
// #endregion reset

// #region lag
const { lag, queues } = await groups.stats('billing')
console.log(lag)
for (const { queue, brokerOffset, consumerOffset } of queues)
  console.log(queue.topic, queue.brokerName, queue.queueId, brokerOffset, consumerOffset)
console.log(await groups.members('billing'), await topics.consumers('orders'))

// #endregion lag

// #region find
import { createMessageQuery } from 'rocketmq-lambda'

const query = createMessageQuery(client)
const byKey = await query.byKey('orders', 'order-1')
const copies = await query.byMessageId('orders', sent.messageId)
const one = await query.byOffsetId(sent.offsetMessageId)
console.log(byKey.length, copies.length, one?.body.toString())
// #endregion find

await client.close()
