import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Client } from '../../../src/client/client.ts'
import { createProducer } from '../../../src/client/producer.ts'
import { createPullConsumer } from '../../../src/client/puller.ts'
import { RequestCode } from '../../../src/commands/index.ts'
import type { Route } from '../../../src/routing/routes.ts'
import {
  type FakeCluster,
  type FakeClusterOptions,
  fakeCluster,
  type Handlers,
  json,
  stored,
  storing,
} from '../../support/fake-cluster.ts'
import { closedPort } from '../../support/fake-server.ts'
import { rejection } from '../../support/net.ts'

const ROUTE = RequestCode.GET_ROUTEINFO_BY_TOPIC
const MAX = RequestCode.GET_MAX_OFFSET

interface Opened {
  cluster: FakeCluster
  client: Client
  route: (topic?: string) => Promise<Route>
}

async function open(
  t: TestContext,
  options: FakeClusterOptions = {},
  client: Parameters<FakeCluster['client']>[0] = {},
): Promise<Opened> {
  const cluster = await fakeCluster(t, options)
  const its = cluster.client(client)
  return { cluster, client: its, route: async (topic = 'orders') => await its.route(topic, its.deadline({})) }
}

/** A cluster whose name server answers with this body for every topic. */
const saying = (body: Buffer | (() => Buffer)): FakeClusterOptions => ({
  nameServer: { [ROUTE]: () => ({ body: typeof body === 'function' ? body() : body }) },
})

const names = (queues: Route['writable']): string[] =>
  queues.map(({ brokerName, queueId }) => `${brokerName}/${queueId}`)

describe('a route', () => {
  it('is fetched once for all calls that want it at the same time', async (t) => {
    const { cluster, route } = await open(t)

    const routes = await Promise.all(Array.from({ length: 100 }, () => route()))

    strictEqual(cluster.nameServer.frames.length, 1)
    strictEqual(new Set(routes).size, 1)
  })

  it('is asked for in strict JSON', async (t) => {
    const { cluster, route } = await open(t)
    await route()

    deepStrictEqual(
      { ...cluster.nameServer.frames[0]?.ext },
      { topic: 'orders', acceptStandardJsonOnly: 'true' },
    )
  })

  it('is kept for routeTtlMs, an unknown topic not at all', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const { cluster, route } = await open(t, {}, { routeTtlMs: 1_000 })
    const counts: number[] = []

    for (const ms of [0, 999, 1, 1]) {
      t.mock.timers.tick(ms)
      await route()
      counts.push(cluster.nameServer.frames.length)
    }
    await rejection(route('new'))
    cluster.topics['new'] = {}
    await route('new')

    deepStrictEqual([counts, cluster.nameServer.frames.length], [[1, 1, 2, 2], 4])
  })

  it('is fetched under the deadline of each call that waits for it', async (t) => {
    const { cluster, client } = await open(
      t,
      { nameServer: { [ROUTE]: () => undefined } },
      { timeoutMs: 120 },
    )
    const stop = new AbortController()

    const calls = [
      rejection(client.route('orders', client.deadline({ deadlineMs: Date.now() + 30 }))),
      rejection(client.route('orders', client.deadline({ signal: stop.signal }))),
      rejection(client.route('orders', client.deadline({}))),
    ]
    await cluster.nameServer.arrived(1)
    stop.abort()

    deepStrictEqual(
      (await Promise.all(calls)).map(({ code, outcome }) => [code, outcome]),
      [
        ['RMQ_DEADLINE', 'not-sent'],
        ['RMQ_ABORTED', 'not-sent'],
        ['RMQ_TIMEOUT', 'not-sent'],
      ],
    )
  })

  it('goes on being fetched when the call that began it gives up', async (t) => {
    const stop = new AbortController()
    const { cluster, client, route } = await open(t, {
      nameServer: {
        [ROUTE]: async () => {
          stop.abort()
          await new Promise((resolve) => setImmediate(resolve))
          return { body: json({ queueDatas: [], brokerDatas: [] }) }
        },
      },
    })

    const first = client.route('orders', client.deadline({ signal: stop.signal }))
    const second = route()

    strictEqual((await rejection(first))['code'], 'RMQ_ABORTED')
    deepStrictEqual([(await second).writable, cluster.nameServer.frames.length], [[], 1])
  })

  it('lists queues by broker name and id, whatever the order it came in', async (t) => {
    const { route } = await open(t, {
      brokers: { b: {}, a: {}, B: {} },
      topics: { orders: { readQueueNums: 2, writeQueueNums: 1 } },
    })

    const { writable, readable } = await route()

    deepStrictEqual(names(writable), ['B/0', 'a/0', 'b/0'])
    deepStrictEqual(names(readable), ['B/0', 'B/1', 'a/0', 'a/1', 'b/0', 'b/1'])
  })

  it('has each queue once, also of a broker that is listed twice', async (t) => {
    const [first, second] = [{ readQueueNums: 1 }, { readQueueNums: 2 }].map((more) => ({
      brokerName: 'a',
      writeQueueNums: 1,
      perm: 6,
      topicSysFlag: 0,
      ...more,
    }))
    const brokerDatas = [{ cluster: 'c', brokerName: 'a', brokerAddrs: { 0: '127.0.0.1:1' } }]
    const body = json({ queueDatas: [first, second], brokerDatas, filterServerTable: {} })
    const { route } = await open(t, saying(body))

    const { writable, readable } = await route()

    deepStrictEqual([names(writable), names(readable)], [['a/0'], ['a/0', 'a/1']])
  })

  it('has only the queues that its permissions allow', async (t) => {
    const allowed = await Promise.all(
      [0, 1, 2, 4, 6, 7].map(async (perm) => {
        const { route } = await open(t, { topics: { orders: { perm, readQueueNums: 1, writeQueueNums: 1 } } })
        const { writable, readable } = await route()
        return [perm, writable.length, readable.length]
      }),
    )

    deepStrictEqual(allowed, [
      [0, 0, 0],
      [1, 0, 0],
      [2, 1, 0],
      [4, 0, 1],
      [6, 1, 1],
      [7, 1, 1],
    ])
  })

  it('writes to masters only, and reads from any', async (t) => {
    const { route } = await open(t, {
      brokers: { a: {}, b: {} },
      replicas: { a: { 1: {} } },
      withoutMaster: ['a', 'b'],
      topics: { orders: { readQueueNums: 1, writeQueueNums: 1 } },
    })

    const { writable, readable } = await route()

    deepStrictEqual([names(writable), names(readable)], [[], ['a/0']])
  })

  it('is read with bare integer keys too, as old name servers write them', async (t) => {
    const { route } = await open(
      t,
      saying(
        Buffer.from(
          '{"brokerDatas":[{"brokerAddrs":{0:"127.0.0.1:1"},"brokerName":"a","cluster":"c"}],"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":1,"topicSysFlag":0,"writeQueueNums":1}]}',
        ),
      ),
    )
    const found = await route().then(
      ({ writable }) => names(writable),
      (error: unknown) => rejection(Promise.reject(error)),
    )

    // It was asked for in strict JSON, so an error would do as well; a wrong route would not.
    ok(Array.isArray(found) ? found[0] === 'a/0' : found['code'] === 'RMQ_PROTOCOL')
  })
})

describe('an order configuration', () => {
  const orderly = (orderTopicConf: string): FakeClusterOptions => {
    const brokerNames = ['broker-a', 'broker-b', 'broker-c']
    return saying(
      json({
        orderTopicConf,
        queueDatas: brokerNames.map((brokerName) => ({
          brokerName,
          readQueueNums: 1,
          writeQueueNums: 1,
          perm: 6,
          topicSysFlag: 0,
        })),
        brokerDatas: brokerNames.map((brokerName) => ({
          cluster: 'c',
          brokerName,
          brokerAddrs: { 0: '127.0.0.1:1' },
        })),
      }),
    )
  }

  it('says which queues are written to and in which order, as in Java; reading goes by the rest', async (t) => {
    const { route } = await open(t, orderly('broker-b:2;gone:1;broker-a:1'))

    const { writable, readable } = await route()

    deepStrictEqual(names(writable), ['broker-b/0', 'broker-b/1', 'gone/0', 'broker-a/0'])
    deepStrictEqual(names(readable), ['broker-a/0', 'broker-b/0', 'broker-c/0'])
  })

  it('that is empty says nothing', async (t) => {
    const { route } = await open(t, orderly(''))

    deepStrictEqual(names((await route()).writable), ['broker-a/0', 'broker-b/0', 'broker-c/0'])
  })

  it('that is hostile gives no queue for what is no number, and no more than can be held', async (t) => {
    const { route } = await open(t, orderly('a:x;b;:;c:-1;d:0;e:NaN;;f:1;'))
    const { route: huge } = await open(t, orderly('a:2147483647;b:1e400;c:Infinity'))

    deepStrictEqual(names((await route()).writable), ['f/0'])
    strictEqual((await huge()).writable.length, 65_536)
  })
})

describe('a route that cannot be fetched again', () => {
  it('serves on when it has expired, until a name server can be asked again', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    let down = false
    const { cluster, route } = await open(
      t,
      {
        nameServer: {
          [ROUTE]: (_, connection) =>
            down ? connection.reset() : { body: routeTo(cluster.broker().address, 'broker-a') },
        },
      },
      { routeTtlMs: 60_000 },
    )

    const first = await route()
    t.mock.timers.tick(60_000)
    down = true
    const old = await route()
    down = false
    const asked = cluster.nameServer.frames.length
    await route()
    const spared = cluster.nameServer.frames.length - asked
    t.mock.timers.tick(5_000)
    await route()
    const again = cluster.nameServer.frames.length - asked
    t.mock.timers.tick(59_999)
    await route()

    deepStrictEqual(old, first)
    deepStrictEqual([spared, again, cluster.nameServer.frames.length - asked], [0, 1, 1])
  })

  it('serves on when name servers are silent, with time left to use it', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    let turn = 0
    const { cluster, client } = await open(
      t,
      {
        nameServer: {
          [ROUTE]: () => (turn++ === 0 ? { body: routeTo(cluster.broker().address) } : undefined),
        },
      },
      { routeTtlMs: 1 },
    )
    const producer = createProducer(client, { producerGroup: 'g' })

    await producer.send({ topic: 'orders', body: 'x' })
    t.mock.timers.reset() // years later
    await producer.send({ topic: 'orders', body: 'y' }, { deadlineMs: Date.now() + 1_000 })

    strictEqual(cluster.codes().length, 2)
  })

  it('does not when name servers have known no such topic for a minute', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const orders = { readQueueNums: 1, writeQueueNums: 1 }
    const { cluster, route } = await open(t, { topics: { orders } }, { routeTtlMs: 1_000 })

    await route()
    delete cluster.topics['orders']
    t.mock.timers.tick(1_000)
    const reported = await route().then(({ writable }) => names(writable))
    cluster.topics['orders'] = orders
    t.mock.timers.tick(59_999)
    await route()
    delete cluster.topics['orders']
    const kept: string[][] = []
    for (const ms of [1_000, 59_999]) {
      t.mock.timers.tick(ms)
      kept.push(await route().then(({ writable }) => names(writable)))
    }
    t.mock.timers.tick(1_000)
    const unknown = await rejection(route())
    await cluster.nameServer.close()
    const later = await rejection(route())

    deepStrictEqual([reported, ...kept], [['broker-a/0'], ['broker-a/0'], ['broker-a/0']])
    deepStrictEqual(
      [unknown, later].map(({ code, responseCode }) => [code, responseCode]),
      [
        ['RMQ_ROUTE', 17],
        ['RMQ_CONNECT', undefined],
      ],
    )
  })

  it('serves on for another minute when the name server was started once more meanwhile', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    let down = false
    let turn = 0
    const { cluster, route } = await open(
      t,
      {
        nameServer: {
          [ROUTE]: (_, connection) => {
            if (down) return connection.reset()
            return turn++ === 0 ? { body: routeTo(cluster.broker().address, 'broker-a') } : { code: 17 }
          },
        },
      },
      { routeTtlMs: 1_000 },
    )

    const first = await route()
    for (const isDown of [false, true]) {
      down = isDown
      t.mock.timers.tick(30_000)
      await route()
    }
    down = false
    t.mock.timers.tick(30_000)
    const again = await route()

    deepStrictEqual(again, first)
  })

  it('does not outlive the caller’s own abort', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const stop = new AbortController()
    let turn = 0
    const { client, route, cluster } = await open(
      t,
      {
        nameServer: {
          [ROUTE]: () => {
            if (turn++ !== 1) return { body: routeTo(cluster.broker().address) }
            stop.abort()
            return undefined
          },
        },
      },
      { routeTtlMs: 1_000 },
    )

    await route()
    t.mock.timers.tick(1_000)
    const { code } = await rejection(client.route('orders', client.deadline({ signal: stop.signal })))
    await route()

    deepStrictEqual([code, turn], ['RMQ_ABORTED', 3])
  })
})

describe('a route that led astray', () => {
  for (const code of [17, 501, 11, 14]) {
    it(`is fetched again after code ${code}, and the call made once more`, async (t) => {
      let turn = 0
      const { cluster, client } = await open(t, {
        brokers: { a: { [MAX]: () => (turn++ === 0 ? { code } : { ext: { offset: '5' } }) } },
      })
      const consumer = createPullConsumer(client, { consumerGroup: 'g' })

      strictEqual(await consumer.maxOffset({ topic: 'orders', brokerName: 'a', queueId: 0 }), 5n)
      deepStrictEqual([cluster.nameServer.frames.length, cluster.codes('a').length], [2, 2])
    })
  }

  it('is not fetched again after an answer that does not blame it', async (t) => {
    for (const code of [1, 2, 16, 29]) {
      const { cluster, client } = await open(t, { brokers: { a: { [MAX]: () => ({ code }) } } })
      const consumer = createPullConsumer(client, { consumerGroup: 'g' })

      await rejection(consumer.maxOffset({ topic: 'orders', brokerName: 'a', queueId: 0 }))
      deepStrictEqual([code, cluster.nameServer.frames.length, cluster.codes('a').length], [code, 1, 1])
    }
  })

  it('is not fetched a third time', async (t) => {
    const { cluster, client } = await open(t, { brokers: { a: { [MAX]: () => ({ code: 17 }) } } })
    const consumer = createPullConsumer(client, { consumerGroup: 'g' })

    const { responseCode } = await rejection(
      consumer.maxOffset({ topic: 'orders', brokerName: 'a', queueId: 0 }),
    )

    deepStrictEqual([responseCode, cluster.nameServer.frames.length, cluster.codes('a').length], [17, 2, 2])
  })

  it('to a broker that is gone is fetched again, and leads to where it is now', async (t) => {
    const gone = await closedPort()
    let address = gone
    const { cluster, client } = await open(t, {
      brokers: { a: { [MAX]: () => ({ ext: { offset: '5' } }) } },
      ...saying(() => {
        const body = routeTo(address)
        address = cluster.broker('a').address
        return body
      }),
    })
    const consumer = createPullConsumer(client, { consumerGroup: 'g' })

    strictEqual(await consumer.maxOffset({ topic: 'orders', brokerName: 'a', queueId: 0 }), 5n)
    strictEqual(cluster.nameServer.frames.length, 2)
  })

  it('by a queue of a broker that it does not list is fetched again', async (t) => {
    const { cluster, client } = await open(t)
    const consumer = createPullConsumer(client, { consumerGroup: 'g' })

    deepStrictEqual(
      await rejection(consumer.maxOffset({ topic: 'orders', brokerName: 'gone', queueId: 0 })),
      {
        code: 'RMQ_ROUTE',
        retryable: true,
        outcome: 'not-sent',
        topic: 'orders',
      },
    )
    strictEqual(cluster.nameServer.frames.length, 2)
  })

  it('is forgotten by a send, whose next attempt goes by the new one', async (t) => {
    let turn = 0
    const handlers: Handlers = {
      [RequestCode.SEND_MESSAGE_V2]: (frame) => (turn++ === 0 ? { code: 17 } : stored(frame)),
    }
    const { cluster, client } = await open(t, { brokers: { a: handlers } })

    await createProducer(client, { producerGroup: 'g' }).send({ topic: 'orders', body: 'x' })

    deepStrictEqual([cluster.nameServer.frames.length, cluster.codes('a').length], [2, 2])
  })
})

function routeTo(address: string, brokerName = 'a'): Buffer {
  return json({
    queueDatas: [{ brokerName, readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 }],
    brokerDatas: [{ cluster: 'c', brokerName, brokerAddrs: { 0: address } }],
  })
}

describe('a hostile route', { concurrency: true }, () => {
  const queue = { brokerName: 'a', readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 }
  const broker = { cluster: 'c', brokerName: 'a', brokerAddrs: { 0: '127.0.0.1:1' } }
  const route = (queues: unknown, brokers: unknown = [broker]): Buffer =>
    json({ queueDatas: queues, brokerDatas: brokers })

  const nonsense: readonly [what: string, body: Buffer][] = [
    ['text for a queue count', route([{ ...queue, readQueueNums: '4' }])],
    ['a fraction of a queue', route([{ ...queue, writeQueueNums: 1.5 }])],
    ['a queue count beyond 32 bits', route([{ ...queue, writeQueueNums: 2 ** 40 }])],
    ['NaN', Buffer.from('{"queueDatas":[{"brokerName":"a","readQueueNums":NaN}],"brokerDatas":[]}')],
    ['a perm of text', route([{ ...queue, perm: 'rw' }])],
    ['no broker name', route([{ ...queue, brokerName: null }])],
    ['a number for a broker name', route([queue], [{ ...broker, brokerName: 5 }])],
    ['a list of addresses', route([queue], [{ ...broker, brokerAddrs: ['127.0.0.1:1'] }])],
    ['a broker id that is none', route([queue], [{ ...broker, brokerAddrs: { x: '127.0.0.1:1' } }])],
    ['a number for an address', route([queue], [{ ...broker, brokerAddrs: { 0: 5 } }])],
    ['no queues at all', json({ brokerDatas: [] })],
    ['null brokers', route([queue], [null])],
  ]
  for (const [what, body] of nonsense) {
    it(`with ${what} is a ProtocolError`, async (t) => {
      const { route: fetch } = await open(t, saying(body))

      const { code, topic, field } = await rejection(fetch())

      deepStrictEqual([code, topic, typeof field], ['RMQ_PROTOCOL', 'orders', 'string'])
    })
  }

  it('with negative counts has no queues', async (t) => {
    const { route: fetch } = await open(
      t,
      saying(route([{ ...queue, readQueueNums: -1, writeQueueNums: -(2 ** 31) }])),
    )

    const { writable, readable } = await fetch()

    deepStrictEqual([writable, readable], [[], []])
  })

  it('with huge counts, once or many times over, does not fill the memory', async (t) => {
    const huge = { ...queue, readQueueNums: 2 ** 31 - 1, writeQueueNums: 2 ** 31 - 1 }
    const { route: fetch } = await open(t, saying(route(Array(1_000).fill(huge))))

    const { writable, readable } = await fetch()

    ok(writable.length <= 100_000 && readable.length <= 100_000)
  })

  it('with names of Object’s own members is a route like any other', async (t) => {
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
      const { cluster, client } = await open(t, {
        brokers: { a: storing() },
        ...saying(() => routeTo(cluster.broker('a').address, name)),
      })

      const result = await createProducer(client, { producerGroup: 'g' }).send({ topic: name, body: 'x' })
      const { readable } = await client.route(name, client.deadline({}))

      deepStrictEqual([result.queue.brokerName, readable[0]?.brokerName], [name, name])
    }
    ok(!('queueId' in {}))
  })

  it('with addresses that are none leads nowhere', async (t) => {
    for (const address of [
      '',
      'x',
      '127.0.0.1',
      '127.0.0.1:0',
      '127.0.0.1:99999',
      'a b:1',
      `${'x'.repeat(400)}:1`,
    ]) {
      const { client } = await open(t, saying(routeTo(address)))

      const { code, outcome, field } = await rejection(
        createProducer(client, { producerGroup: 'g', retries: 0 }).send({ topic: 'orders', body: 'x' }),
      )

      deepStrictEqual([address, code, outcome, field], [address, 'RMQ_PROTOCOL', 'not-sent', 'address'])
    }
  })
})

describe('addressMap', () => {
  for (const kind of ['record', 'function'] as const) {
    it(`(a ${kind}) rewrites what brokers advertise, and keeps what it does not know`, async (t) => {
      const { cluster, client } = await open(
        t,
        { brokers: { a: storing() }, ...saying(routeTo('10.255.255.1:10911')) },
        {
          addressMap:
            kind === 'record'
              ? { '10.255.255.1:10911': 'TO-BE-SET:1' }
              : (address) => (address.startsWith('10.') ? target : undefined),
        },
      )
      const target = cluster.broker('a').address
      const mapped =
        kind === 'record'
          ? cluster.client({ addressMap: { '10.255.255.1:10911': target, toString: 'x:1' } })
          : client

      await createProducer(mapped, { producerGroup: 'g' }).send({ topic: 'orders', body: 'x' })

      strictEqual(cluster.codes('a').length, 1)
      strictEqual(mapped.addresses.rewrite('127.0.0.1:5'), '127.0.0.1:5')
      strictEqual(mapped.addresses.rewrite('constructor'), 'constructor')
    })
  }

  it('that throws, or gives what is no address, is an error of the option and nothing is sent', async (t) => {
    const maps = [
      () => {
        throw new Error('a bug')
      },
      () => 5 as unknown as string,
      () => '',
    ]
    for (const addressMap of maps) {
      const { cluster, client } = await open(t, {}, { addressMap })

      deepStrictEqual(
        await rejection(createProducer(client, { producerGroup: 'g' }).send({ topic: 'orders', body: 'x' })),
        { code: 'RMQ_CONFIG', retryable: false, outcome: 'not-sent', field: 'addressMap' },
      )
      strictEqual(cluster.broker().connections.length, 0)
    }
  })
})

describe('the addresses a client may connect to', () => {
  /** Whether a send reaches a broker that is advertised at 127.0.0.1, or under another name for it. */
  async function reaches(
    t: TestContext,
    allowedAddresses: string[] | undefined,
    host = '127.0.0.1',
  ): Promise<boolean> {
    const { cluster, client } = await open(
      t,
      {
        brokers: { a: storing() },
        ...saying(() => routeTo(cluster.broker('a').address.replace('127.0.0.1', host))),
      },
      { allowedAddresses },
    )
    const producer = createProducer(client, { producerGroup: 'g', retries: 0 })
    const sent = await producer.send({ topic: 'orders', body: 'x' }).then(
      () => true,
      async (error: unknown) => {
        const { code, outcome, retryable } = await rejection(Promise.reject(error))
        deepStrictEqual([code, outcome, retryable], ['RMQ_CONNECT', 'not-sent', false])
        return false
      },
    )
    strictEqual(cluster.codes('a').length, sent ? 1 : 0)
    return sent
  }

  it('are any by default', async (t) => {
    strictEqual(await reaches(t, undefined), true)
  })

  for (const [rule, host, allowed] of [
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.2', '127.0.0.1', false],
    ['127.0.0.0/8', '127.0.0.1', true],
    ['127.0.0.0/31', '127.0.0.1', true],
    ['10.0.0.0/8', '127.0.0.1', false],
    ['0.0.0.0/0', '127.0.0.1', true],
    ['localhost', 'localhost', true],
    ['LocalHost', 'LOCALHOST', true],
    ['localhost', '127.0.0.1', false],
    ['other.test', 'localhost', false],
    ['127.0.0.0/8', 'localhost', true],
    ['10.0.0.0/8', 'localhost', false],
    ['*.localhost', 'localhost', false],
    ['*.host', 'localhost', false],
    // Ways to write an IPv4 address that are none to us: the system's resolver reads them as 127.0.0.1.
    ['127.0.0.0/8', '2130706433', true],
    ['10.0.0.0/8', '2130706433', false],
    ['10.0.0.0/8', '0x7f000001', false],
    ['10.0.0.0/8', '0177.0.0.1', false],
    ['10.0.0.0/8', '127.1', false],
  ] as const) {
    it(`are ${allowed ? 'met' : 'not met'} with ${rule} by ${host}`, async (t) => {
      strictEqual(await reaches(t, [rule], host), allowed)
    })
  }

  it('are met by a suffix at a dot only', async (t) => {
    const { client } = await open(t, {}, { allowedAddresses: ['*.brokers.test'] })

    deepStrictEqual(
      [
        'a.brokers.test:1',
        'A.B.BROKERS.TEST:1',
        'brokers.test:1',
        'evilbrokers.test:1',
        'a.brokers.test.evil:1',
      ].map((address) => client.addresses.refuse(address) === undefined),
      [true, true, false, false, false],
    )
  })

  it('are none when the list is empty, but name servers and mapped addresses are the operator’s own', async (t) => {
    const { cluster } = await open(t, { brokers: { a: storing() }, ...saying(routeTo('10.255.255.1:10911')) })
    const target = cluster.broker('a').address

    strictEqual(await reaches(t, []), false)
    const client = cluster.client({ allowedAddresses: [], addressMap: () => target })
    await createProducer(client, { producerGroup: 'g' }).send({ topic: 'orders', body: 'x' })
    strictEqual(cluster.codes('a').length, 1)
  })

  it('do not include link-local ones unless they are listed, in whatever way they are written', async (t) => {
    const { client } = await open(t)
    const { client: open6 } = await open(t, {}, { allowedAddresses: ['169.254.0.0/16', '0.0.0.0/0'] })
    const linkLocal = [
      '169.254.169.254:80',
      '169.254.170.2:80',
      '[fd00:ec2::254]:80',
      '[64:ff9b::a9fe:a9fe]:80',
      '[2002:a9fe:a9fe::1]:80',
      '[fe80::1]:80',
      'fe80::1:80',
      '[febf::1]:80',
      '[fe80::1%lo]:80',
      '[::ffff:169.254.169.254]:80',
      '[::ffff:a9fe:a9fe]:80',
    ]

    for (const address of linkLocal) ok(client.addresses.refuse(address) !== undefined, address)
    ok(client.addresses.refuse('metadata.test:80', '169.254.169.254') !== undefined)
    ok(client.addresses.refuse('metadata.test:80', '::ffff:169.254.169.254') !== undefined)
    ok(client.addresses.refuse('metadata.test:80', 'fe80::1%eth0') !== undefined)
    strictEqual(open6.addresses.refuse('169.254.169.254:80'), undefined)
    strictEqual(client.addresses.refuse('10.0.0.1:10911'), undefined)
  })

  it('refuse a link-local broker of a hostile name server before a socket is opened', async (t) => {
    const { client } = await open(t, saying(routeTo('169.254.169.254:80')))

    const facts = await rejection(
      createProducer(client, { producerGroup: 'g' }).send({ topic: 'orders', body: 'x' }),
    )

    deepStrictEqual(facts, {
      code: 'RMQ_CONNECT',
      retryable: false,
      outcome: 'not-sent',
      address: '169.254.169.254:80',
    })
  })
})
