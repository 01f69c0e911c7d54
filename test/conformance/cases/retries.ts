/** Send-back, retry topics and dead letters (protocol.md 10). */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { UpdateAndCreateSubscriptionGroup } from '../../../src/commands/groups.ts'
import { SendMessageV2 } from '../../../src/commands/send.ts'
import { ConsumerSendMsgBack } from '../../../src/commands/send-back.ts'
import { deadLetterTopic, type Message, retryTopic } from '../../../src/index.ts'
import { type Cases, type Context, failure } from '../context.ts'
import { plainSend } from './requests.ts'

async function consumed(c: Context, properties: Readonly<Record<string, string>> = {}): Promise<Message> {
  const topic = await c.topic()
  await c.producer.send({ topic, body: 'poison', tag: 't', keys: 'k', properties })
  const [message] = await c.read(topic, 1)
  ok(message)
  return message
}

export const retries: Cases = {
  'a message sent back comes again in the retry topic, as it was, with one attempt more': async (c) => {
    const group = await c.group()
    const consumer = c.consumer({ consumerGroup: group })
    const message = await consumed(c, { mine: 'ü' })
    await consumer.sendBack(message, { delayLevel: 1 })
    const [again] = await c.read(retryTopic(group), 1)
    ok(again)
    const summary = ({
      topic,
      body,
      tag,
      keys,
      properties,
      messageId,
      bornTimestamp,
      bornHost,
      flag,
    }: Message) => ({
      topic,
      body: body.toString(),
      tag,
      keys,
      properties: { ...properties },
      messageId,
      bornTimestamp,
      bornHost,
      flag,
    })
    deepStrictEqual(summary(again), summary(message))
    deepStrictEqual(
      [
        again.queue,
        again.reconsumeTimes,
        again.systemProperties['ORIGIN_MESSAGE_ID'],
        again.systemProperties['RETRY_TOPIC'],
      ],
      [c.queue(retryTopic(group)), 1, message.offsetMessageId, message.topic],
    )
    // And once more: the topic of the copy is still the user's, the first copy's id too.
    await consumer.sendBack(again, { delayLevel: 1 })
    const [, third] = await c.read(retryTopic(group), 2)
    deepStrictEqual(
      [third?.topic, third?.reconsumeTimes, third?.messageId, third?.systemProperties['ORIGIN_MESSAGE_ID']],
      [message.topic, 2, message.messageId, message.offsetMessageId],
    )
  },

  'each send-back makes a copy': async (c) => {
    const group = await c.group()
    const consumer = c.consumer({ consumerGroup: group })
    const message = await consumed(c)
    for (let n = 0; n < 2; n++) await consumer.sendBack(message, { delayLevel: 1 })
    deepStrictEqual(
      (await c.read(retryTopic(group), 2)).map((each) => each.messageId),
      [message.messageId, message.messageId],
    )
  },

  'a negative delay level, or no attempts left, makes a dead letter at once': async (c) => {
    const group = await c.group()
    const consumer = c.consumer({ consumerGroup: group })
    const message = await consumed(c)
    await consumer.sendBack(message, { delayLevel: -1 })
    await consumer.sendBack(message, { delayLevel: 1, maxReconsumeTimes: 0 })
    const dead = await c.read(deadLetterTopic(group), 2)
    deepStrictEqual(
      dead.map((each) => [
        each.queue.topic,
        each.messageId,
        each.body.toString(),
        each.tag,
        each.systemProperties['RETRY_TOPIC'],
      ]),
      Array(2).fill([deadLetterTopic(group), message.messageId, 'poison', 't', message.topic]),
    )
    deepStrictEqual(await c.consumer().queues(retryTopic(group)), [c.queue(retryTopic(group))])
  },

  'the attempts that the group allows count when the consumer names none': async (c) => {
    const group = await c.group({ retryMaxTimes: 1 })
    const consumer = c.consumer({ consumerGroup: group })
    await consumer.sendBack(await consumed(c), { delayLevel: 1 })
    const [again] = await c.read(retryTopic(group), 1)
    ok(again)
    await consumer.sendBack(again, { delayLevel: 1 })
    deepStrictEqual(
      (await c.read(deadLetterTopic(group), 1)).map((each) => each.messageId),
      [again.messageId],
    )
  },

  'a dead letter without originTopic fails with code 1: the client always names it': async (c) => {
    const group = await c.group()
    const message = await consumed(c)
    const { originTopic: _originTopic, ...request } = ConsumerSendMsgBack.request
    const command = { ...ConsumerSendMsgBack, request } as typeof ConsumerSendMsgBack
    const header = { offset: message.commitLogOffset, group, delayLevel: -1, originTopic: '' }
    await rejects(c.call(command, header, undefined), { responseCode: 1, outcome: 'unknown' })
    deepStrictEqual(await failure(c.consumer().queues(deadLetterTopic(group))), {
      error: 'RouteError',
      responseCode: 17,
      outcome: 'not-sent',
    })
  },

  'a send-back creates the group, as a pull does': async (c) => {
    const message = await consumed(c)
    const consumerGroup = c.name('unknown')
    const consumer = c.consumer({ consumerGroup })
    await consumer.sendBack(message, { delayLevel: 1 })
    deepStrictEqual(
      (await c.read(retryTopic(consumerGroup), 1)).map((each) => each.messageId),
      [message.messageId],
    )
    await consumer.commitOffset(message.queue, 1n)
  },

  'an offset at which no message starts cannot be sent back': async (c) => {
    const group = await c.group()
    const header = { offset: 2n ** 50n, group, delayLevel: 1, originTopic: await c.topic() }
    await rejects(c.call(ConsumerSendMsgBack, header, undefined), { responseCode: 1 })
  },

  'a group whose retries are off loses what it sends back: code 0 and no copy': async (c) => {
    const message = await consumed(c)
    const groupName = c.name('noretry')
    await c.call(UpdateAndCreateSubscriptionGroup, {}, { groupName, retryQueueNums: 0 })
    await c.consumer({ consumerGroup: groupName }).sendBack(message)
    deepStrictEqual(await c.consumer().queues(retryTopic(groupName)), [])
  },

  'with a lock held a send to the retry topic becomes a dead letter, a send-back does not': async (c) => {
    const group = await c.group()
    const consumer = c.consumer({ consumerGroup: group })
    const message = await consumed(c)
    await consumer.sendBack(message, { delayLevel: 1 }) // the retry topic exists from here on
    await c.read(retryTopic(group), 1)
    await consumer.lock([message.queue])
    await consumer.sendBack(message, { delayLevel: 1 })
    deepStrictEqual((await c.read(retryTopic(group), 2)).length, 2)
    const send = plainSend(retryTopic(group), {
      reconsumeTimes: 1,
      maxReconsumeTimes: 16,
      properties: { UNIQ_KEY: 'TRAPPED' },
    })
    await c.call(SendMessageV2, send, Buffer.from('x'))
    deepStrictEqual(
      (await c.read(deadLetterTopic(group), 1)).map((each) => each.messageId),
      ['TRAPPED'],
    )
    await consumer.unlock([message.queue])
    await c.call(
      SendMessageV2,
      { ...send, properties: plainSend('t', { properties: { UNIQ_KEY: 'FREE' } }).properties },
      Buffer.from('x'),
    )
    deepStrictEqual((await c.read(retryTopic(group), 3)).at(-1)?.messageId, 'FREE')
  },
}
