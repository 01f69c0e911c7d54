/** Pop consumption (protocol.md 14), by low-level calls. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import {
  AckMessage,
  BatchAckMessage,
  ChangeMessageInvisibleTime,
  POP_INIT_MIN,
  PopMessage,
} from '../../../src/commands/pop.ts'
import { formatAckBits, parseMsgOffsetInfo, parseStartOffsetInfo } from '../../../src/wire/pop-receipt.ts'
import { type Cases, failure, until } from '../context.ts'
import { ackOf, bodies, pop, popAll } from '../popping.ts'

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
    const back = await popAll(c, topic, group, 1)
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
      ...c.facts.wrongQueue,
    })
  },
}
