/** Pop consumption (protocol.md 14), by low-level calls. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import {
  AckMessage,
  BatchAckMessage,
  ChangeMessageInvisibleTime,
  POP_INIT_MIN,
  PopMessage,
} from '../../../src/commands/pop.ts'
import { decodeMessages, type StoredMessage } from '../../../src/wire/message.ts'
import {
  formatAckBits,
  formatPopReceipt,
  type PopReceipt,
  parseMsgOffsetInfo,
  parsePopReceipt,
  parseStartOffsetInfo,
  popStoredTopic,
} from '../../../src/wire/pop-receipt.ts'
import { type Cases, type Context, failure, until } from '../context.ts'

interface Popped {
  message: StoredMessage
  receipt: PopReceipt
}

async function pop(
  c: Context,
  topic: string,
  consumerGroup: string,
  invisibleMs = 60_000n,
): Promise<Popped[]> {
  const { header, body } = await c.call(
    PopMessage,
    {
      consumerGroup,
      topic,
      queueId: -1,
      maxMsgNums: 32,
      invisibleTime: invisibleMs,
      initMode: POP_INIT_MIN,
      expType: 'TAG',
      exp: '*',
    },
    undefined,
  )
  const starts = parseStartOffsetInfo(header.startOffsetInfo ?? '')
  return decodeMessages(body).messages.map((message) => {
    const text = message.properties['POP_CK']
    if (text !== undefined) return { message, receipt: parsePopReceipt(text) }
    const { popTime, invisibleTime, reviveQid } = header
    const { queueId, queueOffset } = message
    const ckQueueOffset = starts.get(`0@${queueId}`) ?? -1n
    const receipt = {
      ckQueueOffset,
      popTime,
      invisibleTime,
      reviveQid,
      retryFlag: '0',
      brokerName: c.brokerName,
      queueId,
      queueOffset,
    }
    return { message, receipt }
  })
}

const ackOf = (topic: string, consumerGroup: string, receipt: PopReceipt) => ({
  consumerGroup,
  topic: popStoredTopic(consumerGroup, topic, receipt.retryFlag),
  queueId: receipt.queueId,
  extraInfo: formatPopReceipt(receipt),
  offset: receipt.queueOffset,
})

/** Pops until the messages that were popped before have come back; what is acknowledged never does. */
async function comeBack(c: Context, topic: string, group: string, count: number): Promise<Popped[]> {
  const back: Popped[] = []
  return await until(`${count} messages to come back`, async () => {
    back.push(...(await pop(c, topic, group)))
    return back.length >= count ? back : undefined
  })
}

const bodies = (list: readonly Popped[]): string[] =>
  list.map(({ message }) => message.body.toString()).toSorted()

export const pops: Cases = {
  'popped messages are invisible to the next pop, and the answer says where each stands': async (c) => {
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    for (let n = 0; n < 4; n++)
      await c.producer.send({ topic, body: String(n), queue: c.queue(topic, n % 2) })
    await c.read(topic, 4)
    const group = c.name('pop')
    const request = {
      consumerGroup: group,
      topic,
      queueId: 1,
      maxMsgNums: 32,
      invisibleTime: 60_000n,
      initMode: POP_INIT_MIN,
    }
    const answer = await c.call(PopMessage, request, undefined)
    deepStrictEqual(
      [
        parseStartOffsetInfo(answer.header.startOffsetInfo ?? ''),
        parseMsgOffsetInfo(answer.header.msgOffsetInfo ?? ''),
      ],
      [new Map([['0@1', 0n]]), new Map([['0@1', [0n, 1n]]])],
    )
    const again = await c.call(PopMessage, request, undefined)
    deepStrictEqual([again.code, again.meaning, again.body.length], [210, 'empty', 0])
    deepStrictEqual(bodies(await pop(c, topic, group)), ['0', '2'])
  },

  'what is acknowledged, one by one or in a batch, does not come back; the rest does, as a retry': async (
    c,
  ) => {
    const topic = await c.topic()
    for (let n = 0; n < 4; n++) await c.producer.send({ topic, body: String(n) })
    await c.read(topic, 4)
    const group = c.name('pop')
    const popped = await until('all messages', async () => {
      const list = await pop(c, topic, group, 3_000n)
      return list.length === 4 ? list : undefined
    })
    const [first, second, third] = popped
    ok(first && second && third)
    await c.call(AckMessage, ackOf(topic, group, first.receipt), undefined)
    const { ckQueueOffset, popTime, invisibleTime, reviveQid, queueId } = second.receipt
    const bits = formatAckBits(
      [second, third].map(({ receipt }) => Number(receipt.queueOffset - ckQueueOffset)),
    )
    await c.call(
      BatchAckMessage,
      {},
      {
        brokerName: c.brokerName,
        acks: [
          {
            consumerGroup: group,
            topic,
            retry: '0',
            startOffset: ckQueueOffset,
            queueId,
            reviveQueueId: reviveQid,
            popTime,
            invisibleTime,
            bitSet: Buffer.from(bits, 'base64'),
          },
        ],
      },
    )
    const back = await comeBack(c, topic, group, 1)
    deepStrictEqual(
      back.map(({ message, receipt }) => [
        message.body.toString(),
        message.topic,
        message.reconsumeTimes,
        receipt.retryFlag,
      ]),
      [['3', topic, 1, '1']],
    )
  },

  'a longer time makes a new receipt': async (c) => {
    const topic = await c.topic()
    await c.producer.send({ topic, body: 'x' })
    await c.read(topic, 1)
    const group = c.name('pop')
    const [popped] = await pop(c, topic, group)
    ok(popped)
    const ack = ackOf(topic, group, popped.receipt)
    const { header } = await c.call(ChangeMessageInvisibleTime, { ...ack, invisibleTime: 30_000n }, undefined)
    ok(header.popTime >= popped.receipt.popTime)
    deepStrictEqual(header.invisibleTime, 30_000n)
    const { popTime, invisibleTime, reviveQid } = header
    const renewed = {
      ...popped.receipt,
      ckQueueOffset: popped.receipt.queueOffset,
      popTime,
      invisibleTime,
      reviveQid,
    }
    deepStrictEqual((await c.call(AckMessage, ackOf(topic, group, renewed), undefined)).code, 0)
  },

  'an offset outside the queue cannot be acknowledged, nor can more than 32 be popped': async (c) => {
    const topic = await c.topic()
    await c.producer.send({ topic, body: 'x' })
    await c.read(topic, 1)
    const group = c.name('pop')
    const [popped] = await pop(c, topic, group)
    ok(popped)
    const ack = ackOf(topic, group, popped.receipt)
    deepStrictEqual(await failure(c.call(AckMessage, { ...ack, offset: 99n }, undefined)), {
      error: 'BrokerError',
      responseCode: 208,
      outcome: 'refused',
    })
    const request = {
      consumerGroup: group,
      topic,
      queueId: -1,
      maxMsgNums: 33,
      invisibleTime: 1_000n,
      initMode: POP_INIT_MIN,
    }
    deepStrictEqual(await failure(c.call(PopMessage, request, undefined)), {
      error: 'BrokerError',
      responseCode: 29,
      outcome: 'refused',
    })
  },
}
