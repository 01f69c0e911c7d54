/** What a broker tells of transactions that were ended (protocol.md 12.2), read as functions that end them do. */
import { deepStrictEqual } from 'node:assert/strict'
import { type Ended, findEnd } from '../../../src/client/ended.ts'
import { PULL_SUBSCRIPTION, PullMessage } from '../../../src/commands/pull.ts'
import { createTransactionProducer, type Transaction, type TransactionProducer } from '../../../src/index.ts'
import { decodeMessages } from '../../../src/wire/message.ts'
import { type Cases, type Context, until } from '../context.ts'

const producerOf = (c: Context): TransactionProducer =>
  createTransactionProducer(c.client, { producerGroup: c.name('shop') })

/** As another function would, which knows the transaction only. */
const endOf = async (c: Context, transaction: Transaction): Promise<Ended | 'open'> => {
  const client = c.connect()
  return (await findEnd(client, transaction, client.deadline())) ?? 'open'
}

/** Until the broker lists the end, which takes it up to 3 s. */
const untilEnded = (c: Context, transaction: Transaction): Promise<Ended> =>
  until('the end to be listed', async () => {
    const ended = await endOf(c, transaction)
    return ended !== 'open' && ended
  })

export const transactionEnds: Cases = {
  'a transaction that nobody ended is open': async (c) => {
    const transaction = await producerOf(c).begin({ topic: await c.topic(), body: 'order' })
    deepStrictEqual(await endOf(c, transaction), 'open')
  },

  'a commit is found in the topic, as soon as it is in the index': async (c) => {
    const transactions = producerOf(c)
    const transaction = await transactions.begin({ topic: await c.topic(), body: 'order', keys: 'a' })
    await transactions.end(transaction, 'commit')
    deepStrictEqual(await untilEnded(c, transaction), 'committed')
  },

  'a rollback is found in the list of ends': async (c) => {
    const transactions = producerOf(c)
    const transaction = await transactions.begin({ topic: await c.topic(), body: 'order' })
    await transactions.end(transaction, 'rollback')
    deepStrictEqual(await untilEnded(c, transaction), 'rolledBack')
  },

  'the list of ends has the offsets of half messages, each with a comma behind it, under the tag d': async (
    c,
  ) => {
    const transactions = producerOf(c)
    const transaction = await transactions.begin({ topic: await c.topic(), body: 'order' })
    await transactions.end(transaction, 'rollback')
    await untilEnded(c, transaction)
    const lists: string[][] = []
    for (let queueOffset = 0n; ; ) {
      const { header, body } = await c.call(
        PullMessage,
        {
          consumerGroup: 'TOOLS_CONSUMER',
          topic: 'RMQ_SYS_TRANS_OP_HALF_TOPIC',
          queueId: 0,
          queueOffset,
          maxMsgNums: 32,
          sysFlag: PULL_SUBSCRIPTION,
          subscription: 'd',
        },
        undefined,
      )
      for (const message of decodeMessages(body).messages) lists.push(message.body.toString().split(','))
      if (header.nextBeginOffset === queueOffset) break
      queueOffset = header.nextBeginOffset
    }
    deepStrictEqual(
      [lists.flat().includes(transaction.queueOffset), new Set(lists.map((each) => each.at(-1)))],
      [true, new Set([''])],
    )
  },

  'the answer to a check, which is about a copy, ends the transaction': async (c) => {
    const transactions = producerOf(c)
    const topic = await c.topic()
    const [kept, dropped] = [
      await transactions.begin({ topic, body: 'kept' }),
      await transactions.begin({ topic, body: 'dropped' }),
    ]
    await transactions.check({
      windowMs: 6_000,
      resolve: async ({ body }) => (body.toString() === 'kept' ? 'commit' : 'rollback'),
    })
    deepStrictEqual([await untilEnded(c, kept), await untilEnded(c, dropped)], ['committed', 'rolledBack'])
  },
}
