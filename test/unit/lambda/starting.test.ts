/** Where a group begins, and which queues it reads: the event source on the local broker. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClient } from '../../../src/index.ts'
import type { RocketMQEvent } from '../../../src/lambda/index.ts'
import { consuming } from '../../support/consuming.ts'

const bodies = ({ records }: RocketMQEvent): string[] =>
  Object.values(records)
    .flat()
    .map(({ body }) => body.toString())

describe('a group that begins', () => {
  it('with AT_TIMESTAMP reads what was stored at or after the time, and goes on from there', async () => {
    await using own = await consuming()
    const handled: string[] = []
    const handle = async (event: RocketMQEvent): Promise<void> => void handled.push(...bodies(event))

    await own.publish('before')
    await own.broker.clock.advance(60_000)
    const time = new Date(own.broker.clock.now() - 1_000)
    await own.publish('after')
    const options = { startingPosition: 'AT_TIMESTAMP', startingPositionTimestamp: time.toISOString() }
    const first = await own.run(handle, options)
    await own.publish('later')
    await own.run(handle, options)

    assert.deepStrictEqual([handled, first.skipped, own.committed()], [['after', 'later'], 0, 3n])
  })

  it('with a filter that is no SQL92 fails with the parser’s words, and reads nothing', async () => {
    await using own = await consuming()
    await own.publish('1')

    const running = own.run(async () => assert.fail('everything would be handed over'), {
      filter: { sql: 'color = = 1' },
    })

    await assert.rejects(running, { code: 'RMQ_CONFIG', field: 'filter.sql' })
    assert.deepStrictEqual(own.committed(), undefined)
  })
})

describe('a queue that is taken away', () => {
  const QUEUES = [0, 1].map((queueId) => ({ topic: 'orders', brokerName: 'broker-a', queueId }))

  it('fails what has its route still; the others are read, and what has none leaves it out', async () => {
    await using own = await consuming()
    own.broker.createTopic('orders', { queues: 2 })
    const options = { client: createClient({ nameServers: own.broker.nameServers }) }
    const fresh = { client: { nameServers: own.broker.nameServers } }
    await own.run(async () => undefined, options)
    await own.producer.send({ topic: 'orders', body: '0', queue: QUEUES[0] })
    await own.producer.send({ topic: 'orders', body: 'gone', queue: QUEUES[1] })
    own.broker.createTopic('orders', { queues: 1 })

    await assert.rejects(
      own.run(async () => undefined, options),
      { code: 'RMQ_BROKER' },
    )
    const offset = own.committed()
    await own.producer.send({ topic: 'orders', body: '1', queue: QUEUES[0] })
    const result = await own.run(async () => undefined, fresh)
    await options.client.close()

    assert.deepStrictEqual(
      [offset, result.handled, result.queues.map(({ queueId }) => queueId), own.committed()],
      [1n, 1, [0], 2n],
    )
  })
})
