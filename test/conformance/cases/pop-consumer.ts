/** This client's pop consumer on the broker: what it gives, hides, acknowledges and changes. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { setTimeout as wait } from 'node:timers/promises'
import { GetMaxOffset } from '../../../src/commands/offsets.ts'
import { SendMessageV2 } from '../../../src/commands/send.ts'
import { ConsumerSendMsgBack } from '../../../src/commands/send-back.ts'
import {
  createPopConsumer,
  deadLetterTopic,
  type PopConsumer,
  type PopOptions,
  type PoppedMessage,
} from '../../../src/index.ts'
import { encodeBatch } from '../../../src/wire/batch.ts'
import { INNER_BATCH, NEED_UNWRAP } from '../../../src/wire/flags.ts'
import { popRetryTopicV1 } from '../../../src/wire/names.ts'
import { type Cases, type Context, failure, until } from '../context.ts'
import { topicWith } from '../popping.ts'
import { plainSend } from './requests.ts'

const WAIT: PopOptions = { waitMs: 20_000 }

const newConsumer = (c: Context, filter = '*'): PopConsumer =>
  createPopConsumer(c.client, { consumerGroup: c.name('pop'), filter })

/** Pops until so many messages have come. */
async function take(
  pop: PopConsumer,
  topic: string,
  count: number,
  options: PopOptions = {},
): Promise<PoppedMessage[]> {
  const all: PoppedMessage[] = []
  return await until(`${count} messages`, async () => {
    all.push(...(await pop.pop(topic, { waitMs: 2_000, ...options })).messages)
    return all.length >= count ? all : undefined
  })
}

const bodies = (messages: readonly PoppedMessage[]): string[] =>
  messages.map(({ body }) => body.toString()).toSorted()

export const popConsumer: Cases = {
  'the pop consumer gives what is acknowledged once, and the rest again': async (c) => {
    const topic = await topicWith(c, 'one', 'several 1', 'several 2', 'never')
    const pop = newConsumer(c)
    const popped = await take(pop, topic, 4, { invisibleMs: 3_000 })
    const [one, several1, several2] = popped
    ok(one && several1 && several2)
    await pop.ack(one)
    await pop.ack([several1, several2])
    const [again, ...others] = await take(pop, topic, 1, WAIT)
    deepStrictEqual(
      [again?.body.toString(), again?.topic, again?.reconsumeTimes, others],
      ['never', topic, 1, []],
    )
    ok(again)
    await pop.ack(JSON.parse(JSON.stringify(again)) as PoppedMessage)
  },

  'the pop consumer gives a retry with its place, and acknowledges it there': async (c) => {
    const topic = await topicWith(c, 'held', 'again')
    const consumerGroup = c.name('pop')
    const pop = createPopConsumer(c.client, { consumerGroup })
    const first = await take(pop, topic, 2, { invisibleMs: 1_000 })
    const retries = await take(pop, topic, 2, { invisibleMs: 4_000 })
    const held = retries.find(({ body }) => body.toString() === 'held')
    ok(held)
    await pop.ack(held)
    const third = await take(pop, topic, 1, WAIT)
    deepStrictEqual(
      {
        topics: [...new Set([...first, ...retries].map((message) => message.topic))],
        queue: held.queue,
        properties: { ...held.properties },
        group: held.systemProperties['ORIGIN_GROUP'],
        third: bodies(third),
        attempts: third[0]?.reconsumeTimes,
      },
      {
        topics: [topic],
        queue: { topic: `%RETRY%${consumerGroup}_${topic}`, brokerName: c.brokerName, queueId: 0 },
        properties: {},
        group: c.facts.originGroup ? consumerGroup : undefined,
        third: ['again'],
        attempts: 2,
      },
    )
  },

  'a changed invisible time puts the new receipt on the message': async (c) => {
    const topic = await topicWith(c, 'kept', 'given up')
    const pop = newConsumer(c)
    const [kept, givenUp] = await take(pop, topic, 2)
    ok(kept && givenUp)
    const { receipt } = kept
    await pop.changeInvisibleDuration(kept, 2_000)
    await pop.changeInvisibleDuration(givenUp, 2_000)
    await pop.changeInvisibleDuration(givenUp, 0)
    await pop.ack(kept)
    deepStrictEqual(
      [kept.receipt === receipt, bodies(await take(pop, topic, 1, WAIT))],
      [false, ['given up']],
    )
  },

  'a pop waits for a message, and takes no more than it is told to': async (c) => {
    const topic = await c.topic({ readQueueNums: 3, writeQueueNums: 3 })
    const pop = newConsumer(c)
    deepStrictEqual((await pop.pop(topic)).messages, [])
    const waits = pop.pop(topic, { maxMessages: 2, ...WAIT })
    for (let n = 0; n < 3; n++) await c.producer.send({ topic, body: String(n), queue: c.queue(topic, n) })
    const { messages } = await waits
    ok(messages.length === 1 || messages.length === 2)
    const rest = await take(pop, topic, 3 - messages.length)
    deepStrictEqual(bodies([...messages, ...rest]), ['0', '1', '2'])
  },

  'a message that has the hash of a tag, and not the tag, is neither given nor comes back': async (c) => {
    const topic = await c.topic()
    // "Aa" and "BB" have one hash.
    for (const tag of ['Aa', 'BB', 'other']) await c.producer.send({ topic, body: tag, tag })
    await c.read(topic, 3)
    const consumerGroup = c.name('pop')
    const pop = createPopConsumer(c.client, { consumerGroup, filter: 'Aa' })
    const [popped] = await take(pop, topic, 1, { invisibleMs: 1_000 })
    const [again] = await take(pop, topic, 1, WAIT)
    const retry = { topic: popRetryTopicV1(consumerGroup, topic), queueId: 0 }
    const { offset } = (await c.call(GetMaxOffset, retry, undefined)).header
    deepStrictEqual([popped?.tag, again?.tag, offset], ['Aa', 'Aa', 1n])
  },

  'a message that says it is a batch is given whole, as undecodable, with a receipt of its own': async (
    c,
  ) => {
    const topic = await c.topic({ attributes: '+queue.type=BatchCQ' })
    const batch = encodeBatch(
      ['1', '2'].map((body) => ({ flag: 0, body: Buffer.from(body), properties: '' })),
    )
    const request = plainSend(topic, { sysFlag: NEED_UNWRAP | INNER_BATCH, properties: { INNER_NUM: '1' } })
    await c.call(SendMessageV2, request, batch)
    await c.producer.send({ topic, body: 'behind' })
    const pop = newConsumer(c)

    const given: string[] = []
    let batched: PoppedMessage | undefined
    const whole = await until('both', async () => {
      const { messages, undecodable } = await pop.pop(topic, { waitMs: 2_000, invisibleMs: 3_000 })
      given.push(...bodies(messages))
      for (const message of messages) await pop.ack(message)
      batched = undecodable[0]?.message ?? batched
      return given.length > 0 ? batched : undefined
    })
    await pop.ack(whole)
    // Behind those, had they been hidden only.
    await wait(5_000)
    const again = await pop.pop(topic)

    deepStrictEqual(
      [given, whole.body.equals(batch), again.messages, again.undecodable],
      [['behind'], true, [], []],
    )
  },

  'a filter that the broker cannot read is refused by name': async (c) => {
    const topic = await topicWith(c, 'x')
    const pop = createPopConsumer(c.client, { consumerGroup: c.name('pop'), filter: { sql: 'a =' } })
    deepStrictEqual(await failure(pop.pop(topic)), {
      error: 'ConfigError',
      outcome: 'refused',
      field: 'filter.sql',
    })
  },

  'what fails for good is sent back as a dead letter by its reader, and acknowledged': async (c) => {
    const topic = await topicWith(c, 'poison')
    const consumerGroup = c.name('pop')
    const pop = createPopConsumer(c.client, { consumerGroup })
    await take(pop, topic, 1, { invisibleMs: 1_000 })
    const [again] = await take(pop, topic, 1)
    ok(again)
    // By the address: name servers hear of a retry topic later.
    const { commitLogOffset: offset } = again
    const back = { group: consumerGroup, offset, delayLevel: -1, originTopic: topic }
    await c.call(ConsumerSendMsgBack, back, undefined)
    await pop.ack(again)
    const [dead] = await c.read(deadLetterTopic(consumerGroup), 1)
    deepStrictEqual([dead?.body.toString(), dead?.messageId], ['poison', again.messageId])
  },
}
