/** Half messages, their end and their check (protocol.md 12), by low-level calls. */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { decodeFields } from '../../../src/commands/define.ts'
import { HeartBeat } from '../../../src/commands/heartbeat.ts'
import { SendMessageV2 } from '../../../src/commands/send.ts'
import {
  CheckTransactionState,
  EndTransaction,
  type EndTransactionRequest,
} from '../../../src/commands/transaction.ts'
import { TRANSACTION_COMMIT, TRANSACTION_PREPARED, TRANSACTION_ROLLBACK } from '../../../src/wire/flags.ts'
import { decodeMessages } from '../../../src/wire/message.ts'
import { decodeOffsetMessageId } from '../../../src/wire/message-id.ts'
import { type Cases, type Context, until } from '../context.ts'
import { plainSend } from './requests.ts'

async function begin(c: Context, topic: string, producerGroup: string): Promise<EndTransactionRequest> {
  const messageId = c.name('half')
  const properties = { TRAN_MSG: 'true', PGROUP: producerGroup, UNIQ_KEY: messageId, mine: 'ü' }
  const request = plainSend(topic, { producerGroup, properties, sysFlag: TRANSACTION_PREPARED })
  const { header } = await c.call(SendMessageV2, request, Buffer.from(messageId))
  return {
    topic,
    producerGroup,
    tranStateTableOffset: header.queueOffset,
    commitLogOffset: decodeOffsetMessageId(header.msgId).commitLogOffset,
    commitOrRollback: TRANSACTION_COMMIT,
    msgId: messageId,
    transactionId: messageId,
  }
}

export const transactions: Cases = {
  'a half message is delivered once it is committed': async (c) => {
    const topic = await c.topic()
    const half = await begin(c, topic, c.name('p'))
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

  'a half message that is rolled back is never delivered': async (c) => {
    const topic = await c.topic()
    const half = await begin(c, topic, c.name('p'))
    await c.call(EndTransaction, { ...half, commitOrRollback: TRANSACTION_ROLLBACK }, undefined)
    await c.producer.send({ topic, body: 'sentinel' })
    deepStrictEqual(
      (await c.read(topic, 1)).map((message) => message.body.toString()),
      ['sentinel'],
    )
  },

  'every commit that arrives delivers another copy': async (c) => {
    const topic = await c.topic()
    const half = await begin(c, topic, c.name('p'))
    for (let n = 0; n < 2; n++) await c.call(EndTransaction, half, undefined)
    deepStrictEqual(
      (await c.read(topic, 2)).map((message) => message.messageId),
      [half.msgId, half.msgId],
    )
  },

  'an end with the wrong group or offset is refused with code 1': async (c) => {
    const half = await begin(c, await c.topic(), c.name('p'))
    await rejects(c.call(EndTransaction, { ...half, producerGroup: c.name('other') }, undefined), {
      responseCode: 1,
    })
    await rejects(c.call(EndTransaction, { ...half, tranStateTableOffset: 999_999n }, undefined), {
      responseCode: 1,
    })
    await rejects(
      c.call(EndTransaction, { ...half, commitLogOffset: half.commitLogOffset + 1n }, undefined),
      { responseCode: 1 },
    )
    await c.call(EndTransaction, half, undefined)
  },

  'a broker asks a registered member of the producer group, and delivers on its answer': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    const client = c.connect()
    await c.call(
      HeartBeat,
      {},
      { clientID: c.name('client'), producerDataSet: [{ groupName: producerGroup }], consumerDataSet: [] },
      client,
    )
    const half = await begin(c, topic, producerGroup)
    const frame = await until('the check of the transaction', () =>
      c.recording.serverRequests.find((each) => each.code === 39 && each.ext['msgId'] === half.msgId),
    )
    const check = decodeFields(CheckTransactionState.name, CheckTransactionState.request, frame.ext)
    const { messages } = decodeMessages(frame.body)
    deepStrictEqual(
      messages.map((each) => [
        each.topic,
        each.body.toString(),
        each.properties['PGROUP'],
        check.bname,
        check.transactionId,
      ]),
      [[topic, half.msgId, producerGroup, c.brokerName, half.msgId]],
    )
    ok(check.tranStateTableOffset > half.tranStateTableOffset, 'a check stores the half message anew')
    const { tranStateTableOffset, commitLogOffset } = check
    await c.call(
      EndTransaction,
      { ...half, tranStateTableOffset, commitLogOffset, fromTransactionCheck: true },
      undefined,
    )
    deepStrictEqual(
      (await c.read(topic, 1)).map((message) => message.messageId),
      [half.msgId],
    )
  },
}
