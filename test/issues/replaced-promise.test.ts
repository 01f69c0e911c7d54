/** Libraries that put a Promise of their own in the place of the global one: what async functions give is not of that class. */
import { strictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createProducer } from '../../src/index.ts'
import { fakeCluster } from '../support/fake-cluster.ts'

describe('a process in which the global Promise was replaced', () => {
  it('sends as any other', async (t) => {
    const cluster = await fakeCluster(t)
    const credentials = { accessKey: 'x', secretKey: 'y' }
    const producer = createProducer(
      cluster.client({ credentials: async () => await Promise.resolve(credentials) }),
      {
        producerGroup: 'g',
      },
    )
    t.mock.property(globalThis, 'Promise', class extends Promise<unknown> {} as PromiseConstructor)

    const { status } = await producer.send({ topic: 'orders', body: 'x' })

    strictEqual(status, 'SEND_OK')
  })
})
