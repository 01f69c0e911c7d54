/**
 * The contract of publishing, on the local broker: what a wrong request is answered, that nothing of it is stored, and what
 * a caller gets when the broker fails. Every answer is compared with docs/openapi.yaml.
 */
import { deepStrictEqual, match, ok, rejects } from 'node:assert/strict'
import { before, describe, it, type TestContext } from 'node:test'
import * as z from 'zod/mini'
import { RequestCode } from '../../../src/commands/index.ts'
import { ConfigError, RocketMQError } from '../../../src/errors.ts'
import { createClient } from '../../../src/index.ts'
import { type HttpResponse, type PublisherOptions, publisher } from '../../../src/lambda/index.ts'
import { httpEvent, type LocalBroker, lambdaContext, startBroker } from '../../../src/testing/index.ts'
import { fakeCluster, stored } from '../../support/fake-cluster.ts'
import { type Answer, contractOf, faultsOfDocument } from '../../support/openapi.ts'

const contract = contractOf('/topics/{topic}/messages')

const order = z.strictObject({ order: z.number() })
const TOPICS: PublisherOptions['topics'] = {
  orders: {},
  checked: { schema: order, properties: ['source'] },
  missing: {},
}

const seen = new Set<number>()

type Handler = (event: unknown) => Promise<unknown>

interface Request {
  topic?: string
  /** JSON text, or a value. */
  body: unknown
  headers?: Readonly<Record<string, string>>
}

/** The ways in; each gives the answer of HTTP, or of a direct invocation what it threw. */
type Door = (handler: Handler, request: Request) => Promise<Answer>

const textOf = (body: unknown): string => (typeof body === 'string' ? body : JSON.stringify(body))

async function answerOf(handler: Handler, event: unknown): Promise<Answer> {
  const { statusCode, headers, body } = (await handler(event)) as HttpResponse
  const answer = { status: statusCode, headers, body: JSON.parse(body) as unknown }
  seen.add(statusCode)
  contract.check(answer)
  return answer
}

const throughHttpApi: Door = (handler, { topic = 'orders', body, headers }) => {
  const event = httpEvent('POST', `/prod/topics/${topic}/messages`, textOf(body))
  return answerOf(handler, { ...event, headers: { ...event.headers, ...headers } })
}

/** Bodies may come in base64 from either; here they do. */
const throughFunctionUrl: Door = (handler, { topic = 'orders', body, headers }) => {
  const event = httpEvent('POST', `/topics/${topic}/messages`, Buffer.from(textOf(body)).toString('base64'))
  return answerOf(handler, { ...event, isBase64Encoded: true, headers: { ...event.headers, ...headers } })
}

/** The field of the error, in the form of an answer; the topic is a member of the event. */
const throughInvocation: Door = async (handler, { topic = 'orders', body }) => {
  const json = JSON.parse(textOf(body)) as object
  try {
    return { status: 200, headers: {}, body: await handler(Object.assign(json, { topic })) }
  } catch (error) {
    ok(error instanceof ConfigError, String(error))
    return { status: 400, headers: {}, body: { field: error.field, outcome: error.outcome } }
  }
}

const HTTP: Readonly<Record<string, Door>> = {
  'an HTTP API': throughHttpApi,
  'a function URL': throughFunctionUrl,
}
const DOORS: Readonly<Record<string, Door>> = { ...HTTP, 'a direct invocation': throughInvocation }

interface Publishing {
  broker: LocalBroker
  handler: Handler
  /** The ids of all messages, in all topics. */
  storedIds: () => (string | undefined)[]
}

async function publishing(
  t: TestContext,
  options: Partial<PublisherOptions> = {},
  timeoutMs = 2_000,
): Promise<Publishing> {
  const broker = await startBroker({ topics: ['orders', 'checked'], autoCreateTopics: false })
  const client = createClient({ nameServers: broker.nameServers, timeoutMs })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const handler = publisher({ topics: TOPICS, producerGroup: 'api', client, ...options })
  return {
    broker,
    handler: async (event) => await handler(event as never, lambdaContext()),
    storedIds: () =>
      ['orders', 'checked'].flatMap((topic) =>
        broker.messages(topic).map(({ properties }) => properties['UNIQ_KEY']),
      ),
  }
}

const LARGE = 'x'.repeat(5_000_000)

/** A request, the status that it is answered with, and the field that the answer names. */
const BAD: Readonly<Record<string, Request & { status?: number; field: string }>> = {
  'a body that is no base64': { body: { body: 'not base64!', isBase64Encoded: true }, field: 'body' },
  'base64 with a digit too many': { body: { body: 'AAAAA', isBase64Encoded: true }, field: 'body' },
  'base64 that is no text': { body: { body: 7, isBase64Encoded: true }, field: 'body' },
  'an unknown field': { body: { body: 'x', tags: 'a' }, field: 'tags' },
  'a field __proto__': { body: '{"body":"x","__proto__":{"tag":"a"}}', field: '__proto__' },
  'a field constructor': { body: '{"body":"x","constructor":{"prototype":{}}}', field: 'constructor' },
  'a field with the name of the function’s own credentials': {
    body: { body: 'x', 'credentials()': 1 },
    field: 'credentials()',
  },
  'a field __proto__ in one of many': {
    body: '{"messages":[{"body":"x"},{"body":"x","__proto__":{"tag":"a"}}]}',
    field: 'messages[1].__proto__',
  },
  '__proto__ beside the messages': {
    body: '{"messages":[{"body":"x"}],"__proto__":{"tag":"a"}}',
    field: '__proto__',
  },
  'a body of 5 MB': { body: { body: LARGE }, status: 413, field: 'body' },
  'a body of 5 MB among others': {
    body: { messages: [{ body: 'x' }, { body: LARGE }] },
    status: 413,
    field: 'messages[1].body',
  },
  'a property of 5 MB': { body: { body: 'x', properties: { a: LARGE } }, field: 'properties' },
  'a delay of 5 MB': { body: { body: 'x', delayMs: LARGE }, field: 'delayMs' },
  'more than 1,000 messages': {
    body: { messages: Array(1_001).fill({ body: 'x' }) },
    status: 413,
    field: 'messages',
  },
  'no message': { body: { messages: [] }, field: 'messages' },
  'messages that are none': { body: { messages: { 0: { body: 'x' } } }, field: 'messages' },
  'a topic that is not allowed': { topic: 'secrets', body: { body: 'x' }, status: 403, field: 'topic' },
  'a topic that every object has': { topic: '__proto__', body: { body: 'x' }, status: 403, field: 'topic' },
  'no body': { body: { tag: 'a' }, field: 'body' },
  'a tag that is no text': { body: { body: 'x', tag: ['a'] }, field: 'tag' },
  'a tag that is none': { body: { body: 'x', tag: null }, field: 'tag' },
  'a key with a space': { body: { body: 'x', keys: 'a b' }, field: 'keys[0]' },
  'properties in a list': { body: { body: 'x', properties: [] }, field: 'properties' },
  'a property that is a number': { body: { body: 'x', properties: { a: 1 } }, field: 'properties.a' },
  'a property of RocketMQ’s own': {
    body: { body: 'x', properties: { UNIQ_KEY: 'mine' } },
    field: 'properties.UNIQ_KEY',
  },
  'two delays': { body: { body: 'x', delayLevel: 1, delayMs: 5 }, field: 'delayMs' },
  'an object that is no number, nor any text': {
    body: '{"body":"x","delayLevel":{"toString":1,"valueOf":1}}',
    field: 'delayLevel',
  },
  'a time that is none': { body: { body: 'x', deliverAt: {} }, field: 'deliverAt' },
  'an id with a space': { body: { body: 'x', messageId: 'a b' }, field: 'messageId' },
  'an id that is an object': { body: { body: 'x', messageId: { toString: 1 } }, field: 'messageId' },
  'an id of 5 MB': { body: { body: 'x', messageId: LARGE }, field: 'properties' },
  'lists in lists that are too deep': {
    body: `{"body":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    field: 'body',
  },
  'an id that is none': { body: { body: 'x', messageId: null }, field: 'messageId' },
  'a fault in the last of many, which has a delay': {
    body: { messages: [{ body: 'x' }, { body: 'x', delayMs: 9 }, { body: 'x', delayLevel: 19 }] },
    field: 'messages[2].delayLevel',
  },
  'a fault in the last of many': {
    body: { messages: [{ body: 'x', delayMs: 9 }, { body: 'x' }, { body: 'x', tag: 'a|b' }] },
    field: 'messages[2].tag',
  },
  'a property that the topic does not allow': {
    topic: 'checked',
    body: { body: { order: 1 }, properties: { source: 'web', color: 'red' } },
    field: 'properties.color',
  },
  'a property __proto__ that the topic does not allow': {
    topic: 'checked',
    body: '{"body":{"order":1},"properties":{"__proto__":"a"}}',
    field: 'properties.__proto__',
  },
  'a body that does not fit the schema': {
    topic: 'checked',
    body: { body: { order: 'one' } },
    field: 'body',
  },
  'a body that is no JSON, as the schema wants': { topic: 'checked', body: { body: 'one' }, field: 'body' },
  'one of many that does not fit the schema': {
    topic: 'checked',
    body: { messages: [{ body: { order: 1 } }, { body: { order: 1, extra: 1 } }] },
    field: 'messages[1].body',
  },
}

describe('a publisher', () => {
  for (const [door, knock] of Object.entries(DOORS)) {
    describe(`behind ${door}`, () => {
      for (const [what, { status = 400, field, ...request }] of Object.entries(BAD)) {
        it(`refuses ${what} and stores nothing`, async (t) => {
          const { handler, storedIds } = await publishing(t)

          const answer = await knock(handler, request)

          const { field: named, outcome } = answer.body as Record<string, unknown>
          const isHttp = door in HTTP
          deepStrictEqual([answer.status, named], [isHttp ? status : 400, field])
          deepStrictEqual(status === 403 && isHttp ? 'not-sent' : outcome, 'not-sent')
          ok(JSON.stringify(answer.body).length < 2_000)
          deepStrictEqual(storedIds(), [])
        })
      }

      it('stores what fits the schema and has allowed properties, as it came', async (t) => {
        const { broker, handler } = await publishing(t)

        const request = { body: '{ "order": 1 }', properties: { source: 'web' } }
        const { status } = await knock(handler, { topic: 'checked', body: request })

        const all = broker.messages('checked')
        deepStrictEqual(
          [status, all.map(({ body, properties }) => [body.toString(), properties['source']])],
          [200, [['{ "order": 1 }', 'web']]],
        )
        ok(contract.isRequest(request))
      })

      it('takes the last of fields with one name, and checks and stores no other', async (t) => {
        const { broker, handler } = await publishing(t)

        const { status } = await knock(handler, {
          topic: 'checked',
          body: `{
            "body": {"order":"one"}, "body": {"order":1,"order":2},
            "properties": {"color":"red"}, "properties": {"source":"tv","source":"web"}
          }`,
        })

        deepStrictEqual(
          [
            status,
            broker
              .messages('checked')
              .map(({ body, properties }) => [body.toString(), properties['color'], properties['source']]),
          ],
          [200, [['{"order":2}', undefined, 'web']]],
        )
      })

      it('keeps of the numbers in a body what a double holds, and all of a text', async (t) => {
        const { broker, handler } = await publishing(t)
        const number = '12345678901234567890'

        for (const body of [`{"body":${number}}`, `{"body":"${number}"}`]) await knock(handler, { body })

        const bodies = broker.messages('orders').map(({ body }) => body.toString())
        deepStrictEqual(bodies.sort(), ['12345678901234567000', number])
      })

      it('takes the last of several lists of messages', async (t) => {
        const { handler, storedIds } = await publishing(t)
        const body =
          '{"messages":[{"body":"x","messageId":"first"}],"messages":[{"body":"x","messageId":"last"}]}'

        const { status } = await knock(handler, { body })

        deepStrictEqual([status, storedIds()], [200, ['last']])
      })
    })
  }

  for (const [door, knock] of Object.entries(HTTP)) {
    describe(`behind ${door}`, () => {
      for (const type of [
        'text/plain',
        'application/x-www-form-urlencoded',
        'multipart/form-data',
        'application/jsonp',
        'application/json-seq',
        'text/json',
        '',
      ]) {
        it(`answers 415 to content type ${JSON.stringify(type)} and stores nothing`, async (t) => {
          const { handler, storedIds } = await publishing(t)

          const { status, body } = await knock(handler, {
            body: { body: 'x' },
            headers: { 'content-type': type },
          })

          deepStrictEqual([status, (body as { field: string }).field], [415, 'content-type'])
          deepStrictEqual(storedIds(), [])
        })
      }

      it('takes JSON under each of its names', async (t) => {
        const { handler, storedIds } = await publishing(t)
        const types = [
          'application/json',
          'Application/JSON; charset=utf-8',
          'application/json ;charset=utf-8',
          'application/vnd.shop.order+json',
        ]

        for (const [at, type] of types.entries()) {
          const request = { body: { body: 'x', messageId: `M-${at}` }, headers: { 'content-type': type } }
          deepStrictEqual((await knock(handler, request)).status, 200, type)
        }

        deepStrictEqual(storedIds().length, types.length)
      })

      for (const key of ['', '""', '"a', 'a"', 'a b', 'a,b', '"a\\"b"', 'ä', 'x'.repeat(129)]) {
        it(`answers 400 to the idempotency key ${key.slice(0, 20)} and stores nothing`, async (t) => {
          const { handler, storedIds } = await publishing(t)

          const request = { body: { body: 'x' }, headers: { 'idempotency-key': key } }
          const { status, body } = await knock(handler, request)

          deepStrictEqual([status, (body as { field: string }).field], [400, 'idempotency-key'])
          deepStrictEqual(storedIds(), [])
        })
      }

      it('makes the idempotency key the id of the message, so that a retry is recognised', async (t) => {
        const { handler, storedIds } = await publishing(t)
        const request = { body: { body: 'x' }, headers: { 'idempotency-key': '"8e03978e-40d5"' } }

        const answers = [await knock(handler, request), await knock(handler, request)]

        deepStrictEqual(
          answers.map(({ status, body }) => [status, (body as { messageId: string }).messageId]),
          Array(2).fill([200, '8e03978e-40d5']),
        )
        deepStrictEqual(storedIds(), ['8e03978e-40d5', '8e03978e-40d5'])
      })

      it('adds the place to the idempotency key for many messages, and leaves ids of their own', async (t) => {
        const { handler, storedIds } = await publishing(t)
        const messages = [{ body: 'a' }, { body: 'b', messageId: 'own' }, { body: 'c', delayMs: 1 }]

        const request = { body: { messages }, headers: { 'idempotency-key': 'key-7' } }
        const { status, body } = await knock(handler, request)

        const { results } = body as { results: { messageId: string }[] }
        deepStrictEqual(
          [status, results.map(({ messageId }) => messageId)],
          [200, ['key-7-0', 'own', 'key-7-2']],
        )
        ok(storedIds().includes('key-7-0'))
      })
    })
  }

  it('answers 400 to a request that is no JSON, no UTF-8 or no base64, and stores nothing', async (t) => {
    const { handler, storedIds } = await publishing(t)
    const event = httpEvent('POST', '/topics/orders/messages', '{"body":')
    const events = [
      event,
      { ...event, body: undefined },
      { ...event, isBase64Encoded: true, body: '{"body":"x"}' },
      { ...event, isBase64Encoded: true, body: Buffer.from('{"body":"ä"}', 'latin1').toString('base64') },
    ]

    for (const each of events) {
      const { status, body } = await answerOf(handler, each)
      deepStrictEqual([status, (body as { field: string }).field], [400, 'body'])
    }

    deepStrictEqual(storedIds(), [])
  })

  it('answers 400 to JSON that is no object, and stores nothing', async (t) => {
    const { handler, storedIds } = await publishing(t)

    for (const body of ['null', '7', '"text"', '[{"body":"x"}]']) {
      const { status } = await throughHttpApi(handler, { body })
      deepStrictEqual([body, status, contract.isRequest(JSON.parse(body))], [body, 400, false])
    }

    deepStrictEqual(storedIds(), [])
  })

  it('answers 404 to another path and to a topic that is not there, and 405 with the method to use', async (t) => {
    const { handler } = await publishing(t)

    const path = await answerOf(handler, httpEvent('POST', '/topics', { body: 'x' }))
    const topic = await throughHttpApi(handler, { topic: 'missing', body: { body: 'x' } })
    const method = await answerOf(handler, httpEvent('GET', '/topics/orders/messages'))

    deepStrictEqual(
      [path.status, topic.status, method.status, method.headers['allow']],
      [404, 404, 405, 'POST'],
    )
  })

  it('allows the properties of the publisher where a topic has none of its own, and those of a trace always', async (t) => {
    const options = { topics: { orders: {}, checked: { properties: [] } }, properties: ['source'] }
    const { broker, handler } = await publishing(t, options)
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const headers = { traceparent }

    const answers = [
      await throughHttpApi(handler, { body: { body: 'x', properties: { source: 'web' } }, headers }),
      await throughHttpApi(handler, { body: { body: 'x', properties: { color: 'red' } } }),
      await throughHttpApi(handler, { topic: 'checked', body: { body: 'x', properties: { source: 'web' } } }),
    ]

    deepStrictEqual(
      answers.map(({ status, body }) => [status, (body as { detail?: string }).detail]),
      [
        [200, undefined],
        [400, 'properties.color: is not allowed; there are source'],
        [400, 'properties.source: is not allowed; there are none'],
      ],
    )
    const [{ properties } = { properties: {} as Record<string, string> }] = broker.messages('orders')
    deepStrictEqual([properties['source'], properties['traceparent']], ['web', traceparent])
  })

  it('names the place in a body that does not fit the schema', async (t) => {
    const { handler } = await publishing(t)

    const { body } = await throughHttpApi(handler, { topic: 'checked', body: { body: { order: 'one' } } })

    match((body as { detail: string }).detail, /^body: does not fit the schema: order: /)
  })

  it('answers 500 when a schema fails, and stores nothing', async (t) => {
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: () => {
          throw new Error('a fault of the schema')
        },
      },
    }
    const { handler, storedIds } = await publishing(t, { topics: { orders: { schema } } })
    const log = t.mock.method(console, 'error', () => {})

    const { status, body } = await throughHttpApi(handler, { body: { body: {} } })

    deepStrictEqual([status, JSON.stringify(body).includes('fault of'), storedIds()], [500, false, []])
    deepStrictEqual(log.mock.callCount(), 1)
  })

  for (const [options, field] of [
    [{ topics: {} }, 'topics'],
    [{ topics: 'orders' }, 'topics'],
    [{ topics: { 'or ders': {} } }, 'topics.or ders'],
    [{ topics: { orders: { scheme: order } } }, 'scheme'],
    [{ topics: { orders: { schema: {} } } }, 'topics.orders.schema'],
    [{ topics: { orders: { properties: 'a' } } }, 'topics.orders.properties'],
    [{ properties: [7] }, 'properties[0]'],
  ] as const) {
    it(`is not made with ${JSON.stringify(options).slice(0, 60)}`, async () => {
      const all = { topics: ['orders'], producerGroup: 'api', client: { nameServers: 'a:1' }, ...options }
      await rejects(
        async () => publisher(all as never),
        (error) => error instanceof ConfigError && error.field === field,
      )
    })
  }
})

describe('a publisher whose broker fails', () => {
  const one = { body: { body: 'x', messageId: 'M' } }
  const many = {
    body: {
      messages: [
        { body: 'x', messageId: 'A' },
        { body: 'x', messageId: 'B', delayMs: 60_000 },
      ],
    },
  }
  const factsOf = ({ status, body }: Answer): unknown[] => {
    const { outcome, messageId } = body as Record<string, unknown>
    return [status, outcome, messageId]
  }
  const resultsOf = ({ status, body }: Answer): unknown[] => {
    const { results } = body as { results: Record<string, unknown>[] }
    return [status, ...results.map((each) => [each['status'], each['outcome'], each['messageId']])]
  }
  const invoke = (handler: Handler, { body }: Request): Promise<unknown> =>
    handler({ topic: 'orders', ...(body as object) })

  for (const which of ['broker', 'name server'] as const) {
    it(`answers 503 with Retry-After when the ${which} is down`, async (t) => {
      const { broker, handler } = await publishing(t)
      await (which === 'broker' ? broker.brokers[0] : broker.nameServer)?.kill()

      const answers = [await throughHttpApi(handler, one), await throughFunctionUrl(handler, one)]

      for (const answer of answers) {
        deepStrictEqual(factsOf(answer), [503, 'not-sent', 'M'])
        deepStrictEqual(answer.headers['retry-after'], '1')
      }
      await rejects(
        invoke(handler, one),
        (error) => RocketMQError.is(error) && error.retryable && error.outcome === 'not-sent',
      )
    })
  }

  it('answers 503 when the broker is busy, and stores nothing', async (t) => {
    const { broker, handler, storedIds } = await publishing(t)
    broker.faults.add({ fault: 'busy', topic: 'orders', code: RequestCode.SEND_MESSAGE_V2 })

    const answers = [await throughHttpApi(handler, one), await throughFunctionUrl(handler, one)]

    deepStrictEqual(answers.map(factsOf), Array(2).fill([503, 'refused', 'M']))
    await rejects(invoke(handler, one), (error) => RocketMQError.is(error) && error.outcome === 'refused')
    deepStrictEqual(storedIds(), [])
  })

  for (const fault of ['lose-answer', 'half-frame'] as const) {
    it(`answers 504 with the id that was stored when the answer is lost (${fault})`, async (t) => {
      const { broker, handler, storedIds } = await publishing(
        t,
        {},
        fault === 'lose-answer' ? 700 : undefined,
      )
      broker.faults.add({ fault, topic: 'orders', code: RequestCode.SEND_MESSAGE_V2 })

      const answer = await throughHttpApi(handler, { body: { body: 'x' } })

      const { messageId } = answer.body as { messageId: string }
      deepStrictEqual(factsOf(answer), [504, 'unknown', messageId])
      deepStrictEqual(new Set(storedIds()), new Set([messageId]))
      broker.faults.clear()
      const again = await throughHttpApi(handler, { body: { body: 'x', messageId } })
      deepStrictEqual([again.status, new Set(storedIds())], [200, new Set([messageId])])
    })
  }

  it('rejects a direct invocation with the id in the text when the answer is lost', async (t) => {
    const { broker, handler, storedIds } = await publishing(t)
    broker.faults.add({ fault: 'half-frame', topic: 'orders', code: RequestCode.SEND_MESSAGE_V2 })

    const error = await invoke(handler, { body: { body: 'x' } }).catch((reason: unknown) => reason)

    ok(RocketMQError.is(error) && error.outcome === 'unknown')
    const [, messageId] =
      /; it may be stored, and can be repeated with messageId (\w+)$/.exec(error.message) ?? []
    deepStrictEqual(new Set(storedIds()), new Set([messageId]))
  })

  it('answers 207 with a status for each message when only some are stored', async (t) => {
    const { broker, handler, storedIds } = await publishing(t)
    broker.faults.add({ fault: 'busy', topic: 'orders', code: RequestCode.SEND_MESSAGE_V2 })

    const answers = [await throughHttpApi(handler, many), await throughFunctionUrl(handler, many)]
    const { results } = (await invoke(handler, many)) as { results: { status: number }[] }

    const expected = [207, [200, undefined, 'A'], [503, 'refused', 'B']]
    deepStrictEqual(answers.map(resultsOf), [expected, expected])
    deepStrictEqual(
      results.map(({ status }) => status),
      [200, 503],
    )
    deepStrictEqual(storedIds(), ['A', 'A', 'A'])
  })

  it('answers 207 and not 200 when the outcome of a batch is not known', async (t) => {
    const { broker, handler } = await publishing(t)
    broker.faults.add({ fault: 'half-frame', topic: 'orders', code: RequestCode.SEND_BATCH_MESSAGE })

    const answer = await throughHttpApi(handler, many)

    deepStrictEqual(resultsOf(answer), [207, [504, 'unknown', 'A'], [200, undefined, 'B']])
  })

  it('answers 500, and logs why, when the broker refuses the function’s credentials', async (t) => {
    const { broker, handler, storedIds } = await publishing(t)
    const remark = 'check signature failed'
    const code = [RequestCode.SEND_MESSAGE_V2, RequestCode.SEND_BATCH_MESSAGE]
    broker.faults.add({ fault: 'refuse', topic: 'orders', code, responseCode: 16, remark })
    const log = t.mock.method(console, 'error', () => {})

    const answers = [await throughHttpApi(handler, one), await throughHttpApi(handler, many)]

    deepStrictEqual(
      answers.map(({ status }) => status),
      [500, 207],
    )
    deepStrictEqual([log.mock.callCount(), storedIds()], [3, []])
  })

  for (const [code, sendStatus] of [
    [10, 'FLUSH_DISK_TIMEOUT'],
    [11, 'SLAVE_NOT_AVAILABLE'],
    [12, 'FLUSH_SLAVE_TIMEOUT'],
  ] as const) {
    it(`tells that a message was stored with ${sendStatus}`, async (t) => {
      const cluster = await fakeCluster(t, {
        brokers: {
          'broker-a': {
            [RequestCode.SEND_MESSAGE_V2]: (frame) => stored(frame, code),
            [RequestCode.SEND_BATCH_MESSAGE]: (frame) => stored(frame, code),
          },
        },
      })
      const publish = publisher({ topics: ['orders'], producerGroup: 'api', client: cluster.client() })
      const handler: Handler = async (event) => await publish(event as never, lambdaContext())

      const statuses = [
        ...[await throughHttpApi(handler, one), await throughFunctionUrl(handler, one)].map(
          ({ body }) => body,
        ),
        await invoke(handler, one),
        ...((await invoke(handler, { body: { messages: [one.body] } })) as { results: unknown[] }).results,
      ].map((each) => (each as { sendStatus: string }).sendStatus)

      deepStrictEqual(statuses, Array(4).fill(sendStatus))
    })
  }
})

describe('docs/openapi.yaml', () => {
  let faults: unknown
  before(async () => {
    faults = await faultsOfDocument()
  })

  it('is OpenAPI', () => {
    deepStrictEqual(faults, undefined)
  })

  it('documents only what a publisher answers in the tests above', () => {
    deepStrictEqual(
      contract.statuses.filter((status) => !seen.has(status)),
      [],
    )
  })
})
