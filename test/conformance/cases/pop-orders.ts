/** Pops in order (protocol.md 14.3). */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { QueryConsumerOffset } from '../../../src/commands/offsets.ts'
import type { PopMessageRequest } from '../../../src/commands/pop.ts'
import { ORDER_REVIVE_QUEUE, parseOrderCountInfo } from '../../../src/wire/pop-receipt.ts'
import { type Cases, type Context, failure, until } from '../context.ts'
import { ack, bodies, change, type PopAnswer, popAnswer, topicWith } from '../popping.ts'

const popInOrder = (
  c: Context,
  topic: string,
  group: string,
  changes: Partial<PopMessageRequest> = {},
): Promise<PopAnswer> => popAnswer(c, topic, group, { order: true, ...changes })

const countsOf = ({ header }: PopAnswer): Record<string, number> =>
  Object.fromEntries(parseOrderCountInfo(header.orderCountInfo ?? ''))

const committed = async (c: Context, topic: string, consumerGroup: string): Promise<bigint> => {
  const request = { consumerGroup, topic, queueId: 0, setZeroIfNotFound: false }
  return (await c.call(QueryConsumerOffset, request, undefined)).header.offset ?? -1n
}

export const popOrders: Cases = {
  'in order a queue gives nothing more until everything is acknowledged': async (c) => {
    const topic = await topicWith(c, '0', '1', '2')
    const group = c.name('pop')
    const first = await popInOrder(c, topic, group, { maxMsgNums: 2 })
    deepStrictEqual(
      [bodies(first.popped), first.header.reviveQid, countsOf(first), await committed(c, topic, group)],
      [['0', '1'], ORDER_REVIVE_QUEUE, { '0@0': 0 }, 0n],
    )
    const [zero, one] = first.popped
    ok(zero && one)
    // The later one first: the offset stays before what is missing.
    await ack(c, topic, group, one.receipt)
    const blocked = await popInOrder(c, topic, group)
    deepStrictEqual([blocked.code, await committed(c, topic, group)], [210, 0n])
    await ack(c, topic, group, zero.receipt)
    deepStrictEqual(await committed(c, topic, group), 2n)
    deepStrictEqual(bodies((await popInOrder(c, topic, group)).popped), ['2'])
    deepStrictEqual(await ack(c, topic, group, zero.receipt), 0)
  },

  'in order what is not acknowledged in time comes again from there on, with its count': async (c) => {
    const topic = await topicWith(c, '0', '1', '2')
    const group = c.name('pop')
    const [zero, one, two] = (await popInOrder(c, topic, group, { invisibleTime: 1_000n })).popped
    ok(zero && one && two)
    for (const { receipt } of [zero, two]) await ack(c, topic, group, receipt)
    const again = await until('the queue to be free', async () => {
      const answer = await popInOrder(c, topic, group)
      return answer.code === 0 ? answer : undefined
    })
    deepStrictEqual(
      [bodies(again.popped), again.popped.map(({ message }) => message.reconsumeTimes), countsOf(again)],
      [['1', '2'], [0, 0], { '0@qo0%1': 1, '0@qo0%2': 1, '0@0': 1 }],
    )
    // Of the first pop: it is answered with 0, and the queue stays as it is.
    deepStrictEqual(await ack(c, topic, group, one.receipt), 0)
    deepStrictEqual([(await popInOrder(c, topic, group)).code, await committed(c, topic, group)], [210, 1n])
    const foreign = { ...one.receipt, popTime: again.header.popTime, queueOffset: 3n }
    deepStrictEqual((await failure(ack(c, topic, group, foreign))).responseCode, 13)
  },

  'in order a changed time keeps the receipt, and the same attempt gets the same again': async (c) => {
    const topic = await topicWith(c, 'x')
    const group = c.name('pop')
    const attempt = { attemptId: 'attempt-1' }
    const [first] = (await popInOrder(c, topic, group, attempt)).popped
    ok(first)
    const repeated = await popInOrder(c, topic, group, attempt)
    const [again] = repeated.popped
    ok(again)
    deepStrictEqual(countsOf(repeated), { '0@0': 0 })
    deepStrictEqual((await popInOrder(c, topic, group, { attemptId: 'attempt-2' })).code, 210)
    const receipt = await change(c, topic, group, again.receipt, 500n)
    deepStrictEqual([receipt.popTime, receipt.reviveQid], [again.receipt.popTime, ORDER_REVIVE_QUEUE])
    const other = await until('the queue to be free', async () => {
      const answer = await popInOrder(c, topic, group, { attemptId: 'attempt-2' })
      return answer.code === 0 ? answer : undefined
    })
    deepStrictEqual([bodies(other.popped), countsOf(other)], [['x'], { '0@qo0%0': 1, '0@0': 1 }])
  },

  'in order a waiting pop is woken by the last acknowledgement, and by the end of the time': async (c) => {
    const topic = await topicWith(c, '0', '1')
    const group = c.name('pop')
    const wait = { pollTime: 20_000n, maxMsgNums: 1 }
    const [first] = (await popInOrder(c, topic, group, wait)).popped
    ok(first)
    const next = popInOrder(c, topic, group, { ...wait, invisibleTime: 1_000n })
    deepStrictEqual(await ack(c, topic, group, first.receipt), 0)
    deepStrictEqual(bodies((await next).popped), ['1'])
    deepStrictEqual(bodies((await popInOrder(c, topic, group, wait)).popped), ['1'])
  },
}
