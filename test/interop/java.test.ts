/** This client and Apache's own Java client on one broker: what either writes the other reads, and both choose alike. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { HeartBeat } from '../../src/commands/heartbeat.ts'
import {
  createProducer,
  createPullConsumer,
  deadLetterTopic,
  type Message,
  retryTopic,
} from '../../src/index.ts'
import { BORN_HOST_V6, COMPRESSED, STORE_HOST_V6 } from '../../src/wire/flags.ts'
import { decodeOffsetMessageId } from '../../src/wire/message-id.ts'
import { type Context, createContext, until } from '../conformance/context.ts'
import { type Recording, recordFrames } from '../conformance/recorder.ts'
import { factsOf } from '../conformance/versions.ts'
import { mixTransactions } from '../support/mixed-transactions.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type JavaClient, type JavaReceived, startJavaClient } from '../support/rocketmq/interop.ts'
import {
  featureSettings,
  type RocketMQ,
  type RocketMQOptions,
  startRocketMQ,
} from '../support/rocketmq/start.ts'

const UNICODE = 'grüße 你好 🚀 "quoted" \\ \n\t'
const TEXT = 'compressible grüße 🚀 '.repeat(2_000)

interface Bench {
  rocketmq: RocketMQ
  java: JavaClient
  c: Context
  stop(): Promise<void>
}

async function startBench(options: RocketMQOptions = {}): Promise<Bench> {
  const settings = { ...featureSettings, waitTimeMillsInSendQueue: 20_000, ...options.settings }
  const rocketmq = await startRocketMQ({ ...options, settings })
  const recording: Recording = recordFrames()
  const java = await startJavaClient(rocketmq.nameServers)
  const broker = {
    nameServers: rocketmq.nameServers,
    facts: factsOf('5.5.0'),
    features: { sql92: true, recall: true },
    stop: () => rocketmq.stop(),
  }
  const c = await createContext(broker, recording)
  const stop = async (): Promise<void> => {
    await c.close()
    recording.stop()
    await java.stop()
    await rocketmq.stop()
  }
  return { rocketmq, java, c, stop }
}

const digest = (body: Buffer): string => createHash('sha256').update(body).digest('hex')

/** What both clients show of a message, from ours; Java clears the bit for compression when it decompresses. */
function ours(message: Message): Record<string, unknown> {
  const { topic, messageId, offsetMessageId, tag, keys, properties, bornTimestamp, storeTimestamp } = message
  return {
    topic,
    messageId,
    offsetMessageId,
    tag,
    keys,
    properties: { ...properties, ...message.systemProperties },
    body: digest(message.body),
    queueId: message.queue.queueId,
    queueOffset: String(message.queueOffset),
    commitLogOffset: String(message.commitLogOffset),
    bornTimestamp: String(bornTimestamp),
    storeTimestamp: String(storeTimestamp),
    bornHost: message.bornHost,
    storeHost: message.storeHost,
    reconsumeTimes: message.reconsumeTimes,
    flag: message.flag,
    sysFlag: message.sysFlag & ~COMPRESSED,
  }
}

const shortHost = (host: string): string => host.replace(/^0:0:0:0:0:0:0:1:/, '[::1]:')

/** The same from Java's, without what its client adds. */
function theirs(message: JavaReceived): Record<string, unknown> {
  const { MIN_OFFSET: _min, MAX_OFFSET: _max, ...properties } = message.properties
  return {
    topic: message.topic,
    messageId: message.messageId,
    offsetMessageId: message.offsetMessageId,
    tag: message.tag,
    keys: message.keys,
    properties,
    body: digest(message.body),
    queueId: message.queueId,
    queueOffset: message.queueOffset,
    commitLogOffset: message.commitLogOffset,
    bornTimestamp: message.bornTimestamp,
    storeTimestamp: message.storeTimestamp,
    bornHost: shortHost(message.bornHost),
    storeHost: shortHost(message.storeHost),
    reconsumeTimes: message.reconsumeTimes,
    flag: message.flag,
    sysFlag: message.sysFlag,
  }
}

/** Reads the first queue of a topic with both clients and compares everything they show. */
async function bothSee({ c, java }: Bench, topic: string, count: number): Promise<Message[]> {
  const messages = await c.read(topic, count)
  const consumerGroup = c.name('java')
  const received: JavaReceived[] = []
  for (let offset = '0'; received.length < count; ) {
    const pulled = await java.pull({ queue: c.queue(topic), offset: BigInt(offset), consumerGroup })
    if (pulled.status !== 'FOUND') break
    received.push(...pulled.messages)
    offset = pulled.nextBeginOffset
  }
  deepStrictEqual(messages.map(ours), received.map(theirs))
  return messages
}

const bodies = (messages: readonly { body: Buffer }[]): string[] =>
  messages.map(({ body }) => body.toString())

if (await realBrokerAvailable()) {
  describe('interop with the Java client', { concurrency: 8 }, () => {
    let bench: Bench
    before(async () => {
      bench = await startBench()
    })
    after(() => bench?.stop())

    it('what Java compresses with any codec is read here', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      for (const compress of ['ZLIB', 'LZ4', 'ZSTD'] as const)
        await java.send({ topic, body: TEXT, compress })
      await java.send({ topic, body: TEXT })
      await java.send({ topic, body: randomBytes(2 << 20), compress: 'LZ4' })
      const messages = await bothSee(bench, topic, 5)
      deepStrictEqual(
        bodies(messages)
          .slice(0, 4)
          .map((body) => body === TEXT),
        [true, true, true, true],
      )
      // LZ4 has type 1, zstd 2, zlib 3 in the three bits above the low byte.
      deepStrictEqual(
        messages.map((message) => message.sysFlag & 0x701),
        [0x301, 0x101, 0x201, 0x301, 0x101],
      )
    })

    it('what is compressed here is read by Java', async () => {
      const { c } = bench
      const topic = await c.topic()
      for (const compression of ['zlib', 'zstd', 'none'] as const) {
        await createProducer(c.client, { producerGroup: 'p', compression }).send({ topic, body: TEXT })
      }
      const messages = await bothSee(bench, topic, 3)
      deepStrictEqual(
        messages.map((message) => message.sysFlag & 0x701),
        [0x301, 0x201, 0],
      )
    })

    it('a message of Java has here all that Java gave it', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const properties = { unicode: UNICODE, 'name with space': 'a b', long: 'ü'.repeat(5_000) }
      const sent = await java.send({
        topic,
        body: UNICODE,
        tag: 'größe',
        keys: ['k1', 'ключ'],
        flag: -7,
        properties,
      })
      const [message] = await bothSee(bench, topic, 1)
      ok(message)
      deepStrictEqual(
        {
          body: message.body.toString(),
          tag: message.tag,
          keys: message.keys,
          flag: message.flag,
          properties: { ...message.properties },
          messageId: message.messageId,
          offsetMessageId: message.offsetMessageId,
        },
        {
          body: UNICODE,
          tag: 'größe',
          keys: ['k1', 'ключ'],
          flag: -7,
          properties,
          messageId: sent.messageId,
          offsetMessageId: sent.offsetMessageId,
        },
      )
    })

    it('a message of ours has in Java all that it was given', async () => {
      const { c } = bench
      const topic = await c.topic()
      const properties = { unicode: UNICODE, 'name with space': ' ', long: 'ü'.repeat(5_000) }
      const sent = await c.producer.send({
        topic,
        body: UNICODE,
        tag: 'größe',
        keys: ['k1', 'ключ'],
        flag: 2 ** 31 - 1,
        properties,
      })
      await c.producer.send({ topic, body: '\0', flag: -(2 ** 31) })
      await c.producer.send({ topic, body: randomBytes(2 << 20) })
      const [message] = await bothSee(bench, topic, 3)
      ok(message)
      const seen = await bench.java.pull({ queue: c.queue(topic), offset: 0, maxMessages: 1 })
      const [first] = seen.messages
      deepStrictEqual(
        [
          first?.body.toString(),
          first?.tag,
          first?.keys,
          first?.flag,
          first?.messageId,
          first?.offsetMessageId,
        ],
        [UNICODE, 'größe', ['k1', 'ключ'], 2 ** 31 - 1, sent.messageId, sent.offsetMessageId],
      )
      deepStrictEqual(
        Object.entries(properties).map(([name]) => first?.properties[name]),
        Object.values(properties),
      )
    })

    it('batches of both are read by both', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const messages = Array.from({ length: 20 }, (_, n) => ({
        body: `${n} ü`,
        tag: `t${n}`,
        keys: [`k${n}`],
        properties: { n: String(n) },
      }))
      const sent = await java.sendBatch({ topic, messages, queue: c.queue(topic) })
      const results = await c.producer.sendBatch(topic, messages)
      const stored = await bothSee(bench, topic, 40)
      deepStrictEqual(
        bodies(stored),
        [...messages, ...messages].map(({ body }) => body),
      )
      deepStrictEqual(
        stored.map((message) => message.messageId),
        [
          ...sent.messageId.split(','),
          ...results.map((each) => (each.outcome === 'stored' ? each.result.messageId : '')),
        ],
      )
    })

    it('both choose the same queue for a sharding key, over any number of queues', async () => {
      const { c, java } = bench
      const keys = ['a', 'Aa', 'BB', 'order-4711', 'käse', '🚀', 'polygenelubricants', 'x'.repeat(200)]
      for (const count of [1, 3, 4, 7]) {
        const topic = await c.topic({ readQueueNums: count, writeQueueNums: count })
        const queueIds = await Promise.all(
          keys.map(async (shardingKey) => [
            (await java.send({ topic, body: 'x', shardingKey })).queue.queueId,
            (await c.producer.send({ topic, body: 'x', shardingKey })).queue.queueId,
          ]),
        )
        deepStrictEqual(
          queueIds.map(([theirs]) => theirs),
          queueIds.map(([, own]) => own),
        )
      }
    })

    it('delayed and timer messages of both come at their time', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const queue = c.queue(topic)
      const deliverAt = Date.now() + 3_000
      await java.send({ topic, body: 'java level', delayLevel: 1, queue })
      await c.producer.send({ topic, body: 'our level', delayLevel: 1, queue })
      await java.send({ topic, body: 'java ms', delayMs: 2_000, queue })
      await c.producer.send({ topic, body: 'our ms', delayMs: 2_000, queue })
      await java.send({ topic, body: 'java at', deliverAt, queue })
      await c.producer.send({ topic, body: 'our at', deliverAt, queue })
      await c.producer.send({ topic, body: 'now', queue })
      const messages = await bothSee(bench, topic, 7)
      deepStrictEqual(bodies(messages).toSorted(), [
        'java at',
        'java level',
        'java ms',
        'now',
        'our at',
        'our level',
        'our ms',
      ])
      const early = messages.filter(({ body, bornTimestamp, storeTimestamp }) => {
        const kind = body.toString().split(' ')[1]
        // Timers are kept to a second, rounded down.
        const due =
          { level: bornTimestamp + 1_000, ms: bornTimestamp + 1_000, at: deliverAt - 1_000 }[kind ?? ''] ?? 0
        return storeTimestamp < due
      })
      deepStrictEqual(bodies(early), [])
    })

    it('either recalls a timer message of the other', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const theirMessage = await java.send({ topic, body: 'java', delayMs: 3_000, queue: c.queue(topic) })
      const ourMessage = await c.producer.send({ topic, body: 'ours', delayMs: 3_000 })
      ok(theirMessage.recallHandle && ourMessage.recallHandle)
      deepStrictEqual(
        [
          await c.producer.recall(topic, theirMessage.recallHandle),
          await java.recall({ topic, recallHandle: ourMessage.recallHandle }),
        ],
        [theirMessage.messageId, ourMessage.messageId],
      )
      await c.producer.send({ topic, body: 'sentinel', delayMs: 6_000 })
      deepStrictEqual(bodies(await c.read(topic, 1)), ['sentinel'])
    })

    it('Java finds our messages by key, by UNIQ_KEY and by offset id', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const sent = await c.producer.send({ topic, body: 'find me', keys: ['needle', 'nadel'] })
      const found = await until('the index', async () => {
        const list = await java.queryByKey({ topic, key: 'nadel' }).catch(() => [])
        return list.length > 0 ? list : undefined
      })
      const byOffset = await java.viewMessage(topic, sent.offsetMessageId)
      const byUnique = await java.viewMessage(topic, sent.messageId)
      deepStrictEqual(
        [...found, byOffset, byUnique].map((message) => [
          message.body.toString(),
          message.properties['UNIQ_KEY'],
        ]),
        Array(3).fill(['find me', sent.messageId]),
      )
    })

    it('transactions of Java are read here when they are committed, at once or by a check', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const producerGroup = c.name('transactions')
      const send = (outcome: 'commit' | 'rollback' | 'unknown', onCheck = '') =>
        java.sendTransaction({
          topic,
          body: `${outcome} ${onCheck}`,
          outcome,
          producerGroup,
          ...(onCheck === '' ? {} : { properties: { onCheck } }),
        })
      await send('rollback')
      const checkedBack = await send('unknown', 'rollback')
      const committed = await send('commit')
      const checked = await send('unknown', 'commit')
      const messages = await c.read(topic, 2)
      deepStrictEqual(
        new Set(messages.map((message) => message.messageId)),
        new Set([committed.messageId, checked.messageId]),
      )
      await until('both checks', async () => {
        const ids = new Set(
          (await java.transactionChecks(producerGroup)).map((message) => message.properties['UNIQ_KEY']),
        )
        return ids.has(checkedBack.messageId) && ids.has(checked.messageId)
      })
    })

    it('a transactional producer of Java and ours answer for each other in one group', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const producerGroup = c.name('mixed')
      const { committed, askedCrosswise } = await mixTransactions(
        c.client,
        java,
        [c.master],
        topic,
        producerGroup,
      )
      const messages = await c.read(topic, committed.size)
      // Not how often: whoever is asked next does not know that an end is on its way.
      deepStrictEqual(
        [askedCrosswise, new Set(messages.map((message) => message.messageId))],
        [{ us: true, java: true }, committed],
      )
    })

    it('a Java consumer gets what was sent back here, and fails it back to us', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const group = await c.group({ retryMaxTimes: 2 })
      const consumer = c.consumer({ consumerGroup: group })
      const { messageId } = await c.producer.send({
        topic,
        body: 'poison',
        tag: 't',
        properties: { mine: 'ü' },
      })
      const [message] = await c.read(topic, 1)
      ok(message)
      await consumer.sendBack(message, { delayLevel: 1 })
      await consumer.commitOffset(message.queue, 1n)
      const [again] = await java.consume({ topic, consumerGroup: group, expected: 1 })
      deepStrictEqual(
        [
          again?.topic,
          again?.messageId,
          again?.reconsumeTimes,
          again?.body.toString(),
          again?.properties['mine'],
        ],
        [topic, messageId, 1, 'poison', 'ü'],
      )
      // Java committed the retry topic; now it sends the original back, and we see that.
      const [retry] = await consumer.queues(retryTopic(group))
      ok(retry)
      deepStrictEqual(await consumer.committedOffset(retry), 1n)
      await java.sendBack({ queue: c.queue(topic), offset: 0, delayLevel: 1, consumerGroup: group })
      await java.sendBack({ queue: c.queue(topic), offset: 0, delayLevel: -1, consumerGroup: group })
      const [, second] = await c.read(retryTopic(group), 2)
      const [dead] = await c.read(deadLetterTopic(group), 1)
      deepStrictEqual(
        [second, dead].map((each) => [
          each?.messageId,
          each?.body.toString(),
          each?.systemProperties['ORIGIN_MESSAGE_ID'],
        ]),
        Array(2).fill([messageId, 'poison', message.offsetMessageId]),
      )
      deepStrictEqual(second?.topic, topic)
    })

    it('offsets committed by either are the other’s, and mqadmin shows them', async () => {
      const { c, java, rocketmq } = bench
      const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
      const consumerGroup = await c.group()
      const consumer = c.consumer({ consumerGroup })
      const [q0, q1] = [c.queue(topic, 0), c.queue(topic, 1)]
      await c.producer.sendBatch(
        topic,
        Array.from({ length: 6 }, () => ({ body: 'x', queue: q0 })),
      )
      await c.producer.sendBatch(
        topic,
        Array.from({ length: 9 }, () => ({ body: 'x', queue: q1 })),
      )
      const messages = await c.read(topic, 15)
      // Java leaves setZeroIfNotFound out, and is told 0 where nothing was ever committed.
      deepStrictEqual(
        [await java.committedOffset({ queue: q0, consumerGroup }), await consumer.committedOffset(q1)],
        ['0', undefined],
      )
      await consumer.commitOffset(q0, 4n)
      await java.commitOffset({ queue: q1, offset: 7, consumerGroup })
      deepStrictEqual(
        [await java.committedOffset({ queue: q0, consumerGroup }), await consumer.committedOffset(q1)],
        ['4', 7n],
      )
      const time = messages[0]?.storeTimestamp ?? 0
      deepStrictEqual(
        [
          await java.minOffset({ queue: q0 }),
          await java.maxOffset({ queue: q0 }),
          await java.searchOffset({ queue: q0, timestamp: time }),
        ],
        [
          await consumer.minOffset(q0),
          await consumer.maxOffset(q0),
          await consumer.searchOffset(q0, time),
        ].map(String),
      )
      const rows = (await rocketmq.mqadmin('consumerProgress', '-g', consumerGroup))
        .split('\n')
        .filter((line) => line.startsWith(topic))
        .map((line) => line.trim().split(/\s+/).slice(1, 5))
      const byQueueId = rows.toSorted(([, a = ''], [, b = '']) => a.localeCompare(b))
      deepStrictEqual(byQueueId, [
        [c.brokerName, '0', '6', '4'],
        [c.brokerName, '1', '9', '7'],
      ])
    })

    it('a Java consumer reads on where we stopped, and in order', async () => {
      const { c, java } = bench
      const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
      const consumerGroup = await c.group()
      const consumer = c.consumer({ consumerGroup })
      for (let n = 0; n < 20; n++)
        await c.producer.send({ topic, body: String(n), queue: c.queue(topic, n % 2) })
      await c.read(topic, 20)
      for (const queue of await consumer.queues(topic)) await consumer.commitOffset(queue, 5n)
      const received = await java.consume({ topic, consumerGroup, expected: 10, orderly: true })
      const byQueue = Map.groupBy(received, (message) => message.queueId)
      deepStrictEqual(
        [0, 1].map((queueId) => bodies(byQueue.get(queueId) ?? [])),
        [
          ['10', '12', '14', '16', '18'],
          ['11', '13', '15', '17', '19'],
        ],
      )
      const committed = await Promise.all(
        (await consumer.queues(topic)).map((queue) => consumer.committedOffset(queue)),
      )
      deepStrictEqual(committed, [10n, 10n])
    })

    it('tag and SQL92 filters choose the same messages', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const queue = c.queue(topic)
      for (const [n, tag] of ['a', 'b', 'BB', 'Aa', 'ü'].entries())
        await c.producer.send({ topic, body: tag, tag, properties: { n: String(n) } })
      await c.read(topic, 5)
      for (const filter of ['a || Aa', 'BB', 'ü', '*']) {
        const pulled = await java.pull({ queue, offset: 0, filter, consumerGroup: c.name('f') })
        const result = await c.consumer({ filter }).pull(queue, 0n)
        deepStrictEqual(bodies(result.messages), bodies(pulled.messages))
      }
      const result = await c.consumer({ filter: { sql: 'n >= 1 AND n < 4' } }).pull(queue, 0n)
      deepStrictEqual(bodies(result.messages), ['b', 'BB', 'Aa'])
      // Java's listener runs in many threads, so the order in which it reports them says nothing.
      const sql = 'n >= 1 AND n < 4'
      const consumed = await java.consume({ topic, consumerGroup: c.name('sql'), sql, expected: 3 })
      deepStrictEqual(new Set(bodies(consumed)), new Set(['b', 'BB', 'Aa']))
    })

    it('a namespace means the same to both', async () => {
      const { c, rocketmq } = bench
      await using java = await startJavaClient(rocketmq.nameServers, { namespace: 'INST' })
      const client = c.connect({ namespace: 'INST' })
      const topic = c.name('topic')
      await c.topic({ topic: `INST%${topic}` })
      await java.send({ topic, body: 'from java' })
      await createProducer(client, { producerGroup: 'p' }).send({ topic, body: 'ours' })
      const consumer = createPullConsumer(client, { consumerGroup: c.name('g') })
      const result = await until('both', async () => {
        const pulled = await consumer.pull(c.queue(topic), 0n)
        return pulled.messages.length === 2 ? pulled : undefined
      })
      deepStrictEqual(
        result.messages.map((each) => [each.topic, each.body.toString()]),
        [
          [topic, 'from java'],
          [topic, 'ours'],
        ],
      )
      const group = c.name('g')
      const received = await java.consume({ topic, consumerGroup: group, expected: 2 })
      deepStrictEqual(bodies(received).toSorted(), ['from java', 'ours'])
      const committed = createPullConsumer(client, { consumerGroup: group })
      deepStrictEqual(await committed.committedOffset(c.queue(topic)), 2n)
    })

    it('mqadmin is told at once that an idle client has no running info', async () => {
      const { c, rocketmq } = bench
      const topic = await c.topic()
      const groupName = c.name('idle')
      const subscription = {
        topic,
        subString: '*',
        expressionType: 'TAG',
        tagsSet: [],
        codeSet: [],
        subVersion: 1n,
        classFilterMode: false,
      }
      const clientID = '127.0.0.1@idle'
      await c.call(
        HeartBeat,
        {},
        {
          clientID,
          producerDataSet: [],
          consumerDataSet: [
            {
              groupName,
              consumeType: 'CONSUME_PASSIVELY',
              messageModel: 'CLUSTERING',
              consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
              subscriptionDataSet: [subscription],
              unitMode: false,
            },
          ],
        },
      )
      const printed = await rocketmq
        .mqadmin('consumerStatus', '-g', groupName, '-i', clientID)
        .catch((error: Error) => error.message)
      ok(/307 not supported/.test(printed), printed)
    })
  })

  describe('interop over IPv6', () => {
    let bench: Bench
    before(async () => {
      bench = await startBench({ brokerIP1: '::1', settings: { bindAddress: '::' } })
    })
    after(() => bench?.stop())

    it('messages of a broker with an IPv6 address have long offset ids, which lead to it', async () => {
      const { c, java } = bench
      const topic = await c.topic()
      const own = await c.producer.send({ topic, body: 'ours', tag: 't' })
      const their = await java.send({ topic, body: 'theirs' })
      deepStrictEqual([own.offsetMessageId.length, their.offsetMessageId?.length], [56, 56])
      const messages = await bothSee(bench, topic, 2)
      deepStrictEqual(
        messages.map((message) => message.sysFlag & STORE_HOST_V6),
        [STORE_HOST_V6, STORE_HOST_V6],
      )
      deepStrictEqual(
        messages.map((message) => message.sysFlag & BORN_HOST_V6),
        [BORN_HOST_V6, BORN_HOST_V6],
      )
      const { commitLogOffset, address } = decodeOffsetMessageId(own.offsetMessageId)
      deepStrictEqual(
        [commitLogOffset, address.endsWith(`:${c.master.split(':').at(-1)}`)],
        [messages[0]?.commitLogOffset, true],
      )
      const viewed = await java.viewMessage(topic, own.offsetMessageId)
      deepStrictEqual(viewed.body.toString(), 'ours')
    })

    it('batches, retries and dead letters work there as well', async () => {
      const { c } = bench
      const topic = await c.topic()
      const group = await c.group()
      const results = await c.producer.sendBatch(topic, [{ body: 'a' }, { body: 'b' }])
      const messages = await c.read(topic, 2)
      deepStrictEqual(
        messages.map((message) => message.offsetMessageId),
        results.map((each) => (each.outcome === 'stored' ? each.result.offsetMessageId : '')),
      )
      const consumer = c.consumer({ consumerGroup: group })
      const [first, second] = messages
      ok(first && second)
      await consumer.sendBack(first, { delayLevel: 1 })
      await consumer.sendBack(second, { delayLevel: -1 })
      const [again] = await c.read(retryTopic(group), 1)
      const [dead] = await c.read(deadLetterTopic(group), 1)
      deepStrictEqual(
        [again, dead].map((each) => [each?.messageId, each?.body.toString()]),
        [first, second].map((each) => [each.messageId, each.body.toString()]),
      )
      await bothSee(bench, deadLetterTopic(group), 1)
    })
  })
}
