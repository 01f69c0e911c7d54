/** Pops that wait, and requests that only look: 200052, 200054, 200055 (protocol.md 14.1, 14.4). */
import { deepStrictEqual } from 'node:assert/strict'
import { Notification, PeekMessage, PollingInfo } from '../../../src/testing/broker/handlers/more-commands.ts'
import { decodeMessages } from '../../../src/wire/message.ts'
import { popRetryTopicV1 } from '../../../src/wire/names.ts'
import { type Cases, type Context, failure, until } from '../context.ts'
import { bodies, pop, popAll, popAnswer, topicWith } from '../popping.ts'

const waiting = async (c: Context, topic: string, consumerGroup: string, queueId = -1): Promise<number> => {
  const { header } = await c.call(PollingInfo, { consumerGroup, topic, queueId }, undefined)
  return header.pollingNum
}

const wait = { pollTime: 20_000n }

export const popWaits: Cases = {
  'a message wakes one of the pops that wait for it': async (c) => {
    const topic = await c.topic()
    const group = await c.group()
    const two = [popAnswer(c, topic, group, wait), popAnswer(c, topic, group, wait)]
    await until('two pops to wait', async () => (await waiting(c, topic, group)) === 2)
    deepStrictEqual(await waiting(c, topic, group, 0), 0)
    await c.producer.send({ topic, body: '1' })
    await Promise.race(two)
    deepStrictEqual(await waiting(c, topic, group), 1)
    await c.producer.send({ topic, body: '2' })
    const answers = await Promise.all(two)
    deepStrictEqual(answers.map(({ popped }) => bodies(popped).join()).toSorted(), ['1', '2'])
  },

  'a message that the filter does not let through wakes no pop': async (c) => {
    const topic = await c.topic()
    const group = await c.group()
    const answer = popAnswer(c, topic, group, { ...wait, exp: 'a || c' })
    await until('the pop to wait', async () => (await waiting(c, topic, group)) === 1)
    await c.producer.send({ topic, body: '1', tag: 'b' })
    await c.producer.send({ topic, body: '2', tag: 'c' })
    deepStrictEqual(bodies((await answer).popped), ['2'])
  },

  'a message that comes back wakes a pop': async (c) => {
    const topic = await topicWith(c, 'x')
    const group = c.name('pop')
    await popAll(c, topic, group, 1, 1_000n)
    const { popped } = await popAnswer(c, topic, group, wait)
    deepStrictEqual(
      popped.map(({ message }) => message.reconsumeTimes),
      [1],
    )
  },

  'the wait counts from when the pop was made by its clock': async (c) => {
    const topic = await c.topic()
    const group = await c.group()
    const now = BigInt(Date.now())
    const codes = await Promise.all([
      popAnswer(c, topic, group, { pollTime: 300n, bornTime: now }).then(({ code }) => code),
      popAnswer(c, topic, group, { pollTime: 20_000n, bornTime: now - 60_000n }).then(({ code }) => code),
    ])
    deepStrictEqual(codes, [210, 210])
  },

  'a peek looks and takes nothing; a retry is seen under its stored topic': async (c) => {
    const topic = await c.topic()
    const group = await c.group()
    const peek = async (maxMsgNums = 32): Promise<[number, string[]]> => {
      const request = { consumerGroup: group, topic, queueId: -1, maxMsgNums }
      const { code, body } = await c.call(PeekMessage, request, undefined)
      return [code, decodeMessages(body).messages.map((each) => `${each.topic} ${each.body.toString()}`)]
    }
    deepStrictEqual(await peek(), [19, []])
    await c.producer.send({ topic, body: '1' })
    await c.producer.send({ topic, body: '2' })
    await c.read(topic, 2)
    deepStrictEqual(await peek(1), [0, [`${topic} 1`]])
    deepStrictEqual(await peek(40), [0, [`${topic} 1`, `${topic} 2`]])
    await popAll(c, topic, group, 2, 1_000n)
    const retry = popRetryTopicV1(group, topic)
    const seen = await until('both to come back', async () => {
      const answer = await peek()
      return answer[1].length === 2 ? answer : undefined
    })
    deepStrictEqual(seen, [0, [`${retry} 1`, `${retry} 2`]])
    const request = { consumerGroup: group, topic, queueId: 1, maxMsgNums: 1 }
    deepStrictEqual(
      (await failure(c.call(PeekMessage, request, undefined))).responseCode,
      c.facts.wrongQueue.responseCode,
    )
  },

  'a notification tells that there is something to pop, or waits for it': async (c) => {
    const topic = await c.topic()
    const group = await c.group()
    const ask = async (pollTime: bigint): Promise<boolean> => {
      const request = { consumerGroup: group, topic, queueId: -1, pollTime, bornTime: 0n }
      return (await c.call(Notification, request, undefined)).header.hasMsg
    }
    deepStrictEqual([await ask(0n), await ask(200n)], [false, false])
    const waits = ask(20_000n)
    deepStrictEqual(await waiting(c, topic, group), 0) // only pops are counted
    await c.producer.send({ topic, body: 'x' })
    deepStrictEqual([await waits, await ask(0n)], [true, true])
    await until('the message to be popped', async () => (await pop(c, topic, group)).length === 1)
    await until('nothing to be left', async () => !(await ask(0n)))
  },
}
