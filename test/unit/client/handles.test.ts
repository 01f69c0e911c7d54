/**
 * What is left when everything is closed: no socket, timer or server, after whatever a broker did; and no rejection that nobody
 * handled on the way. In a process of its own, which must end by itself.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'

const run = promisify(execFile)
const from = (path: string): string => JSON.stringify(join(import.meta.dirname, '../../..', path))

/** Calls of each kind on a broker that fails in each way, closed while some are under way. */
const SCRIPT = `
  import { createClient, createPopConsumer, createProducer, createPullConsumer, createTransactionProducer, serve } from ${from('src/index.ts')}
  import { startBroker } from ${from('src/testing/index.ts')}
  const faults = [{ fault: 'drop' }, { fault: 'reset' }, { fault: 'half-frame' }, { fault: 'lose-answer' }, { fault: 'busy' },
    { fault: 'refuse', responseCode: 1 }, { fault: 'delay', ms: 30 }, { fault: 'freeze', ms: 60 }, { fault: 'kill', ms: 30 }]
  // 80 ms are little for the first connection on a busy machine.
  const sendAtLast = async (producer, left = 100) => {
    await producer.send({ topic: 'orders', body: 'x' }).catch((error) => {
      if (!left) throw error
      return sendAtLast(producer, left - 1)
    })
  }
  const unhandled = []
  process.on('unhandledRejection', (reason) => unhandled.push(String(reason)))
  process.on('uncaughtException', (error) => unhandled.push(String(error)))
  const before = process.getActiveResourcesInfo()
  let settled = 0
  for (const server of ['broker-a', 'name-server'])
    for (const fault of server === 'broker-a' ? faults : faults.slice(0, 3)) {
      const broker = await startBroker({ topics: { orders: { queues: 1 } } })
      const client = createClient({ nameServers: broker.nameServers, timeoutMs: 80 })
      const producer = createProducer(client, { producerGroup: 'shop' })
      const puller = createPullConsumer(client, { consumerGroup: 'billing' })
      const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
      await sendAtLast(producer)
      broker.faults.add({ ...fault, server })
      const calls = [
        () => producer.send({ topic: 'orders', body: 'x' }),
        () => producer.sendBatch('orders', [{ body: 'x' }]),
        () => producer.sendOneway({ topic: 'orders', body: 'x' }),
        () => createTransactionProducer(client, { producerGroup: 'shop' }).begin({ topic: 'orders', body: 'x' }),
        () => puller.pull(queue, 0n),
        () => puller.pull(queue, 100n, { waitMs: 5_000 }),
        () => puller.lock([queue]),
        () => createPopConsumer(client, { consumerGroup: 'popping' }).pop('orders', { waitMs: 5_000 }),
        () => serve(client, { consumerGroup: 'billing', windowMs: 100 }),
      ]
      const first = Promise.allSettled(calls.slice(0, 5).map((call) => call()))
      settled += (await first).length
      const under = Promise.allSettled(calls.map((call) => call()))
      await new Promise((resolve) => setImmediate(resolve))
      await client.close()
      settled += (await under).length
      await broker.close()
    }
  await new Promise((resolve) => setImmediate(resolve))
  const names = process.getActiveResourcesInfo()
  for (const name of before) if (names.includes(name)) names.splice(names.indexOf(name), 1)
  console.log(JSON.stringify({ settled, unhandled, left: names.filter((name) => name !== 'Immediate') }))
`

describe('a process', () => {
  it('has nothing left when clients and brokers are closed, and ends', async () => {
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', SCRIPT], {
      timeout: 60_000,
    })

    deepStrictEqual(JSON.parse(stdout), { settled: (9 + 3) * 14, unhandled: [], left: [] })
  })
})
