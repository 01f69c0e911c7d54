/** Beginning, ending and checking transactions by the bindings, on the local broker. */
import { deepStrictEqual, match } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { createClient } from '../../../src/index.ts'
import {
  type HttpResponse,
  publisher,
  type TransactionEnderOptions,
  transactionChecker,
  transactionEnder,
} from '../../../src/lambda/index.ts'
import { httpEvent, type LocalBroker, lambdaContext, startBroker } from '../../../src/testing/index.ts'

const SECRET = 'a secret of more than 32 characters'
const GROUP = 'order-api'

interface Answer {
  status: number
  body: Record<string, unknown>
}

interface Functions {
  broker: LocalBroker
  begin: (body?: unknown, topic?: string) => Promise<Answer>
  end: (outcome: 'commit' | 'rollback', transaction: unknown) => Promise<Answer>
  /** As end, from another sandbox. */
  endElsewhere: (outcome: 'commit' | 'rollback', transaction: unknown) => Promise<Answer>
  delivered: () => (string | undefined)[]
}

async function functions(t: TestContext, options: Partial<TransactionEnderOptions> = {}): Promise<Functions> {
  const broker = await startBroker({ topics: ['orders'], autoCreateTopics: false })
  const client = createClient({ nameServers: broker.nameServers, timeoutMs: 2_000 })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const call = async (
    handler: (event: never, context: never) => Promise<unknown>,
    path: string,
    body: unknown,
  ) => {
    const event = httpEvent('POST', `/prod${path}`, body)
    const answer = (await handler(event as never, lambdaContext() as never)) as HttpResponse
    return { status: answer.statusCode, body: JSON.parse(answer.body) as Record<string, unknown> }
  }
  const begin = publisher({
    topics: ['orders', 'missing'],
    producerGroup: GROUP,
    client,
    transactions: { secret: SECRET },
  })
  const makeEnd = () =>
    transactionEnder({ topics: ['orders'], producerGroup: GROUP, secret: SECRET, client, ...options })
  const [here, elsewhere] = [makeEnd(), makeEnd()]
  return {
    broker,
    begin: (body = { body: 'the order' }, topic = 'orders') =>
      call(begin, `/topics/${topic}/transactions`, body),
    end: (outcome, transaction) => call(here, `/transactions/${outcome}`, { transaction }),
    endElsewhere: (outcome, transaction) => call(elsewhere, `/transactions/${outcome}`, { transaction }),
    delivered: () => broker.messages('orders').map(({ properties }) => properties['UNIQ_KEY']),
  }
}

describe('a transaction over functions', () => {
  it('is begun by one and committed by another', async (t) => {
    const { begin, end, delivered } = await functions(t)

    const begun = await begin()
    const before = delivered()
    const { transaction, messageId } = begun.body
    const ended = await end('commit', transaction)

    deepStrictEqual([begun.status, typeof transaction, before], [201, 'string', []])
    deepStrictEqual(ended, {
      status: 200,
      body: { status: 200, outcome: 'committed', messageId, checked: true },
    })
    deepStrictEqual(delivered(), [messageId])
  })

  for (const first of ['commit', 'rollback'] as const)
    for (const second of ['commit', 'rollback'] as const)
      for (const where of ['end', 'endElsewhere'] as const)
        it(`is not ended by a ${second} after a ${first}, ${where === 'end' ? 'in the same' : 'in another'} sandbox`, async (t) => {
          const all = await functions(t)
          const { transaction, messageId } = (await all.begin()).body
          await all.end(first, transaction)
          const delivered = all.delivered()
          // The list of ends, by which another sandbox knows, is up to 3 s behind.
          if (where === 'endElsewhere') await all.broker.clock.advance(3_000)

          const again = await all[where](second, transaction)

          const { field, detail } = again.body
          const past = first === 'commit' ? 'committed' : 'rolled back'
          deepStrictEqual(
            [again.status, field, detail, again.body['messageId']],
            [409, 'transaction', `transaction: was ${past} already`, messageId],
          )
          deepStrictEqual(all.delivered(), delivered)
        })
})
