/** Batches whose messages change while an earlier one is under way. */
import { deepStrictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { createProducer } from '../../src/index.ts'
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
