/** An environment whose host name, pid and clock are those of all its copies: it draws message ids, and takes a lease as who it says that it is. */
import os from 'node:os'
import { createClient, createMessageId, createPullConsumer } from '../../src/index.ts'
import { ORDERS } from './functions.ts'

const [, , nameServers = '', count = '0'] = process.argv

const frozen = Date.now()
os.hostname = () => 'sandbox'
Object.defineProperty(process, 'pid', { value: 8 })
const began = 1_767_225_600_000
const now = Date.now
Date.now = () => began + now() - frozen
process.hrtime.bigint = () => 0n

const client = createClient({ nameServers, timeoutMs: 20_000 })
const consumer = createPullConsumer(client, { consumerGroup: 'copies' })
const [queue] = await consumer.queues(ORDERS)
if (queue) await consumer.lock([queue])
await client.close()
process.send?.({
  name: `${os.hostname()}/${process.pid}`,
  messageIds: Array.from({ length: Number(count) }, createMessageId),
})
