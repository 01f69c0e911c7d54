/** Writes an order and publishes it, or does neither. Needs `npm run rocketmq -- --features` and ROCKETMQ_NAMESRV_ADDR. */
// #region place
import { createClient, createTransactionProducer, type Resolve } from 'rocketmq-lambda'

/** Stands for a table that every function sees; writes are conditional: whoever is first decides. */
const orders = new Map<string, 'placed' | 'abandoned'>()
const decide = async (id: string, state: 'placed' | 'abandoned'): Promise<string> => {
  if (!orders.has(id)) orders.set(id, state)
  return orders.get(id) ?? state
}

const client = createClient()
const transactions = createTransactionProducer(client, { producerGroup: 'order-service' })

const { messageId, outcome } = await transactions.run(
  { topic: 'orders', body: '{"order":1}' },
  async (begun) => {
    if ((await decide(begun.messageId, 'placed')) !== 'placed') throw new Error('came too late')
  },
)
console.log(messageId, outcome)
// #endregion place

// #region check
/** How long placing an order may take, all in all. */
const MOST_MS = 60_000

const resolve: Resolve = async ({ messageId: id, bornTimestamp }) => {
  if (orders.get(id) === 'placed') return 'commit'
  if (Date.now() - bornTimestamp < MOST_MS) return 'unknown' // it may still be written
  return (await decide(id, 'abandoned')) === 'placed' ? 'commit' : 'rollback'
}

// On a schedule, every two minutes.
const { resolved, unknown, failed, nearestToLast } = await transactions.check({ windowMs: 35_000, resolve })
console.log(resolved.committed.length, resolved.rolledBack.length, unknown.length, failed, nearestToLast)

// On a schedule, every hour: what brokers have given up on.
console.log(await transactions.sweep({ resolve }))
// #endregion check
await client.close()
