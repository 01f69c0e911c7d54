/** Batches whose messages change while an earlier one is under way. */
import { deepStrictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { createClient, createProducer } from '../../src/index.ts'
import { startBroker } from '../../src/testing/index.ts'
import { decodeBatch } from '../../src/wire/index.ts'
import { fakeCluster, storing } from '../support/fake-cluster.ts'

describe('a message whose body shrinks while the batch before it is under way', () => {
  it('is sent as it is then, and nothing of this process behind it', async (t) => {
    const buffer = new ArrayBuffer(1_000, { maxByteLength: 1_000 })
    const send = storing()[RequestCode.SEND_BATCH_MESSAGE]
    const sizes: number[][] = []
    const cluster = await fakeCluster(t, {
      brokers: {
        'broker-a': {
          [RequestCode.SEND_BATCH_MESSAGE]: (frame, connection) => {
            sizes.push(decodeBatch(frame.body).map(({ body }) => body.length))
            buffer.resize(10)
            return send?.(frame, connection)
          },
        },
      },
    })
    const producer = createProducer(cluster.client(), { producerGroup: 'g' })
    const messages = [Buffer.alloc(4_194_000), new Uint8Array(buffer)].map((body) => ({ body }))

    const results = await producer.sendBatch('orders', messages)

    deepStrictEqual(
      results.map(({ outcome }) => outcome),
      ['stored', 'stored'],
    )
    deepStrictEqual(sizes, [[4_194_000], [10]])
  })
})

it('the largest batch is answered with an id for each message, which the header of the answer has room for', async (t) => {
  const broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers, timeoutMs: 60_000 })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const producer = createProducer(client, { producerGroup: 'g' })
  // Fewer bytes than an id: 22 for the message, 1 of body, and properties that the client adds.
  const messages = Array.from({ length: 40_000 }, () => ({ body: 'x' }))

  const results = await producer.sendBatch('orders', messages)

  const outcomes = Map.groupBy(results, ({ outcome }) => outcome)
  deepStrictEqual(
    [...outcomes].map(([outcome, all]) => [outcome, all.length]),
    [['stored', 40_000]],
  )
})
