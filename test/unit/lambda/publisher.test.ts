import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { RequestCode } from '../../../src/commands/index.ts'
import { ConfigError, RocketMQError } from '../../../src/errors.ts'
import { type HttpResponse, type PublishAnswer, publisher } from '../../../src/lambda/index.ts'
import { httpEvent, lambdaContext } from '../../../src/testing/index.ts'
import { decodeBatch, decodeProperties } from '../../../src/wire/index.ts'
import {
  type FakeCluster,
  type FakeClusterOptions,
  fakeCluster,
  type Handlers,
  offsetId,
  storing,
} from '../../support/fake-cluster.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'

interface Published {
  cluster: FakeCluster
  post: (
    body: unknown,
    path?: string,
    method?: string,
  ) => Promise<{ status: number; headers: Record<string, string>; body: Record<string, unknown> }>
  invoke: (event: unknown) => Promise<PublishAnswer>
}

async function publishing(
  t: TestContext,
  options: FakeClusterOptions = {},
  timeoutMs = 2_000,
): Promise<Published> {
  // Every broker has that topic: by it the publisher knows that one is there.
  const cluster = await fakeCluster(t, { topics: { orders: {}, SELF_TEST_TOPIC: {} }, ...options })
  const handler = publisher({
    topics: ['orders', 'missing'],
    producerGroup: 'api',
    client: cluster.client({ timeoutMs }),
  })
  const invoke = async (event: unknown): Promise<PublishAnswer> =>
    await handler(event as never, lambdaContext({ remainingMs: 5_000 }))
  const post: Published['post'] = async (body, path = '/topics/orders/messages', method = 'POST') => {
    const response = (await invoke(httpEvent(method, path, body))) as HttpResponse
    return { status: response.statusCode, headers: response.headers, body: JSON.parse(response.body) }
  }
  return { cluster, post, invoke }
}

/** Properties of the messages in a batch request, and their bodies. */
function batchOf(body: Buffer): { body: string; properties: Record<string, string> }[] {
  return decodeBatch(body).map((each) => ({
    body: Buffer.from(each.body).toString(),
    properties: { ...decodeProperties(each.properties) },
  }))
}

const answering = (code: number): Handlers => ({
  [RequestCode.SEND_MESSAGE_V2]: () => ({ code, remark: 'no' }),
  [RequestCode.SEND_BATCH_MESSAGE]: () => ({ code, remark: 'no' }),
})

describe('the publisher', () => {
  it('stores one message and answers where it is', async (t) => {
    const { cluster, post } = await publishing(t)

    const { status, headers, body } = await post({
      body: { order: 7 },
      tag: 'created',
      keys: ['a', 'b'],
      properties: { color: 'red' },
      messageId: 'ID-7',
    })

    assert.deepStrictEqual(
      [status, headers, body],
      [
        200,
        { 'content-type': 'application/json' },
        {
          status: 200,
          sendStatus: 'SEND_OK',
          messageId: 'ID-7',
          offsetMessageId: offsetId(0),
          queue: {
            topic: 'orders',
            brokerName: 'broker-a',
            queueId: (body['queue'] as { queueId: number }).queueId,
          },
          queueOffset: '0',
        },
      ],
    )
    const sent = cluster.broker().frames.find((each) => each.code === RequestCode.SEND_MESSAGE_V2)
    assert.equal(sent?.body.toString(), '{"order":7}')
    assert.deepStrictEqual(
      { ...decodeProperties(sent?.ext['i'] ?? '') },
      { color: 'red', TAGS: 'created', KEYS: 'a b', UNIQ_KEY: 'ID-7', WAIT: 'true' },
    )
  })

  it('sends text as it is, base64 as bytes, and any other JSON value as its text', async (t) => {
    const { cluster, post } = await publishing(t)

    await post({
      messages: [
        { body: 'grüße' },
        { body: 'AAEC/w==', isBase64Encoded: true },
        { body: [1, null] },
        { body: 0 },
      ],
    })

    const [batch] = cluster.broker().frames.filter((each) => each.code === RequestCode.SEND_BATCH_MESSAGE)
    const bodies = decodeBatch(batch?.body ?? Buffer.alloc(0)).map((each) =>
      Buffer.from(each.body).toString('hex'),
    )
    const expected = [
      Buffer.from('grüße'),
      Buffer.from([0, 1, 2, 255]),
      Buffer.from('[1,null]'),
      Buffer.from('0'),
    ]
    assert.deepStrictEqual(
      bodies,
      expected.map((each) => each.toString('hex')),
    )
  })

  it('sends many messages as one batch, the delayed ones by themselves, and answers in the order of the request', async (t) => {
    const { cluster, post } = await publishing(t)

    const { status, body } = await post({
      messages: [
        { body: 'a', messageId: 'A' },
        { body: 'b', messageId: 'B', delayMs: 60_000 },
        { body: 'c', messageId: 'C' },
      ],
    })

    assert.equal(status, 200)
    const results = body['results'] as { messageId: string; status: number }[]
    assert.deepStrictEqual(
      results.map((each) => [each.messageId, each.status]),
      [
        ['A', 200],
        ['B', 200],
        ['C', 200],
      ],
    )
    const requests = cluster.broker().frames
    assert.deepStrictEqual(
      requests.map((each) => each.code),
      [RequestCode.SEND_BATCH_MESSAGE, RequestCode.SEND_MESSAGE_V2],
    )
    assert.deepStrictEqual(
      batchOf(requests[0]?.body ?? Buffer.alloc(0)).map((each) => each.body),
      ['a', 'c'],
    )
  })

  it('answers 207 with a status per message when some are not stored', async (t) => {
    const { post } = await publishing(t, {
      brokers: {
        'broker-a': {
          ...storing(),
          [RequestCode.SEND_MESSAGE_V2]: () => ({ code: 13, remark: 'timer is too long' }),
        },
      },
    })

    const { status, body } = await post({
      messages: [{ body: 'a' }, { body: 'b', messageId: 'B', delayMs: 1e12 }],
    })

    assert.equal(status, 207)
    const [first, second] = body['results'] as {
      status: number
      detail?: string
      messageId: string
      outcome?: string
    }[]
    assert.equal(first?.status, 200)
    assert.deepStrictEqual(
      [second?.status, second?.messageId, second?.outcome, second?.detail],
      [400, 'B', 'refused', 'timer is too long'],
    )
  })

  for (const [field, message] of [
    ['body', {}],
    ['body', { body: '' }],
    ['body', { body: 'not base64!', isBase64Encoded: true }],
    ['tag', { body: 'x', tag: 7 }],
    ['keys[0]', { body: 'x', keys: [7] }],
    ['keys', { body: 'x', keys: {} }],
    ['properties', { body: 'x', properties: null }],
    ['properties', { body: 'x', properties: 'abc' }],
    ['deliverAt', { body: 'x', deliverAt: {} }],
    ['delayMs', { body: 'x', delayMs: { toString: 1, valueOf: 1 } }],
    ['delayLevel', { body: 'x', delayLevel: 19 }],
    ['delayMs', { body: 'x', delayLevel: 1, delayMs: 5 }],
    ['body', { body: 'AAAAA', isBase64Encoded: true }],
    ['body', { body: 'half of a pair: \ud800' }],
    ['deliverAt', { body: 'x', deliverAt: 'tomorrow' }],
    ['deliverAt', { body: 'x', deliverAt: '1' }], // Date.parse: 2001
    ['messages', { messages: 7 }],
    ['tag', { messages: [{ body: 'x' }], tag: 'a' }],
    ['properties.UNIQ_KEY', { body: 'x', properties: { UNIQ_KEY: 'mine' } }],
    ['tags', { body: 'x', tags: 'a' }],
  ] as const) {
    it(`answers 400 and names ${field} for ${JSON.stringify(message)}`, async (t) => {
      const { cluster, post } = await publishing(t)

      const one = await post(message)

      assert.deepStrictEqual([one.status, one.headers['content-type']], [400, 'application/problem+json'])
      assert.equal(one.body['field'], field)
      assert.equal(one.body['outcome'], 'not-sent')
      assert.deepStrictEqual(cluster.codes(), [])
    })
  }

  it('sends a property of any name, `__proto__` too', async (t) => {
    const { cluster, post } = await publishing(t)

    const { status } = await post('{"body":"x","properties":{"__proto__":"a","constructor":"b"}}')

    const sent = cluster.broker().frames.find((each) => each.code === RequestCode.SEND_MESSAGE_V2)
    const { ['__proto__']: proto, constructor: own } = decodeProperties(sent?.ext['i'] ?? '')
    assert.deepStrictEqual([status, proto, own], [200, 'a', 'b'])
  })

  it('takes a body in base64 as UTF-8, and refuses bytes that are none', async (t) => {
    const { cluster, invoke } = await publishing(t)
    const encoded = (bytes: Buffer): object => ({
      ...httpEvent('POST', '/topics/orders/messages', bytes.toString('base64')),
      isBase64Encoded: true,
    })

    const utf8 = (await invoke(encoded(Buffer.from('{"body":"grüße"}')))) as HttpResponse
    const latin1 = (await invoke(encoded(Buffer.from('{"body":"grüße"}', 'latin1')))) as HttpResponse

    assert.deepStrictEqual(
      [utf8.statusCode, latin1.statusCode, JSON.parse(latin1.body).field],
      [200, 400, 'body'],
    )
    assert.deepStrictEqual(
      cluster.broker().frames.map((each) => each.body.toString()),
      ['grüße'],
    )
  })

  it('finds the topic behind the stage or the base path of an API', async (t) => {
    const { post } = await publishing(t)

    const { status } = await post({ body: 'x' }, '/prod/topics/orders/messages')

    assert.equal(status, 200)
  })

  it('does not repeat a body that stands in the wrong place', async (t) => {
    const { post } = await publishing(t)

    const { status, body } = await post({ messages: ['a secret'] })

    assert.deepStrictEqual(
      [status, body['field'], JSON.stringify(body).includes('secret')],
      [400, 'messages[0]', false],
    )
  })

  it('names a message of a batch by its place in the request', async (t) => {
    const { cluster, post } = await publishing(t)

    const { status, body } = await post({
      messages: [{ body: 'x', delayMs: 5 }, { body: 'x' }, { body: '' }],
    })

    const typo = await post({ messages: [{ body: 'x' }, { body: 'x', tags: 'a' }] })

    assert.deepStrictEqual([status, body['field'], cluster.codes()], [400, 'messages[2].body', []])
    assert.deepStrictEqual([typo.status, typo.body['field']], [400, 'messages[1].tags'])
    assert.match(String(typo.body['detail']), /did you mean tag/)
  })

  for (const [status, what, path, method, request] of [
    [400, 'a body that is not JSON', '/topics/orders/messages', 'POST', '{'],
    [400, 'an empty list', '/topics/orders/messages', 'POST', { messages: [] }],
    [403, 'a topic that is not allowed', '/topics/secrets/messages', 'POST', { body: 'x' }],
    [403, 'a topic that is a property of every object', '/topics/__proto__/messages', 'POST', { body: 'x' }],
    [404, 'a topic that does not exist', '/topics/missing/messages', 'POST', { body: 'x' }],
    [404, 'another path', '/topics/orders', 'POST', { body: 'x' }],
    [405, 'another method', '/topics/orders/messages', 'PUT', { body: 'x' }],
    [400, 'a path that is not URL-encoded', '/topics/%ff/messages', 'POST', { body: 'x' }],
    [
      413,
      'more than 1,000 messages',
      '/topics/orders/messages',
      'POST',
      { messages: Array(1_001).fill({ body: 'x' }) },
    ],
    [413, 'a body of more than 4 MiB', '/topics/orders/messages', 'POST', { body: 'x'.repeat(4_194_305) }],
  ] as const) {
    it(`answers ${status} for ${what}`, async (t) => {
      const { cluster, post } = await publishing(t)

      const answer = await post(request, path, method)

      assert.deepStrictEqual([answer.status, answer.body['status']], [status, status])
      assert.equal(answer.headers['content-type'], 'application/problem+json')
      assert.deepStrictEqual(cluster.codes(), [])
    })
  }

  it('answers 404 when a broker says that there is no such topic any more', async (t) => {
    const { post } = await publishing(t, { brokers: { 'broker-a': answering(17) } })

    const { status, body } = await post({ body: 'x' })

    assert.deepStrictEqual(
      [status, body['detail'], body['outcome']],
      [404, 'topic orders does not exist', 'refused'],
    )
  })

  it('answers 503 with Retry-After when the broker is busy', async (t) => {
    const { post } = await publishing(t, { brokers: { 'broker-a': answering(2) } })

    const { status, headers, body } = await post({ body: 'x', messageId: 'M' })

    assert.deepStrictEqual(
      [status, headers['retry-after'], body['outcome'], body['messageId'], body['code']],
      [503, '1', 'refused', 'M', 'RMQ_BROKER'],
    )
  })

  it('answers 504 with the message id when it is not known whether the message was stored', async (t) => {
    const silent: Handlers = { [RequestCode.SEND_MESSAGE_V2]: () => undefined }
    const { cluster, post } = await publishing(t, { brokers: { 'broker-a': silent } }, 60)
    const clock = stoppedClock(t)

    const posted = post({ body: 'x', messageId: 'M' })
    await cluster.broker().arrived(1)
    const { status, body } = await clock.until(posted)

    assert.deepStrictEqual([status, body['outcome'], body['messageId']], [504, 'unknown', 'M'])
  })

  it('does not tell addresses of brokers to an HTTP caller', async (t) => {
    const { cluster, post } = await publishing(t, { brokers: { 'broker-a': answering(2) } })

    const { body } = await post({ body: 'x' })

    assert.equal(JSON.stringify(body).includes(cluster.broker().address), false)
  })

  it('takes a direct invocation with a topic and rejects where HTTP answers with a problem', async (t) => {
    const { invoke } = await publishing(t)

    const one = await invoke({ topic: 'orders', body: 'x', messageId: 'D' })
    const many = await invoke({ topic: 'orders', messages: [{ body: 'x' }, { body: 'y' }] })

    assert.deepStrictEqual(
      [(one as { messageId: string }).messageId, (one as { status: number }).status],
      ['D', 200],
    )
    assert.deepStrictEqual(
      (many as { results: { status: number }[] }).results.map((each) => each.status),
      [200, 200],
    )
    for (const [event, field] of [
      [{}, 'topic'],
      [null, 'topic'],
      [{ topic: 'secrets', body: 'x' }, 'topic'],
      [{ topic: 'orders' }, 'body'],
      [{ topic: 'orders', body: 'x', colour: 1 }, 'colour'],
      [{ topic: 'orders', messages: [] }, 'messages'],
    ] as const) {
      await assert.rejects(invoke(event), (error) => RocketMQError.is(error) && error.field === field)
    }
  })

  it('is refused without topics, or with one that is no topic name', () => {
    const client = { nameServers: '127.0.0.1:9876' }
    for (const [topics, field] of [
      [[], 'topics'],
      [['or ders'], 'topics[0]'],
    ] as const) {
      assert.throws(
        () => publisher({ topics, producerGroup: 'api', client }),
        (error) => error instanceof ConfigError && error.field === field,
      )
    }
  })

  it('is refused when it is made with a group that is none, or an option that is not known', () => {
    const client = { nameServers: '127.0.0.1:9876' }
    for (const [change, field] of [
      [{ producerGroup: 'a b' }, 'producerGroup'],
      [{ topic: 'orders' }, 'topic'],
    ] as const) {
      const options = { topics: ['orders'], producerGroup: 'api', client, ...change }
      assert.throws(
        () => publisher(options as never),
        (error) => error instanceof ConfigError && error.field === field,
      )
    }
  })
})
