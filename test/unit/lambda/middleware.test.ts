import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import middy from '@middy/core'
import type { Context } from 'aws-lambda'
import { ConfigError } from '../../../src/errors.ts'
import { type Client, createProducer } from '../../../src/index.ts'
import { rocketmq } from '../../../src/lambda/index.ts'
import { lambdaContext } from '../../../src/testing/index.ts'
import { fakeCluster } from '../../support/fake-cluster.ts'

describe('the middleware', () => {
  it('gives a middy handler the same client in every invocation', async (t) => {
    const cluster = await fakeCluster(t)
    const seen: Client[] = []
    const handler = middy<unknown, string, Error, Context & { rocketmq: Client }>()
      .use(rocketmq({ client: cluster.client() }))
      .handler(async (_event, context) => {
        seen.push(context.rocketmq)
        const { status } = await createProducer(context.rocketmq, { producerGroup: 'api' }).send({
          topic: 'orders',
          body: 'x',
        })
        return status
      })

    const results = [await handler({}, lambdaContext() as never), await handler({}, lambdaContext() as never)]

    assert.deepStrictEqual(results, ['SEND_OK', 'SEND_OK'])
    assert.equal(seen[0], seen[1])
    assert.equal(cluster.broker().connections.length, 1)
  })

  it('drops a connection that was closed between two invocations before the handler runs', async (t) => {
    const cluster = await fakeCluster(t)
    const client = cluster.client()
    const producer = createProducer(client, { producerGroup: 'api', retries: 0 })
    const { before } = rocketmq({ client, contextKey: 'mq' })
    const context: { mq?: Client } = {}
    await before({ context })
    await producer.send({ topic: 'orders', body: 'x' })
    for (const connection of cluster.broker().connections) connection.socket.destroy()

    await before({ context })
    const { status } = await producer.send({ topic: 'orders', body: 'y' })

    assert.equal(status, 'SEND_OK')
    assert.equal(context.mq, client)
  })

  it('refuses an empty contextKey, and a client without name servers', () => {
    assert.throws(
      () => rocketmq({ contextKey: '', client: { nameServers: '127.0.0.1:9876' } }),
      (error) => error instanceof ConfigError && error.field === 'contextKey',
    )
    assert.throws(
      () => rocketmq({ contextkey: 'mq' } as never),
      (error) => error instanceof ConfigError && error.field === 'contextkey',
    )
    assert.throws(
      () => rocketmq(),
      (error) => error instanceof ConfigError && error.field === 'nameServers',
    )
  })
})
