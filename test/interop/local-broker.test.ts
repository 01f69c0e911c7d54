/** Other people's clients on the local broker: Apache's Java client and mqadmin. Each says what it has received. */
import { deepStrictEqual, match } from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createClient } from '../../src/index.ts'
import { type LocalBroker, startBroker } from '../../src/testing/index.ts'
import { mixTransactions } from '../support/mixed-transactions.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type JavaClient, type JavaReceived, startJavaClient } from '../support/rocketmq/interop.ts'
import { mqadmin } from '../support/rocketmq/start.ts'

const bodies = (messages: readonly JavaReceived[]): string[] =>
  messages.map((message) => message.body.toString()).toSorted()

const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n))

const available = await realBrokerAvailable()

describe("Apache's Java client on the local broker", { skip: !available }, () => {
  let broker: LocalBroker
  let java: JavaClient

  before(async () => {
    broker = await startBroker({
      brokers: 2,
      recall: true,
      transactionCheckInterval: 1_000,
      transactionTimeOut: 1_000,
    })
    java = await startJavaClient(broker.nameServers)
  })
  after(async () => {
    await java?.stop()
    await broker?.close()
  })

  /** Sends the numbers as bodies, round the queues. */
  const send = async (topic: string, count: number, tag = 't'): Promise<void> => {
    for (const body of numbered(count)) await java.send({ topic, body, tag, keys: [`key-${body}`] })
  }

  it('what its producer sends to a new topic stands there with all that it said', async () => {
    const sent = await java.send({
      topic: 'java-sends',
      body: 'grüße',
      tag: 'größe',
      keys: ['k1', 'k2'],
      properties: { mine: 'ü' },
      compress: 'ZSTD',
    })

    const [message] = broker.messages('java-sends')
    deepStrictEqual(
      [
        sent.status,
        message?.body.toString(),
        message?.properties['TAGS'],
        message?.properties['KEYS'],
        message?.properties['mine'],
        message?.properties['UNIQ_KEY'],
        message?.offsetMessageId,
      ],
      ['SEND_OK', 'grüße', 'größe', 'k1 k2', 'ü', sent.messageId, sent.offsetMessageId],
    )
  })

  it('its batch is stored whole, in one queue', async () => {
    broker.createTopic('java-batch')
    const messages = numbered(5).map((body) => ({ body, tag: 't' }))
    const result = await java.sendBatch({ topic: 'java-batch', messages })

    const stored = broker.messages('java-batch')
    deepStrictEqual(
      [
        result.status,
        stored.map((message) => message.body.toString()),
        new Set(stored.map((each) => each.queueId)),
      ],
      ['SEND_OK', numbered(5), new Set([result.queue.queueId])],
    )
  })

  it('its transactional producer and ours answer for each other in one group', async () => {
    broker.createTopic('java-transactions')
    const client = createClient({ nameServers: broker.nameServers })
    const masters = broker.brokers.map(({ address }) => address)
    const { committed, askedCrosswise } = await mixTransactions(
      client,
      java,
      masters,
      'java-transactions',
      'mixed',
    )
    await client.close()
    const delivered = broker.messages('java-transactions').map(({ properties }) => properties['UNIQ_KEY'])
    deepStrictEqual([askedCrosswise, new Set(delivered)], [{ us: true, java: true }, committed])
  })

  it('its pull consumer reads, searches, commits and looks messages up', async () => {
    broker.createTopic('java-pull', { queues: 1 })
    const [queue] = await java.queues('java-pull')
    if (!queue) throw new Error('no queue')
    for (const body of numbered(3))
      await java.send({ topic: 'java-pull', body, queue, keys: [`key-${body}`] })
    const pulled = await java.pull({ queue, offset: 0 })
    await java.commitOffset({ queue, offset: 2 })
    const [first] = pulled.messages

    deepStrictEqual(
      {
        status: pulled.status,
        bodies: bodies(pulled.messages),
        next: pulled.nextBeginOffset,
        committed: await java.committedOffset({ queue }),
        ends: [await java.minOffset({ queue }), await java.maxOffset({ queue })],
        found: await java.searchOffset({ queue, timestamp: 0 }),
        viewed: (await java.viewMessage('java-pull', first?.offsetMessageId ?? '')).body.toString(),
        byKey: bodies(await java.queryByKey({ topic: 'java-pull', key: 'key-1' })),
      },
      {
        status: 'FOUND',
        bodies: numbered(3),
        next: '3',
        committed: '2',
        ends: ['0', '3'],
        found: '0',
        viewed: '0',
        byKey: ['1'],
      },
    )
  })

  it('its lite pull consumer receives every message and commits', async () => {
    broker.createTopic('java-lite', { queues: 2 })
    await send('java-lite', 20)
    const received = await java.litePull({ topic: 'java-lite', consumerGroup: 'lite', expected: 20 })

    deepStrictEqual(bodies(received), numbered(20).toSorted())
    deepStrictEqual(committed(broker, 'lite', 'java-lite', 2), 20n)
  })

  it('its push consumer receives every message, those that failed again from the retry topic', async () => {
    broker.createTopic('java-push', { queues: 2 })
    await send('java-push', 8, 'wanted')
    await send('java-push', 4, 'other')
    const received = await java.consume({
      topic: 'java-push',
      consumerGroup: 'push',
      filter: 'wanted',
      expected: 16,
      failures: 1,
    })

    const attempts = received
      .map((message) => `${message.body.toString()} ${message.reconsumeTimes}`)
      .toSorted()
    deepStrictEqual(
      attempts,
      numbered(8).flatMap((body) => [`${body} 0`, `${body} 1`]),
    )
    deepStrictEqual(broker.messages('%RETRY%push').length, 8)
  })

  it('its orderly push consumer receives each queue in order', async () => {
    broker.createTopic('java-orderly', { queues: 2 })
    for (const body of numbered(12))
      await java.send({ topic: 'java-orderly', body, shardingKey: `key-${Number(body) % 3}` })
    const received = await java.consume({
      topic: 'java-orderly',
      consumerGroup: 'orderly',
      expected: 12,
      orderly: true,
    })

    const byQueue = Map.groupBy(received, ({ brokerName, queueId }) => `${brokerName} ${queueId}`)
    for (const messages of byQueue.values()) {
      const order = messages.map(({ queueOffset }) => Number(queueOffset))
      deepStrictEqual(
        order,
        order.toSorted((a, b) => a - b),
      )
    }
    deepStrictEqual(bodies(received), numbered(12).toSorted())
  })

  it('its delayed messages come in their time, and a recalled one does not', async () => {
    broker.createTopic('java-later', { queues: 1 })
    await java.send({ topic: 'java-later', body: 'level', delayLevel: 5 })
    await java.send({ topic: 'java-later', body: 'timer', delayMs: 90_000 })
    const recalled = await java.send({ topic: 'java-later', body: 'recalled', delayMs: 90_000 })
    await java.recall({ topic: 'java-later', recallHandle: recalled.recallHandle ?? '' })
    const before = broker.messages('java-later').length
    await broker.clock.advance(120_000)

    deepStrictEqual(
      [
        before,
        broker
          .messages('java-later')
          .map((message) => message.body.toString())
          .toSorted(),
      ],
      [0, ['level', 'timer']],
    )
  })
})

describe('mqadmin on the local broker', { skip: !available }, () => {
  let broker: LocalBroker
  let folder: string
  const run = (...args: string[]): Promise<string> => mqadmin(folder, broker.nameServers, args)
  /** The columns of the lines that begin with a word. */
  const rows = (output: string, first: string): string[][] =>
    output
      .split('\n')
      .filter((line) => line.startsWith(first))
      .map((line) => line.trim().split(/\s+/))

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rocketmq-mqadmin-'))
    broker = await startBroker({ topics: { orders: { queues: 2 } } })
    await using java = await startJavaClient(broker.nameServers)
    for (let n = 0; n < 6; n++) {
      const queue = { topic: 'orders', brokerName: 'broker-a', queueId: n % 2 }
      await java.send({ topic: 'orders', body: String(n), queue })
    }
    await java.litePull({ topic: 'orders', consumerGroup: 'billing', expected: 6 })
  })
  after(async () => {
    await broker?.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('clusterList shows the broker under its address', async () => {
    const [line] = rows(await run('clusterList'), 'DefaultCluster')
    deepStrictEqual(line?.slice(0, 5), [
      'DefaultCluster',
      'broker-a',
      '0',
      broker.brokers[0]?.address,
      'V5_5_0',
    ])
  })

  it('topicList has the topic and those of the broker', async () => {
    const topics = (await run('topicList')).split('\n')
    deepStrictEqual(
      ['orders', 'TBW102', '%RETRY%billing'].map((topic) => topics.includes(topic)),
      [true, true, true],
    )
  })

  it('updateTopic creates a topic and changes it', async () => {
    const created = await run('updateTopic', '-c', 'DefaultCluster', '-t', 'made', '-r', '3', '-w', '3')
    match(created, /create topic to \S+ success/)
    await run('updateTopic', '-b', broker.brokers[0]?.address ?? '', '-t', 'made', '-r', '5', '-w', '5')
    deepStrictEqual(rows(await run('topicStatus', '-t', 'made'), 'broker-a').length, 5)
  })

  it('topicStatus has the ends of every queue', async () => {
    deepStrictEqual(
      rows(await run('topicStatus', '-t', 'orders'), 'broker-a').map((line) => line.slice(0, 4)),
      [
        ['broker-a', '0', '0', '3'],
        ['broker-a', '1', '0', '3'],
      ],
    )
  })

  it('consumerProgress has how far the group is, and resetOffsetByTime takes it back', async () => {
    const progress = async () =>
      rows(await run('consumerProgress', '-g', 'billing', '-t', 'orders'), 'orders').map((line) =>
        line.slice(0, 5),
      )
    const before = await progress()
    await run('resetOffsetByTime', '-g', 'billing', '-t', 'orders', '-s', '1000')

    const queue = (id: string, committed: string) => ['orders', 'broker-a', id, '3', committed]
    deepStrictEqual(before, [queue('0', '3'), queue('1', '3')])
    deepStrictEqual(await progress(), [queue('0', '0'), queue('1', '0')])
  })
})

/** The sum of what a group has committed of a topic on both brokers. */
function committed(broker: LocalBroker, group: string, topic: string, queues: number): bigint {
  let sum = 0n
  for (const { name } of broker.brokers) {
    for (let queueId = 0; queueId < queues; queueId++)
      sum += broker.committedOffset(group, { topic, brokerName: name, queueId }) ?? 0n
  }
  return sum
}
