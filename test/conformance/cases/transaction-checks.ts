/** How a broker asks what became of a transaction, and when it gives up (protocol.md 12.3), by low-level calls. */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { UnregisterClient } from '../../../src/commands/heartbeat.ts'
import { EndTransaction } from '../../../src/commands/transaction.ts'
import type { Message } from '../../../src/index.ts'
import { TRANSACTION_COMMIT, TRANSACTION_ROLLBACK } from '../../../src/wire/flags.ts'
import { FLAG_ONEWAY } from '../../../src/wire/frame.ts'
import { type Cases, type Context, until } from '../context.ts'
import { answerTo, beginHalf, checksOf, heartbeatOf, joinProducers, untilChecked } from '../halves.ts'
import { frameOf, openRaw } from '../raw.ts'

const GIVEN_UP = 'TRANS_CHECK_MAX_TIME_TOPIC'

/** The half message among those that the broker has given up on. */
async function untilGivenUp(c: Context, messageId: string): Promise<Message> {
  const consumer = c.consumer()
  let next = 0n
  return await until(
    `${messageId} to be given up`,
    async () => {
      const result = await consumer.pull(c.queue(GIVEN_UP), next).catch(() => undefined)
      if (!result) return undefined // nothing has been given up so far, and the topic is not there
      next = result.nextBeginOffset
      return result.messages.find((message) => message.messageId === messageId)
    },
    50_000,
  )
}

export const transactionChecks: Cases = {
  'a broker asks a registered member of the producer group, and delivers on its answer': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    await joinProducers(c, producerGroup)
    const half = await beginHalf(c, topic, producerGroup, { flag: 7 })
    const [check] = await untilChecked(c, half.msgId)
    ok(check)
    const { frame, header, message } = check
    deepStrictEqual(
      [frame.flag, message.topic, message.queueId, message.body.toString(), message.properties['PGROUP']],
      [FLAG_ONEWAY, topic, 0, half.msgId, producerGroup],
    )
    deepStrictEqual(
      [header.bname, header.transactionId, header.topic, header.offsetMsgId, message.queueOffset],
      [
        c.facts.checkBroker ? c.brokerName : undefined,
        half.msgId,
        c.facts.checkTopic ? 'RMQ_SYS_TRANS_HALF_TOPIC' : undefined,
        message.offsetMessageId,
        header.tranStateTableOffset,
      ],
    )
    ok(header.tranStateTableOffset > half.tranStateTableOffset, 'a check stores the half message anew')
    await c.call(EndTransaction, answerTo(half, check), undefined)
    const stored = await c.read(topic, 1)
    deepStrictEqual(
      stored.map((each) => [each.messageId, each.flag, each.sysFlag]),
      [[half.msgId, 0, TRANSACTION_COMMIT]],
    )
  },

  'a check that is answered with a rollback is the end of the half message': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    await joinProducers(c, producerGroup)
    const half = await beginHalf(c, topic, producerGroup)
    const [check] = await untilChecked(c, half.msgId)
    ok(check)
    const answer = { ...answerTo(half, check), commitOrRollback: TRANSACTION_ROLLBACK }
    const { code } = await c.call(EndTransaction, answer, undefined)
    await c.producer.send({ topic, body: 'sentinel' })
    const stored = await c.read(topic, 1)
    deepStrictEqual([code, stored.map((each) => each.body.toString())], [0, ['sentinel']])
  },

  'checks are counted while nobody is connected, and every round stores the half message anew': async (c) => {
    const producerGroup = c.name('checked')
    const half = await beginHalf(c, await c.topic(), producerGroup)
    await delay(4_000)
    await joinProducers(c, producerGroup)
    const checks = await untilChecked(c, half.msgId, 2)
    const [first, second] = checks.map(({ message, header }) => ({
      times: Number(message.properties['TRANSACTION_CHECK_TIMES']),
      offset: header.tranStateTableOffset,
    }))
    ok(first && first.times > 1, `the first check that came was number ${first?.times}`)
    ok(second && second.times === first.times + 1 && second.offset > first.offset)
  },

  'a late commit with the offsets of the send delivers, and the checks go on': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    await joinProducers(c, producerGroup)
    const half = await beginHalf(c, topic, producerGroup)
    await untilChecked(c, half.msgId, 1)
    await c.call(EndTransaction, half, undefined)
    const seen = checksOf(c, half.msgId).length
    const checks = await untilChecked(c, half.msgId, seen + 4)
    const last = checks.at(-1)
    ok(last)
    await c.call(EndTransaction, answerTo(half, last), undefined)
    const stored = await c.read(topic, 2)
    deepStrictEqual(
      stored.map((each) => each.messageId),
      [half.msgId, half.msgId],
    )
  },

  'members of a producer group are asked in turn': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    const members = [await openRaw(c.master), await openRaw(c.master)]
    for (const member of members) await member.ask(heartbeatOf(c, producerGroup))
    for (let n = 0; n < 4; n++) await beginHalf(c, topic, producerGroup)
    await until('each to be asked', () => members.every(({ requests }) => requests.length > 0))
    for (const member of members) member.close()
  },

  'a member that has unregistered is not asked, and the next one that comes is': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    const [gone, next] = [await openRaw(c.master), await openRaw(c.master)]
    await gone.ask(heartbeatOf(c, producerGroup))
    const half = await beginHalf(c, topic, producerGroup)
    await gone.ask(frameOf(UnregisterClient, { clientID: 'client', producerGroup }))
    await delay(2_500)
    await next.ask(heartbeatOf(c, producerGroup))
    const frame = await until('the check', () => next.requests[0])
    deepStrictEqual([frame.ext['msgId'], gone.requests], [half.msgId, []])
    for (const each of [gone, next]) each.close()
  },

  'an end is noted up to 3 s later: a check may follow one that was answered': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    await joinProducers(c, producerGroup)
    const ended: string[] = []
    await until('a check of a half message that was ended', async () => {
      const half = await beginHalf(c, topic, producerGroup)
      await c.call(EndTransaction, half, undefined)
      ended.push(half.msgId)
      return ended.some((messageId) => checksOf(c, messageId).length > 0)
    })
  },

  'the answer to the last check still delivers': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    await joinProducers(c, producerGroup)
    const half = await beginHalf(c, topic, producerGroup)
    const last = await until(
      'the last check',
      () =>
        checksOf(c, half.msgId).find(({ message }) => message.properties['TRANSACTION_CHECK_TIMES'] === '15'),
      50_000,
    )
    await c.call(EndTransaction, answerTo(half, last), undefined)
    deepStrictEqual(
      (await c.read(topic, 1)).map((each) => each.messageId),
      [half.msgId],
    )
  },

  'a half message is given up after the last check, with its own topic in its properties': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    const half = await beginHalf(c, topic, producerGroup)
    const given = await untilGivenUp(c, half.msgId)
    const { REAL_TOPIC, REAL_QID, PGROUP, TRAN_MSG, TRANSACTION_CHECK_TIMES } = given.systemProperties
    deepStrictEqual(
      [given.body.toString(), given.sysFlag, REAL_TOPIC, REAL_QID, PGROUP, TRAN_MSG, TRANSACTION_CHECK_TIMES],
      [half.msgId, 0, topic, '0', producerGroup, 'true', '15'],
    )
  },

  'an end during CHECK_IMMUNITY_TIME_IN_SECONDS is forgotten after a round, and a check comes': async (c) => {
    const topic = await c.topic()
    const producerGroup = c.name('checked')
    await joinProducers(c, producerGroup)
    const properties = { CHECK_IMMUNITY_TIME_IN_SECONDS: '7' }
    const half = await beginHalf(c, topic, producerGroup, { properties })
    await delay(3_000)
    await c.call(EndTransaction, half, undefined)
    deepStrictEqual(checksOf(c, half.msgId).length, 0)
    const [check] = await untilChecked(c, half.msgId)
    ok(check)
    ok(Number(check.message.properties['TRANSACTION_CHECK_TIMES']) > 2, 'rounds in between were counted')
    deepStrictEqual(check.message.properties['TRAN_PREPARED_QUEUE_OFFSET'], String(half.tranStateTableOffset))
    await c.call(EndTransaction, answerTo(half, check), undefined)
    deepStrictEqual(
      (await c.read(topic, 2)).map((each) => each.messageId),
      [half.msgId, half.msgId],
    )
  },

  'an end after CHECK_IMMUNITY_TIME_IN_SECONDS is refused with code 604, unless it answers a check': async (
    c,
  ) => {
    const topic = await c.topic()
    const properties = { CHECK_IMMUNITY_TIME_IN_SECONDS: '1' }
    const half = await beginHalf(c, topic, c.name('p'), { properties })
    await delay(1_500)
    await rejects(c.call(EndTransaction, half, undefined), { responseCode: 604 })
    await c.call(EndTransaction, { ...half, fromTransactionCheck: true }, undefined)
    deepStrictEqual((await c.read(topic, 1)).length, 1)
  },

  'a half message that was born in the future is checked at once': async (c) => {
    const producerGroup = c.name('checked')
    await joinProducers(c, producerGroup)
    const bornTimestamp = BigInt(Date.now() + 3_600_000)
    const half = await beginHalf(c, await c.topic(), producerGroup, { bornTimestamp })
    await untilChecked(c, half.msgId)
  },
}
