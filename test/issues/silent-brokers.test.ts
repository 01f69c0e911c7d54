/**
 * A broker that fell silent while a batch was handled kept the commits of the others back: the leases of all of them were renewed before
 * each, and the silent one was waited for, to the end of the invocation. What was handled came again, from brokers that were well.
 */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { createClient, createProducer } from '../../src/index.ts'
import { eventSource } from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../src/testing/index.ts'

const queueOf = (brokerName: string): { topic: string; brokerName: string; queueId: number } => ({
  topic: 'orders',
  brokerName,
  queueId: 0,
})
const LOCK = 41

for (const [what, codes] of [
  ['nothing', [undefined]],
  ['nothing about leases', [LOCK]],
] as const)
  it(`what was handled of one broker is committed while the other answers ${what}`, async (t) => {
    const broker = await startBroker({ brokers: 2, topics: { orders: { queues: 1 } } })
    const client = createClient({ nameServers: broker.nameServers, timeoutMs: 60_000 })
    t.after(async () => {
      await client.close()
      await broker.close()
    })
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (const brokerName of ['broker-a', 'broker-b'])
      await producer.send({ topic: 'orders', body: brokerName, queue: queueOf(brokerName) })
    const silences = codes.map(
      (code) => ({ fault: 'drop', server: 'broker-a', ...(code && { code }) }) as const,
    )
    const handler = eventSource({ topic: 'orders', consumerGroup: 'billing', client }, async () => {
      for (const each of silences) broker.faults.add(each)
    })

    const failing = handler(scheduledEvent(), lambdaContext({ remainingMs: 6_000 }))

    await assert.rejects(failing, { code: 'RMQ_DEADLINE' })
    const committed = ['broker-a', 'broker-b'].map((name) => broker.committedOffset('billing', queueOf(name)))
    assert.deepStrictEqual(committed, [0n, 1n])
  })
