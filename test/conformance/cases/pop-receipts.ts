/** Receipts of pop consumption and their traps (protocol.md 14.3): what is answered with 0, and what becomes of the message. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { GetMaxOffset, QueryConsumerOffset } from '../../../src/commands/offsets.ts'
import {
  AckMessage,
  BatchAckMessage,
  ChangeMessageInvisibleTime,
  POP_INIT_MAX,
} from '../../../src/commands/pop.ts'
import { deadLetterTopic } from '../../../src/wire/names.ts'
import { formatAckBits, formatPopReceipt } from '../../../src/wire/pop-receipt.ts'
import { type Cases, type Context, failure, until } from '../context.ts'
import {
  ack,
  ackOf,
  bodies,
  change,
  type Popped,
  pop,
  popAll,
  popAnswer,
  popRetries,
  topicWith,
} from '../popping.ts'

/** Body and attempts before this one. */
const attempts = (list: readonly Popped[]): string[] =>
  list.map(({ message }) => `${message.body.toString()} ${message.reconsumeTimes}`)

/** The code of an answer, also of one that is an error. */
const codeOf = async (call: Promise<{ code: number }>): Promise<number | undefined> =>
  await call.then(
    ({ code }) => code,
    async (error: unknown) => (await failure(Promise.reject(error as Error))).responseCode,
  )

const committed = async (c: Context, topic: string, consumerGroup: string): Promise<bigint | undefined> => {
  const request = { consumerGroup, topic, queueId: 0, setZeroIfNotFound: false }
  return (await c.call(QueryConsumerOffset, request, undefined)).header.offset
}

export const popReceipts: Cases = {
  'after a change of the time the old receipt is answered with 0 and lost; the new one holds': async (c) => {
    const topic = await topicWith(c, 'old', 'new', 'neither', 'suspended')
    const group = c.name('pop')
    const [old, renewed, neither, suspended] = await popAll(c, topic, group, 4)
    ok(old && renewed && neither && suspended)
    await change(c, topic, group, old.receipt, 2_000n)
    const receipt = await change(c, topic, group, renewed.receipt, 2_000n)
    await change(c, topic, group, neither.receipt, 2_000n)
    // The last: what came before it has been dealt with when it is back. It is no attempt that counts.
    await change(c, topic, group, suspended.receipt, 2_000n, true)
    deepStrictEqual([await ack(c, topic, group, old.receipt), await ack(c, topic, group, receipt)], [0, 0])
    const back = await popRetries(c, topic, group, 3)
    deepStrictEqual(attempts(back).toSorted(), [
      'neither 1',
      'old 1',
      c.facts.suspendIsNoAttempt ? 'suspended 0' : 'suspended 1',
    ])
  },

  'a retry is acknowledged under its stored topic, in a batch under the plain one; anything else is lost':
    async (c) => {
      const topic = await topicWith(c, 'plain', 'stored', 'batch', 'never')
      const group = c.name('pop')
      await popAll(c, topic, group, 4, 1_000n)
      const retries = await popRetries(c, topic, group, 4, 3_000n)
      const find = (body: string): Popped => {
        const found = retries.find(({ message }) => message.body.toString() === body)
        ok(found, `${body} has not come back`)
        return found
      }
      const plain = { ...ackOf(topic, group, find('plain').receipt), topic }
      const { ckQueueOffset, queueOffset, popTime, invisibleTime, reviveQid, queueId } = find('batch').receipt
      const batch = {
        consumerGroup: group,
        topic,
        retry: '1',
        startOffset: ckQueueOffset,
        queueId,
        reviveQueueId: reviveQid,
        popTime,
        invisibleTime,
        bitSet: Buffer.from(formatAckBits([Number(queueOffset - ckQueueOffset)]), 'base64'),
      }
      deepStrictEqual(
        [
          (await c.call(AckMessage, plain, undefined)).code,
          await ack(c, topic, group, find('stored').receipt),
          (await c.call(BatchAckMessage, {}, { brokerName: c.brokerName, acks: [batch] })).code,
        ],
        [0, 0, 0],
      )
      const back = await popRetries(c, topic, group, 6)
      deepStrictEqual(attempts(back).toSorted(), ['never 2', 'plain 2'])
    },

  'an acknowledgement that comes twice or too late is answered with 0; too late, the message comes again':
    async (c) => {
      const topic = await topicWith(c, 'late')
      const group = c.name('pop')
      const [first] = await popAll(c, topic, group, 1, 1_000n)
      ok(first)
      const [second] = await popAll(c, topic, group, 1, 1_000n)
      ok(second)
      deepStrictEqual(
        [await ack(c, topic, group, first.receipt), await ack(c, topic, group, first.receipt)],
        [0, 0],
      )
      const [third] = await popAll(c, topic, group, 1)
      ok(third)
      deepStrictEqual(attempts([first, second, third]), ['late 0', 'late 1', 'late 2'])
      deepStrictEqual(
        [await ack(c, topic, group, third.receipt), await ack(c, topic, group, third.receipt)],
        [0, 0],
      )
    },

  'a retry keeps what the message is and says when it was popped first': async (c) => {
    const topic = await c.topic()
    const properties = { own: 'value' }
    const sent = await c.producer.send({ topic, body: 'x', tag: 'a', keys: 'k', properties })
    await c.read(topic, 1)
    const group = c.name('pop')
    const [first] = await popAll(c, topic, group, 1, 1_000n)
    const [second] = await popAll(c, topic, group, 1)
    ok(first && second)
    const {
      TAGS,
      KEYS,
      UNIQ_KEY,
      own,
      ORIGIN_GROUP,
      POP_CK,
      '1ST_POP_TIME': firstPop,
    } = second.message.properties
    deepStrictEqual(
      { TAGS, KEYS, UNIQ_KEY, own, ORIGIN_GROUP, POP_CK, firstPop },
      {
        TAGS: 'a',
        KEYS: 'k',
        UNIQ_KEY: sent.messageId,
        own: 'value',
        ORIGIN_GROUP: c.facts.originGroup ? group : undefined,
        POP_CK: formatPopReceipt(second.receipt),
        firstPop: String(first.receipt.popTime),
      },
    )
    deepStrictEqual(second.message.bornTimestamp, first.message.bornTimestamp)
  },

  'a broker makes no dead letter of what is popped, however often it comes back': async (c) => {
    const topic = await topicWith(c, 'poison')
    const group = await c.group({ retryMaxTimes: 1 })
    const seen: number[] = []
    await until('a third retry', async () => {
      const list = await pop(c, topic, group, 500n)
      seen.push(...list.map(({ message }) => message.reconsumeTimes))
      return seen.length >= 4
    })
    const { header } = await c.call(GetMaxOffset, { topic: deadLetterTopic(group), queueId: 0 }, undefined)
    deepStrictEqual([seen, header.offset], [[0, 1, 2, 3], 0n])
  },

  'what cannot be a receipt is refused; what belongs to no pop is answered with 0': async (c) => {
    const topic = await topicWith(c, 'x')
    const group = c.name('pop')
    const [popped] = await popAll(c, topic, group, 1)
    ok(popped)
    const right = ackOf(topic, group, popped.receipt)
    const code = (changes: Partial<typeof right>): Promise<unknown> =>
      c.call(AckMessage, { ...right, ...changes }, undefined).then(
        (answer) => answer.code,
        (error: { responseCode?: number }) => error.responseCode,
      )
    deepStrictEqual(
      {
        nothing: await code({ extraInfo: '' }),
        text: await code({ extraInfo: 'garbage' }),
        noNumber: await code({ extraInfo: right.extraInfo.replace(/^\d+/, 'abc') }),
        below: await code({ offset: -1n }),
        end: await code({ offset: 1n }),
        beyond: await code({ offset: 2n }),
        otherQueue: await code({ queueId: 1 }),
        otherTopic: await code({ topic: c.name('topic') }),
        otherGroup: await code({ consumerGroup: c.name('group') }),
        otherBroker: await code({ extraInfo: right.extraInfo.replace(c.brokerName, 'another') }),
      },
      {
        nothing: 1,
        text: 1,
        noNumber: 1,
        below: 208,
        end: 0,
        beyond: 208,
        otherQueue: 13,
        otherTopic: 17,
        otherGroup: 0,
        otherBroker: 0,
      },
    )
    const longer = { ...right, invisibleTime: 1_000n }
    deepStrictEqual(
      [
        await codeOf(c.call(ChangeMessageInvisibleTime, { ...longer, offset: 1n }, undefined)),
        await codeOf(c.call(ChangeMessageInvisibleTime, { ...longer, extraInfo: 'garbage' }, undefined)),
        await codeOf(c.call(BatchAckMessage, {}, { brokerName: c.brokerName, acks: [] })),
      ],
      [c.facts.popBounds ? 208 : 0, 1, 208],
    )
  },

  "the group's committed offset moves when messages are popped, and to where it is committed back they are popped again":
    async (c) => {
      const topic = await topicWith(c, '0', '1', '2')
      const group = c.name('pop')
      deepStrictEqual(await committed(c, topic, group), undefined)
      const { popped, header } = await popAnswer(c, topic, group, { maxMsgNums: 2 })
      deepStrictEqual([bodies(popped), header.restNum], [['0', '1'], 1n])
      await until('the offset to move', async () => (await committed(c, topic, group)) === 2n)
      await c.consumer({ consumerGroup: group }).commitOffset(c.queue(topic), 1n)
      deepStrictEqual(bodies(await pop(c, topic, group)), ['1', '2'])
    },

  'a new group begins at the beginning of a small queue, even from the latest, and its begin is committed':
    async (c) => {
      const topic = await topicWith(c, '0', '1')
      const { popped } = await popAnswer(c, topic, c.name('pop'), { initMode: POP_INIT_MAX })
      deepStrictEqual(bodies(popped), ['0', '1'])
      const [empty, group] = [await c.topic(), c.name('pop')]
      const { code } = await popAnswer(c, empty, group, { initMode: POP_INIT_MAX })
      deepStrictEqual([code, await committed(c, empty, group)], [210, 0n])
    },

  'what a filter does not let through is passed over for good, retries too': async (c) => {
    const topic = await c.topic()
    for (const [body, tag] of [
      ['1', 'a'],
      ['2', 'b'],
      ['3', 'a'],
    ])
      await c.producer.send({ topic, body: body as string, tag: tag as string })
    await c.read(topic, 3)
    const group = c.name('pop')
    const { popped } = await popAnswer(c, topic, group, { exp: 'b', invisibleTime: 1_000n })
    deepStrictEqual(bodies(popped), ['2'])
    await until('the offset to pass them', async () => (await committed(c, topic, group)) === 3n)
    const retry = `%RETRY%${group}_${topic}`
    await until('the retry to be passed over', async () => {
      await popAnswer(c, topic, group, { exp: 'a' })
      return (await committed(c, retry, group).catch(() => undefined)) === 1n
    })
    deepStrictEqual(bodies(await pop(c, topic, group)), [])
  },

  'a pop of nothing is empty; one of less, of a queue, topic or kind of filter that is none is refused':
    async (c) => {
      const topic = await topicWith(c, 'x')
      const group = c.name('pop')
      deepStrictEqual((await popAnswer(c, topic, group, { maxMsgNums: 0 })).code, 210)
      deepStrictEqual(
        [
          await codeOf(popAnswer(c, topic, group, { maxMsgNums: -1 })),
          await codeOf(popAnswer(c, topic, group, { queueId: 1 })),
          await codeOf(popAnswer(c, c.name('topic'), group)),
          await codeOf(popAnswer(c, topic, group, { expType: 'OTHER', exp: 'a' })),
        ],
        [c.facts.popBounds ? 1 : 210, c.facts.wrongQueue.responseCode, 17, 23],
      )
    },
}
