/** Half messages and their end (protocol.md 12.1, 12.2), by low-level calls. */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { SendMessageV2 } from '../../../src/commands/send.ts'
import { EndTransaction } from '../../../src/commands/transaction.ts'
import { TRANSACTION_COMMIT, TRANSACTION_PREPARED, TRANSACTION_ROLLBACK } from '../../../src/wire/flags.ts'
import { encodeOffsetMessageId } from '../../../src/wire/message-id.ts'
import type { Cases, Context } from '../context.ts'
import { beginHalf, type Half, sendHalf } from '../halves.ts'
import { plainSend } from './requests.ts'

const bodies = async (c: Context, topic: string, count: number): Promise<string[]> =>
  (await c.read(topic, count)).map((message) => message.body.toString())

/** The code and the text of a refusal. */
const refusal = async (c: Context, half: Half): Promise<unknown> => {
  try {
    await c.call(EndTransaction, half, undefined)
  } catch (error) {
    const { responseCode, remark } = error as { responseCode?: number; remark?: string }
    return [responseCode, remark]
  }
  return 'none'
}

export const transactions: Cases = {
  'a half message is delivered once it is committed': async (c) => {
    const topic = await c.topic()
    const half = await beginHalf(c, topic, c.name('p'))
    await c.producer.send({ topic, body: 'meanwhile' })
    await c.call(EndTransaction, half, undefined)
    const stored = await c.read(topic, 2)
    deepStrictEqual(
      stored.map((message) => [message.body.toString(), message.sysFlag]),
      [
        ['meanwhile', 0],
        [half.msgId, TRANSACTION_COMMIT],
      ],
    )
    const [, message] = stored
    deepStrictEqual(
      [message?.messageId, message?.topic, { ...message?.properties }],
      [half.msgId, topic, { mine: 'ü' }],
    )
  },

  'a delivered message has the properties of its half message, and tells where that was': async (c) => {
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    const half = await beginHalf(c, topic, c.name('p'), { queueId: 1, flag: 7, properties: { TAGS: 'a' } })
    await c.call(EndTransaction, half, undefined)
    const [message] = await c.read(topic, 1, { filter: 'a' })
    const NOT_OF_TRANSACTIONS = ['MSG_REGION', 'TRACE_ON', 'CLUSTER']
    const properties = Object.entries(message?.systemProperties ?? {}).filter(
      ([name]) => !NOT_OF_TRANSACTIONS.includes(name),
    )
    deepStrictEqual(
      [message?.queue.queueId, message?.flag, Object.fromEntries(properties)],
      [
        1,
        7,
        {
          TAGS: 'a',
          UNIQ_KEY: half.msgId,
          TRAN_MSG: 'true',
          PGROUP: half.producerGroup,
          ...(c.facts.transactionId ? { __transactionId__: half.msgId } : {}),
          ...(c.facts.halfPlace ? { REAL_TOPIC: topic, REAL_QID: '1' } : {}),
        },
      ],
    )
  },

  'a send of a half message is answered with its place in the half queue': async (c) => {
    const topic = await c.topic()
    const { answer, messageId } = await sendHalf(c, topic, c.name('p'))
    deepStrictEqual(
      [answer.code, answer.header.queueId, answer.header.transactionId, answer.header.msgId.length],
      [0, 0, messageId, encodeOffsetMessageId(c.master, 0n).length],
    )
  },

  'a half message is one by its property TRAN_MSG, whatever its sysFlag and the case of its letters': async (
    c,
  ) => {
    const topic = await c.topic()
    const group = c.name('p')
    const first = await beginHalf(c, topic, group, { sysFlag: 0 })
    const second = await beginHalf(c, topic, group, { sysFlag: 0, properties: { TRAN_MSG: 'TRUE' } })
    await c.producer.send({ topic, body: 'sentinel' })
    for (const half of [first, second]) await c.call(EndTransaction, half, undefined)
    deepStrictEqual(await bodies(c, topic, 3), ['sentinel', first.msgId, second.msgId])
  },

  'a message with sysFlag 4 or 12 and without TRAN_MSG is accepted and lost': async (c) => {
    const topic = await c.topic()
    for (const sysFlag of [TRANSACTION_PREPARED, TRANSACTION_ROLLBACK]) {
      const request = plainSend(topic, { sysFlag, properties: { PGROUP: 'p' } })
      const { code, header } = await c.call(SendMessageV2, request, Buffer.from('lost'))
      deepStrictEqual([code, header.queueOffset], [0, 0n])
    }
    const { queueOffset } = await c.producer.send({ topic, body: 'sentinel' })
    deepStrictEqual([queueOffset, await bodies(c, topic, 1)], [0n, ['sentinel']])
  },

  'a half message that is rolled back is never delivered': async (c) => {
    const topic = await c.topic()
    const half = await beginHalf(c, topic, c.name('p'))
    await c.call(EndTransaction, { ...half, commitOrRollback: TRANSACTION_ROLLBACK }, undefined)
    await c.producer.send({ topic, body: 'sentinel' })
    deepStrictEqual(await bodies(c, topic, 1), ['sentinel'])
  },

  'every commit that arrives delivers another copy': async (c) => {
    const topic = await c.topic()
    const half = await beginHalf(c, topic, c.name('p'))
    for (let n = 0; n < 2; n++) await c.call(EndTransaction, half, undefined)
    deepStrictEqual(
      (await c.read(topic, 2)).map((message) => message.messageId),
      [half.msgId, half.msgId],
    )
  },

  'a rollback after a commit answers 0 and changes nothing': async (c) => {
    const topic = await c.topic()
    const half = await beginHalf(c, topic, c.name('p'))
    await c.call(EndTransaction, half, undefined)
    const { code } = await c.call(
      EndTransaction,
      { ...half, commitOrRollback: TRANSACTION_ROLLBACK },
      undefined,
    )
    deepStrictEqual([code, await bodies(c, topic, 1)], [0, [half.msgId]])
  },

  'a commit after a rollback answers 0 and delivers': async (c) => {
    const topic = await c.topic()
    const half = await beginHalf(c, topic, c.name('p'))
    await c.call(EndTransaction, { ...half, commitOrRollback: TRANSACTION_ROLLBACK }, undefined)
    const { code } = await c.call(EndTransaction, half, undefined)
    deepStrictEqual([code, await bodies(c, topic, 1)], [0, [half.msgId]])
  },

  'an end with the wrong group or offset is refused with code 1': async (c) => {
    const half = await beginHalf(c, await c.topic(), c.name('p'))
    deepStrictEqual(
      [
        await refusal(c, { ...half, producerGroup: c.name('other') }),
        await refusal(c, { ...half, tranStateTableOffset: 999_999n }),
        await refusal(c, { ...half, commitLogOffset: half.commitLogOffset + 1n }),
      ],
      [
        [1, 'The producer group wrong'],
        [1, 'The transaction state table offset wrong'],
        [1, 'Find prepared transaction message failed'],
      ],
    )
    await c.call(EndTransaction, half, undefined)
  },

  'an end that names a message which is none of a transaction is refused with code 1': async (c) => {
    const topic = await c.topic()
    const half = await beginHalf(c, topic, c.name('p'))
    const plain = await c.producer.send({ topic, body: 'plain' })
    const commitLogOffset = BigInt(`0x${plain.offsetMessageId.slice(-16)}`)
    await rejects(c.call(EndTransaction, { ...half, commitLogOffset }, undefined), { responseCode: 1 })
  },

  'an end without msgId, and one that says it answers a check, are taken': async (c) => {
    const topic = await c.topic()
    const half = await beginHalf(c, topic, c.name('p'))
    const { msgId: _, transactionId: __, topic: ___, ...bare } = half
    await c.call(EndTransaction, bare, undefined)
    await c.call(EndTransaction, { ...half, fromTransactionCheck: true }, undefined)
    deepStrictEqual(await bodies(c, topic, 2), [half.msgId, half.msgId])
  },

  'an end that neither commits nor rolls back gets no answer': async (c) => {
    const topic = await c.topic()
    const half = await beginHalf(c, topic, c.name('p'))
    const client = c.connect({ timeoutMs: 2_000 })
    await rejects(c.call(EndTransaction, { ...half, commitOrRollback: 0 }, undefined, client), {
      name: 'TimeoutError',
      outcome: 'unknown',
    })
    await c.call(EndTransaction, half, undefined)
    deepStrictEqual(await bodies(c, topic, 1), [half.msgId])
  },

  'an end with another value than commit, rollback and 0 is refused with code 1': async (c) => {
    const half = await beginHalf(c, await c.topic(), c.name('p'))
    for (const commitOrRollback of [TRANSACTION_PREPARED, 1, -1])
      await rejects(c.call(EndTransaction, { ...half, commitOrRollback }, undefined), {
        responseCode: 1,
        message: /commitOrRollback field wrong/,
      })
  },
}
