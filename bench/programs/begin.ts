/**
 * A process that begins transactions: it says when it is ready, begins them all when it is told to, ends those that are to
 * be ended, tells of them, and would go on for ever. Its only argument is a `Begin`, as JSON.
 */
import { once } from 'node:events'
import { createClient, createPullConsumer, createTransactionProducer } from '../../src/index.ts'
import { type Begin, type Begun, kindOf } from '../transactions.ts'

const { nameServers, topic, producerGroup, first, count } = JSON.parse(process.argv[2] ?? '') as Begin
const client = createClient({ nameServers, timeoutMs: 20_000 })
const transactions = createTransactionProducer(client, { producerGroup })
// The route is there before the clock starts.
await createPullConsumer(client, { consumerGroup: 'begin' }).queues(topic)
process.send?.('ready')
await once(process, 'message')

const begun: Begun[] = []
for (let at = first; at < first + count; at++) {
  const { by, outcome } = kindOf(at)
  const start = performance.now()
  const transaction = await transactions.begin({ topic, body: `${at}`, properties: { at: `${at}` } })
  if (by === 'caller') await transactions.end(transaction, outcome)
  begun.push({ at, messageId: transaction.messageId, tookMs: performance.now() - start })
}
process.send?.(begun)
