/** Tag and SQL92 filters (protocol.md 8). */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { CheckClientConfig, PULL_SUBSCRIPTION, PullMessage } from '../../../src/commands/pull.ts'
import type { BrokerError } from '../../../src/errors.ts'
import { type Cases, type Context, failure } from '../context.ts'
import { pullOf } from './pulls.ts'

async function tagged(c: Context, tags: readonly (string | undefined)[]): Promise<string> {
  const topic = await c.topic()
  await c.producer.sendBatch(
    topic,
    tags.map((tag, n) => ({ body: `${n}:${tag ?? ''}`, tag })),
  )
  await c.read(topic, tags.length)
  return topic
}

const NO_SQL92 = { error: 'ConfigError', outcome: 'not-sent', field: 'filter.sql' }

export const filters: Cases = {
  'a tag expression gives the messages with one of its tags': async (c) => {
    const topic = await tagged(c, ['a', 'b', 'c', undefined, 'a'])
    const bodies = async (filter: string) => {
      const result = await c.consumer({ filter }).pull(c.queue(topic), 0n)
      return [
        result.status,
        result.nextBeginOffset,
        ...result.messages.map((message) => message.body.toString()),
      ]
    }
    deepStrictEqual(
      [await bodies('a || c'), await bodies(' b '), await bodies('*'), await bodies('none')],
      [
        ['FOUND', 5n, '0:a', '2:c', '4:a'],
        ['FOUND', 5n, '1:b'],
        ['FOUND', 5n, '0:a', '1:b', '2:c', '3:', '4:a'],
        ['NO_MATCHED_MESSAGE', 5n],
      ],
    )
  },

  'the broker takes only a bare * for everything, and blanks between separators for no tag': async (c) => {
    const topic = await tagged(c, ['a', undefined])
    const codeOf = async (subscription: string): Promise<number | undefined> => {
      const pull = c.call(PullMessage, pullOf(topic, c.name(), { subscription }), undefined)
      return await pull.then(
        ({ code }) => code,
        (error: BrokerError) => error.responseCode,
      )
    }
    const subscriptions = ['*', '', ' * ', ' ', '|| ||', '||']
    deepStrictEqual(await Promise.all(subscriptions.map(codeOf)), [0, 0, 20, 20, 20, 23])
  },

  'tags whose hashes collide are told apart by the client': async (c) => {
    const topic = await tagged(c, ['BB', 'BB'])
    const raw = await c.call(
      PullMessage,
      {
        consumerGroup: c.name(),
        topic,
        queueId: 0,
        queueOffset: 0n,
        maxMsgNums: 32,
        sysFlag: PULL_SUBSCRIPTION,
        subscription: 'Aa',
      },
      undefined,
    )
    ok(raw.code === 0 && raw.body.length > 0, 'the broker itself filters by hash')
    const result = await c.consumer({ filter: 'Aa' }).pull(c.queue(topic), 0n)
    deepStrictEqual([result.status, result.messages, result.nextBeginOffset], ['NO_MATCHED_MESSAGE', [], 2n])
  },

  'a retry topic is read whole, whatever the filter': async (c) => {
    const topic = await tagged(c, ['other'])
    const group = await c.group()
    const [message] = await c.read(topic, 1)
    const consumer = c.consumer({ consumerGroup: group, filter: 'a' })
    ok(message)
    await consumer.sendBack(message, { delayLevel: 1 })
    const [retried] = await c.read(`%RETRY%${group}`, 1, { consumerGroup: group, filter: 'a' })
    deepStrictEqual(retried?.tag, 'other')
  },

  'an SQL92 expression is evaluated on the broker': async (c) => {
    const topic = await c.topic()
    const properties = [{ n: '5', color: 'blau' }, { n: '11', color: 'grün' }, { n: '12' }]
    for (const [n, each] of properties.entries())
      await c.producer.send({ topic, body: String(n), properties: each, tag: 't' })
    await c.read(topic, properties.length)
    const bodies = async (sql: string) =>
      (await c.consumer({ filter: { sql } }).pull(c.queue(topic), 0n)).messages.map((message) =>
        message.body.toString(),
      )
    if (!c.broker.features.sql92) {
      deepStrictEqual(await failure(bodies('n > 10')), { ...NO_SQL92 })
      return
    }
    deepStrictEqual(
      [
        await bodies('n > 10'),
        await bodies("color = 'grün' AND TAGS = 't'"),
        await bodies('color IS NULL'),
        await bodies("n BETWEEN 1 AND 11 AND color IN ('blau', 'rot')"),
        await bodies('n > 100'),
      ],
      [['1', '2'], ['1'], ['2'], ['0'], []],
    )
  },

  'a wrong SQL92 expression is refused before a pull, which would give everything': async (c) => {
    const topic = await tagged(c, ['a', 'b'])
    const sql = 'n = = 5'
    deepStrictEqual(await failure(c.consumer({ filter: { sql } }).pull(c.queue(topic), 0n)), { ...NO_SQL92 })
    if (!c.broker.features.sql92) return
    const group = c.name()
    const raw = await c.call(
      PullMessage,
      {
        consumerGroup: group,
        topic,
        queueId: 0,
        queueOffset: 0n,
        maxMsgNums: 32,
        sysFlag: PULL_SUBSCRIPTION,
        subscription: sql,
        expressionType: 'SQL92',
      },
      undefined,
    )
    deepStrictEqual([raw.code, raw.header.nextBeginOffset], [0, 2n])
  },

  'CHECK_CLIENT_CONFIG tells a right filter from a wrong one': async (c) => {
    const topic = await c.topic()
    const check = (subString: string, expressionType = 'SQL92') =>
      c.call(
        CheckClientConfig,
        {},
        {
          clientId: c.name(),
          group: c.name(),
          subscriptionData: {
            topic,
            subString,
            expressionType,
            tagsSet: [],
            codeSet: [],
            subVersion: 0n,
            classFilterMode: false,
          },
        },
      )
    deepStrictEqual((await check('a || b', 'TAG')).code, 0)
    if (!c.broker.features.sql92) {
      deepStrictEqual(await failure(check('a > 1')), { error: 'BrokerError', responseCode: 1 })
      return
    }
    deepStrictEqual((await check('a > 1')).code, 0)
    deepStrictEqual(await failure(check('a > > 1')), { error: 'BrokerError', responseCode: 23 })
  },
}
