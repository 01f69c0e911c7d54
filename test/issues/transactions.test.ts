/** What went wrong with transactions on brokers that are slow, or answer oddly. */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { createClient, createTransactionProducer } from '../../src/index.ts'
import { createClock, startBroker } from '../../src/testing/index.ts'
import { fakeCluster } from '../support/fake-cluster.ts'

describe('a half message whose place the broker tells in nonsense', () => {
  for (const msgId of ['', 'nonsense'])
    it(`is there all the same, and the error says so: ${JSON.stringify(msgId)}; it said nothing of it`, async (t) => {
      const cluster = await fakeCluster(t, {
        brokers: {
          'broker-a': {
            [RequestCode.SEND_MESSAGE_V2]: () => ({ ext: { msgId, queueId: '0', queueOffset: '0' } }),
          },
        },
      })
      const transactions = createTransactionProducer(cluster.client(), { producerGroup: 'shop' })

      await rejects(transactions.begin({ topic: 'orders', body: 'order' }), {
        code: 'RMQ_PROTOCOL',
        outcome: 'unknown',
        topic: 'orders',
        field: 'offsetMessageId',
      })
    })
})

it('a sweep whose resolve takes longer than its lease leaves the rest to the one that has it now; both sent all of it', async (t) => {
  const clock = createClock({ at: Date.now() })
  const broker = await startBroker({
    topics: ['orders'],
    transactionCheckInterval: 1_000,
    transactionTimeOut: 1,
    transactionCheckMax: 1,
    clock,
  })
  t.after(() => broker.close())
  const client = createClient({ nameServers: broker.nameServers })
  t.after(() => client.close())
  const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
  for (const messageId of ['first', 'second'])
    await transactions.begin({ topic: 'orders', body: messageId, messageId, shardingKey: 'one' })
  await clock.advance(5_000)

  await transactions.sweep({
    resolve: async () => {
      await clock.advance(61_000)
      await transactions.sweep({ resolve: async () => 'commit' })
      return 'commit'
    },
  })

  // The one that it had in its hands comes twice.
  deepStrictEqual(
    broker.messages('orders').map(({ body }) => body.toString()),
    ['first', 'second', 'first'],
  )
})
