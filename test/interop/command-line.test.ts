/** The command line beside Apache's mqadmin and Java client, on Apache RocketMQ with two masters. */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  type Client,
  createClient,
  createGroupAdmin,
  createPullConsumer,
  createTopicAdmin,
} from '../../src/index.ts'
import { type JsonValue, parseFastjson } from '../../src/wire/fastjson.ts'
import { until } from '../conformance/context.ts'
import { runCommand } from '../support/command-line.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type JavaClient, startJavaClient } from '../support/rocketmq/interop.ts'
import { featureSettings, startRocketMQ } from '../support/rocketmq/start.ts'

const available = await realBrokerAvailable()

type RocketMQ = Awaited<ReturnType<typeof startRocketMQ>>
type Row = readonly string[]

interface ShownLag {
  lag: string
  queues: Record<'topic' | 'brokerName' | 'queueId' | 'brokerOffset' | 'consumerOffset' | 'lag', string>[]
  deadLetters: { count: string }
}

describe('the command line beside mqadmin and Java', { skip: !available }, () => {
  let rocketmq: RocketMQ
  let client: Client
  let java: JavaClient

  before(async () => {
    rocketmq = await startRocketMQ({ brokers: [{}, {}], settings: featureSettings })
    client = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 20_000 })
    java = await startJavaClient(rocketmq.nameServers)
  })
  after(async () => {
    await java?.stop()
    await client?.close()
    await rocketmq?.stop()
  })

  const run = async (...args: string[]): Promise<string> => {
    const environment = { ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers, ROCKETMQ_TIMEOUT_MS: '20000' }
    const { code, stdout, stderr } = await runCommand(args, { environment })
    deepStrictEqual([args, code], [args, 0], stderr)
    return stdout
  }
  const runJson = async (...args: string[]): Promise<unknown> => JSON.parse(await run(...args, '--json'))

  /** Made by the command, with `count` messages of the Java client, round the queues. */
  const filled = async (topic: string, count: number): Promise<void> => {
    await run('topic', 'create', topic, '--queues', '2')
    await until(`the route of ${topic}`, async () => {
      const route = await createTopicAdmin(client)
        .route(topic)
        .catch(() => undefined)
      return route?.brokerDatas.length === 2
    })
    for (let n = 0; n < count; n++) {
      const queue = { topic, brokerName: n % 2 === 0 ? 'broker-a' : 'broker-b', queueId: (n >> 1) % 2 }
      await java.send({ topic, body: `{"n":${n}}`, keys: [`key-${n}`], queue, compress: 'LZ4' })
    }
    await until('the messages', async () => {
      const { queues } = await createTopicAdmin(client).stats(topic)
      return queues.reduce((sum, { maxOffset }) => sum + Number(maxOffset), 0) === count
    })
  }

  /**
   * The lines of mqadmin with a broker in the second column: topic, broker, queue, end, committed, lag.
   * @param more `-t`: without it mqadmin fails for a group without a retry topic
   */
  const progress = async (
    group: string,
    ...more: string[]
  ): Promise<{ rows: Row[]; total: string | undefined }> => {
    const printed = await rocketmq.mqadmin('consumerProgress', '-g', group, ...more)
    const rows = printed
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((row) => row[1]?.startsWith('broker-'))
      .map((row) => row.slice(0, 6))
    return { rows: sorted(rows), total: /Consume .*Diff Total: (\d+)/i.exec(printed)?.[1] }
  }
  const sorted = (rows: readonly Row[]): Row[] =>
    rows.toSorted((a, b) => (a.join(' ') < b.join(' ') ? -1 : 1))
  const lagOf = async (group: string): Promise<ShownLag> => (await runJson('lag', group)) as ShownLag
  const rowsOf = ({ queues }: ShownLag): Row[] =>
    sorted(
      queues.map(({ topic, brokerName, queueId, brokerOffset, consumerOffset, lag }) =>
        [topic, brokerName, queueId, brokerOffset, consumerOffset, lag].map(String),
      ),
    )

  it('lag is that of consumerProgress, retries included, and looking moves nothing', async () => {
    await filled('progress', 12)
    await run('group', 'create', 'behind')
    const consumer = createPullConsumer(client, { consumerGroup: 'behind' })
    for (const queue of await consumer.queues('progress')) {
      await consumer.commitOffset(queue, BigInt(queue.queueId))
      // mqadmin asks those brokers only that have the retry topic.
      if (queue.queueId > 0) continue
      const [first, second] = (await consumer.pull(queue, 0n)).messages
      if (first) await consumer.sendBack(first, { delayLevel: 1 })
      if (second) await consumer.sendBack(second, { delayLevel: -1 })
    }
    await until('the retries', async () => {
      const ends = await Promise.all(
        (await consumer.queues('%RETRY%behind')).map((queue) => consumer.maxOffset(queue)),
      )
      return ends.length === 2 && ends.every((end) => end === 1n)
    })
    for (const queue of await consumer.queues('%RETRY%behind')) await consumer.commitOffset(queue, 0n)
    const groups = await createGroupAdmin(client).list()

    const before = await progress('behind')
    const [first, peeked] = [await lagOf('behind'), await run('peek', 'progress', '--tail', '100', '--json')]
    const [afterwards, second] = [await progress('behind'), await lagOf('behind')]

    deepStrictEqual([rowsOf(first), first.lag], [before.rows, before.total])
    deepStrictEqual([afterwards, rowsOf(second)], [before, rowsOf(first)])
    deepStrictEqual([before.rows.length, first.deadLetters.count], [6, '2'])
    deepStrictEqual(peeked.trimEnd().split('\n').length, 12)
    const dead = (await run('peek', '%DLQ%behind', '--json')).trimEnd().split('\n')
    deepStrictEqual(
      dead.map((line) => (JSON.parse(line) as { topic: string }).topic),
      ['%DLQ%behind', '%DLQ%behind'],
    )
    deepStrictEqual(await createGroupAdmin(client).list(), groups)
    deepStrictEqual(await createTopicAdmin(client).consumers('progress'), ['behind'])
  })

  it('reset leads where resetOffsetByTime does', async () => {
    await filled('resets', 12)
    await run('group', 'create', 'their-reset')
    await run('group', 'create', 'our-reset')
    const lines = (await run('peek', 'resets', '--tail', '12', '--json')).trimEnd().split('\n')
    const { storeTimestamp } = JSON.parse(lines[6] ?? '') as { storeTimestamp: number }
    for (const [to, argument] of [
      [new Date(storeTimestamp).toISOString(), String(storeTimestamp)],
      ['latest', '-1'],
      ['earliest', '0'],
    ] as const) {
      await run('reset', 'our-reset', 'resets', '--to', to, '--yes')
      await rocketmq.mqadmin('resetOffsetByTime', '-g', 'their-reset', '-t', 'resets', '-s', argument)

      const [ours, theirs] = [rowsOf(await lagOf('our-reset')), rowsOf(await lagOf('their-reset'))]
      deepStrictEqual([to, ours], [to, theirs])
      deepStrictEqual([to, ours], [to, (await progress('our-reset', '-t', 'resets')).rows])
    }
  })

  it('peek finds by key, message id and offset message id what Java stored, decompressed', async () => {
    await filled('stored', 0)
    const body = JSON.stringify({ text: 'x'.repeat(2_000) })
    const sent = await java.send({ topic: 'stored', body, keys: ['order-1', 'x'], compress: 'ZSTD' })
    await until('the index', async () => {
      const { code } = await runCommand(['peek', 'stored', '--key', 'order-1'], {
        environment: { ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers },
      })
      return code === 0
    })

    const found = await Promise.all(
      [
        ['--key', 'order-1'],
        ['--id', sent.messageId],
        ['--id', sent.offsetMessageId ?? ''],
      ].map((args) => runJson('peek', 'stored', ...args) as Promise<Record<string, unknown>>),
    )

    deepStrictEqual(
      found.map(({ messageId, offsetMessageId, queueOffset, text }) => [
        messageId,
        offsetMessageId,
        queueOffset,
        text,
      ]),
      Array.from({ length: 3 }, () => [sent.messageId, sent.offsetMessageId, sent.queueOffset, body]),
    )
  })

  it('what send stores Java reads', async () => {
    await filled('sent', 0)
    const printed = await runJson('send', 'sent', 'hello', '--tag', 't', '--key', 'a', '--property', 'p=v')
    const { messageId, queue } = printed as {
      messageId: string
      queue: { brokerName: string; queueId: number }
    }
    const shown = await rocketmq.mqadmin('queryMsgByUniqueKey', '-t', 'sent', '-i', messageId)

    const value = (name: string): string | undefined =>
      new RegExp(`^${name}:\\s+(.+?)\\s*$`, 'm').exec(shown)?.[1]
    deepStrictEqual(
      [value('Queue ID'), value('Tags'), value('Keys'), /\bp=v\b/.test(shown)],
      [String(queue.queueId), '[t]', '[a]', true],
    )
  })

  it('changes what mqadmin shows, on every broker, and leaves the rest as it was', async () => {
    await filled('changed', 0)
    await run('group', 'create', 'changed-group', '--retry-queues', '2')
    const groups = createGroupAdmin(client)
    const [before] = await groups.describe('changed-group')
    await run('topic', 'update', 'changed', '--perm', 'r', '--type', 'FIFO', '--yes')
    await run('topic', 'update', 'changed', '--queues', '3', '--broker', 'broker-b', '--yes')
    await run('group', 'update', 'changed-group', '--consume', 'off', '--retry-max', '3', '--yes')

    const route = async (): Promise<Row[]> => {
      const printed = await rocketmq.mqadmin('topicRoute', '-t', 'changed')
      const { queueDatas } = parseFastjson(printed.slice(printed.indexOf('{'))) as unknown as {
        queueDatas: Record<'brokerName' | 'readQueueNums' | 'writeQueueNums' | 'perm', JsonValue>[]
      }
      return sorted(
        queueDatas.map(({ brokerName, readQueueNums, writeQueueNums, perm }) =>
          [brokerName, readQueueNums, writeQueueNums, perm].map(String),
        ),
      )
    }
    await until('the route', async () => (await route())[1]?.[1] === '3')
    deepStrictEqual(await route(), [
      ['broker-a', '2', '2', '4'],
      ['broker-b', '3', '3', '4'],
    ])
    const described = await createTopicAdmin(client).describe('changed')
    deepStrictEqual(
      described.map(({ attributes }) => attributes),
      [{ 'message.type': 'FIFO' }, { 'message.type': 'FIFO' }],
    )
    deepStrictEqual(
      (await groups.describe('changed-group')).map(({ config }) => config),
      [0, 1].map(() => ({ ...before?.config, consumeEnable: false, retryMaxTimes: 3 })),
    )
    const consumer = createPullConsumer(client, { consumerGroup: 'changed-group' })
    await rejects(consumer.pull({ topic: 'changed', brokerName: 'broker-a', queueId: 0 }, 0n), {
      responseCode: 16,
    })
  })

  it('deletes what mqadmin lists', async () => {
    await filled('deleted', 1)
    await run('group', 'create', 'deleted-group')
    await run('topic', 'delete', 'deleted', '--yes')
    await run('group', 'delete', 'deleted-group', '--yes')

    const listed = (await rocketmq.mqadmin('topicList')).split('\n')
    const groups = await createGroupAdmin(client).list()
    deepStrictEqual([listed.includes('deleted'), groups.includes('deleted-group')], [false, false])
  })
})
