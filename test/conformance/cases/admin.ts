/** Topic, group and message queries (protocol.md 9.3, 16), with their real answers decoded. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import {
  DeleteSubscriptionGroup,
  GetConsumeStats,
  GetSubscriptionGroupConfig,
  UpdateAndCreateSubscriptionGroup,
} from '../../../src/commands/groups.ts'
import { QueryMessage } from '../../../src/commands/messages.ts'
import {
  GetAllTopicConfig,
  GetTopicConfig,
  GetTopicStatsInfo,
  QueryTopicConsumeByWho,
} from '../../../src/commands/topics.ts'
import { decodeMessages } from '../../../src/wire/message.ts'
import { type Cases, type Context, failure, until } from '../context.ts'

async function query(c: Context, topic: string, key: string, unique = false): Promise<string[]> {
  const request = { topic, key, maxNum: 32, beginTimestamp: 0n, endTimestamp: BigInt(Date.now() + 60_000) }
  const answer = await c.call(
    QueryMessage,
    unique ? { ...request, _UNIQUE_KEY_QUERY: true } : request,
    undefined,
  )
  return decodeMessages(answer.body).messages.map((message) => message.body.toString())
}

export const admin: Cases = {
  'the settings of a topic are what they were set to': async (c) => {
    const topic = await c.topic({
      readQueueNums: 3,
      writeQueueNums: 2,
      perm: 4,
      order: true,
      attributes: '+message.type=FIFO',
    })
    const { body } = await c.call(GetTopicConfig, { topic }, undefined)
    deepStrictEqual(
      { ...body, attributes: { ...body.attributes } },
      {
        topicName: topic,
        readQueueNums: 3,
        writeQueueNums: 2,
        perm: 4,
        topicFilterType: 'SINGLE_TAG',
        topicSysFlag: 0,
        order: true,
        attributes: { 'message.type': 'FIFO' },
      },
    )
    deepStrictEqual(await failure(c.call(GetTopicConfig, { topic: c.name('nowhere') }, undefined)), {
      error: 'BrokerError',
      responseCode: 17,
    })
  },

  'the statistics of a topic have the ends of every queue': async (c) => {
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    await c.producer.send({ topic, body: 'x', queue: c.queue(topic, 1) })
    const [stored] = await c.read(topic, 1)
    const { body } = await c.call(GetTopicStatsInfo, { topic }, undefined)
    deepStrictEqual(
      body.offsetTable.toSorted(([a], [b]) => a.queueId - b.queueId),
      [
        [c.queue(topic, 0), { minOffset: 0n, maxOffset: 0n, lastUpdateTimestamp: 0n }],
        [
          c.queue(topic, 1),
          { minOffset: 0n, maxOffset: 1n, lastUpdateTimestamp: BigInt(stored?.storeTimestamp ?? 0) },
        ],
      ],
    )
  },

  'the statistics of a group have what it has read of every queue': async (c) => {
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    const consumerGroup = await c.group()
    const consumer = c.consumer({ consumerGroup })
    await c.producer.sendBatch(
      topic,
      Array.from({ length: 3 }, (_, n) => ({ body: String(n), queue: c.queue(topic, 0) })),
    )
    await c.read(topic, 3)
    await consumer.commitOffset(c.queue(topic, 0), 1n)
    const { body } = await c.call(GetConsumeStats, { consumerGroup, topic }, undefined)
    deepStrictEqual(
      body.offsetTable
        .toSorted(([a], [b]) => a.queueId - b.queueId)
        .map(([queue, { brokerOffset, consumerOffset }]) => [queue, brokerOffset, consumerOffset]),
      [
        [c.queue(topic, 0), 3n, 1n],
        [c.queue(topic, 1), 0n, 0n],
      ],
    )
    const who = await c.call(QueryTopicConsumeByWho, { topic }, undefined)
    deepStrictEqual(who.body.groupList, [consumerGroup])
  },

  'a group is created, changed, read and deleted': async (c) => {
    const groupName = c.name('group')
    const read = async () => (await c.call(GetSubscriptionGroupConfig, { group: groupName }, undefined)).body
    await c.call(UpdateAndCreateSubscriptionGroup, {}, { groupName })
    const created = await read()
    deepStrictEqual(
      { ...created, attributes: { ...created.attributes } },
      {
        groupName,
        consumeEnable: true,
        consumeFromMinEnable: true,
        consumeBroadcastEnable: true,
        consumeMessageOrderly: false,
        retryQueueNums: 1,
        retryMaxTimes: 16,
        groupRetryPolicy: { type: 'CUSTOMIZED' },
        brokerId: 0n,
        whichBrokerWhenConsumeSlowly: 1n,
        notifyConsumerIdsChangedEnable: true,
        groupSysFlag: 0,
        consumeTimeoutMinute: 15,
        attributes: {},
      },
    )
    const retry = {
      type: 'EXPONENTIAL',
      exponentialRetryPolicy: { initial: 1000n, max: 60_000n, multiplier: 2n },
    }
    await c.call(
      UpdateAndCreateSubscriptionGroup,
      {},
      { groupName, retryMaxTimes: 3, groupRetryPolicy: retry },
    )
    const changed = await read()
    deepStrictEqual([changed.retryMaxTimes, changed.groupRetryPolicy], [3, retry])
    for (let round = 0; round < 2; round++)
      await c.call(DeleteSubscriptionGroup, { groupName, cleanOffset: true }, undefined)
    deepStrictEqual(
      await failure(c.consumer({ consumerGroup: groupName }).commitOffset(c.queue(await c.topic()), 1n)),
      {
        error: 'BrokerError',
        responseCode: 26,
        outcome: 'refused',
      },
    )
  },

  'the settings of all topics hold those of each': async (c) => {
    const topic = await c.topic({ readQueueNums: 3, writeQueueNums: 2, attributes: '+message.type=FIFO' })
    const { body: one } = await c.call(GetTopicConfig, { topic }, undefined)
    const { body: all } = await c.call(GetAllTopicConfig, {}, undefined)
    deepStrictEqual(all.topicConfigTable[topic], one)
  },

  'a group that is deleted without its offsets is there again, with the default settings': async (c) => {
    const group = await c.group({ retryMaxTimes: 3 })
    await c.call(DeleteSubscriptionGroup, { groupName: group }, undefined)
    await c.consumer({ consumerGroup: group }).commitOffset(c.queue(await c.topic()), 1n)
    const { body } = await c.call(GetSubscriptionGroupConfig, { group }, undefined)
    deepStrictEqual(body.retryMaxTimes, 16)
  },

  'asking for the settings of an unknown group creates it': async (c) => {
    const group = c.name('asked')
    const { body } = await c.call(GetSubscriptionGroupConfig, { group }, undefined)
    await c.consumer({ consumerGroup: group }).commitOffset(c.queue(await c.topic()), 1n)
    deepStrictEqual([body.groupName, body.retryMaxTimes], [group, 16])
  },

  'messages are found by each of their keys and by their message id': async (c) => {
    const topic = await c.topic()
    const { messageId } = await c.producer.send({ topic, body: 'found', keys: ['kk1', 'ключ'] })
    await c.producer.send({ topic, body: 'other', keys: 'kk2' })
    await until('the index', async () => (await query(c, topic, 'kk2')).length > 0)
    deepStrictEqual(
      [
        await query(c, topic, 'kk1'),
        await query(c, topic, 'ключ'),
        await query(c, topic, messageId, true),
        await query(c, topic, 'kk1 ключ'),
      ],
      [['found'], ['found'], ['found'], []],
    )
    const none = await c.call(
      QueryMessage,
      { topic, key: 'none', maxNum: 1, beginTimestamp: 0n, endTimestamp: BigInt(Date.now()) },
      undefined,
    )
    ok(none.code === 22 && none.meaning === 'empty')
  },
}
