import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict'
import { Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { deflateSync } from 'node:zlib'
import {
  createPullConsumer,
  type Filter,
  type PullConsumer,
  type PullConsumerOptions,
  type ReadAheadOptions,
  type StartingPosition,
} from '../../../src/client/puller.ts'
import type { Message } from '../../../src/client/values.ts'
import { type MessageQueue, OFFSET_RESET_REMARK, RequestCode } from '../../../src/commands/index.ts'
import {
  type FakeCluster,
  type FakeClusterOptions,
  fakeCluster,
  type Handler,
  type Handlers,
  json,
} from '../../support/fake-cluster.ts'
import type { FakeAnswer } from '../../support/fake-server.ts'
import { factsOf, rejection } from '../../support/net.ts'
import { type StoredFields, storedMessage } from '../../support/stored-message.ts'

const PULL = RequestCode.PULL_MESSAGE
const CHECK = RequestCode.CHECK_CLIENT_CONFIG
const LOCK = RequestCode.LOCK_BATCH_MQ
const UNLOCK = RequestCode.UNLOCK_BATCH_MQ
const BACK = RequestCode.CONSUMER_SEND_MSG_BACK

const queue: MessageQueue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

interface Opened {
  cluster: FakeCluster
  consumer: PullConsumer
}

async function open(
  t: TestContext,
  cluster: FakeClusterOptions,
  options: Partial<PullConsumerOptions> = {},
  client: Parameters<FakeCluster['client']>[0] = {},
): Promise<Opened> {
  const opened = await fakeCluster(t, cluster)
  return {
    cluster: opened,
    consumer: createPullConsumer(opened.client(client), { consumerGroup: 'g', ...options }),
  }
}

/** A cluster of one broker that answers one request code. */
const answering = (code: number, answer: FakeAnswer | Handler): FakeClusterOptions => ({
  brokers: { 'broker-a': { [code]: typeof answer === 'function' ? answer : () => answer } },
})

function pulled(
  code: number,
  messages: (StoredFields | Buffer)[] = [],
  ext: Record<string, string> = {},
): FakeAnswer {
  const bytes = messages.map((each) => (Buffer.isBuffer(each) ? each : storedMessage(each)))
  return {
    code,
    ext: { suggestWhichBrokerId: '0', nextBeginOffset: '10', minOffset: '0', maxOffset: '10', ...ext },
    body: Buffer.concat(bytes),
  }
}

const offsets = (messages: readonly Message[]): bigint[] => messages.map((each) => each.queueOffset)

describe('a pull', () => {
  it('asks for what it was told, with its filter in the request', async (t) => {
    const { cluster, consumer } = await open(t, answering(PULL, pulled(19)), { filter: 'a || b' })

    await consumer.pull(queue, 9007199254740993n, { maxMessages: 100 })

    deepStrictEqual(
      { ...cluster.broker().frames[0]?.ext },
      {
        consumerGroup: 'g',
        topic: 'orders',
        queueId: '0',
        queueOffset: '9007199254740993',
        maxMsgNums: '32',
        sysFlag: '4',
        commitOffset: '0',
        suspendTimeoutMillis: '0',
        subscription: 'a || b',
        subVersion: '0',
        expressionType: 'TAG',
      },
    )
  })

  it('gives messages back as they were published', async (t) => {
    const { consumer } = await open(
      t,
      answering(
        PULL,
        pulled(0, [
          {
            queueOffset: 9n,
            commitLogOffset: 9007199254740993n,
            body: deflateSync('café'),
            sysFlag: 0x301,
            flag: -5,
            reconsumeTimes: 2,
            properties: { UNIQ_KEY: 'ID1', TAGS: 'paid', KEYS: 'k1 k2', city: 'Zürich', __proto__x: 'y' },
          },
        ]),
      ),
    )

    const { messages, ...result } = await consumer.pull(queue, 9n)

    deepStrictEqual(result, {
      status: 'FOUND',
      undecodable: [],
      nextBeginOffset: 10n,
      minOffset: 0n,
      maxOffset: 10n,
      suggestedBrokerId: 0,
    })
    const [message] = messages
    deepStrictEqual(message?.toJSON(), {
      topic: 'orders',
      body: Buffer.from('café').toString('base64'),
      tag: 'paid',
      keys: ['k1', 'k2'],
      properties: Object.assign(Object.create(null), { city: 'Zürich', __proto__x: 'y' }),
      systemProperties: Object.assign(Object.create(null), { UNIQ_KEY: 'ID1', TAGS: 'paid', KEYS: 'k1 k2' }),
      messageId: 'ID1',
      offsetMessageId: '0A00000100002A9F0020000000000001',
      queue,
      queueOffset: '9',
      commitLogOffset: '9007199254740993',
      bornTimestamp: 1_700_000_000_000,
      storeTimestamp: 1_700_000_000_001,
      bornHost: '10.0.0.7:50000',
      storeHost: '10.0.0.1:10911',
      reconsumeTimes: 2,
      flag: -5,
      sysFlag: 0x301,
    })
    ok(
      JSON.stringify({ messages, ...result }, (_, value: unknown) =>
        typeof value === 'bigint' ? '' : value,
      ),
    )
  })

  for (const [code, status, next] of [
    [19, 'NO_NEW_MESSAGE', 10n],
    [20, 'NO_MATCHED_MESSAGE', 25n],
    [21, 'OFFSET_MOVED', 3n],
  ] as const) {
    it(`is ${status} after code ${code}, and says where to go on`, async (t) => {
      const { consumer } = await open(t, answering(PULL, pulled(code, [], { nextBeginOffset: String(next) })))

      deepStrictEqual((await consumer.pull(queue, 5n)).toJSON(), {
        status,
        messages: [],
        undecodable: [],
        nextBeginOffset: String(next),
        minOffset: '0',
        maxOffset: '10',
        suggestedBrokerId: 0,
      })
    })
  }

  for (const code of [1, 2, 16, 23, 24, 25, 26, 29]) {
    it(`rejects after code ${code}`, async (t) => {
      const { cluster, consumer } = await open(t, answering(PULL, { code, remark: 'no' }))

      deepStrictEqual(await rejection(consumer.pull(queue, 5n)), {
        code: 'RMQ_BROKER',
        retryable: code === 2,
        responseCode: code,
        address: cluster.broker().address,
        topic: 'orders',
      })
    })
  }

  it('has offsets beyond 2^53 as they are', async (t) => {
    const big = 9_223_372_036_854_775_806n
    const ext = { nextBeginOffset: String(big), minOffset: '9007199254740993', maxOffset: String(big + 1n) }
    const { consumer } = await open(t, answering(PULL, pulled(0, [{ queueOffset: big - 1n }], ext)))

    const result = await consumer.pull(queue, big - 1n)

    deepStrictEqual(
      [offsets(result.messages), result.nextBeginOffset, result.minOffset, result.maxOffset],
      [[big - 1n], big, 9_007_199_254_740_993n, big + 1n],
    )
  })

  it('refuses what is no queue, no offset or no count, before anything is connected', async (t) => {
    const { cluster, consumer } = await open(t, {})
    const cases: readonly [call: () => Promise<unknown>, field: string][] = [
      [() => consumer.pull({ ...queue, topic: '' }, 0n), 'queue.topic'],
      [() => consumer.pull({ ...queue, brokerName: '' }, 0n), 'queue.brokerName'],
      [() => consumer.pull({ ...queue, queueId: -1 }, 0n), 'queue.queueId'],
      [() => consumer.pull(undefined as unknown as MessageQueue, 0n), 'queue.topic'],
      [() => consumer.committedOffset(undefined as unknown as MessageQueue), 'queue.topic'],
      [() => consumer.startOffset(undefined as unknown as MessageQueue, 'LATEST'), 'queue.topic'],
      [() => consumer.pull(queue, 0 as unknown as bigint), 'offset'],
      [() => consumer.pull(queue, 0n, { maxMessages: 0 }), 'maxMessages'],
      [() => consumer.pull(queue, 0n, { maxMessages: 1.5 }), 'maxMessages'],
      [() => consumer.pull(queue, 0n, { waitMs: -1 }), 'waitMs'],
      [() => consumer.pull(queue, 0n, { waitMs: Number.NaN }), 'waitMs'],
      [() => consumer.pull(queue, 0n, { deadlineMs: 5_000 }), 'deadlineMs'],
      [() => consumer.pull(queue, 0n, { deadlineMs: Number.NaN }), 'deadlineMs'],
      [() => consumer.commitOffset(queue, 5 as unknown as bigint), 'offset'],
      [() => consumer.searchOffset(queue, Number.NaN), 'timestamp'],
      [() => consumer.searchOffset(queue, new Date('never')), 'timestamp'],
      [() => consumer.searchOffset(queue, 5, 'middle' as 'lower'), 'boundary'],
      [() => consumer.startOffset(queue, 'FIRST' as StartingPosition), 'startingPosition'],
      [() => consumer.startOffset(queue, 'AT_TIMESTAMP'), 'startingPositionTimestamp'],
      [() => consumer.queues('or ders'), 'topic'],
      [() => consumer.lock([queue, { ...queue, queueId: -1 }]), 'queue.queueId'],
      [() => consumer.unlock([{ ...queue, topic: '' }]), 'queue.topic'],
    ]
    for (const [call, field] of cases) {
      deepStrictEqual(await rejection(call()), {
        code: 'RMQ_CONFIG',
        retryable: false,
        outcome: 'not-sent',
        field,
      })
    }
    strictEqual(cluster.nameServer.connections.length, 0)
  })
})

describe('a filter', () => {
  const tags: StoredFields[] = ['Aa', 'BB', 'AaBB', ''].map((tag, at) => ({
    queueOffset: BigInt(at),
    properties: tag === '' ? {} : { TAGS: tag },
  }))

  it('by tag is checked again by its text: to a broker "Aa" and "BB" are one', async (t) => {
    const cluster = answering(PULL, pulled(0, tags))
    const found = async (filter: Filter): Promise<bigint[]> => {
      const { consumer } = await open(t, cluster, { filter })
      return offsets((await consumer.pull(queue, 0n)).messages)
    }

    deepStrictEqual(await Promise.all(['Aa', 'BB', 'BB || AaBB', '*', ''].map(found)), [
      [0n],
      [1n],
      [1n, 2n],
      [0n, 1n, 2n, 3n],
      [0n, 1n, 2n, 3n],
    ])
  })

  it('that leaves nothing says so, and goes on behind what it left out', async (t) => {
    const { consumer } = await open(t, answering(PULL, pulled(0, tags)), { filter: 'other' })

    const { status, messages, nextBeginOffset } = await consumer.pull(queue, 0n)

    deepStrictEqual([status, messages, nextBeginOffset], ['NO_MATCHED_MESSAGE', [], 10n])
  })

  it('does not hold for the group’s own retry topic, which is read whole', async (t) => {
    const topics = { orders: {}, '%RETRY%g': {}, '%RETRY%other': {} }
    const { cluster, consumer } = await open(
      t,
      { ...answering(PULL, pulled(0, tags)), topics },
      { filter: 'Aa' },
    )

    const own = await consumer.pull({ ...queue, topic: '%RETRY%g' }, 0n)
    const other = await consumer.pull({ ...queue, topic: '%RETRY%other' }, 0n)

    deepStrictEqual([own.messages.length, other.messages.length], [4, 1])
    deepStrictEqual(
      cluster.broker().frames.map(({ ext }) => ext['subscription']),
      ['*', 'Aa'],
    )
  })

  it('by SQL is checked by the broker first: a pull with a wrong one would be answered with everything', async (t) => {
    const sql = "a > 5 AND b = 'ü'"
    const { cluster, consumer } = await open(
      t,
      { brokers: { 'broker-a': { [PULL]: () => pulled(0, tags), [CHECK]: () => ({}) } } },
      { filter: { sql } },
    )

    const { messages } = await consumer.pull(queue, 0n)
    await consumer.pull(queue, 0n)

    const [check, pull] = cluster.broker().frames
    deepStrictEqual([messages.length, cluster.codes()], [4, [CHECK, PULL, PULL]])
    deepStrictEqual(JSON.parse(check?.body.toString() ?? '').subscriptionData, {
      topic: 'orders',
      subString: sql,
      expressionType: 'SQL92',
      tagsSet: [],
      codeSet: [],
      subVersion: 0,
      classFilterMode: false,
    })
    deepStrictEqual([pull?.ext['subscription'], pull?.ext['expressionType']], [sql, 'SQL92'])
  })

  for (const [code, why] of [
    [23, 'the parser refuses it'],
    [1, 'the broker does not filter by SQL92'],
  ] as const) {
    it(`by SQL fails when ${why}, and is asked about again next time`, async (t) => {
      let answer = code as number
      const { cluster, consumer } = await open(
        t,
        {
          brokers: {
            'broker-a': { [PULL]: () => pulled(19), [CHECK]: () => ({ code: answer, remark: 'why' }) },
          },
        },
        { filter: { sql: 'a >' } },
      )

      const { code: kind, field, topic } = await rejection(consumer.pull(queue, 0n))
      answer = 0
      await consumer.pull(queue, 0n)

      deepStrictEqual([kind, field, topic], ['RMQ_CONFIG', 'filter.sql', 'orders'])
      deepStrictEqual(cluster.codes(), [CHECK, CHECK, PULL])
    })
  }

  it('by SQL that one call asks about and gives up is no failure of another call', async (t) => {
    const stop = new AbortController()
    let asked = 0
    const { consumer } = await open(
      t,
      {
        brokers: {
          'broker-a': {
            [PULL]: () => pulled(19),
            [CHECK]: () => {
              if (++asked > 1) return {}
              setImmediate(() => stop.abort())
              return undefined
            },
          },
        },
      },
      { filter: { sql: 'a > 1' } },
    )

    const [first, second] = await Promise.allSettled([
      consumer.pull(queue, 0n, { signal: stop.signal }),
      consumer.pull(queue, 0n),
    ])

    strictEqual(first.status === 'rejected' && factsOf(first.reason)['code'], 'RMQ_ABORTED')
    strictEqual(second.status === 'fulfilled' && second.value.status, 'NO_NEW_MESSAGE')
  })

  it('is checked when the consumer is created, as are the other options', async (t) => {
    const client = (await fakeCluster(t)).client()
    const cases: readonly [options: object, field: string][] = [
      [{}, 'consumerGroup'],
      [{ consumerGroup: 'a b' }, 'consumerGroup'],
      [{ consumerGroup: 'g', filter: '||' }, 'filter'],
      [{ consumerGroup: 'g', filter: { sql: ' ' } }, 'filter.sql'],
      [{ consumerGroup: 'g', filter: {} }, 'filter.sql'],
      [{ consumerGroup: 'g', filter: 5 }, 'filter.sql'],
      [{ consumerGroup: 'g', filter: null }, 'filter.sql'],
      [{ consumerGroup: 'g', maxBodyBytes: 0 }, 'maxBodyBytes'],
      [{ consumerGroup: 'g', maxBodyBytes: Number.NaN }, 'maxBodyBytes'],
      [{ consumerGroup: 'g', clientId: '' }, 'clientId'],
      [{ consumerGroup: 'g', clientId: 5 }, 'clientId'],
      [{ consumerGroup: 'g', filters: 'a' }, 'filters'],
    ]
    for (const [options, field] of cases) {
      throws(
        () => createPullConsumer(client, options as PullConsumerOptions),
        (error) => {
          deepStrictEqual(factsOf(error), {
            code: 'RMQ_CONFIG',
            retryable: false,
            outcome: 'not-sent',
            field,
          })
          return true
        },
        field,
      )
    }
  })
})

describe('a long poll', () => {
  const flags = (cluster: FakeCluster): (string | undefined)[] => {
    const { sysFlag, suspendTimeoutMillis } = cluster.broker().frames.at(-1)?.ext ?? {}
    return [sysFlag, suspendTimeoutMillis]
  }

  it('is asked for when there is a wait and room for it, never with a wait of 0', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const { cluster, consumer } = await open(t, answering(PULL, pulled(19)))

    const asked: unknown[] = []
    for (const [waitMs, leftMs] of [
      [0, undefined],
      [3_000, undefined],
      [3_000, 20_000],
      [3_000, 7_000],
      [3_000, 7_000.75],
      [3_000, 5_500],
      [3_000, 1_000],
    ]) {
      await consumer.pull(queue, 0n, {
        waitMs,
        deadlineMs: leftMs === undefined ? undefined : 1_700_000_000_000 + leftMs,
      })
      asked.push(flags(cluster))
    }

    deepStrictEqual(asked, [
      ['4', '0'],
      ['6', '3000'],
      ['6', '3000'],
      ['6', '1500'],
      ['6', '1500'],
      ['4', '0'],
      ['4', '0'],
    ])
  })

  it('is waited for until 5 s after its wait, since brokers look only every 5 s, and made again without one', async (t) => {
    t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_700_000_000_000 })
    const { cluster, consumer } = await open(
      t,
      answering(PULL, () => undefined),
      {},
      { timeoutMs: 1_000 },
    )
    let settled: unknown

    const waiting = consumer.pull(queue, 0n, { waitMs: 3_000 }).catch((error: unknown) => {
      settled = factsOf(error)['code']
    })
    await cluster.broker().arrived(1)
    t.mock.timers.tick(8_500)
    await new Promise((resolve) => setImmediate(resolve))
    const before = cluster.codes().length
    t.mock.timers.tick(600)
    for (const count of [2, 3]) {
      await cluster.broker().arrived(count)
      t.mock.timers.tick(1_001)
    }
    await waiting

    const flags = cluster.broker().frames.map(({ ext }) => ext['sysFlag'])
    deepStrictEqual([before, flags, settled], [1, ['6', '4', '4'], 'RMQ_TIMEOUT'])
  })

  it('ends at the deadline though the broker holds it longer', async (t) => {
    const { consumer } = await open(
      t,
      answering(PULL, () => undefined),
    )

    const facts = await rejection(consumer.pull(queue, 0n, { waitMs: 60_000, deadlineMs: Date.now() + 60 }))

    strictEqual(facts['code'], 'RMQ_DEADLINE')
  })

  it('is answered at once when a message comes', async (t) => {
    const { consumer } = await open(
      t,
      answering(PULL, async () => {
        await new Promise((resolve) => setImmediate(resolve))
        return pulled(0, [{ queueOffset: 4n }])
      }),
    )

    deepStrictEqual(offsets((await consumer.pull(queue, 4n, { waitMs: 10_000 })).messages), [4n])
  })
})

describe('a pull that reads ahead', () => {
  const ahead: ReadAheadOptions = { readAhead: () => true }
  /** Of a queue of 20 messages, ten at a time. */
  const ten: Handler = ({ ext: { queueOffset } }) =>
    pulled(0, [{ queueOffset: BigInt(queueOffset as string) }], {
      nextBeginOffset: `${Number(queueOffset) + 10}`,
      maxOffset: '20',
    })
  const asked = (cluster: FakeCluster): unknown[] =>
    cluster.broker().frames.map(({ ext: { queueOffset } }) => queueOffset)

  it('asks for what follows, which the pull from there gets', async (t) => {
    const { cluster, consumer } = await open(t, answering(PULL, ten))

    const first = await consumer.pull(queue, 0n, ahead)
    await cluster.broker().arrived(2)
    const before = asked(cluster)
    const second = await consumer.pull(queue, 10n, ahead)

    deepStrictEqual(
      [offsets(first.messages), before, offsets(second.messages), asked(cluster)],
      [[0n], ['0', '10'], [10n], ['0', '10']],
    )
  })

  it('asks before it decodes what came, also behind another request', async (t) => {
    const [one, other] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const held: Handler = async (frame, ...rest) => {
      const { queueId, queueOffset } = frame.ext
      if (queueOffset === '0') await (queueId === '0' ? one : other).promise
      return await ten(frame, ...rest)
    }
    const { cluster, consumer } = await open(t, answering(PULL, held))
    const { mock } = t.mock.method(Socket.prototype, 'write')
    const writes = (): number => {
      const { address } = cluster.broker()
      const isOurs = ({ remoteAddress, remotePort }: Socket): boolean =>
        `${remoteAddress}:${remotePort}` === address
      return mock.calls.filter((call) => isOurs(call.this as Socket)).length
    }

    const pulls = [0, 1].map((queueId) => consumer.pull({ ...queue, queueId }, 0n, ahead))
    await cluster.broker().arrived(2)
    const before = writes()
    one.resolve()
    await pulls[0]
    const asking = writes() - before
    other.resolve()
    await pulls[1]

    strictEqual(asking, 1)
  })

  it('is of no use to a pull from elsewhere, or to the next but one', async (t) => {
    const { cluster, consumer } = await open(t, answering(PULL, ten))

    await consumer.pull(queue, 0n, ahead)
    const other = await consumer.pull(queue, 5n)
    await consumer.pull(queue, 10n)

    deepStrictEqual([offsets(other.messages), asked(cluster)], [[5n], ['0', '10', '5', '10']])
  })

  it('tells whoever goes on there that it failed, and the next pull asks again', async (t) => {
    let count = 0
    const { cluster, consumer } = await open(
      t,
      answering(PULL, (...given) => (++count === 2 ? { code: 1, remark: 'broken' } : ten(...given))),
    )

    await consumer.pull(queue, 0n, ahead)
    const failure = await rejection(consumer.pull(queue, 10n, ahead))
    const { messages } = await consumer.pull(queue, 10n, ahead)

    deepStrictEqual(
      [failure['responseCode'], offsets(messages), asked(cluster)],
      [1, [10n], ['0', '10', '10']],
    )
  })

  it('goes to the broker that the answer suggests', async (t) => {
    const suggesting: Handler = (...given) => {
      const answer = ten(...given) as FakeAnswer
      return { ...answer, ext: { ...answer.ext, suggestWhichBrokerId: '1' } }
    }
    const replicas = { 'broker-a': { 1: { [PULL]: ten } } }
    const { cluster, consumer } = await open(t, { brokers: { 'broker-a': { [PULL]: suggesting } }, replicas })

    await consumer.pull(queue, 0n, ahead)
    const { suggestedBrokerId } = await consumer.pull(queue, 10n)

    deepStrictEqual([asked(cluster), suggestedBrokerId], [['0'], 0])
  })
})

describe('the broker a queue is read from', () => {
  const suggesting = (id: number): Handlers => ({
    [PULL]: () => pulled(19, [], { suggestWhichBrokerId: String(id) }),
  })

  it('is the one that was suggested, until another is', async (t) => {
    const { cluster, consumer } = await open(t, {
      brokers: { 'broker-a': suggesting(1) },
      replicas: { 'broker-a': { 1: suggesting(0) } },
    })

    const suggested: number[] = []
    for (let n = 0; n < 4; n++) suggested.push((await consumer.pull(queue, 0n)).suggestedBrokerId)
    const other = await consumer.pull({ ...queue, queueId: 1 }, 0n)

    deepStrictEqual(suggested, [1, 0, 1, 0])
    deepStrictEqual(
      [cluster.codes('broker-a').length, cluster.codes('broker-a/1').length, other.suggestedBrokerId],
      [3, 2, 1],
    )
  })

  it('is the master when the suggested one is not in the route', async (t) => {
    const { cluster, consumer } = await open(t, { brokers: { 'broker-a': suggesting(7) } })

    await consumer.pull(queue, 0n)
    await consumer.pull(queue, 0n)

    strictEqual(cluster.codes('broker-a').length, 2)
  })

  it('is the master again after the suggested one could not be reached', async (t) => {
    const { cluster, consumer } = await open(t, {
      brokers: { 'broker-a': suggesting(1) },
      replicas: { 'broker-a': { 1: suggesting(1) } },
    })
    await consumer.pull(queue, 0n)
    await cluster.broker('broker-a/1').close()

    const failed = await rejection(consumer.pull(queue, 0n))
    const next = await consumer.pull(queue, 0n)

    deepStrictEqual(
      [failed['code'], next.status, cluster.codes('broker-a').length],
      ['RMQ_CONNECT', 'NO_NEW_MESSAGE', 2],
    )
  })

  it('is a replica when there is no master, for reading only', async (t) => {
    const { cluster, consumer } = await open(t, {
      brokers: { 'broker-a': {} },
      replicas: { 'broker-a': { 2: suggesting(0) } },
      withoutMaster: ['broker-a'],
    })

    const { status } = await consumer.pull(queue, 0n)
    const committed = await rejection(consumer.committedOffset(queue))

    deepStrictEqual([status, cluster.codes('broker-a/2')], ['NO_NEW_MESSAGE', [PULL]])
    deepStrictEqual(committed, { code: 'RMQ_ROUTE', retryable: true, outcome: 'not-sent', topic: 'orders' })
  })
})

describe('bytes of a pull that are no message', () => {
  const good = (at: number): Buffer => storedMessage({ queueOffset: BigInt(at) })
  const broken = (at: number): Buffer => {
    const bytes = good(at)
    bytes.writeInt32BE(0, 8) // the CRC
    return bytes
  }

  it('are reported with their place, and the messages around them are given', async (t) => {
    const { consumer } = await open(t, answering(PULL, pulled(0, [good(5), broken(6), good(7)])))

    const result = await consumer.pull(queue, 5n)

    deepStrictEqual(
      [
        result.status,
        offsets(result.messages),
        result.nextBeginOffset,
        result.undecodable.map((each) => each.queueOffset),
      ],
      ['FOUND', [5n, 7n], 10n, [6n]],
    )
    const json = [
      {
        reason: 'body of the message does not match its CRC',
        bytes: broken(6).toString('base64'),
        queueOffset: '6',
        commitLogOffset: '0',
        offsetMessageId: '0A00000100002A9F0000000000000000',
        reconsumeTimes: 0,
      },
    ]
    deepStrictEqual(JSON.parse(JSON.stringify(result.undecodable)), json)
    deepStrictEqual(JSON.parse(JSON.stringify(result)).undecodable, json)
  })

  it('alone are no reason to go on as if nothing had been there', async (t) => {
    const { consumer } = await open(t, answering(PULL, pulled(0, [broken(5)])), { filter: 'a' })

    const { status, undecodable } = await consumer.pull(queue, 5n)

    deepStrictEqual([status, undecodable.length], ['FOUND', 1])
  })

  it('at the end do not move the next offset past them', async (t) => {
    const tails = [Buffer.alloc(200, 0xff), Buffer.of(0, 0), good(7).subarray(0, 30), good(7).subarray(0, -1)]
    const next = await Promise.all(
      tails.map(async (tail) => {
        const { consumer } = await open(t, answering(PULL, pulled(0, [good(5), good(6), tail])))
        const { messages, undecodable, nextBeginOffset } = await consumer.pull(queue, 5n)
        return [messages.length, undecodable.length, nextBeginOffset]
      }),
    )

    deepStrictEqual(next, [
      [2, 1, 7n],
      [2, 1, 7n],
      [2, 1, 7n],
      [2, 1, 7n],
    ])
  })

  const nowhere = good(0)
  nowhere.writeInt32BE(7, 4) // the magic
  const far = broken(0)
  far.writeBigInt64BE(2n ** 60n, 20)
  for (const [what, answer, given, unreadable, next] of [
    ['in the middle', [good(5), nowhere, good(7)], [5n], [undefined], 6n],
    ['at the beginning', [nowhere, good(6), good(7)], [], [undefined], 5n],
    ['behind one whose offset is known', [good(5), broken(6), good(7), nowhere], [5n], [undefined], 6n],
    ['and claim to be far behind', [good(5), far, good(7)], [5n], [2n ** 60n], 6n],
    ['and before a cut', [nowhere, good(6), Buffer.of(1)], [], [undefined, undefined], 5n],
    [
      'after messages the filter left gaps between',
      [good(5), good(8), Buffer.of(1)],
      [5n, 8n],
      [undefined],
      9n,
    ],
  ] as const) {
    it(`without a known offset, ${what}, are never passed over, nor is what comes behind`, async (t) => {
      const { consumer } = await open(t, answering(PULL, pulled(0, [...answer])))

      const { messages, undecodable, nextBeginOffset } = await consumer.pull(queue, 5n)

      deepStrictEqual(
        [offsets(messages), undecodable.map((each) => each.queueOffset), nextBeginOffset],
        [given, unreadable, next],
      )
    })
  }

  it('never move the next offset past the broker’s own', async (t) => {
    const far = broken(0)
    far.writeBigInt64BE(2n ** 60n, 20)
    const { consumer } = await open(t, answering(PULL, pulled(0, [good(5), far, Buffer.of(1)])))

    const { nextBeginOffset } = await consumer.pull(queue, 5n)

    ok(nextBeginOffset <= 10n, String(nextBeginOffset))
  })

  it('that are all there is reject: there is nowhere to go on', async (t) => {
    const { consumer } = await open(t, answering(PULL, pulled(0, [Buffer.from('nonsense')])))

    const { code, field } = await rejection(consumer.pull(queue, 5n))

    deepStrictEqual([code, field], ['RMQ_PROTOCOL', 'totalLength'])
  })

  it('reject too when there are none, though the broker says that it found messages', async (t) => {
    const { consumer } = await open(t, answering(PULL, pulled(0, [])))

    const { code, field } = await rejection(consumer.pull(queue, 5n))

    deepStrictEqual([code, field], ['RMQ_PROTOCOL', 'body'])
  })

  it('are not those for whose bodies memory is short: the next pull has them, none is lost', async (t) => {
    const body = deflateSync(Buffer.alloc(0xff_0000))
    const log = Array.from({ length: 10 }, (_, at) =>
      storedMessage({ queueOffset: BigInt(at), ...(at === 7 ? {} : { body, sysFlag: 0x301 }) }),
    )
    const { consumer } = await open(
      t,
      answering(PULL, ({ ext }) => pulled(0, log.slice(Number(ext['queueOffset'])))),
    )

    const pulls: unknown[] = []
    for (let next = 0n; next < 10n; ) {
      const { messages, undecodable, nextBeginOffset } = await consumer.pull(queue, next)
      pulls.push([offsets(messages), undecodable.length, nextBeginOffset])
      next = nextBeginOffset
    }

    deepStrictEqual(pulls, [
      [[0n, 1n, 2n, 3n], 0, 4n],
      [[4n, 5n, 6n, 7n, 8n], 0, 9n],
      [[9n], 0, 10n],
    ])
  })

  it('include a body larger than maxBodyBytes', async (t) => {
    const bomb = storedMessage({ queueOffset: 5n, body: deflateSync(Buffer.alloc(100_000)), sysFlag: 0x301 })
    const { consumer } = await open(t, answering(PULL, pulled(0, [bomb])), { maxBodyBytes: 1_000 })

    const { messages, undecodable } = await consumer.pull(queue, 5n)

    deepStrictEqual(
      [messages.length, undecodable[0]?.queueOffset, undecodable[0]?.reason.field],
      [0, 5n, 'body'],
    )
  })
})

describe('offsets', () => {
  const QUERY = RequestCode.QUERY_CONSUMER_OFFSET
  const UPDATE = RequestCode.UPDATE_CONSUMER_OFFSET
  const big = 9_007_199_254_740_993n

  it('that are committed are asked for without a default', async (t) => {
    const { cluster, consumer } = await open(t, answering(QUERY, { ext: { offset: String(big) } }))

    strictEqual(await consumer.committedOffset(queue), big)
    deepStrictEqual(
      { ...cluster.broker().frames[0]?.ext },
      {
        consumerGroup: 'g',
        topic: 'orders',
        queueId: '0',
        setZeroIfNotFound: 'false',
      },
    )
  })

  it('that were never committed are undefined; a failed query is an error, never 0', async (t) => {
    const none = await open(t, answering(QUERY, { code: 22 }))
    const failed = await open(t, answering(QUERY, { code: 1 }))
    const empty = await open(t, answering(QUERY, {}))

    strictEqual(await none.consumer.committedOffset(queue), undefined)
    strictEqual((await rejection(failed.consumer.committedOffset(queue)))['responseCode'], 1)
    const { code, field, topic } = await rejection(empty.consumer.committedOffset(queue))
    deepStrictEqual([code, field, topic], ['RMQ_PROTOCOL', 'offset', 'orders'])
  })

  it('are committed and the answer awaited', async (t) => {
    const { cluster, consumer } = await open(t, answering(UPDATE, {}))

    await consumer.commitOffset(queue, big)

    const [frame] = cluster.broker().frames
    deepStrictEqual(
      [frame?.flag, { ...frame?.ext }],
      [0, { consumerGroup: 'g', topic: 'orders', queueId: '0', commitOffset: String(big) }],
    )
  })

  it('that an administrator has reset are not committed, though the broker answers 0', async (t) => {
    const { cluster, consumer } = await open(t, answering(UPDATE, { remark: OFFSET_RESET_REMARK }))

    const facts = await rejection(consumer.commitOffset(queue, 5n))

    deepStrictEqual(
      [facts['code'], facts['outcome'], facts['topic'], facts['responseCode'], cluster.codes().length],
      ['RMQ_OFFSET_RESET', 'refused', 'orders', 0, 1],
    )
  })

  it('of a group that does not exist are refused', async (t) => {
    const { consumer } = await open(t, answering(UPDATE, { code: 26 }))

    const { responseCode, outcome, retryable } = await rejection(consumer.commitOffset(queue, 5n))

    deepStrictEqual([responseCode, outcome, retryable], [26, 'refused', false])
  })

  it('are found at both ends and by time', async (t) => {
    const { cluster, consumer } = await open(t, {
      brokers: {
        'broker-a': {
          [RequestCode.GET_MIN_OFFSET]: () => ({ ext: { offset: '1' } }),
          [RequestCode.GET_MAX_OFFSET]: () => ({ ext: { offset: String(big) } }),
          [RequestCode.SEARCH_OFFSET_BY_TIMESTAMP]: ({ ext }) => ({
            ext: { offset: ext['boundaryType'] === 'upper' ? '6' : '5' },
          }),
        },
      },
      topics: { orders: {}, '%RETRY%g': {} },
    })
    const at = new Date(1_700_000_000_000)

    deepStrictEqual(
      [
        await consumer.minOffset(queue),
        await consumer.maxOffset(queue),
        await consumer.searchOffset(queue, at),
        await consumer.searchOffset(queue, at.getTime(), 'upper'),
        await consumer.startOffset(queue, 'TRIM_HORIZON'),
        await consumer.startOffset(queue, 'LATEST'),
        await consumer.startOffset(queue, 'AT_TIMESTAMP', at),
        await consumer.startOffset({ ...queue, topic: '%RETRY%g' }, 'LATEST'),
      ],
      [1n, big, 5n, 6n, 1n, big, 5n, 1n],
    )
    deepStrictEqual(
      { ...cluster.broker().frames[2]?.ext },
      {
        topic: 'orders',
        queueId: '0',
        timestamp: '1700000000000',
        boundaryType: 'lower',
      },
    )
  })
})

describe('queues', () => {
  it('are those that may be read, on brokers that can be reached', async (t) => {
    const { consumer } = await open(t, {
      brokers: { b: {}, a: {} },
      topics: { orders: { readQueueNums: 2, writeQueueNums: 1 }, written: { perm: 2 } },
    })

    deepStrictEqual(
      (await consumer.queues('orders')).map(({ brokerName, queueId }) => `${brokerName}/${queueId}`),
      ['a/0', 'a/1', 'b/0', 'b/1'],
    )
    deepStrictEqual(await consumer.queues('written'), [])
  })

  it('of a topic that does not exist are an error, of a retry topic that nobody used yet none', async (t) => {
    const { consumer } = await open(t, {}, {}, { namespace: 'ns' })

    const { code, responseCode, topic } = await rejection(consumer.queues('orders'))

    deepStrictEqual([code, responseCode, topic], ['RMQ_ROUTE', 17, 'orders'])
    deepStrictEqual(await consumer.queues('%RETRY%g'), [])
  })

  it('are the caller’s own to change', async (t) => {
    const { consumer } = await open(t, {})

    const [first] = await consumer.queues('orders')
    if (first) Object.assign(first, { queueId: 99 })

    deepStrictEqual(
      (await consumer.queues('orders')).map(({ queueId }) => queueId),
      [0, 1],
    )
  })
})

describe('locks', () => {
  const on = (brokerName: string, queueId: number): MessageQueue => ({ topic: 'orders', brokerName, queueId })
  const all = [on('a', 0), on('a', 1), on('b', 0)]
  const granting =
    (...ids: number[]): Handler =>
    (frame) => {
      const { mqSet } = JSON.parse(frame.body.toString()) as { mqSet: MessageQueue[] }
      return { body: json({ lockOKMQSet: mqSet.filter(({ queueId }) => ids.includes(queueId)) }) }
    }

  it('are taken with one call per broker, and are what the brokers granted', async (t) => {
    const { cluster, consumer } = await open(
      t,
      { brokers: { a: { [LOCK]: granting(1) }, b: { [LOCK]: granting(0) } }, topics: { 'ns%orders': {} } },
      { clientId: 'me' },
      { namespace: 'ns' },
    )

    const held = await consumer.lock(all)

    deepStrictEqual(held, [on('a', 1), on('b', 0)])
    deepStrictEqual([cluster.codes('a'), cluster.codes('b')], [[LOCK], [LOCK]])
    deepStrictEqual(JSON.parse(cluster.broker('a').frames[0]?.body.toString() ?? ''), {
      consumerGroup: 'ns%g',
      clientId: 'me',
      mqSet: [
        { topic: 'ns%orders', brokerName: 'a', queueId: 0 },
        { topic: 'ns%orders', brokerName: 'a', queueId: 1 },
      ],
    })
  })

  it('are held under one random id for each consumer', async (t) => {
    const cluster = await fakeCluster(t, { brokers: { a: { [LOCK]: granting(0), [UNLOCK]: () => ({}) } } })
    const [one, two] = [1, 2].map(() => createPullConsumer(cluster.client(), { consumerGroup: 'g' }))

    await one?.lock([on('a', 0)])
    await one?.lock([on('a', 0)])
    await one?.unlock([on('a', 0)])
    await two?.lock([on('a', 0)])

    const ids = cluster
      .broker('a')
      .frames.map(({ body }) => (JSON.parse(body.toString()) as { clientId: string }).clientId)
    ok(ids.every((id) => /^[\dA-F]{32}$/.test(id)))
    deepStrictEqual([ids[0] === ids[1], ids[0] === ids[2], ids[0] === ids[3]], [true, true, false])
  })

  it('of a broker that cannot be asked are not held; when that is so of every broker it is an error', async (t) => {
    const { cluster, consumer } = await open(t, {
      brokers: { a: { [LOCK]: granting(0, 1) }, b: { [LOCK]: () => ({ code: 2 }) } },
    })

    deepStrictEqual(await consumer.lock(all), [on('a', 0), on('a', 1)])
    strictEqual((await rejection(consumer.lock([on('b', 0)])))['responseCode'], 2)
    strictEqual(cluster.codes('a').length, 1)
  })

  it('are found again under the spelling that was given, with the namespace in it or without', async (t) => {
    const brokers = { a: { [LOCK]: granting(0, 1) } }
    const client = { namespace: 'ns' }
    const { consumer } = await open(t, { brokers, topics: { 'ns%orders': {} } }, {}, client)
    const queues = [{ ...on('a', 0), topic: 'ns%orders' }, on('a', 1)]

    deepStrictEqual(await consumer.lock(queues), queues)
  })

  it('may be none', async (t) => {
    const { cluster, consumer } = await open(t, {})

    deepStrictEqual(await consumer.lock([]), [])
    await consumer.unlock([])

    strictEqual(cluster.nameServer.connections.length, 0)
  })

  it('are given back at every broker, before the first failure is reported', async (t) => {
    const { cluster, consumer } = await open(t, {
      brokers: { a: { [UNLOCK]: () => ({ code: 1 }) }, b: { [UNLOCK]: () => ({}) } },
    })

    const facts = await rejection(consumer.unlock(all))

    deepStrictEqual([facts['responseCode'], cluster.codes('b')], [1, [UNLOCK]])
  })

  it('that the broker grants for queues nobody asked for are not taken', async (t) => {
    const { consumer } = await open(t, {
      brokers: {
        a: { [LOCK]: () => ({ body: json({ lockOKMQSet: [on('a', 0), on('a', 9), on('z', 1)] }) }) },
      },
    })

    deepStrictEqual(await consumer.lock([on('a', 0), on('a', 1)]), [on('a', 0)])
  })
})

describe('sendBack', () => {
  async function one(
    t: TestContext,
    back: Handler,
    fields: StoredFields = {},
    topic = 'orders',
  ): Promise<Opened & { message: Message }> {
    const opened = await open(
      t,
      {
        brokers: {
          'broker-a': { [PULL]: () => pulled(0, [{ commitLogOffset: 77n, ...fields }]), [BACK]: back },
        },
        topics: { 'ns%orders': {}, '%RETRY%ns%g': {} },
      },
      {},
      { namespace: 'ns' },
    )
    const { messages } = await opened.consumer.pull({ ...queue, topic }, 0n)
    return { ...opened, message: messages[0] as Message }
  }

  it('names the copy by its place in the log, and the topic it was published to', async (t) => {
    const { cluster, consumer, message } = await one(t, () => ({}), { topic: 'ns%orders' })

    await consumer.sendBack(message)
    await consumer.sendBack(message, { delayLevel: -1, maxReconsumeTimes: 5 })

    const fields = {
      offset: '77',
      group: 'ns%g',
      delayLevel: '0',
      originMsgId: message.offsetMessageId,
      originTopic: 'ns%orders',
      unitMode: 'false',
    }
    deepStrictEqual(
      cluster
        .broker()
        .frames.slice(1)
        .map(({ ext }) => ({ ...ext })),
      [fields, { ...fields, delayLevel: '-1', maxReconsumeTimes: '5' }],
    )
  })

  it('of a retry message names the topic it first had', async (t) => {
    const { cluster, consumer, message } = await one(
      t,
      () => ({}),
      { topic: '%RETRY%ns%g', properties: { RETRY_TOPIC: 'ns%orders' }, reconsumeTimes: 1 },
      '%RETRY%g',
    )

    await consumer.sendBack(message)

    deepStrictEqual([message.topic, message.queue.topic], ['orders', '%RETRY%g'])
    strictEqual(cluster.broker().frames.at(-1)?.ext['originTopic'], 'ns%orders')
  })

  it('is not repeated when its answer is lost: the copy may be there', async (t) => {
    const { cluster, consumer, message } = await one(t, (_, connection) => connection.reset())

    const { code, outcome } = await rejection(consumer.sendBack(message))

    deepStrictEqual(
      [code, outcome, cluster.codes().filter((each) => each === BACK).length],
      ['RMQ_CONNECTION_LOST', 'unknown', 1],
    )
  })

  it('is refused for levels and counts that make no sense', async (t) => {
    const { consumer, message } = await one(t, () => ({}))

    for (const [options, field] of [
      [{ delayLevel: 1.5 }, 'delayLevel'],
      [{ delayLevel: 2 ** 40 }, 'delayLevel'],
      [{ maxReconsumeTimes: -1 }, 'maxReconsumeTimes'],
    ] as const) {
      deepStrictEqual(await rejection(consumer.sendBack(message, options)), {
        code: 'RMQ_CONFIG',
        retryable: false,
        outcome: 'not-sent',
        field,
      })
    }
  })
})

describe('a namespace', () => {
  it('is on topics and groups on the wire, and on nothing that is given back', async (t) => {
    const { cluster, consumer } = await open(
      t,
      { ...answering(PULL, pulled(0, [{ topic: 'ns%orders' }])), topics: { 'ns%orders': {} } },
      {},
      { namespace: 'ns' },
    )

    const [own] = await consumer.queues('orders')
    const { messages } = await consumer.pull(own as MessageQueue, 0n)

    deepStrictEqual([own?.topic, messages[0]?.topic, messages[0]?.queue], ['orders', 'orders', queue])
    const { consumerGroup, topic } = cluster.broker().frames[0]?.ext ?? {}
    deepStrictEqual([consumerGroup, topic], ['ns%g', 'ns%orders'])
  })
})
