/**
 * What a function does wrong itself is none of its caller's business: it is answered with 500, is in the log, and tells neither
 * addresses nor details. It was answered with 400, after which callers drop what they wanted stored.
 */
import { deepStrictEqual, doesNotMatch, match, ok } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { type ClientOptions, ConfigError, createProducer, type RocketMQError } from '../../src/index.ts'
import { type HttpResponse, publisher, transactionEnder } from '../../src/lambda/index.ts'
import { httpEvent, lambdaContext } from '../../src/testing/index.ts'
import { CANARY } from '../support/canary.ts'
import { everything, type FakeCluster, fakeCluster, type Handlers } from '../support/fake-cluster.ts'
import { contractOf } from '../support/openapi.ts'
import { TRANSACTION } from '../support/transaction.ts'

const GROUP = 'shop'
const ADDRESS = /127\.0\.0\.1|:\d{4,5}\b/
const proxy = everything(() => ({ code: 1, remark: 'PullMessageRequestHeader.getSysFlag' }))

/** The faults of a client's options that show with the first request, and what the log has of each. */
const FAULTS: Readonly<
  Record<
    string,
    { options?: ClientOptions; broker?: Handlers; logged: RegExp; outcome?: string; code?: string }
  >
> = {
  'an addressMap that throws': {
    options: {
      addressMap: () => {
        throw new Error('the table is closed')
      },
    },
    logged: /addressMap: failed for 127\.0\.0\.1:\d+.*the table is closed/s,
  },
  'an addressMap that gives no text': {
    options: { addressMap: (() => 5) as never },
    logged: /addressMap: takes non-empty text/,
  },
  'credentials() that fail with an error that names a member of messages': {
    options: {
      credentials: () => {
        throw new ConfigError('body', 'has no secret')
      },
    },
    logged: /credentials\(\) failed.*body: has no secret/s,
    code: 'RMQ_AUTH',
  },
  'a key of TLS that is none': {
    options: { tls: { key: 'nonsense', cert: 'x' } },
    logged: /tls: error:/,
  },
  'a proxy in place of a broker': {
    broker: proxy,
    logged: /nameServers: 127\.0\.0\.1:\d+ is a proxy/,
    outcome: 'refused',
  },
}

interface Asking {
  cluster: FakeCluster
  /** What HTTP is answered, by the contract; an answer is its status and its body. */
  ask: (path: string, body: unknown) => Promise<{ status: number; body: Record<string, unknown> }>
  logged: string[]
}

async function asking(
  t: TestContext,
  { options, broker }: { options?: ClientOptions; broker?: Handlers },
  topics: Parameters<typeof publisher>[0]['topics'] = ['orders'],
): Promise<Asking> {
  const cluster = await fakeCluster(t, broker ? { brokers: { 'broker-a': broker } } : {})
  const client = cluster.client(options)
  const publish = publisher({ topics, producerGroup: GROUP, transactions: {}, client })
  const end = transactionEnder({ topics: ['orders'], producerGroup: GROUP, client })
  const logged: string[] = []
  t.mock.method(console, 'error', (line: string) => void logged.push(line))
  t.mock.method(console, 'warn', () => undefined)
  return {
    cluster,
    logged,
    async ask(path, given) {
      const event = httpEvent('POST', path, given)
      const handler = path.startsWith('/topics') ? publish : end
      const { statusCode, headers, body } = (await handler(event, lambdaContext())) as HttpResponse
      const answer = { status: statusCode, headers, body: JSON.parse(body) as Record<string, unknown> }
      contractOf(path.replace(/^\/topics\/\w+/, '/topics/{topic}')).check(answer)
      return answer
    },
  }
}

/** What failed by the function's own fault, as its caller sees it. */
const failed = (messageId: string | undefined, outcome = 'not-sent', code = 'RMQ_CONFIG') => ({
  type: `urn:rocketmq-lambda:error:${code}`,
  code,
  outcome,
  ...(messageId === undefined ? {} : { messageId }),
  title: 'Internal error',
  status: 500,
  detail: 'the function failed; see its log',
})

describe('a fault of the function is a 500 and in its log; it was a 400 that told of it', () => {
  for (const [what, { logged: expected, outcome, code, ...fault }] of Object.entries(FAULTS)) {
    it(`${what}: of a message, a batch, and messages of a batch`, async (t) => {
      const { ask, logged } = await asking(t, fault)
      const path = '/topics/orders/messages'

      const one = await ask(path, { body: 'x', messageId: 'A' })
      const many = await ask(path, {
        messages: [
          { body: 'x', messageId: 'A' },
          { body: 'x', messageId: 'B' },
        ],
      })
      const delayed = await ask(path, { messages: [{ body: 'x', delayLevel: 1, messageId: 'A' }] })

      deepStrictEqual([one.status, one.body], [500, failed('A', outcome, code)])
      // A batch that has no address is refused as a whole, before there are results.
      if (many.status === 500) deepStrictEqual(many.body, failed(undefined, outcome, code))
      else
        deepStrictEqual(
          [many.status, many.body['results']],
          [207, [failed('A', outcome, code), failed('B', outcome, code)]],
        )
      deepStrictEqual([delayed.status, delayed.body['results']], [207, [failed('A', outcome, code)]])
      doesNotMatch(JSON.stringify([one, many, delayed]), ADDRESS)
      ok(logged.length >= 3)
      for (const line of logged) match((JSON.parse(line) as { message: string }).message, expected)
    })

    it(`${what}: of a transaction that is begun or ended`, async (t) => {
      const { ask, logged } = await asking(t, fault)

      const begun = await ask('/topics/orders/transactions', { body: 'x', messageId: 'A' })
      const ended = await ask('/transactions/commit', {
        transaction: { ...TRANSACTION, begunAt: Date.now() },
      })

      deepStrictEqual([begun.status, begun.body], [500, failed('A', outcome, code)])
      deepStrictEqual([ended.status, ended.body], [500, failed(TRANSACTION.messageId, outcome, code)])
      deepStrictEqual(logged.length, 2)
      for (const line of logged) match((JSON.parse(line) as { message: string }).message, expected)
    })
  }

  it('name servers that are a proxy', async (t) => {
    const cluster = await fakeCluster(t, { nameServer: proxy })
    const publish = publisher({ topics: ['orders'], producerGroup: GROUP, client: cluster.client() })
    const log = t.mock.method(console, 'error', () => undefined)

    const event = httpEvent('POST', '/topics/orders/messages', { body: 'x', messageId: 'A' })
    const { body } = (await publish(event, lambdaContext())) as HttpResponse

    deepStrictEqual([JSON.parse(body), log.mock.callCount()], [failed('A'), 1])
  })

  it('a schema that throws an error of the client’s', async (t) => {
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: () => {
          throw new ConfigError('body', 'has no table')
        },
      },
    }
    const { ask, logged } = await asking(t, {}, { orders: { schema } })

    const { status, body } = await ask('/topics/orders/messages', { body: {} })

    deepStrictEqual([status, body, logged.length], [500, failed(undefined), 1])
  })
})

describe('a fault of the request stays a 400', () => {
  it('also where a field has the name of an option', async (t) => {
    const { ask, logged } = await asking(t, {})

    for (const name of ['addressMap', 'tls', 'nameServers', 'deadlineMs', 'credentials()']) {
      const requests = [
        ['/topics/orders/messages', { body: 'x', [name]: 1 }, name],
        ['/topics/orders/messages', { messages: [], [name]: 1 }, name],
        ['/topics/orders/messages', { messages: [{ body: 'x', [name]: 1 }] }, `messages[0].${name}`],
        ['/topics/orders/messages', { body: 'x', properties: { [name]: 1 } }, `properties.${name}`],
        ['/topics/orders/transactions', { body: 'x', [name]: 1 }, name],
        ['/transactions/rollback', { transaction: TRANSACTION, [name]: 1 }, name],
        ['/transactions/rollback', { transaction: { ...TRANSACTION, [name]: 1 } }, name],
      ] as const
      for (const [path, given, field] of requests) {
        const { status, body } = await ask(path, given)
        deepStrictEqual([status, body['field']], [400, field], `${path} ${name}`)
      }
    }
    deepStrictEqual(logged, [])
  })

  it('where only the client or a broker can tell, without the broker’s address', async (t) => {
    const before5 = { code: 3, remark: 'not supported', version: 407 }
    const { ask, logged, cluster } = await asking(t, { broker: everything(() => before5) })

    const timer = await ask('/topics/orders/messages', { body: 'x', delayMs: 1_000 })
    const many = await ask('/topics/orders/messages', { messages: [{ body: 'x', delayMs: 1_000 }] })
    const delayed = await ask('/topics/orders/transactions', { body: 'x', delayMs: 1_000 })
    const properties = { note: 'x'.repeat(32_730) }
    const wide = await ask('/topics/orders/transactions', { body: 'x', messageId: 'A', properties })

    deepStrictEqual([timer.status, timer.body['field']], [400, 'delayMs'])
    match(String(timer.body['detail']), /^delayMs: RocketMQ 4\.9\.7 delivers at once/)
    deepStrictEqual([many.status, (many.body['results'] as { status: number }[])[0]?.status], [207, 400])
    deepStrictEqual([delayed.status, delayed.body['field']], [400, 'delayMs'])
    deepStrictEqual([wide.status, wide.body['field']], [400, 'properties'])
    doesNotMatch(JSON.stringify([timer, many, delayed, wide]), ADDRESS)
    deepStrictEqual(logged, [])
    const producer = createProducer(cluster.client(), { producerGroup: GROUP })
    const { address } = await producer
      .send({ topic: 'orders', body: 'x', delayMs: 1_000 })
      .then(() => Promise.reject(new Error('it was sent')))
      .catch((error: RocketMQError) => error)
    deepStrictEqual(address, cluster.broker().address)
  })
})

it('of a schema that throws the log has the kind and the place; it had the text, which quoted the body', async (t) => {
  const thrown: ((body: unknown) => unknown)[] = [
    (body) => new TypeError(`bad input ${JSON.stringify(body)}`),
    (body) => new TypeError(`bad input\n    at ${JSON.stringify(body)} (file:///x.ts:1:1)`),
    (body) => new Error('bad input', { cause: body }),
    (body) => Object.assign(new Error('bad input'), { body }),
    (body) => JSON.stringify(body),
    (body) => body,
  ]
  for (const make of thrown) {
    const schema = {
      '~standard': {
        version: 1 as const,
        vendor: 'test',
        validate: (body: unknown) => {
          throw make(body)
        },
      },
    }
    const { ask, logged } = await asking(t, {}, { orders: { schema } })

    for (const given of [{ body: { card: CANARY } }, { messages: [{ body: { card: CANARY } }] }]) {
      const { status, body } = await ask('/topics/orders/messages', given)
      deepStrictEqual([status, body['detail']], [500, 'the function failed; see its log'])
    }

    deepStrictEqual(logged.length, 2)
    doesNotMatch(logged.join('\n'), new RegExp(CANARY))
    if (make({}) instanceof Error) match(logged[0] ?? '', /Error\\n {4}at .*own-faults\.test\.ts:\d+/)
    t.mock.reset()
  }
})
