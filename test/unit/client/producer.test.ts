import { deepStrictEqual, ok, strictEqual, throws } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { Client } from '../../../src/client/client.ts'
import type { BatchedMessage, OutgoingMessage } from '../../../src/client/outgoing.ts'
import { createProducer, type Producer, type ProducerOptions } from '../../../src/client/producer.ts'
import { RequestCode } from '../../../src/commands/index.ts'
import {
  compressionType,
  decodeBatch,
  decodeProperties,
  decompress,
  type Frame,
  formatRecallHandle,
  isReservedProperty,
  selectQueueIndex,
} from '../../../src/wire/index.ts'
import {
  type FakeCluster,
  type FakeClusterOptions,
  fakeCluster,
  type Handler,
  type Handlers,
  offsetId,
  stored,
  storing,
} from '../../support/fake-cluster.ts'
import { factsOf, rejection } from '../../support/net.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'

const SEND = RequestCode.SEND_MESSAGE_V2
const BATCH = RequestCode.SEND_BATCH_MESSAGE

interface Opened {
  cluster: FakeCluster
  client: Client
  producer: Producer
}

async function open(
  t: TestContext,
  cluster: FakeClusterOptions = {},
  options: Partial<ProducerOptions> = {},
  client: Parameters<FakeCluster['client']>[0] = {},
): Promise<Opened> {
  const opened = await fakeCluster(t, cluster)
  const its = opened.client(client)
  return { cluster: opened, client: its, producer: createProducer(its, { producerGroup: 'g', ...options }) }
}

/** Answers with the codes in turn, the last one for ever; 0 stores. */
function codes(...answers: number[]): Handlers {
  let turn = 0
  const handler: Handler = (frame) => {
    const code = answers[Math.min(turn++, answers.length - 1)] ?? 0
    return [0, 10, 11, 12].includes(code) ? stored(frame, code) : { code, remark: 'scripted' }
  }
  return { [SEND]: handler, [BATCH]: handler }
}

const properties = (frame: Frame | undefined): Record<string, string> => ({
  ...decodeProperties(frame?.ext['i'] ?? ''),
})

const sends = (cluster: FakeCluster, name = 'broker-a'): readonly Frame[] => cluster.broker(name).frames

const order: OutgoingMessage = { topic: 'orders', body: 'x' }

describe('a message', () => {
  it('is sent with its fields and resolves to where it was stored', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const { cluster, producer } = await open(t)

    const result = await producer.send({
      topic: 'orders',
      body: 'café',
      tag: 'paid',
      keys: ['k1', 'k2'],
      properties: { city: 'Zürich' },
      shardingKey: 'customer-1',
      flag: -5,
      messageId: 'ID1',
    })

    const queueId = selectQueueIndex('customer-1', 2)
    deepStrictEqual(result.toJSON(), {
      status: 'SEND_OK',
      messageId: 'ID1',
      offsetMessageId: offsetId(0),
      queue: { topic: 'orders', brokerName: 'broker-a', queueId },
      queueOffset: '0',
    })
    const [frame] = sends(cluster)
    const { i: _, ...fields } = frame?.ext ?? {}
    deepStrictEqual(
      [frame?.code, frame?.body.toString(), fields],
      [
        SEND,
        'café',
        {
          a: 'g',
          b: 'orders',
          c: 'TBW102',
          d: '4',
          e: String(queueId),
          f: '0',
          g: '1700000000000',
          h: '-5',
          j: '0',
          k: 'false',
          m: 'false',
        },
      ],
    )
    deepStrictEqual(properties(frame), {
      city: 'Zürich',
      TAGS: 'paid',
      KEYS: 'k1 k2',
      __SHARDINGKEY: 'customer-1',
      UNIQ_KEY: 'ID1',
      WAIT: 'true',
    })
  })

  it('gets an id of 128 random bits unless it is given one', async (t) => {
    const { cluster, producer } = await open(t)

    const results = [await producer.send(order), await producer.send(order)]

    const ids = results.map(({ messageId }) => messageId)
    ok(ids.every((id) => /^[\dA-F]{32}$/.test(id)) && ids[0] !== ids[1])
    deepStrictEqual(
      sends(cluster).map((frame) => properties(frame)['UNIQ_KEY']),
      ids,
    )
  })

  it('may have bytes of any kind, also a view into a larger buffer', async (t) => {
    const { cluster, producer } = await open(t)
    const bytes = Uint8Array.from([9, 9, 1, 2, 3, 9])

    await producer.send({ topic: 'orders', body: bytes.subarray(2, 5) })

    deepStrictEqual([...(sends(cluster)[0]?.body ?? [])], [1, 2, 3])
  })

  for (const [name, delay, property] of [
    ['a level', { delayLevel: 18 }, { DELAY: '18' }],
    ['a time from now', { delayMs: 1_500 }, { TIMER_DELAY_MS: '1500' }],
    ['a Date', { deliverAt: new Date(1_800_000_000_000) }, { TIMER_DELIVER_MS: '1800000000000' }],
    ['epoch ms', { deliverAt: 1_800_000_000_000 }, { TIMER_DELIVER_MS: '1800000000000' }],
  ] as const) {
    it(`is delayed by ${name}`, async (t) => {
      const { cluster, producer } = await open(t)

      await producer.send({ ...order, messageId: 'ID1', ...delay })

      deepStrictEqual(properties(sends(cluster).at(-1)), { UNIQ_KEY: 'ID1', WAIT: 'true', ...property })
    })
  }

  it('above the threshold is compressed, when that makes it smaller', async (t) => {
    const { cluster, client, producer } = await open(t)
    const zstd = createProducer(client, { producerGroup: 'g', compression: 'zstd', compressAboveBytes: 10 })
    const none = createProducer(client, { producerGroup: 'g', compression: 'none' })
    const large = 'a'.repeat(4_097)
    const noise = Buffer.from(
      Array.from({ length: 5_000 }, (_, i) => (i * i * 31 + (i >> 3) * 7 + i ** 3) & 0xff),
    )

    await producer.send({ ...order, body: large })
    await producer.send({ ...order, body: large.slice(1) })
    await zstd.send({ ...order, body: large })
    await none.send({ ...order, body: large })
    await producer.send({ ...order, body: noise })

    const bodies = sends(cluster).map((frame) => {
      const sysFlag = Number(frame.ext['f'])
      return (sysFlag & 1) === 0
        ? [frame.body.length]
        : [compressionType(sysFlag), decompress(compressionType(sysFlag), frame.body, 10_000).length]
    })
    deepStrictEqual(bodies.slice(0, 4), [[3, 4_097], [4_096], [2, 4_097], [4_097]])
    ok((sends(cluster)[0]?.body.length ?? 0) < 100)
  })
})

describe('a message that no broker would take as it is', () => {
  const ROCKETMQS = 'properties.KEYS'
  const cases: readonly [what: string, message: object, field: string][] = [
    ['without a topic', { topic: undefined }, 'topic'],
    ['with an empty topic', { topic: '' }, 'topic'],
    ['with a topic of odd characters', { topic: 'or ders' }, 'topic'],
    ['with a topic of 128 characters', { topic: 'a'.repeat(128) }, 'topic'],
    ['without a body', { body: undefined }, 'body'],
    ['with an empty body', { body: '' }, 'body'],
    ['with an empty body of bytes', { body: new Uint8Array(0) }, 'body'],
    ['with a body of null', { body: null }, 'body'],
    ['with half a surrogate pair in its body', { body: 'a\ud83d' }, 'body'],
    ['with an object for a body', { body: { a: 1 } }, 'body'],
    ['with a body above 4 MiB', { body: Buffer.alloc(4_194_305) }, 'body'],
    ['with an empty tag', { tag: '' }, 'tag'],
    ['with a number for a tag', { tag: 5 }, 'tag'],
    ['with a tag of two words', { tag: 'a b' }, 'tag'],
    ['with a tag that reads as an expression', { tag: 'a||b' }, 'tag'],
    ['with a separator in the tag', { tag: 'a\u0001b' }, 'tag'],
    ['with a key that has a space', { keys: ['a', 'b c'] }, 'keys[1]'],
    ['with an empty key', { keys: ['a', ''] }, 'keys[1]'],
    ['with an empty text for keys', { keys: '' }, 'keys[0]'],
    ['with a number for keys', { keys: 5 }, 'keys'],
    ['with a separator in a key', { keys: ['a', 'b\u0002'] }, 'keys[1]'],
    ['with a separator in the sharding key', { shardingKey: 'a\u0001' }, 'shardingKey'],
    ['with an empty sharding key', { shardingKey: '' }, 'shardingKey'],
    ['with an empty id', { messageId: '' }, 'messageId'],
    ['with an id of two words', { messageId: 'a b' }, 'messageId'],
    ['with a separator in the id', { messageId: 'a\u0002b' }, 'messageId'],
    ['with a property of RocketMQ', { properties: { KEYS: 'x' } }, ROCKETMQS],
    [
      'with a transient property of RocketMQ',
      { properties: { '__RMQ.TRANSIENT.x': 'x' } },
      'properties.__RMQ.TRANSIENT.x',
    ],
    ['with a separator in a property’s name', { properties: { 'a\u0001b': 'x' } }, 'properties.a\u0001b'],
    ['with a separator in a property’s value', { properties: { a: 'x\u0002y' } }, 'properties.a'],
    ['with a property without a name', { properties: { '': 'x' } }, 'properties.'],
    ['with an empty property', { properties: { a: '' } }, 'properties.a'],
    ['with a number for a property', { properties: { a: 5 } }, 'properties.a'],
    ['with null for a property', { properties: { a: null } }, 'properties.a'],
    ['with half a character in a property', { properties: { a: '\ud800' } }, 'properties.a'],
    ['with a text for properties', { properties: 'abc' }, 'properties'],
    ['with a Map for properties', { properties: new Map([['a', 'b']]) }, 'properties'],
    ['with properties above 32,767 bytes', { properties: { a: 'ü'.repeat(16_400) } }, 'properties'],
    ['with a delay level of 0', { delayLevel: 0 }, 'delayLevel'],
    ['with a delay level of 19', { delayLevel: 19 }, 'delayLevel'],
    ['with a delay level of 1.5', { delayLevel: 1.5 }, 'delayLevel'],
    ['with a delay level of text', { delayLevel: '3' }, 'delayLevel'],
    ['with a delay of 0 ms', { delayMs: 0 }, 'delayMs'],
    ['with a delay of NaN ms', { delayMs: Number.NaN }, 'delayMs'],
    ['with an invalid Date', { deliverAt: new Date('never') }, 'deliverAt'],
    ['with a time before 1970', { deliverAt: -1 }, 'deliverAt'],
    ['with a text for a time', { deliverAt: '2030-01-01' }, 'deliverAt'],
    ['with two delays', { delayLevel: 1, delayMs: 5 }, 'delayMs'],
    ['with another two delays', { delayMs: 5, deliverAt: 5 }, 'deliverAt'],
    ['with a flag beyond 32 bits', { flag: 2 ** 31 }, 'flag'],
    ['with a flag of 0.5', { flag: 0.5 }, 'flag'],
    [
      'with a queue of another topic',
      { queue: { topic: 'other', brokerName: 'broker-a', queueId: 0 } },
      'queue.topic',
    ],
    [
      'with a queue id of -1',
      { queue: { topic: 'orders', brokerName: 'broker-a', queueId: -1 } },
      'queue.queueId',
    ],
    [
      'with a queue id of 0.5',
      { queue: { topic: 'orders', brokerName: 'broker-a', queueId: 0.5 } },
      'queue.queueId',
    ],
    [
      'with a queue and a sharding key',
      { queue: { topic: 'orders', brokerName: 'broker-a', queueId: 0 }, shardingKey: 'a' },
      'queue',
    ],
  ]

  it('is refused with the name of the field, and nothing is connected', async (t) => {
    const { cluster, producer } = await open(t)
    const refused: string[] = []
    const expected: string[] = []

    for (const [what, message, field] of cases) {
      const facts = await producer.send({ ...order, ...message } as OutgoingMessage).then(
        () => 'sent',
        (error: unknown) => {
          const { code, outcome, retryable, field: named } = factsOf(error)
          return [code, outcome, retryable, named].join(' ')
        },
      )
      expected.push(`${what}: RMQ_CONFIG not-sent false ${field}`)
      refused.push(`${what}: ${facts}`)
    }

    deepStrictEqual(refused, expected)
    deepStrictEqual([cluster.nameServer.connections.length, cluster.broker().connections.length], [0, 0])
  })

  it('is refused in a batch and one-way too, under its place in the batch', async (t) => {
    const { cluster, producer } = await open(t)
    const batch = (message: unknown): Promise<unknown> =>
      producer.sendBatch('orders', [{ body: 'a' }, message as BatchedMessage])

    const fields = await Promise.all(
      [
        rejection(producer.sendOneway({ topic: 'orders', body: '' })),
        rejection(batch({ body: '' })),
        rejection(batch({ body: 'x', keys: ['a b'] })),
        rejection(batch({ body: 'x', delayLevel: 1 })),
        rejection(batch({ body: 'x', delayMs: 1 })),
        rejection(batch({ body: 'x', deliverAt: 1 })),
        rejection(batch(null)),
        rejection(batch('x')),
        rejection(producer.sendBatch('orders', Object.assign([], { 1: { body: 'x' } }))),
        rejection(producer.sendBatch('or ders', [{ body: 'a' }])),
        rejection(producer.sendBatch('orders', 'x' as unknown as [])),
      ].map(async (facts) => {
        const { code, outcome, field } = await facts
        return [code, outcome, field].join(' ')
      }),
    )

    deepStrictEqual(
      fields,
      [
        'body',
        'messages[1].body',
        'messages[1].keys[0]',
        'messages[1].delayLevel',
        'messages[1].delayMs',
        'messages[1].deliverAt',
        'messages[1]',
        'messages[1]',
        'messages[0]',
        'topic',
        'messages',
      ].map((field) => `RMQ_CONFIG not-sent ${field}`),
    )
    strictEqual(cluster.nameServer.connections.length, 0)
  })

  it('is not confused with one that only looks odd', async (t) => {
    const { cluster, producer } = await open(t)
    const own = JSON.parse('{"__proto__":"p","constructor":"c"}') as Record<string, string>

    await producer.send({ ...order, messageId: 'ID1', properties: { ...own, ['__proto__']: 'p' } })
    await producer.send({ ...order, body: Buffer.alloc(4_194_304, 1), keys: [], properties: {} })

    const text = sends(cluster)[0]?.ext['i'] ?? ''
    deepStrictEqual(Object.entries(decodeProperties(text)), [
      ['__proto__', 'p'],
      ['constructor', 'c'],
      ['UNIQ_KEY', 'ID1'],
      ['WAIT', 'true'],
    ])
    ok(!isReservedProperty('__proto__'))
    strictEqual(sends(cluster).length, 2)
  })

  it('does not show its body, keys or properties in the error', async (t) => {
    const { producer } = await open(t)

    const errors = await Promise.all(
      [
        { body: 'x', properties: { KEYS: 'SECRET' } },
        { body: 'x', properties: { a: 'SECRET\u0001' } },
        { body: 'x', keys: ['SECRET x'] },
      ].map((message) => producer.send({ topic: 'orders', ...message }).catch((error: unknown) => error)),
    )

    ok(
      errors.every(
        (error) => error instanceof Error && !`${error.stack}${JSON.stringify(error)}`.includes('SECRET'),
      ),
    )
  })
})

describe('createProducer', () => {
  it('refuses wrong options by their name', async (t) => {
    const client = (await fakeCluster(t)).client()
    const cases: readonly [options: object, field: string][] = [
      [{}, 'producerGroup'],
      [{ producerGroup: '' }, 'producerGroup'],
      [{ producerGroup: 'a b' }, 'producerGroup'],
      [{ producerGroup: 'a'.repeat(121) }, 'producerGroup'],
      [{ producerGroup: 'g', retries: -1 }, 'retries'],
      [{ producerGroup: 'g', retries: 1.5 }, 'retries'],
      [{ producerGroup: 'g', retries: '2' }, 'retries'],
      [{ producerGroup: 'g', compression: 'gzip' }, 'compression'],
      [{ producerGroup: 'g', compressAboveBytes: -1 }, 'compressAboveBytes'],
      [{ producerGroup: 'g', defaultTopicQueueNums: 0 }, 'defaultTopicQueueNums'],
      [{ producerGroup: 'g', retrys: 2 }, 'retrys'],
    ]
    for (const [options, field] of cases) {
      throws(
        () => createProducer(client, options as ProducerOptions),
        (error) => {
          deepStrictEqual(factsOf(error), {
            code: 'RMQ_CONFIG',
            retryable: false,
            outcome: 'not-sent',
            field,
          })
          return true
        },
      )
    }
    throws(() => createProducer(client, { producerGroup: 'g', retrys: 2 } as ProducerOptions), /retries/)
  })
})

describe('a send that fails', () => {
  it('goes to another broker, under the same id and the same bytes', async (t) => {
    for (const code of [1, 2, 14, 17, 204, 205, 1500]) {
      const handlers = codes(code, 0)
      const { cluster, producer } = await open(t, { brokers: { a: handlers, b: handlers } })

      const result = await producer.send({ ...order, body: 'same', properties: { p: 'q' } })

      const frames = [...sends(cluster, 'a'), ...sends(cluster, 'b')]
      // 1500 is repeated on the same broker first, over a new connection.
      strictEqual(frames.length, 2, `after code ${code}`)
      if (code !== 1500) deepStrictEqual([sends(cluster, 'a').length, sends(cluster, 'b').length], [1, 1])
      deepStrictEqual(new Set(frames.map((frame) => `${frame.ext['i']}${frame.body.toString()}`)).size, 1)
      strictEqual(properties(frames[0])['UNIQ_KEY'], result.messageId)
    }
  })

  it('is tried again on the only broker there is, and no more often than retries says', async (t) => {
    const { cluster, client, producer } = await open(t, { brokers: { a: codes(2) } })
    const eager = createProducer(client, { producerGroup: 'g', retries: 0 })

    const facts = [await rejection(producer.send(order)), await rejection(eager.send(order))]

    const { address } = cluster.broker('a')
    const busy = {
      code: 'RMQ_BROKER',
      retryable: true,
      outcome: 'refused',
      responseCode: 2,
      address,
      topic: 'orders',
    }
    deepStrictEqual(facts, [busy, busy])
    strictEqual(sends(cluster, 'a').length, 4)
  })

  it('is not tried again when the answer says that it is wrong', async (t) => {
    for (const code of [3, 13, 16, 29]) {
      const { cluster, producer } = await open(t, { brokers: { a: codes(code) } })

      const facts = await rejection(producer.send(order))

      deepStrictEqual(
        [facts['responseCode'], facts['outcome'], facts['retryable'], sends(cluster, 'a').length],
        [code, 'refused', false, 1],
      )
    }
  })

  it('goes to another broker when one takes no messages at all, but not under a key that is refused', async (t) => {
    const ban = { code: 16, remark: 'the broker[10.0.0.1] sending message is forbidden' }
    const denied = { code: 16, remark: 'signature does not match' }
    const { cluster, producer } = await open(t, { brokers: { a: { [SEND]: () => ban }, b: storing() } })
    const { producer: only } = await open(t, {
      brokers: { a: { [SEND]: () => ban }, b: { [SEND]: () => ban } },
    })
    const both = { a: { [SEND]: () => denied }, b: { [SEND]: () => denied } }
    const { cluster: strict, producer: stranger } = await open(t, { brokers: both })

    const names: string[] = []
    for (let n = 0; n < 4; n++) names.push((await producer.send(order)).queue.brokerName)
    const attempts = sends(cluster, 'a').length
    const named = await rejection(
      producer.send({ ...order, queue: { topic: 'orders', brokerName: 'a', queueId: 0 } }),
    )
    const banned = await rejection(only.send(order))
    const refused = await rejection(stranger.send(order))

    deepStrictEqual(names, ['b', 'b', 'b', 'b'])
    ok(attempts > 0 && cluster.nameServer.frames.length === attempts + 1)
    strictEqual(sends(cluster, 'a').length, attempts + 1)
    deepStrictEqual(
      [named, banned, refused].map(({ code, outcome }) => [code, outcome]),
      [
        ['RMQ_BROKER', 'refused'],
        ['RMQ_BROKER', 'refused'],
        ['RMQ_AUTH', 'refused'],
      ],
    )
    strictEqual(sends(strict, 'a').length * sends(strict, 'b').length, 0)
  })

  it('reaches the brokers that are up though the name server and one broker are gone', async (t) => {
    const { cluster, producer } = await open(t, { brokers: { a: storing(), b: storing() } })
    await producer.send(order)
    await Promise.all([cluster.nameServer.close(), cluster.broker('b').close()])

    const names: string[] = []
    for (let n = 0; n < 4; n++) names.push((await producer.send(order)).queue.brokerName)

    deepStrictEqual(names, ['a', 'a', 'a', 'a'])
  })

  it('is unknown when any attempt may have stored it, though the last one was refused', async (t) => {
    const { cluster, producer } = await open(
      t,
      { brokers: { a: { [SEND]: (_, connection) => connection.reset() }, b: codes(2) } },
      { retries: 3 },
    )

    const facts = await rejection(producer.send(order))

    deepStrictEqual([facts['outcome'], facts['topic'] ?? 'orders'], ['unknown', 'orders'])
    ok(sends(cluster, 'a').length > 0 && sends(cluster, 'b').length > 0)
  })

  it('is stored when a later attempt is, whatever became of the first', async (t) => {
    let turn = 0
    const { cluster, producer } = await open(t, {
      brokers: {
        a: { [SEND]: (frame, connection) => (turn++ === 0 ? connection.reset() : stored(frame)) },
      },
    })

    const result = await producer.send(order)

    const [first, second] = sends(cluster, 'a')
    deepStrictEqual(
      [result.status, first?.ext['i'], sends(cluster, 'a').length],
      ['SEND_OK', second?.ext['i'], 2],
    )
  })

  it('is unknown after a broker that never answers, and ends with its deadline', async (t) => {
    const { cluster, producer } = await open(t, { brokers: { a: { [SEND]: () => undefined } } })

    const facts = await rejection(producer.send(order, { deadlineMs: Date.now() + 300 }))

    deepStrictEqual(facts, {
      code: 'RMQ_DEADLINE',
      retryable: false,
      outcome: 'unknown',
      address: cluster.broker('a').address,
    })
  })

  it('is unknown when it is aborted in flight, also after an earlier attempt; before that it was not sent', async (t) => {
    const stop = new AbortController()
    const { cluster, producer } = await open(t, {
      brokers: { a: { [SEND]: () => stop.abort() as undefined } },
    })

    const inFlight = await rejection(producer.send(order, { signal: stop.signal }))
    const before = await rejection(producer.send(order, { signal: stop.signal }))

    deepStrictEqual(
      [inFlight, before].map(({ code, outcome }) => [code, outcome]),
      [
        ['RMQ_ABORTED', 'unknown'],
        ['RMQ_ABORTED', 'not-sent'],
      ],
    )
    strictEqual(sends(cluster, 'a').length, 1)
  })

  it('says not-sent when the name server is what failed, in whatever way', async (t) => {
    const ROUTE = RequestCode.GET_ROUTEINFO_BY_TOPIC
    const nameServers: readonly [what: string, handlers: Handlers][] = [
      ['silent', { [ROUTE]: () => undefined }],
      ['garbage', { [ROUTE]: (_, connection) => connection.write(Buffer.from('garbage!')) }],
      ['reset', { [ROUTE]: (_, connection) => connection.reset() }],
      ['nonsense', { [ROUTE]: () => ({ body: Buffer.from('[]') }) }],
      ['refusing', { [ROUTE]: () => ({ code: 16, remark: 'check signature failed.' }) }],
      ['failing', { [ROUTE]: () => ({ code: 1 }) }],
    ]
    const outcomes = await Promise.all(
      nameServers.map(async ([what, nameServer]) => {
        const { producer } = await open(t, { nameServer }, {}, { timeoutMs: 60 })
        return [what, (await rejection(producer.send(order)))['outcome']]
      }),
    )

    deepStrictEqual(
      outcomes,
      nameServers.map(([what]) => [what, 'not-sent']),
    )
  })

  it('waits no longer than its deadline, whoever is asked', async (t) => {
    const { cluster, producer } = await open(t, {
      nameServer: { [RequestCode.GET_ROUTEINFO_BY_TOPIC]: () => undefined },
    })
    const clock = stoppedClock(t)
    let isOver = false

    const sent = rejection(producer.send(order, { deadlineMs: Date.now() + 50 }))
    sent.then(
      () => (isOver = true),
      () => undefined,
    )
    await cluster.nameServer.arrived(1)
    const seen: boolean[] = []
    for (const ms of [49, 1]) {
      await clock.pass(ms)
      seen.push(isOver)
    }
    const { code, outcome } = await sent

    deepStrictEqual([seen, code, outcome], [[false, true], 'RMQ_DEADLINE', 'not-sent'])
  })
})

describe('the queue of a message', () => {
  it('changes from message to message, over all brokers', async (t) => {
    const { cluster, producer } = await open(t, { brokers: { a: storing(), b: storing() } })

    const queues = new Set<string>()
    for (let n = 0; n < 8; n++) {
      const { queue } = await producer.send(order)
      queues.add(`${queue.brokerName}/${queue.queueId}`)
    }

    deepStrictEqual([...queues].sort(), ['a/0', 'a/1', 'b/0', 'b/1'])
    deepStrictEqual([sends(cluster, 'a').length, sends(cluster, 'b').length], [4, 4])
  })

  it('is that of its sharding key, also when a send is tried again', async (t) => {
    const { cluster, producer } = await open(t, { brokers: { b: codes(2, 0), a: codes(2, 0) } })
    const all = ['a/0', 'a/1', 'b/0', 'b/1']

    const found = new Map<string, string>()
    for (const key of ['k1', 'k2', 'k3', 'k4', 'k5', 'k1', 'k2']) {
      const { queue } = await producer.send({ ...order, shardingKey: key })
      const name = `${queue.brokerName}/${queue.queueId}`
      strictEqual(name, all[selectQueueIndex(key, 4)])
      found.set(key, name)
    }

    ok(found.size === 5 && sends(cluster, 'a').length + sends(cluster, 'b').length === 9)
  })

  it('is the one it names', async (t) => {
    const { cluster, producer } = await open(t, { brokers: { a: storing(), b: storing() } })

    for (let n = 0; n < 3; n++) {
      await producer.send({ ...order, queue: { topic: 'orders', brokerName: 'b', queueId: 1 } })
    }

    deepStrictEqual(
      [sends(cluster, 'a').length, sends(cluster, 'b').map((frame) => frame.ext['e'])],
      [0, ['1', '1', '1']],
    )
  })

  it('may be chosen by the broker, which says which it was', async (t) => {
    const { producer } = await open(t, {
      brokers: {
        a: { [SEND]: () => ({ ext: { msgId: offsetId(1), queueId: '7', queueOffset: '9007199254740993' } }) },
      },
    })

    const { queue, queueOffset } = await producer.send(order)

    deepStrictEqual(
      [queue, queueOffset],
      [{ topic: 'orders', brokerName: 'a', queueId: 7 }, 9007199254740993n],
    )
  })

  it('is never on a topic without write permission, named or not: brokers would take the message', async (t) => {
    const { cluster, producer } = await open(t, { topics: { orders: { perm: 4 } } })
    const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

    const facts = [
      await rejection(producer.send(order)),
      await rejection(producer.send({ ...order, shardingKey: 'k' })),
      await rejection(producer.send({ ...order, queue })),
      await rejection(producer.sendOneway(order)),
      await rejection(producer.sendOneway({ ...order, queue })),
      await rejection(producer.sendBatch('orders', [{ body: 'x' }])),
    ]

    const readOnly = { code: 'RMQ_ROUTE', retryable: false, outcome: 'not-sent', topic: 'orders' }
    deepStrictEqual(facts, Array(6).fill(readOnly))
    strictEqual(cluster.broker().connections.length, 0)
  })

  it('is never on a broker without a master', async (t) => {
    const { producer } = await open(t, {
      brokers: { a: storing() },
      replicas: { a: { 1: storing() } },
      withoutMaster: ['a'],
    })

    deepStrictEqual(await rejection(producer.send(order)), {
      code: 'RMQ_ROUTE',
      retryable: true,
      outcome: 'not-sent',
      topic: 'orders',
    })
  })

  it('is on no broker that the route does not list', async (t) => {
    const { producer } = await open(t)

    const facts = await rejection(
      producer.send({ ...order, queue: { topic: 'orders', brokerName: 'gone', queueId: 0 } }),
    )

    deepStrictEqual([facts['code'], facts['outcome'], facts['topic']], ['RMQ_ROUTE', 'not-sent', 'orders'])
  })
})

describe('the status of a stored message', () => {
  for (const [code, status] of [
    [0, 'SEND_OK'],
    [10, 'FLUSH_DISK_TIMEOUT'],
    [11, 'SLAVE_NOT_AVAILABLE'],
    [12, 'FLUSH_SLAVE_TIMEOUT'],
  ] as const) {
    it(`is ${status} after code ${code}, and it is not sent again`, async (t) => {
      const { cluster, producer } = await open(t, { brokers: { a: codes(code) } })

      strictEqual((await producer.send(order)).status, status)
      strictEqual(sends(cluster, 'a').length, 1)
    })
  }
})

describe('a topic that does not exist', () => {
  it('is made by the first send where brokers allow it: the route of TBW102 leads there', async (t) => {
    const { cluster, producer } = await open(
      t,
      { topics: { TBW102: { readQueueNums: 8, writeQueueNums: 8, perm: 7 } } },
      { defaultTopicQueueNums: 3 },
      { namespace: 'ns' },
    )

    const queues = new Set<string>()
    for (let n = 0; n < 6; n++) await producer.send(order)
    for (const frame of sends(cluster)) queues.add(frame.ext['e'] ?? '')

    const [frame] = sends(cluster)
    deepStrictEqual([frame?.ext['b'], frame?.ext['c'], frame?.ext['d']], ['ns%orders', 'TBW102', '3'])
    deepStrictEqual([...queues].sort(), ['0', '1', '2'])
    deepStrictEqual(
      cluster.nameServer.frames.slice(0, 2).map(({ ext }) => ext['topic']),
      ['ns%orders', 'TBW102'],
    )
  })

  it('is an error where they do not', async (t) => {
    const { cluster, producer } = await open(t, { topics: {} })

    for (const facts of [
      await rejection(producer.send(order)),
      await rejection(producer.sendOneway(order)),
      await rejection(producer.sendBatch('orders', [{ body: 'x' }])),
    ]) {
      deepStrictEqual(facts, {
        code: 'RMQ_ROUTE',
        retryable: false,
        outcome: 'not-sent',
        responseCode: 17,
        address: cluster.nameServer.address,
        topic: 'orders',
      })
    }
  })
})

describe('a batch', () => {
  const bodies = (frame: Frame | undefined): string[] =>
    decodeBatch(frame?.body ?? Buffer.alloc(0)).map(({ body }) => Buffer.from(body).toString().slice(0, 8))

  it('is one request and gives each message its own result, in order', async (t) => {
    const { cluster, producer } = await open(t)

    const results = await producer.sendBatch('orders', [
      { body: 'a', messageId: 'ID1', tag: 't', flag: 3 },
      { body: 'b', messageId: 'ID2', properties: { p: 'q' } },
      { body: 'c', messageId: 'ID3' },
    ])

    const queueId = Number(sends(cluster)[0]?.ext['e'])
    deepStrictEqual(
      results.map((each) => (each.outcome === 'stored' ? each.result.toJSON() : each)),
      ['ID1', 'ID2', 'ID3'].map((messageId, at) => ({
        status: 'SEND_OK',
        messageId,
        offsetMessageId: offsetId(at),
        queue: { topic: 'orders', brokerName: 'broker-a', queueId },
        queueOffset: String(at),
      })),
    )
    const [frame] = sends(cluster)
    deepStrictEqual(
      [frame?.code, frame?.ext['m'], frame?.ext['f'], cluster.codes().length],
      [BATCH, 'true', '0', 1],
    )
    deepStrictEqual(
      decodeBatch(frame?.body ?? Buffer.alloc(0)).map(({ flag, properties: text }) => [
        flag,
        { ...decodeProperties(text) },
      ]),
      [
        [3, { TAGS: 't', UNIQ_KEY: 'ID1', WAIT: 'true' }],
        [0, { p: 'q', UNIQ_KEY: 'ID2', WAIT: 'true' }],
        [0, { UNIQ_KEY: 'ID3', WAIT: 'true' }],
      ],
    )
  })

  it('of no messages sends nothing', async (t) => {
    const { cluster, producer } = await open(t)

    deepStrictEqual(await producer.sendBatch('orders', []), [])
    strictEqual(cluster.nameServer.connections.length, 0)
  })

  it('is split so that no request is above 4 MiB', async (t) => {
    const { cluster, producer } = await open(t)
    const body = Buffer.alloc(1_000_000, 'x')
    const whole = Buffer.alloc(4_194_304, 'y')

    const results = await producer.sendBatch('orders', [
      ...Array.from({ length: 9 }, () => ({ body })),
      { body: whole },
      { body: 'z' },
    ])

    deepStrictEqual(
      sends(cluster).map((frame) => bodies(frame).length),
      [4, 4, 1, 1, 1],
    )
    deepStrictEqual(
      results.map(({ outcome }) => outcome),
      Array(11).fill('stored'),
    )
  })

  it('never asks a broker to take a batch above 4 MiB, its lengths and properties included', async (t) => {
    const { cluster, producer } = await open(t)

    await producer.sendBatch('orders', [
      { body: Buffer.alloc(2_097_100, 'x') },
      { body: Buffer.alloc(2_097_100, 'x') },
      { body: Buffer.alloc(2_000_000, 'x'), properties: { p: 'ü'.repeat(10_000) } },
    ])

    ok(sends(cluster).every((frame) => frame.body.length <= 4_194_304))
  })

  it('puts messages of one sharding key into one queue, in their order', async (t) => {
    const { cluster, producer } = await open(t, { brokers: { a: storing(), b: storing() } })

    const results = await producer.sendBatch(
      'orders',
      ['k1', 'k2', 'k3', 'k1', 'k2', 'k1'].map((shardingKey, n) => ({
        body: `${shardingKey}-${n}`,
        shardingKey,
      })),
    )

    const all = ['a/0', 'a/1', 'b/0', 'b/1']
    deepStrictEqual(
      results.map(
        (each) => each.outcome === 'stored' && `${each.result.queue.brokerName}/${each.result.queue.queueId}`,
      ),
      ['k1', 'k2', 'k3', 'k1', 'k2', 'k1'].map((key) => all[selectQueueIndex(key, 4)]),
    )
    for (const frame of [...sends(cluster, 'a'), ...sends(cluster, 'b')]) {
      const order = bodies(frame).map((body) => Number(body.split('-')[1]))
      deepStrictEqual(
        order,
        [...order].sort((a, b) => a - b),
      )
    }
  })

  it('keeps the keys of one queue together when the route changes before it is stored', async (t) => {
    let turn = 0
    const store = storing()
    const { cluster, producer } = await open(t, {
      brokers: {
        a: {
          [BATCH]: (frame, connection) => {
            if (turn++ > 0) return store[BATCH]?.(frame, connection)
            cluster.topics['orders'] = {}
            return { code: 17 }
          },
        },
        b: storing(),
      },
      topics: { orders: { brokers: ['a'] } },
    })
    const [stays, moves] = [1, 3].map((index) =>
      Array.from({ length: 40 }, (_, n) => `k${n}`).find((key) => selectQueueIndex(key, 4) === index),
    )
    const keys = [moves, stays] // both of queue 1 as long as there are two

    const results = await producer.sendBatch(
      'orders',
      keys.map((shardingKey) => ({ body: 'x', shardingKey })),
    )

    deepStrictEqual(
      results.map((each) => each.outcome === 'stored' && each.result.queue),
      keys.map(() => ({ topic: 'orders', brokerName: 'a', queueId: 1 })),
    )
    deepStrictEqual([cluster.nameServer.frames.length, sends(cluster, 'b').length], [2, 0])
  })

  it('that fails in part does not throw, and nothing of the same queue overtakes what failed', async (t) => {
    let turn = 0
    const store = storing()
    const { cluster, producer } = await open(
      t,
      {
        brokers: {
          a: {
            [BATCH]: (frame, connection) =>
              ++turn === 2 ? { code: 13, remark: 'no' } : store[BATCH]?.(frame, connection),
          },
        },
      },
      { retries: 0 },
    )
    const body = Buffer.alloc(2_000_000, 'x')
    const queue = { topic: 'orders', brokerName: 'a', queueId: 1 }

    const results = await producer.sendBatch(
      'orders',
      Array.from({ length: 7 }, (_, n) => ({ body, queue, messageId: `ID${n}` })),
    )

    deepStrictEqual(
      results.map((each) =>
        each.outcome === 'stored' ? ['stored', each.result.messageId] : [each.outcome, each.messageId],
      ),
      [
        ['stored', 'ID0'],
        ['stored', 'ID1'],
        ['refused', 'ID2'],
        ['refused', 'ID3'],
        ['not-sent', 'ID4'],
        ['not-sent', 'ID5'],
        ['not-sent', 'ID6'],
      ],
    )
    strictEqual(sends(cluster, 'a').length, 2)
  })

  it('goes on behind a failure where no order is promised', async (t) => {
    let turn = 0
    const store = storing()
    const { producer } = await open(
      t,
      {
        brokers: {
          a: {
            [BATCH]: (frame, connection) => (++turn === 1 ? { code: 13 } : store[BATCH]?.(frame, connection)),
          },
        },
      },
      { retries: 0 },
    )
    const body = Buffer.alloc(3_000_000, 'x')

    const results = await producer.sendBatch('orders', [{ body }, { body }])

    deepStrictEqual(
      results.map(({ outcome }) => outcome),
      ['refused', 'stored'],
    )
  })

  it('is unknown when its answer is lost, and what comes after it is reported all the same', async (t) => {
    const stop = new AbortController()
    let turn = 0
    const { producer } = await open(t, {
      brokers: {
        a: {
          [BATCH]: (frame) => {
            if (++turn === 2) stop.abort()
            return turn === 1 ? stored(frame) : undefined
          },
        },
      },
    })
    const body = Buffer.alloc(3_000_000, 'x')

    const results = await producer.sendBatch('orders', [{ body }, { body }, { body }], {
      signal: stop.signal,
    })

    deepStrictEqual(
      results.map((each) => [each.outcome, each.outcome === 'stored' ? undefined : each.error.code]),
      [
        ['stored', undefined],
        ['unknown', 'RMQ_ABORTED'],
        ['not-sent', 'RMQ_ABORTED'],
      ],
    )
  })

  it('throws while nothing has been sent', async (t) => {
    const { client } = await open(t)
    await client.close()

    const facts = await rejection(
      createProducer(client, { producerGroup: 'g' }).sendBatch('orders', [{ body: 'x' }]),
    )

    deepStrictEqual([facts['code'], facts['outcome']], ['RMQ_CLOSED', 'not-sent'])
  })

  it('never throws after a partial store, not even for a fault of the caller’s own functions', async (t) => {
    let calls = 0
    const { producer } = await open(
      t,
      {},
      {},
      {
        addressMap: () => {
          if (++calls > 1) throw new Error('a bug')
          return undefined
        },
      },
    )
    const body = Buffer.alloc(3_000_000, 'x')

    const results = await producer.sendBatch('orders', [{ body }, { body }])

    deepStrictEqual(
      results.map((each) => [each.outcome, each.outcome === 'stored' ? undefined : each.error.field]),
      [
        ['stored', undefined],
        ['not-sent', 'addressMap'],
      ],
    )
  })
})

describe('a one-way send', () => {
  it('is sent once, without asking for an answer', async (t) => {
    const { cluster, producer } = await open(t)

    await producer.sendOneway({ ...order, messageId: 'ID1', tag: 't' })
    const [frame] = await cluster.broker().arrived(1)

    deepStrictEqual(
      [frame?.code, frame?.flag, frame?.body.toString(), properties(frame)],
      [SEND, 2, 'x', { TAGS: 't', UNIQ_KEY: 'ID1', WAIT: 'true' }],
    )
  })

  it('to a broker that is not there was not sent', async (t) => {
    const { cluster, producer } = await open(t)
    await cluster.broker().close()

    const facts = await rejection(producer.sendOneway(order))

    deepStrictEqual([facts['code'], facts['outcome']], ['RMQ_CONNECT', 'not-sent'])
    // Each attempt goes by a new route.
    strictEqual(cluster.nameServer.frames.length, 3)
  })
})

describe('recall', () => {
  const handle = formatRecallHandle({ topic: 'orders', brokerName: 'b', deliverTimeMs: 1n, messageId: 'ID1' })

  it('asks the broker that the handle names', async (t) => {
    const recall: Handlers = { [RequestCode.RECALL_MESSAGE]: () => ({ ext: { msgId: 'ID1' } }) }
    const { cluster, producer } = await open(t, { brokers: { a: {}, b: recall } }, {}, { namespace: 'ns' })
    cluster.topics['ns%orders'] = {}

    const id = await producer.recall('orders', handle)

    deepStrictEqual(
      [id, cluster.codes('a'), { ...cluster.broker('b').frames[0]?.ext }],
      ['ID1', [], { producerGroup: 'ns%g', topic: 'ns%orders', recallHandle: handle }],
    )
  })

  it('takes the handle that a send gave', async (t) => {
    const { producer } = await open(t, {
      brokers: {
        b: {
          [SEND]: (frame) => {
            const answer = stored(frame)
            return { ...answer, ext: { ...answer.ext, recallHandle: handle } }
          },
          [RequestCode.RECALL_MESSAGE]: () => ({ ext: { msgId: 'ID1' } }),
        },
      },
    })

    const { recallHandle } = await producer.send({ ...order, delayMs: 5_000 })

    strictEqual(await producer.recall('orders', recallHandle ?? ''), 'ID1')
  })

  it('refuses nonsense before anything is connected', async (t) => {
    const { cluster, producer } = await open(t)
    const base64 = (text: string): string => Buffer.from(text).toString('base64url')

    for (const nonsense of [
      '',
      'x',
      '%%%',
      base64('v2 t b 1 id'),
      base64('v1 t b x id'),
      base64('v1 t b 1 id more'),
      5,
    ]) {
      deepStrictEqual(await rejection(producer.recall('orders', nonsense as string)), {
        code: 'RMQ_CONFIG',
        retryable: false,
        outcome: 'not-sent',
        field: 'recallHandle',
      })
    }
    strictEqual(cluster.nameServer.connections.length, 0)
  })
})

describe('a namespace', () => {
  it('is on topics and groups on the wire, and on nothing that is given back', async (t) => {
    const { cluster, producer } = await open(t, { topics: { 'ns%orders': {} } }, {}, { namespace: 'ns' })

    const result = await producer.send(order)
    const [batched] = await producer.sendBatch('orders', [{ body: 'x' }])
    await producer.sendOneway(order)
    const frames = await cluster.broker().arrived(3)

    strictEqual(result.queue.topic, 'orders')
    strictEqual(batched?.outcome === 'stored' && batched.result.queue.topic, 'orders')
    deepStrictEqual(
      frames.map(({ ext }) => [ext['a'], ext['b']]),
      Array(3).fill(['ns%g', 'ns%orders']),
    )
  })

  it('is not on the topic of an error', async (t) => {
    const { producer } = await open(t, { topics: {} }, {}, { namespace: 'ns' })

    strictEqual((await rejection(producer.send(order)))['topic'], 'orders')
  })
})
