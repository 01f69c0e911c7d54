/**
 * Beginning and ending transactions by the bindings, on the local broker: the contract, what a wrong request is answered,
 * that nothing of it is done, and what a caller gets when the broker fails. Every answer is compared with docs/openapi.yaml.
 */
import { deepStrictEqual, match, ok, rejects, throws } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { sealTransaction } from '../../../src/client/transaction.ts'
import { RequestCode } from '../../../src/commands/index.ts'
import { ConfigError, RocketMQError, RouteError } from '../../../src/errors.ts'
import { type Client, createClient, type Transaction } from '../../../src/index.ts'
import {
  type HttpResponse,
  publisher,
  type TransactionEnderOptions,
  transactionEnder,
} from '../../../src/lambda/index.ts'
import { httpEvent, type LocalBroker, lambdaContext, startBroker } from '../../../src/testing/index.ts'
import { until } from '../../conformance/context.ts'
import { fakeCluster, stored } from '../../support/fake-cluster.ts'
import { type Answer, type Contract, contractOf } from '../../support/openapi.ts'

const SECRET = 'a secret of more than 32 characters'
const GROUP = 'order-api'
const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC'
/** The list of ends is written every 3 s. */
const LISTED_MS = 3_000
const LARGE = 'x'.repeat(5_000_000)

type Outcome = 'commit' | 'rollback'
type Handler = (event: never, context: never) => Promise<unknown>

const CONTRACTS: Readonly<Record<string, Contract>> = {
  begin: contractOf('/topics/{topic}/transactions'),
  commit: contractOf('/transactions/commit'),
  rollback: contractOf('/transactions/rollback'),
}
const seen: Readonly<Record<string, Set<number>>> = {
  begin: new Set(),
  commit: new Set(),
  rollback: new Set(),
}

interface Request {
  /** Its path behind the stage. */
  path: string
  /** JSON text, or a value. */
  body: unknown
  headers?: Readonly<Record<string, string>>
}

/** The ways in; a direct invocation has the error that it fails with as its answer. */
type Door = (handler: Handler, request: Request) => Promise<Answer>

const textOf = (body: unknown): string => (typeof body === 'string' ? body : JSON.stringify(body))

async function answerOf(handler: Handler, path: string, event: unknown): Promise<Answer> {
  const { statusCode, headers, body } = (await handler(
    event as never,
    lambdaContext() as never,
  )) as HttpResponse
  const answer = { status: statusCode, headers, body: JSON.parse(body) as unknown }
  const which = /\/(commit|rollback)$/.exec(path)?.[1] ?? 'begin'
  seen[which]?.add(statusCode)
  CONTRACTS[which]?.check(answer)
  return answer
}

const throughHttpApi: Door = (handler, { path, body, headers }) => {
  const event = httpEvent('POST', `/prod${path}`, textOf(body))
  return answerOf(handler, path, { ...event, headers: { ...event.headers, ...headers } })
}

const throughFunctionUrl: Door = (handler, { path, body, headers }) => {
  const event = httpEvent('POST', path, Buffer.from(textOf(body)).toString('base64'))
  return answerOf(handler, path, {
    ...event,
    isBase64Encoded: true,
    headers: { ...event.headers, ...headers },
  })
}

const throughInvocation: Door = async (handler, { path, body }) => {
  const [, topic] = /topics\/([^/]+)/.exec(path) ?? []
  const [, outcome] = /\/(commit|rollback)$/.exec(path) ?? []
  const json = JSON.parse(textOf(body)) as object
  const event = topic === undefined ? Object.assign(json, { outcome }) : { topic, begin: json }
  try {
    const answer = await handler(event as never, lambdaContext() as never)
    return { status: (answer as { status: number }).status, headers: {}, body: answer }
  } catch (error) {
    ok(RocketMQError.is(error), String(error))
    const { field, outcome: known, message: detail } = error as ConfigError
    return { status: 0, headers: {}, body: { field, outcome: known, detail } }
  }
}

const HTTP: Readonly<Record<string, Door>> = {
  'an HTTP API': throughHttpApi,
  'a function URL': throughFunctionUrl,
}
const DOORS: Readonly<Record<string, Door>> = { ...HTTP, 'a direct invocation': throughInvocation }

/** Of a broker that ends whatever it is asked to, and tells nothing of what was ended. */
function clientThatOnlyEnds(): Client {
  const client = createClient({ nameServers: '127.0.0.1:9' })
  const nothing = new RouteError('nothing is told', { topic: 'orders', retryable: false })
  const callQueue = async (_: unknown, { code }: { code: number }): Promise<object> => {
    if (code === RequestCode.END_TRANSACTION) return {}
    throw nothing
  }
  return { ...client, callQueue: callQueue as Client['callQueue'] }
}

const plain = (messageId: string): Transaction => ({
  version: 1,
  producerGroup: GROUP,
  topic: 'orders',
  messageId,
  brokerName: 'broker-a',
  queueOffset: '0',
  commitLogOffset: '0',
  begunAt: Date.now(),
})

interface Begun {
  transaction: string
  messageId: string
}

interface Functions {
  broker: LocalBroker
  begin: Handler
  end: Handler
  /** As `end`, in another sandbox. */
  endElsewhere: Handler
  begun: () => Promise<Begun>
  delivered: () => (string | undefined)[]
  /** Half messages that there are, and lists of ends. */
  kept: () => [halves: number, ends: number]
}

async function functions(
  t: TestContext,
  options: Partial<TransactionEnderOptions> = {},
  timeoutMs = 2_000,
): Promise<Functions> {
  const broker = await startBroker({ topics: ['orders'], autoCreateTopics: false })
  const client = createClient({ nameServers: broker.nameServers, timeoutMs })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const { secret = SECRET } = options
  const begin = publisher({
    topics: ['orders', 'missing'],
    producerGroup: GROUP,
    client,
    transactions: 'secret' in options && options.secret === undefined ? {} : { secret },
  }) as Handler
  const [end, endElsewhere] = [1, 2].map(
    () =>
      transactionEnder({
        topics: ['orders', 'missing'],
        producerGroup: GROUP,
        secret: SECRET,
        client,
        ...options,
      }) as Handler,
  ) as [Handler, Handler]
  return {
    broker,
    begin,
    end,
    endElsewhere,
    begun: async () => {
      const { body } = await throughHttpApi(begin, {
        path: '/topics/orders/transactions',
        body: { body: 'order' },
      })
      return body as Begun
    },
    delivered: () => broker.messages('orders').map(({ properties }) => properties['UNIQ_KEY']),
    kept: () => [broker.messages(HALF_TOPIC).length, broker.messages('RMQ_SYS_TRANS_OP_HALF_TOPIC').length],
  }
}

const ending = (outcome: Outcome, transaction: unknown): Request => ({
  path: `/transactions/${outcome}`,
  body: { transaction },
})

/** Signed text with other members, as somebody with the secret would make it. */
const crafted = (changes: Partial<Record<keyof Transaction, unknown>>, text: string): string => {
  const transaction = JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString()) as Transaction
  return sealTransaction({ secrets: [SECRET], maxAgeMs: 0 }, { ...transaction, ...changes } as Transaction)
}

const BAD_BEGIN: Readonly<Record<string, { body: unknown; topic?: string; status?: number; field: string }>> =
  {
    'a body that is no base64': { body: { body: 'not base64!', isBase64Encoded: true }, field: 'body' },
    'an unknown field': { body: { body: 'x', tags: 'a' }, field: 'tags' },
    'a field __proto__': { body: '{"body":"x","__proto__":{"tag":"a"}}', field: '__proto__' },
    'a body of 5 MB': { body: { body: LARGE }, status: 413, field: 'body' },
    'a topic that is not allowed': { topic: 'secrets', body: { body: 'x' }, status: 403, field: 'topic' },
    'a property of transactions': {
      body: { body: 'x', properties: { PGROUP: 'another' } },
      field: 'properties.PGROUP',
    },
    'several messages': { body: { messages: [{ body: 'x' }] }, field: 'messages' },
    'a delay level': { body: { body: 'x', delayLevel: 1 }, field: 'delayLevel' },
    'a delay': { body: { body: 'x', delayMs: 1_000 }, field: 'delayMs' },
    'a time': { body: { body: 'x', deliverAt: '2030-01-01' }, field: 'deliverAt' },
    'no body': { body: {}, field: 'body' },
  }

/** What is wrong with a transaction, made of a right one, or with all of the body. */
const BAD_END: Readonly<
  Record<string, { make: (right: string) => unknown; isBody?: true; status?: number; field: string }>
> = {
  'an altered payload': {
    make: (right) => right.replace(/\.(.)/, (_, first: string) => `.${first === 'A' ? 'B' : 'A'}`),
    field: 'transaction',
  },
  'an altered signature': {
    make: (right) =>
      right.replace(/\.(.)([^.]+)$/, (_, a: string, rest: string) => `.${a === 'A' ? 'B' : 'A'}${rest}`),
    field: 'transaction',
  },
  'another secret': {
    make: (right) =>
      sealTransaction(
        { secrets: [`another ${SECRET}`], maxAgeMs: 0 },
        JSON.parse(Buffer.from(right.split('.')[1] ?? '', 'base64url').toString()) as Transaction,
      ),
    field: 'transaction',
  },
  'an expired one': {
    make: (right) => crafted({ begunAt: Date.now() - 300_001 }, right),
    status: 410,
    field: 'transaction',
  },
  'text of another version': { make: (right) => right.replace(/^1/, '2'), field: 'transaction' },
  'a payload of another version': {
    make: (right) => crafted({ version: 2 }, right),
    field: 'transaction.version',
  },
  'one of another topic': {
    make: (right) => crafted({ topic: 'secrets' }, right),
    status: 403,
    field: 'transaction.topic',
  },
  'one of another group': {
    make: (right) => crafted({ producerGroup: 'another' }, right),
    field: 'transaction.producerGroup',
  },
  'one without a signature': {
    make: (right) => JSON.parse(Buffer.from(right.split('.')[1] ?? '', 'base64url').toString()),
    field: 'transaction',
  },
  'one that its broker does not know': {
    make: (right) => crafted({ queueOffset: '77' }, right),
    field: 'transaction',
  },
  'a number': { make: () => 7, field: 'transaction' },
  nothing: { make: () => undefined, field: 'transaction' },
  'text of 5 MB': { make: () => LARGE, field: 'transaction' },
  'an unknown field': { make: (transaction) => ({ transaction, force: true }), isBody: true, field: 'force' },
  'a field __proto__': {
    make: (transaction) => `{"transaction":"${transaction}","__proto__":{}}`,
    isBody: true,
    field: '__proto__',
  },
}

describe('a transaction over functions', () => {
  for (const [door, knock] of Object.entries(DOORS)) {
    describe(`behind ${door}`, () => {
      for (const outcome of ['commit', 'rollback'] as const)
        it(`is begun by one and ended by another with ${outcome}`, async (t) => {
          const { begin, end, delivered } = await functions(t)
          const path = '/topics/orders/transactions'

          const begun = await knock(begin, { path, body: { body: 'order', messageId: 'ORDER-1' } })
          const { transaction } = begun.body as Begun
          const before = delivered()
          const ended = await knock(end, ending(outcome, transaction))

          deepStrictEqual(begun.body, {
            status: 201,
            sendStatus: 'SEND_OK',
            transaction,
            messageId: 'ORDER-1',
          })
          deepStrictEqual([begun.status, typeof transaction, before], [201, 'string', []])
          const past = outcome === 'commit' ? 'committed' : 'rolledBack'
          const body = { status: 200, outcome: past, messageId: 'ORDER-1', checked: true }
          deepStrictEqual([ended.status, ended.body], [200, body])
          deepStrictEqual(delivered(), outcome === 'commit' ? ['ORDER-1'] : [])
        })

      for (const [what, { topic = 'orders', status = 400, field, body }] of Object.entries(BAD_BEGIN))
        it(`is not begun with ${what}, and nothing is stored`, async (t) => {
          const { begin, kept } = await functions(t)

          const answer = await knock(begin, { path: `/topics/${topic}/transactions`, body })

          const { field: named } = answer.body as Record<string, unknown>
          deepStrictEqual([answer.status, named], [door in HTTP ? status : 0, field])
          ok(JSON.stringify(answer.body).length < 2_000)
          deepStrictEqual(kept(), [0, 0])
        })

      for (const [what, { make, isBody, status = 400, field }] of Object.entries(BAD_END))
        for (const outcome of ['commit', 'rollback'] as const)
          it(`is not ended with ${what} by ${outcome}, and nothing is done`, async (t) => {
            const { broker, begun, end, delivered, kept } = await functions(t)
            const { transaction } = await begun()
            const made = make(transaction)
            const request = { ...ending(outcome, made), ...(isBody ? { body: made } : {}) }

            const answer = await knock(end, request)

            const { field: named, outcome: known } = answer.body as Record<string, unknown>
            deepStrictEqual([answer.status, named], [door in HTTP ? status : 0, field])
            deepStrictEqual(status === 403 ? 'not-sent' : (known ?? 'not-sent'), 'not-sent')
            ok(JSON.stringify(answer.body).length < 2_000)
            await broker.clock.advance(LISTED_MS)
            deepStrictEqual([delivered(), kept()], [[], [1, 0]])
          })

      for (const first of ['commit', 'rollback'] as const)
        for (const second of ['commit', 'rollback'] as const)
          for (const where of ['end', 'endElsewhere'] as const)
            it(`is not ended by ${second} after ${first}, in ${where === 'end' ? 'the same' : 'another'} sandbox`, async (t) => {
              const all = await functions(t)
              const { transaction } = await all.begun()
              await knock(all.end, ending(first, transaction))
              if (where === 'endElsewhere') await all.broker.clock.advance(LISTED_MS)
              const delivered = all.delivered()

              const again = await knock(all[where], ending(second, transaction))

              const { field, detail } = again.body as Record<string, unknown>
              const past = first === 'commit' ? 'committed' : 'rolled back'
              deepStrictEqual(
                [again.status, field, detail],
                [door in HTTP ? 409 : 0, 'transaction', `transaction: was ${past} already`],
              )
              await all.broker.clock.advance(LISTED_MS)
              deepStrictEqual([all.delivered(), all.kept()], [delivered, [1, 1]])
            })
    })
  }

  it('is ended once by a sandbox that is asked by two at the same time', async (t) => {
    const { begun, end, delivered } = await functions(t)
    const { transaction, messageId } = await begun()

    const answers = await Promise.all([
      throughHttpApi(end, ending('commit', transaction)),
      throughHttpApi(end, ending('rollback', transaction)),
      throughFunctionUrl(end, ending('commit', transaction)),
    ])

    deepStrictEqual([answers.map(({ status }) => status), delivered()], [[200, 409, 409], [messageId]])
  })

  it('is ended by the second of two at the same time when the first one was not done', async (t) => {
    const { broker, begun, end, delivered } = await functions(t)
    const { transaction, messageId } = await begun()
    broker.faults.add({ fault: 'refuse', code: RequestCode.END_TRANSACTION, responseCode: 2, times: 1 })

    const answers = await Promise.all([
      throughHttpApi(end, ending('commit', transaction)),
      throughHttpApi(end, ending('commit', transaction)),
    ])

    deepStrictEqual([answers.map(({ status }) => status), delivered()], [[503, 200], [messageId]])
  })

  it('is remembered by its process as ended until 10,000 others are', async () => {
    const messageIds = Array.from({ length: 10_001 }, (_, index) => `M-${index}`)
    const end = transactionEnder({
      topics: ['orders'],
      producerGroup: GROUP,
      client: clientThatOnlyEnds(),
    }) as Handler
    const endOne = (messageId: string): Promise<unknown> =>
      end({ transaction: plain(messageId), outcome: 'commit' } as never, lambdaContext() as never)
    const isRefused = (messageId: string): Promise<boolean> =>
      endOne(messageId).then(
        () => false,
        (error: Error) => error.message === 'transaction: was committed already',
      )
    const [first = '', second = ''] = messageIds
    for (const messageId of messageIds.slice(0, -1)) await endOne(messageId)
    const before = [await isRefused(first), await isRefused(second)]

    await endOne('M-10000')

    deepStrictEqual(
      [before, await isRefused(second), await isRefused('M-10000'), await isRefused(first)],
      [[true, true], true, true, false],
    )
  })

  it('is not ended after a check has ended a copy of it', async (t) => {
    const { broker, begun, end } = await functions(t)
    const { transaction, messageId } = await begun()
    const [half] = broker.messages(HALF_TOPIC)
    await broker.clock.advance(31_000)
    const copy = broker.messages(HALF_TOPIC).at(-1)
    const rollback = crafted(
      { queueOffset: String(copy?.queueOffset), commitLogOffset: String(copy?.commitLogOffset) },
      transaction,
    )
    await throughHttpApi(end, ending('rollback', rollback))
    await broker.clock.advance(LISTED_MS)

    const { status, body } = await throughHttpApi(end, ending('commit', transaction))

    ok(half && copy && copy.queueOffset > half.queueOffset)
    deepStrictEqual([status, (body as { messageId?: string }).messageId], [409, messageId])
  })

  for (const minutes of [-30, 30])
    it(`is not ended twice by sandboxes, one of which has a clock ${minutes} minutes ahead`, async (t) => {
      const { broker, begun, end, endElsewhere } = await functions(t, { maxAgeMs: 3_600_000 })
      const { transaction } = await begun()
      await throughHttpApi(end, ending('rollback', transaction))
      await broker.clock.advance(LISTED_MS)
      const begunAt = Date.now() + minutes * 60_000

      const { status } = await throughHttpApi(
        endElsewhere,
        ending('commit', crafted({ begunAt }, transaction)),
      )

      deepStrictEqual(status, 409)
    })

  it('is ended although another message was published under its id', async (t) => {
    const { begin, end, begun, delivered } = await functions(t)
    const { transaction, messageId } = await begun()
    await (begin as (event: unknown, context: unknown) => Promise<unknown>)(
      { topic: 'orders', body: 'by itself', messageId },
      lambdaContext(),
    )

    const { status } = await throughHttpApi(end, ending('commit', transaction))

    deepStrictEqual([status, delivered()], [200, [messageId, messageId]])
  })

  it('is plain JSON without a secret, and ended as such', async (t) => {
    const { begun, end, delivered } = await functions(t, { secret: undefined })
    const { transaction, messageId } = await begun()

    const { status } = await throughHttpApi(end, ending('commit', transaction))

    deepStrictEqual([typeof transaction, status, delivered()], ['object', 200, [messageId]])
  })

  it('has the trace of the request that began it, and the idempotency key as its id', async (t) => {
    const { broker, begin } = await functions(t)
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const headers = { traceparent, 'idempotency-key': '"order-1"' }

    const path = '/topics/orders/transactions'
    const { body } = await throughHttpApi(begin, { path, body: { body: 'x' }, headers })

    const [half] = broker.messages(HALF_TOPIC)
    deepStrictEqual(
      [(body as Begun).messageId, half?.properties['traceparent'], half?.properties['UNIQ_KEY']],
      ['order-1', traceparent, 'order-1'],
    )
  })

  it('is not begun where the topic is missing, nor by a publisher without transactions', async (t) => {
    const { broker, begin, kept } = await functions(t)
    const client = createClient({ nameServers: broker.nameServers })
    t.after(() => client.close())
    const without = publisher({ topics: ['orders'], producerGroup: GROUP, client }) as Handler
    const body = { body: 'x' }

    const missing = await throughHttpApi(begin, { path: '/topics/missing/transactions', body })
    const none = await throughHttpApi(without, { path: '/topics/orders/transactions', body })
    const direct = await throughInvocation(without, { path: '/topics/orders/transactions', body })

    deepStrictEqual([missing.status, none.status, (direct.body as ConfigError).field], [404, 404, 'begin'])
    deepStrictEqual(kept(), [0, 0])
  })

  it('answers other methods, types and paths as publishing does', async (t) => {
    const { begin, end, begun, kept } = await functions(t)
    const { transaction } = await begun()
    const headers = { 'content-type': 'text/plain' }
    const path = '/topics/orders/transactions'
    const get = (handler: Handler, at: string) => answerOf(handler, at, httpEvent('GET', `/prod${at}`))

    const answers = [
      await throughHttpApi(begin, { path, body: { body: 'x' }, headers }),
      await throughHttpApi(end, { ...ending('commit', transaction), headers }),
      await throughHttpApi(end, { ...ending('rollback', transaction), headers }),
      await get(begin, path),
      await get(end, '/transactions/commit'),
      await get(end, '/transactions/rollback'),
      await throughHttpApi(end, { path: '/transactions/undo', body: {} }),
      await throughHttpApi(end, { path: '/transactions/commit', body: '{"transaction":' }),
      await throughHttpApi(end, { path: '/transactions/commit', body: '[]' }),
    ]

    deepStrictEqual(
      answers.map(({ status }) => status),
      [415, 415, 415, 405, 405, 405, 404, 400, 400],
    )
    deepStrictEqual(kept(), [1, 0])
  })

  for (const [title, end, body] of [
    ['Invalid request', true, { transaction: 'x', force: true }],
    ['Invalid request', true, []],
    ['Invalid transaction', true, {}],
    ['Invalid transaction', true, { transaction: 'x' }],
    ['Invalid message', false, { body: 'x', transaction: 1 }],
  ] as const)
    it(`answers ${JSON.stringify(body)} to ${end ? 'an end' : 'a begin'} under the title '${title}'`, async (t) => {
      const all = await functions(t)
      const path = end ? '/transactions/commit' : '/topics/orders/transactions'

      const answer = await throughHttpApi(end ? all.end : all.begin, { path, body })

      deepStrictEqual([answer.status, (answer.body as { title: string }).title], [400, title])
    })

  for (const outcome of ['commit', 'rollback'] as const) {
    it(`answers 404 to ${outcome} when the topic is there no more, and no such path to another`, async (t) => {
      const { begun, end } = await functions(t)
      const { transaction } = await begun()

      const gone = await throughHttpApi(end, ending(outcome, crafted({ topic: 'missing' }, transaction)))

      deepStrictEqual([gone.status, (gone.body as { title: string }).title], [404, 'No such topic'])
    })

    it(`answers 503 to ${outcome} when the broker is down, and 200 when it is back`, async (t) => {
      const { broker, begin, begun, end } = await functions(t)
      t.mock.method(console, 'warn', () => {})
      const { transaction, messageId } = await begun()
      await broker.brokers[0]?.kill()

      const down = await throughHttpApi(end, ending(outcome, transaction))
      const direct = await throughInvocation(end, ending(outcome, transaction))
      const path = '/topics/orders/transactions'
      const begunNone = await throughHttpApi(begin, { path, body: { body: 'x', messageId: 'M' } })
      await broker.brokers[0]?.start()
      // An address that refused is left alone for a moment.
      const back = await until('the broker to be asked again', async () => {
        const answer = await throughHttpApi(end, ending(outcome, transaction))
        return answer.status === 200 && answer
      })

      const facts = ({ status, headers, body }: Answer): unknown[] => {
        const { outcome: known, messageId: id, detail } = body as Record<string, unknown>
        return [status, headers['retry-after'], known, id, detail]
      }
      const [done, stored] = ['done', 'stored'].map((what) => `nothing was ${what}; try again later`)
      deepStrictEqual(facts(down), [503, '1', 'not-sent', messageId, done])
      deepStrictEqual(facts(begunNone), [503, '1', 'not-sent', 'M', stored])
      deepStrictEqual((direct.body as RocketMQError).outcome, 'not-sent')
      deepStrictEqual((back.body as Begun).messageId, messageId)
    })

    it(`answers 504 with the message id to ${outcome} when the answer is lost, and 409 to its repetition`, async (t) => {
      const { broker, begun, end, delivered } = await functions(t, {}, 2_000)
      const { transaction, messageId } = await begun()
      broker.faults.add({ fault: 'lose-answer', code: RequestCode.END_TRANSACTION })

      const lost = await throughHttpApi(end, ending(outcome, transaction))
      broker.faults.clear()
      await broker.clock.advance(LISTED_MS)
      const again = await throughHttpApi(end, ending(outcome, transaction))

      const { outcome: known, messageId: id, detail } = lost.body as Record<string, unknown>
      deepStrictEqual([lost.status, known, id], [504, 'unknown', messageId])
      match(String(detail), /do not repeat this/)
      deepStrictEqual([again.status, delivered()], [409, outcome === 'commit' ? [messageId] : []])
    })
  }

  for (const [code, sendStatus] of [
    [10, 'FLUSH_DISK_TIMEOUT'],
    [11, 'SLAVE_NOT_AVAILABLE'],
    [12, 'FLUSH_SLAVE_TIMEOUT'],
  ] as const)
    it(`tells that its half message was stored with ${sendStatus}`, async (t) => {
      const cluster = await fakeCluster(t, {
        brokers: { 'broker-a': { [RequestCode.SEND_MESSAGE_V2]: (frame) => stored(frame, code) } },
      })
      const options = { topics: ['orders'], producerGroup: GROUP, transactions: { secret: SECRET } }
      const begin = publisher({ ...options, client: cluster.client() }) as Handler

      const answers = [
        await throughHttpApi(begin, { path: '/topics/orders/transactions', body: { body: 'x' } }),
        await throughInvocation(begin, { path: '/topics/orders/transactions', body: { body: 'x' } }),
      ]

      deepStrictEqual(
        answers.map(({ status, body }) => [status, (body as { sendStatus: string }).sendStatus]),
        Array(2).fill([201, sendStatus]),
      )
    })

  it('answers 504 with the message id when it is not known whether it was begun', async (t) => {
    const { broker, begin, kept } = await functions(t, {}, 2_000)
    broker.faults.add({ fault: 'lose-answer', code: RequestCode.SEND_MESSAGE_V2 })
    const request = { path: '/topics/orders/transactions', body: { body: 'x' } }

    const lost = await throughHttpApi(begin, request)
    const direct = await throughInvocation(begin, request)

    const { outcome, messageId, detail } = lost.body as Record<string, string>
    const halves = broker.messages(HALF_TOPIC).map(({ properties }) => properties['UNIQ_KEY'])
    deepStrictEqual([lost.status, outcome, messageId], [504, 'unknown', halves[0]])
    match(detail ?? '', /begin another one/)
    match((direct.body as { detail: string }).detail, new RegExp(`: messageId ${halves[1]}; `))
    deepStrictEqual(kept(), [2, 0])
  })

  for (const [what, code] of [
    ['the message', RequestCode.QUERY_MESSAGE],
    ['the list of ends', RequestCode.PULL_MESSAGE],
  ] as const)
    it(`is ended, and the answer says that it was not checked, where ${what} must not be read`, async (t) => {
      const { broker, begun, end, delivered } = await functions(t)
      const { transaction, messageId } = await begun()
      const remark = 'User:x has no permission to access Topic:RMQ_SYS_TRANS_OP_HALF_TOPIC'
      broker.faults.add({ fault: 'refuse', code, responseCode: 16, remark })
      const warn = t.mock.method(console, 'warn', () => {})

      const answers = [
        await throughHttpApi(end, ending('commit', transaction)),
        await throughHttpApi(end, ending('commit', (await begun()).transaction)),
      ]

      const checked = answers.map(({ status, body }) => [status, (body as { checked: boolean }).checked])
      deepStrictEqual(checked, Array(2).fill([200, false]))
      deepStrictEqual(
        [delivered().includes(messageId), delivered().length, warn.mock.callCount()],
        [true, 2, 1],
      )
    })

  it('is known to be committed where only the topic itself may be read', async (t) => {
    const { broker, begun, end, endElsewhere, delivered } = await functions(t)
    const { transaction } = await begun()
    await throughHttpApi(end, ending('commit', transaction))
    broker.faults.add({ fault: 'refuse', topic: HALF_TOPIC, responseCode: 16 })

    const { status } = await throughHttpApi(endElsewhere, ending('commit', transaction))

    deepStrictEqual([status, delivered().length], [409, 1])
  })

  it('is ended in time when nothing is answered about earlier ends', async (t) => {
    const { broker, begun, end } = await functions(t, {}, 2_500)
    const { transaction } = await begun()
    broker.faults.add({ fault: 'drop', code: RequestCode.QUERY_MESSAGE })
    t.mock.method(console, 'warn', () => {})

    const { status, body } = await throughHttpApi(end, ending('commit', transaction))

    deepStrictEqual([status, (body as { checked: boolean }).checked], [200, false])
  })

  it('is answered with 500, and the reason in the log, when the broker refuses the credentials', async (t) => {
    const { broker, begin, begun, end, kept } = await functions(t)
    const { transaction } = await begun()
    broker.faults.add({
      fault: 'refuse',
      responseCode: 16,
      remark: 'check signature failed',
      server: 'broker-a',
    })
    const log = t.mock.method(console, 'error', () => {})
    t.mock.method(console, 'warn', () => {})

    const answers = [
      await throughHttpApi(begin, { path: '/topics/orders/transactions', body: { body: 'x' } }),
      await throughHttpApi(end, ending('commit', transaction)),
      await throughHttpApi(end, ending('rollback', transaction)),
    ]

    deepStrictEqual(
      answers.map(({ status }) => status),
      [500, 500, 500],
    )
    deepStrictEqual([log.mock.callCount(), kept()], [3, [1, 0]])
  })

  for (const [options, field] of [
    [{ topics: [] }, 'topics'],
    [{ topics: 'orders' }, 'topics'],
    [{ topics: ['or ders'] }, 'topics[0]'],
    [{ producerGroup: '' }, 'producerGroup'],
    [{ secret: 'short' }, 'secret'],
    [{ secret: '' }, 'secret'],
    [{ maxAgeMs: 0 }, 'maxAgeMs'],
    [{ maxAge: 5 }, 'maxAge'],
  ] as const)
    it(`is ended by no function with ${JSON.stringify(options)}`, () => {
      const all = { topics: ['orders'], producerGroup: GROUP, client: { nameServers: 'a:1' }, ...options }
      throws(
        () => transactionEnder(all as never),
        (error) => error instanceof ConfigError && error.field === field,
      )
    })

  for (const [transactions, field] of [
    [{ secret: 'short' }, 'transactions.secret'],
    [{ secret: [] }, 'transactions.secret'],
    [{ maxAgeMs: 1 }, 'maxAgeMs'],
    [true, 'transactions'],
  ] as const)
    it(`is begun by no publisher with ${JSON.stringify(transactions)}`, async () => {
      const all = { topics: ['orders'], producerGroup: GROUP, client: { nameServers: 'a:1' }, transactions }
      await rejects(
        async () => publisher(all as never),
        (error) => error instanceof ConfigError && error.field === field,
      )
    })
})

describe('docs/openapi.yaml', () => {
  for (const [name, { statuses }] of Object.entries(CONTRACTS))
    it(`documents of ${name} only what is answered in the tests above`, () => {
      deepStrictEqual(
        statuses.filter((status) => !seen[name]?.has(status)),
        [],
      )
    })
})
