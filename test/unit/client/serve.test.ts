import { deepStrictEqual, match, ok, rejects } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { callUser } from '../../../src/client/window.ts'
import {
  ConsumeMessageDirectly,
  GetConsumerRunningInfo,
  RequestCode,
  ResetConsumerClientOffset,
} from '../../../src/commands/index.ts'
import {
  type Client,
  createClient,
  createGroupAdmin,
  createProducer,
  createPullConsumer,
  createTransactionProducer,
  RocketMQError,
  type SendResult,
  type ServeOptions,
  serve,
  toJson,
} from '../../../src/index.ts'
import { type LocalBroker, startBroker } from '../../../src/testing/index.ts'
import { FLAG_RESPONSE } from '../../../src/wire/index.ts'
import { type FakeCluster, fakeCluster, json } from '../../support/fake-cluster.ts'
import type { FakeConnection } from '../../support/fake-server.ts'

const CONSUMER = { consumerGroup: 'billing', clientId: 'one' }
/** Long enough that a busy machine asks within it; the tests that wait for its end run side by side. */
const WINDOW_MS = 10_000
/** What a broker tells at its first heartbeat has come by then, also to a process that was stopped. */
const TELLING_MS = 2_000

interface Run {
  broker: LocalBroker
  client: Client
  /** Asks as mqadmin does, through the broker. */
  ask: <T>(command: unknown, request: object, body?: Buffer) => Promise<T>
  sent: SendResult
}

async function withBroker(run: (run: Run) => Promise<void>): Promise<void> {
  await using broker = await startBroker({
    topics: { orders: { queues: 1 } },
    transactionCheckInterval: 100,
    transactionTimeOut: 1,
  })
  const client = createClient({ nameServers: broker.nameServers, timeoutMs: 20_000 })
  const admin = createClient({ nameServers: broker.nameServers, timeoutMs: 20_000 })
  const address = broker.brokers[0]?.address ?? ''
  const sent = await createProducer(client, { producerGroup: 'p' }).send({ topic: 'orders', body: 'x' })
  const ask: Run['ask'] = async (command, request, body) => {
    const call = admin.network.call(
      address,
      command as typeof ConsumeMessageDirectly,
      request as never,
      body as never,
      {
        deadline: admin.deadline(),
      },
    )
    return (await call).body as never
  }
  try {
    await run({ broker, client, ask, sent })
  } finally {
    await Promise.all([client.close(), admin.close()])
  }
}

/** Serves, and calls `meanwhile` as soon as the group has its member. */
async function serving<T>(
  client: Client,
  options: Partial<ServeOptions>,
  meanwhile: () => Promise<T>,
): Promise<{ result: Awaited<ReturnType<typeof serve>>; seen: T }> {
  const served = serve(client, { ...CONSUMER, windowMs: WINDOW_MS, ...options })
  const groups = createGroupAdmin(client)
  const over = served.then(() => Promise.reject(new Error('the window ended before there was a member')))
  over.catch(() => undefined)
  while ((await groups.members('billing')).length === 0) await Promise.race([delay(5), over])
  const seen = await meanwhile()
  return { result: await served, seen }
}

const directly = (sent: SendResult) => ({
  ...CONSUMER,
  topic: 'orders',
  brokerName: 'broker-a',
  msgId: sent.offsetMessageId,
})

const failureOf = async (call: Promise<unknown>): Promise<unknown> => {
  try {
    return await call
  } catch (error) {
    ok(error instanceof RocketMQError, String(error))
    const { name, responseCode, field } = error
    return { name, responseCode, field }
  }
}

describe('serve', { concurrency: true }, () => {
  it('is a member for as long as its window, and tells who asks what the group does', () =>
    withBroker(async ({ client, ask, sent }) => {
      await createPullConsumer(client, CONSUMER).pull(sent.queue, 0n)
      await createPullConsumer(client, CONSUMER).commitOffset(sent.queue, 1n)
      const { result, seen } = await serving(client, { subscriptions: { orders: 'a || b' } }, () =>
        ask<object>(GetConsumerRunningInfo, CONSUMER),
      )
      const info = toJson(seen) as {
        properties: object
        subscriptionSet: object[]
        mqTable: [object, object][]
      }
      const { PROP_CONSUMER_START_TIMESTAMP: startedAt, ...properties } = info.properties as Record<
        string,
        string
      >
      ok(Math.abs(Date.now() - Number(startedAt)) < 60_000)
      deepStrictEqual(properties, {
        PROP_CONSUME_TYPE: 'CONSUME_ACTIVELY',
        PROP_CONSUME_ORDERLY: 'false',
        PROP_CLIENT_VERSION: 'rocketmq-lambda',
        PROP_NAMESERVER_ADDR: client.nameServers.addresses.join(';'),
        PROP_THREADPOOL_CORE_SIZE: '1',
      })
      deepStrictEqual(
        [
          info.subscriptionSet.length,
          info.mqTable.map(([queue, { commitOffset }]: [object, { commitOffset?: string }]) => [
            queue,
            commitOffset,
          ]),
        ],
        [1, [[sent.queue, '1']]],
      )
      deepStrictEqual(
        [
          result.clientId,
          result.runningInfo,
          result.unreachable,
          await createGroupAdmin(client).members('billing'),
        ],
        ['one', 1, [], []],
      )
      ok(result.idsChanged > 0)
    }))

  it('handles a message directly, and says what came of it', () =>
    withBroker(async ({ client, ask, sent }) => {
      const outcomes = ['success', 'later', undefined] as const
      let turn = 0
      const { result, seen } = await serving(
        client,
        {
          handlers: {
            consumeDirectly: async (message) => {
              deepStrictEqual(
                [message.topic, message.body.toString(), message.queue],
                ['orders', 'x', sent.queue],
              )
              if (turn === outcomes.length) throw new Error('out of stock')
              return outcomes[turn++] as 'success'
            },
          },
        },
        async () => {
          const answers: { consumeResult: string; remark?: string }[] = []
          for (let n = 0; n < 4; n++) answers.push(await ask(ConsumeMessageDirectly, directly(sent)))
          return answers.map(({ consumeResult, remark }) => [consumeResult, remark])
        },
      )
      deepStrictEqual(seen, [
        ['CR_SUCCESS', undefined],
        ['CR_LATER', undefined],
        ['CR_SUCCESS', undefined],
        ['CR_THROW_EXCEPTION', 'Error: out of stock'],
      ])
      deepStrictEqual(
        result.consumed.map(({ messageId, result: outcome }) => [messageId === sent.messageId, outcome]),
        [
          [true, 'success'],
          [true, 'later'],
          [true, 'success'],
          [true, 'failed'],
        ],
      )
      deepStrictEqual(await createPullConsumer(client, CONSUMER).committedOffset(sent.queue), undefined)
    }))

  it('gives a handler that takes too long up, and says so', () =>
    withBroker(async ({ client, ask, sent }) => {
      let aborted = false
      const { result, seen } = await serving(
        client,
        {
          handlerTimeoutMs: 20,
          handlers: {
            consumeDirectly: (_, { signal }) =>
              new Promise((resolve) => {
                signal.addEventListener('abort', () => {
                  aborted = true
                  resolve()
                })
              }),
          },
        },
        () => ask<{ consumeResult: string; remark?: string }>(ConsumeMessageDirectly, directly(sent)),
      )
      match(seen.remark ?? '', /consumeDirectly\(\) took longer than it may/)
      deepStrictEqual(
        [seen.consumeResult, result.consumed[0]?.result, aborted],
        ['CR_THROW_EXCEPTION', 'failed', true],
      )
    }))

  it('refuses what it has no handler for, and a wrong answer of a handler is a failure', () =>
    withBroker(async ({ client, ask, sent }) => {
      const none = await serving(client, {}, () => failureOf(ask(ConsumeMessageDirectly, directly(sent))))
      const wrong = await serving(
        client,
        {
          handlers: {
            consumeDirectly: async () => 'done' as never,
            runningInfo: () => Promise.reject(new Error('no')),
          },
        },
        async () => [
          (await ask<{ consumeResult: string }>(ConsumeMessageDirectly, directly(sent))).consumeResult,
          await failureOf(ask(GetConsumerRunningInfo, CONSUMER)),
        ],
      )
      deepStrictEqual(
        [none.seen, none.result.refused, wrong.seen],
        [
          { name: 'BrokerError', responseCode: 3, field: undefined },
          [309],
          ['CR_THROW_EXCEPTION', { name: 'BrokerError', responseCode: 1, field: undefined }],
        ],
      )
    }))

  it('says of itself what it is told to', () =>
    withBroker(async ({ client, ask }) => {
      const { seen } = await serving(
        client,
        {
          handlers: {
            runningInfo: async () => ({ userConsumerInfo: { version: '7' }, properties: { extra: 'yes' } }),
          },
        },
        () =>
          ask<{ userConsumerInfo: Record<string, string>; properties: Record<string, string> }>(
            GetConsumerRunningInfo,
            CONSUMER,
          ),
      )
      deepStrictEqual([seen.userConsumerInfo['version'], seen.properties['extra']], ['7', 'yes'])
    }))

  it('answers the checks of a producer group beside it', () =>
    withBroker(async ({ client, broker }) => {
      const transactions = createTransactionProducer(client, { producerGroup: 'shop' })
      await transactions.begin({ topic: 'orders', body: 'half', messageId: 'H1' })
      const { result } = await serving(
        client,
        { producerGroup: 'shop', handlers: { resolve: async () => 'commit' } },
        async () => broker.clock.now(),
      )
      deepStrictEqual(
        result.checks?.resolved.committed.map(({ messageId }) => messageId),
        ['H1'],
      )
    }))

  it('is not begun twice with one client', () =>
    withBroker(async ({ client }) => {
      const { seen } = await serving(client, {}, () => failureOf(serve(client, CONSUMER)))
      deepStrictEqual(seen, { name: 'ConfigError', responseCode: undefined, field: 'serve' })
    }))

  for (const [what, options, field] of [
    ['no group', { consumerGroup: '' }, 'consumerGroup'],
    ['a misspelt option', { window: 1 }, 'window'],
    ['a misspelt handler', { handlers: { consume: async () => undefined } }, 'consume'],
    ['a handler that is none', { handlers: { reset: 1 } }, 'handlers.reset'],
    ['a producer group without an answer', { producerGroup: 'p' }, 'handlers.resolve'],
    ['another consume type', { consumeType: 'PUSH' }, 'consumeType'],
    ['a topic that is none', { subscriptions: { 'no topic': '*' } }, 'subscriptions'],
  ] as const) {
    it(`is refused with ${what}`, async () => {
      const client = createClient({ nameServers: '127.0.0.1:1' })
      const failed = await failureOf(serve(client, { ...CONSUMER, ...options } as never))
      await client.close()
      deepStrictEqual((failed as { field: string }).field, field)
    })
  }

  it('fails when no master can be reached', async (t) => {
    const { client } = await clusterWith(t, {})
    const dead = createClient({ nameServers: client.nameServers.addresses, addressMap: () => '127.0.0.1:1' })
    t.after(() => dead.close())
    deepStrictEqual(await failureOf(serve(dead, { ...CONSUMER, windowMs: 5_000 })), {
      name: 'ConnectError',
      responseCode: undefined,
      field: undefined,
    })
  })
})

describe('what a handler may take', () => {
  it('is over when its timer is, also where the clock is slow beside it', async (t) => {
    const now = Date.now()
    t.mock.method(Date, 'now', () => now)
    let aborted = false

    const called = callUser('resolve()', 1, { at: now + 60_000, explicit: false }, (signal) => {
      signal.addEventListener('abort', () => (aborted = true))
      return new Promise(() => undefined)
    })

    await rejects(called, { name: 'TimeoutError', message: 'resolve() took longer than it may' })
    deepStrictEqual(aborted, true)
  })
})

/** A cluster of one broker that tells each member what `tell` says, once. */
async function clusterWith(
  t: TestContext,
  { tell }: { tell?: (connection: FakeConnection) => void },
): Promise<{ cluster: FakeCluster; client: Client; committed: string[] }> {
  const committed: string[] = []
  const cluster: FakeCluster = await fakeCluster(t, {
    nameServer: {
      [RequestCode.GET_BROKER_CLUSTER_INFO]: () => ({
        body: json({
          brokerAddrTable: {
            'broker-a': {
              cluster: 'c',
              brokerName: 'broker-a',
              brokerAddrs: { 0: cluster.broker().address },
            },
          },
          clusterAddrTable: { c: ['broker-a'] },
        }),
      }),
    },
    brokers: {
      'broker-a': {
        [RequestCode.HEART_BEAT]: (_, connection) => {
          tell?.(connection)
          tell = undefined
          return {}
        },
        [RequestCode.UNREGISTER_CLIENT]: () => ({}),
        [RequestCode.UPDATE_CONSUMER_OFFSET]: ({ ext }) => {
          committed.push(`${ext['topic']}/${ext['queueId']} ${ext['commitOffset']}`)
          return {}
        },
      },
    },
  })
  return { cluster, client: cluster.client(), committed }
}

describe('a reset that a broker tells of', () => {
  const body = (): Buffer =>
    Buffer.from(
      ResetConsumerClientOffset.requestBody.encode({
        offsetTable: [0, 1].map(
          (queueId) => [{ topic: 'orders', brokerName: 'broker-a', queueId }, BigInt(queueId + 5)] as const,
        ),
      }) ?? [],
    )
  const ext = { topic: 'orders', group: 'billing', timestamp: '-1' }

  it('is committed, then told', async (t) => {
    const { client, committed } = await clusterWith(t, {
      tell: (connection) => connection.request({ code: 220, opaque: 1, oneway: true, ext, body: body() }),
    })
    let known: string[] = []
    const result = await serve(client, {
      ...CONSUMER,
      windowMs: TELLING_MS,
      handlers: {
        reset: async () => {
          known = [...committed]
        },
      },
    })
    deepStrictEqual(
      [
        known.toSorted(),
        result.resets.map(({ topic, queues, error }) => [
          topic,
          queues.map(({ queue, offset }) => [queue.queueId, offset]),
          error,
        ]),
      ],
      [
        ['orders/0 5', 'orders/1 6'],
        [
          [
            'orders',
            [
              [0, 5n],
              [1, 6n],
            ],
            undefined,
          ],
        ],
      ],
    )
  })

  it('of another group, or that makes no sense, changes nothing', async (t) => {
    const { client, committed } = await clusterWith(t, {
      tell: (connection) => {
        connection.request({
          code: 220,
          opaque: 1,
          oneway: true,
          ext: { ...ext, group: 'other' },
          body: body(),
        })
        connection.request({ code: 220, opaque: 2, oneway: true, ext, body: Buffer.from('{') })
        connection.request({ code: 220, opaque: 3, oneway: true, ext: { group: 'billing' }, body: body() })
      },
    })
    const result = await serve(client, { ...CONSUMER, windowMs: TELLING_MS })
    deepStrictEqual([committed, result.resets], [[], []])
  })
})

describe('a request that nobody knows', () => {
  it('is refused with code 3, whether it names the group or not, and a one-way one is passed over', async (t) => {
    const { cluster, client } = await clusterWith(t, {
      tell: (connection) => {
        connection.request({ code: 221, opaque: 11, ext: { group: 'billing', consumerGroup: 'billing' } })
        connection.request({ code: 9999, opaque: 12 })
        connection.request({ code: 307, opaque: 13, ext: { consumerGroup: 'billing', clientId: 'another' } })
        connection.request({ code: 9998, opaque: 14, oneway: true })
      },
    })
    const { refused } = await serve(client, { ...CONSUMER, windowMs: TELLING_MS })
    const answers = cluster.broker().frames.filter(({ flag }) => (flag & FLAG_RESPONSE) !== 0)
    deepStrictEqual(
      [answers.map(({ opaque, code }) => [opaque, code]), refused],
      [
        [
          [11, 3],
          [12, 3],
          [13, 3],
        ],
        [221],
      ],
    )
  })
})
