/** Sending (protocol.md 4, 5, 7). */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { ViewMessageById } from '../../../src/commands/messages.ts'
import { SendBatchMessage, SendMessage, SendMessageV2 } from '../../../src/commands/send.ts'
import { createProducer, createPullConsumer, type Message } from '../../../src/index.ts'
import { encodeBatch } from '../../../src/wire/batch.ts'
import { fieldsOf } from '../../../src/wire/fields.ts'
import { selectQueueIndex } from '../../../src/wire/hash.ts'
import { decodeMessages } from '../../../src/wire/message.ts'
import { decodeOffsetMessageId } from '../../../src/wire/message-id.ts'
import { type Cases, failure } from '../context.ts'
import { plainSend } from './requests.ts'

const bodies = (messages: readonly Message[]): string[] => messages.map((message) => message.body.toString())

const UNICODE = 'grüße 你好 🚀 "quoted" \\ \n\t'

export const sends: Cases = {
  'a message comes back with everything that was sent': async (c) => {
    const topic = await c.topic({ readQueueNums: 4, writeQueueNums: 4 })
    const before = Date.now()
    const sent = await c.producer.send({
      topic,
      body: UNICODE,
      tag: 'größe',
      keys: ['k-1', 'ключ'],
      properties: { unicode: UNICODE, 'name with space': ' ', number: '1' },
      queue: c.queue(topic, 2),
      flag: -7,
    })
    const [message] = await c.read(topic, 1)
    ok(message)
    const { bornTimestamp, storeTimestamp, bornHost, commitLogOffset, systemProperties, ...rest } = fieldsOf(
      message,
    ) as unknown as Message
    deepStrictEqual(
      { ...rest, body: message.body.toString() },
      {
        topic,
        body: UNICODE,
        tag: 'größe',
        keys: ['k-1', 'ключ'],
        properties: Object.assign(Object.create(null), {
          unicode: UNICODE,
          'name with space': ' ',
          number: '1',
        }),
        messageId: sent.messageId,
        offsetMessageId: sent.offsetMessageId,
        queue: c.queue(topic, 2),
        queueOffset: 0n,
        storeHost: c.master,
        reconsumeTimes: 0,
        flag: -7,
        sysFlag: 0,
      },
    )
    deepStrictEqual(
      { status: sent.status, queue: sent.queue, queueOffset: sent.queueOffset },
      { status: 'SEND_OK', queue: c.queue(topic, 2), queueOffset: 0n },
    )
    ok(bornTimestamp >= before && storeTimestamp >= bornTimestamp)
    ok(commitLogOffset >= 0n && bornHost.startsWith('127.0.0.1:'))
    deepStrictEqual(
      [systemProperties['UNIQ_KEY'], systemProperties['CLUSTER']],
      [sent.messageId, c.clusterName],
    )
  },

  'a stored message says that its producer waited for it': async (c) => {
    const topic = await c.topic()
    await c.producer.send({ topic, body: 'x' })
    const [message] = await c.read(topic, 1)
    deepStrictEqual(message?.systemProperties['WAIT'], 'true')
  },

  'SEND_MESSAGE, SEND_MESSAGE_V2 and a batch of one store the same message': async (c) => {
    const topic = await c.topic()
    const properties = { UNIQ_KEY: 'U1', TAGS: 't', KEYS: 'k', mine: 'ü' }
    const request = plainSend(topic, { properties, flag: 9 })
    await c.call(SendMessage, request, Buffer.from('body'))
    await c.call(SendMessageV2, request, Buffer.from('body'))
    const batch = encodeBatch([{ body: Buffer.from('body'), properties: request.properties ?? '', flag: 9 }])
    await c.call(SendBatchMessage, { ...request, properties: '', batch: true }, batch)
    const stored = (await c.read(topic, 3)).map(({ body, messageId, tag, keys, properties: user, flag }) => ({
      body: body.toString(),
      messageId,
      tag,
      keys,
      user: { ...user },
      flag,
    }))
    const one = { body: 'body', messageId: 'U1', tag: 't', keys: ['k'], user: { mine: 'ü' }, flag: 9 }
    deepStrictEqual(stored, [one, one, one])
  },

  'a message without UNIQ_KEY gets one from the broker, but not in a batch': async (c) => {
    const topic = await c.topic()
    const single = await c.call(SendMessageV2, plainSend(topic), Buffer.from('x'))
    const batch = encodeBatch([{ body: Buffer.from('x'), properties: '', flag: 0 }])
    const batched = await c.call(SendBatchMessage, plainSend(topic, { batch: true }), batch)
    const [first, second] = await c.read(topic, 2)
    deepStrictEqual(
      [
        first?.messageId,
        first?.systemProperties['UNIQ_KEY'],
        second?.messageId,
        batched.header.transactionId,
      ],
      [single.header.transactionId, single.header.transactionId, batched.header.msgId, undefined],
    )
  },

  'the same message id sent again is stored again under that id': async (c) => {
    const topic = await c.topic()
    const first = await c.producer.send({ topic, body: 'x', messageId: 'REPEATED' })
    const second = await c.producer.send({ topic, body: 'x', messageId: 'REPEATED' })
    const stored = await c.read(topic, 2)
    deepStrictEqual(
      stored.map((message) => message.messageId),
      ['REPEATED', 'REPEATED'],
    )
    deepStrictEqual(
      stored.map((message) => message.offsetMessageId),
      [first.offsetMessageId, second.offsetMessageId],
    )
  },

  'an offset message id is the address of the broker and the offset, and the message can be viewed by it':
    async (c) => {
      const topic = await c.topic()
      const { offsetMessageId, messageId } = await c.producer.send({ topic, body: 'to view' })
      const { address, commitLogOffset } = decodeOffsetMessageId(offsetMessageId)
      deepStrictEqual(address, c.master)
      const { body } = await c.call(ViewMessageById, { topic, offset: commitLogOffset }, undefined)
      const { messages } = decodeMessages(body)
      deepStrictEqual(
        messages.map((each) => [each.body.toString(), each.commitLogOffset, each.properties['UNIQ_KEY']]),
        [['to view', commitLogOffset, messageId]],
      )
      await rejects(c.call(ViewMessageById, { topic, offset: 2n ** 50n }, undefined), { responseCode: 1 })
    },

  'an offset inside a message gives bytes that are no message, or code 1, but never another message': async (
    c,
  ) => {
    const topic = await c.topic()
    const { offsetMessageId } = await c.producer.send({ topic, body: 'to miss' })
    const { commitLogOffset } = decodeOffsetMessageId(offsetMessageId)
    for (const step of [1n, 3n, 4n]) {
      const answer = c.call(ViewMessageById, { topic, offset: commitLogOffset + step }, undefined)
      const messages = await answer.then(
        ({ body }) => decodeMessages(body).messages,
        (error: { responseCode?: number }) => [error.responseCode],
      )
      ok(messages.length === 0 || messages[0] === 1)
    }
  },

  'a one-way send arrives': async (c) => {
    const topic = await c.topic()
    await c.producer.sendOneway({ topic, body: 'one-way', tag: 'o' })
    const [message] = await c.read(topic, 1)
    deepStrictEqual([message?.body.toString(), message?.tag], ['one-way', 'o'])
  },

  'messages go round the queues of a topic in turn': async (c) => {
    const topic = await c.topic({ readQueueNums: 4, writeQueueNums: 4 })
    const counts = [0, 0, 0, 0]
    const producer = createProducer(c.client, { producerGroup: 'conformance' })
    for (let n = 0; n < 8; n++) {
      const { queueId } = (await producer.send({ topic, body: String(n) })).queue
      counts[queueId] = (counts[queueId] ?? 0) + 1
    }
    deepStrictEqual(counts, [2, 2, 2, 2])
  },

  'queue -1 leaves the choice to the broker, which tells it': async (c) => {
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    const { header } = await c.call(SendMessageV2, plainSend(topic, { queueId: -1 }), Buffer.from('x'))
    const [message] = await c.read(topic, 1)
    deepStrictEqual(
      [header.queueId === 0 || header.queueId === 1, message?.queue.queueId],
      [true, header.queueId],
    )
  },

  'a queue is writable up to the larger of the two queue numbers, and refused from there on': async (c) => {
    const topic = await c.topic({ readQueueNums: 3, writeQueueNums: 1 })
    const inside = await c.producer.send({ topic, body: 'x', queue: c.queue(topic, 2) })
    deepStrictEqual(inside.queue.queueId, 2)
    deepStrictEqual(await failure(c.producer.send({ topic, body: 'x', queue: c.queue(topic, 3) })), {
      error: 'BrokerError',
      ...c.facts.wrongQueue,
    })
  },

  'messages with one sharding key stay in one queue and in order': async (c) => {
    const topic = await c.topic({ readQueueNums: 4, writeQueueNums: 4 })
    const keys = ['a', 'b', 'käse', 'order-4711', ''].filter((key) => key !== '').concat('x'.repeat(300))
    for (let n = 0; n < 4; n++) {
      for (const shardingKey of keys) await c.producer.send({ topic, body: String(n), shardingKey })
    }
    const stored = await c.read(topic, keys.length * 4)
    const byKey = Map.groupBy(stored, (message) => message.systemProperties['__SHARDINGKEY'])
    deepStrictEqual(
      keys.map((key) => (byKey.get(key) ?? []).map((each) => [each.queue.queueId, each.body.toString()])),
      keys.map((key) => ['0', '1', '2', '3'].map((n) => [selectQueueIndex(key, 4), n])),
    )
  },

  'a batch stores its messages one behind the other, each with its own ids and properties': async (c) => {
    const topic = await c.topic()
    const messages = Array.from({ length: 50 }, (_, n) => ({
      body: `b${n}`,
      tag: `t${n}`,
      keys: `k${n}`,
      properties: { n: String(n) },
      flag: n,
    }))
    const results = await c.producer.sendBatch(topic, messages)
    const stored = await c.read(topic, 50)
    deepStrictEqual(
      stored.map(({ body, tag, keys, properties, flag, messageId, offsetMessageId, queueOffset }) => ({
        body: body.toString(),
        tag,
        keys,
        properties: { ...properties },
        flag,
        messageId,
        offsetMessageId,
        queueOffset,
      })),
      results.map((each, n) => {
        if (each.outcome !== 'stored') throw each.error
        const { messageId, offsetMessageId, queueOffset } = each.result
        return {
          body: `b${n}`,
          tag: `t${n}`,
          keys: [`k${n}`],
          properties: { n: String(n) },
          flag: n,
          messageId,
          offsetMessageId,
          queueOffset,
        }
      }),
    )
    deepStrictEqual(new Set(stored.map((message) => message.messageId)).size, 50)
    deepStrictEqual(
      stored.map((message) => message.queueOffset),
      Array.from({ length: 50 }, (_, n) => BigInt(n)),
    )
  },

  'a batch above 4 MiB is split, and all of it is stored': async (c) => {
    const topic = await c.topic()
    const messages = Array.from({ length: 9 }, (_, n) => ({ body: Buffer.alloc(1_000_000, n + 1) }))
    const results = await c.producer.sendBatch(topic, messages)
    deepStrictEqual(
      results.map((each) => each.outcome),
      Array(9).fill('stored'),
    )
    const stored = await c.read(topic, 9)
    deepStrictEqual(
      stored.map((message) => [message.body.length, message.body[0]]),
      messages.map(({ body }) => [1_000_000, body[0]]),
    )
  },

  'the messages of a batch with sharding keys go to their queues in order': async (c) => {
    const topic = await c.topic({ readQueueNums: 4, writeQueueNums: 4 })
    const messages = Array.from({ length: 40 }, (_, n) => ({ body: String(n), shardingKey: `key-${n % 5}` }))
    await c.producer.sendBatch(topic, messages)
    const stored = await c.read(topic, 40)
    const byKey = Map.groupBy(stored, (message) => message.systemProperties['__SHARDINGKEY'] ?? '')
    for (const [key, own] of byKey) {
      deepStrictEqual(new Set(own.map((each) => each.queue.queueId)), new Set([selectQueueIndex(key, 4)]))
      deepStrictEqual(
        bodies(own),
        bodies(own).toSorted((a, b) => Number(a) - Number(b)),
      )
    }
    deepStrictEqual(byKey.size, 5)
  },

  'a large body is stored compressed, and comes back as it was': async (c) => {
    const topic = await c.topic()
    const body = 'compressible '.repeat(1000)
    for (const compression of ['none', 'zlib', 'zstd'] as const) {
      await createProducer(c.client, { producerGroup: 'conformance', compression }).send({ topic, body })
    }
    await c.producer.send({ topic, body: randomBytes(5000) })
    const stored = await c.read(topic, 4)
    deepStrictEqual(
      stored.slice(0, 3).map((message) => message.body.toString() === body),
      [true, true, true],
    )
    deepStrictEqual(
      stored.map((message) => message.sysFlag),
      [0, 0x301, 0x201, 0],
    )
  },

  'a body of exactly 4 MiB is stored, and read back': async (c) => {
    const topic = await c.topic()
    const body = randomBytes(4 << 20)
    await c.producer.send({ topic, body })
    const [message] = await c.read(topic, 1)
    ok(message?.body.equals(body))
  },

  'many sends at once over one connection all get their own answer': async (c) => {
    const topic = await c.topic()
    const results = await Promise.all(
      Array.from({ length: 200 }, (_, n) => c.producer.send({ topic, body: `m${n}`, messageId: `M${n}` })),
    )
    const stored = await c.read(topic, 200)
    deepStrictEqual(
      new Map(stored.map((message) => [message.messageId, message.queueOffset])),
      new Map(results.map((each) => [each.messageId, each.queueOffset])),
    )
  },

  'topics and groups of a namespace are stored with it, and given back without': async (c) => {
    const client = c.connect({ namespace: 'INST' })
    const plain = c.name('topic')
    await c.topic({ topic: `INST%${plain}` })
    await createProducer(client, { producerGroup: 'p' }).send({ topic: plain, body: 'x' })
    const [outside] = await c.read(`INST%${plain}`, 1)
    deepStrictEqual(outside?.topic, `INST%${plain}`)
    const consumer = createPullConsumer(client, { consumerGroup: 'g' })
    const result = await consumer.pull(c.queue(plain), 0n)
    deepStrictEqual(
      result.messages.map((each) => [each.topic, each.queue]),
      [[plain, c.queue(plain)]],
    )
  },
}
