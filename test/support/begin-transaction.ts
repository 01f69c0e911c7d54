/** A process that begins a transaction, does its work, prints the id of the message, and would end it after an hour. */
import { setTimeout as delay } from 'node:timers/promises'
import { createClient, createTransactionProducer } from '../../src/index.ts'

const [nameServers = '', topic = '', producerGroup = ''] = process.argv.slice(2)
const client = createClient({ nameServers, timeoutMs: 20_000 })
const transactions = createTransactionProducer(client, { producerGroup })
await transactions.run({ topic, body: 'the order' }, async ({ messageId }) => {
  process.stdout.write(messageId)
  await delay(3_600_000)
})
