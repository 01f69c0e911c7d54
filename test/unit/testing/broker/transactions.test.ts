import { deepStrictEqual, rejects } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SendMessageV2 } from '../../../../src/commands/send.ts'
import { EndTransaction, type EndTransactionRequest } from '../../../../src/commands/transaction.ts'
import { type Client, createClient } from '../../../../src/index.ts'
import {
  createClock,
  type LocalBroker,
  type LocalBrokerOptions,
  startBroker,
} from '../../../../src/testing/index.ts'
import { TRANSACTION_COMMIT, TRANSACTION_ROLLBACK } from '../../../../src/wire/flags.ts'
import { decodeOffsetMessageId } from '../../../../src/wire/message-id.ts'
import { encodeProperties } from '../../../../src/wire/properties.ts'

const START = 1_800_000_000_000
const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC'
const GIVEN_UP = 'TRANS_CHECK_MAX_TIME_TOPIC'

interface Run {
  broker: LocalBroker
  client: Client
  begin: (body: string) => Promise<EndTransactionRequest>
  end: (request: EndTransactionRequest) => Promise<unknown>
  /** Body and number of checks of all that stands in the half topic. */
  halves: () => string[]
  bodies: (topic: string) => string[]
}

/** A broker whose time stands still. */
async function withBroker(options: LocalBrokerOptions, run: (run: Run) => Promise<void>): Promise<void> {
  const clock = createClock({ at: START })
  await using broker = await startBroker({ clock, topics: { orders: { queues: 1 } }, ...options })
  const client = createClient({ nameServers: broker.nameServers })
  const address = broker.brokers[0]?.address ?? ''
  const call: Run['end'] = (request) =>
    client.network.call(address, EndTransaction, request, undefined, { deadline: client.deadline() })
  try {
    await run({
      broker,
      client,
      end: call,
      async begin(body) {
        const properties = encodeProperties(
          Object.entries({ TRAN_MSG: 'true', PGROUP: 'shop', UNIQ_KEY: body }),
        )
        const request = {
          producerGroup: 'shop',
          topic: 'orders',
          queueId: 0,
          sysFlag: 4,
          bornTimestamp: BigInt(clock.now()),
          flag: 0,
          properties,
        }
        const { header } = await client.network.call(address, SendMessageV2, request, Buffer.from(body), {
          deadline: client.deadline(),
        })
        return {
          producerGroup: 'shop',
          tranStateTableOffset: header.queueOffset,
          commitLogOffset: decodeOffsetMessageId(header.msgId).commitLogOffset,
          commitOrRollback: TRANSACTION_COMMIT,
          msgId: body,
        }
      },
      halves: () =>
        broker
          .messages(HALF_TOPIC)
          .map(({ body, properties }) => `${body.toString()} ${properties['TRANSACTION_CHECK_TIMES'] ?? 0}`),
      bodies: (topic) => broker.messages(topic).map(({ body }) => body.toString()),
    })
  } finally {
    await client.close()
  }
}

describe('transactions on the local broker', () => {
  it('are checked every 30 s from its start on, once they are 6 s old', () =>
    withBroker({}, async ({ broker, begin, halves }) => {
      await begin('old')
      await broker.clock.advance(24_001)
      await begin('young')
      await broker.clock.advance(5_999)
      const first = halves()
      await broker.clock.advance(30_000)
      // The copy of the old one stands behind the young one: both are checked now.
      deepStrictEqual(
        [first, halves()],
        [
          ['old 0', 'young 0', 'old 1'],
          ['old 0', 'young 0', 'old 1', 'young 1', 'old 2'],
        ],
      )
    }))

  it('are given up in the round of the last check, whether anybody was asked or not', () =>
    withBroker({ transactionCheckMax: 3 }, async ({ broker, begin, halves, bodies }) => {
      await begin('order')
      await broker.clock.advance(60_000)
      const before = bodies(GIVEN_UP)
      await broker.clock.advance(30_000)
      deepStrictEqual(
        [before, bodies(GIVEN_UP), halves()],
        [[], ['order'], ['order 0', 'order 1', 'order 2', 'order 3']],
      )
    }))

  it('are not checked when they were ended in time', () =>
    withBroker({}, async ({ broker, begin, end, halves, bodies }) => {
      const [committed, rolledBack] = [await begin('committed'), await begin('rolled back')]
      await end(committed)
      await end({ ...rolledBack, commitOrRollback: TRANSACTION_ROLLBACK })
      await broker.clock.advance(3_600_000)
      deepStrictEqual(
        [bodies('orders'), halves(), bodies(GIVEN_UP)],
        [['committed'], ['committed 0', 'rolled back 0'], []],
      )
    }))

  it('are checked all the same when the end came within 3 s before the round', () =>
    withBroker({ transactionCheckInterval: 10_000 }, async ({ broker, begin, end, halves }) => {
      const half = await begin('order')
      await broker.clock.advance(9_500)
      await end(half)
      await broker.clock.advance(500)
      deepStrictEqual(halves(), ['order 0', 'order 1'])
    }))

  it('are checked again when the broker went before it had noted the end', () =>
    withBroker({}, async ({ broker, begin, end, halves }) => {
      const half = await begin('order')
      await end(half)
      await broker.brokers[0]?.kill()
      await broker.brokers[0]?.start()
      await broker.clock.advance(30_000)
      deepStrictEqual(halves(), ['order 0', 'order 1'])
    }))

  it('outlive a stop, and no round passes while the broker is away', () =>
    withBroker({}, async ({ broker, begin, halves }) => {
      await begin('order')
      await broker.brokers[0]?.stop()
      await broker.clock.advance(3_600_000)
      const away = halves()
      await broker.brokers[0]?.start()
      await broker.clock.advance(30_000)
      deepStrictEqual([away, halves()], [['order 0'], ['order 0', 'order 1']])
    }))

  it('are given up after 72 h whatever the number of checks', () =>
    withBroker({ transactionCheckMax: 1_000_000 }, async ({ broker, begin, bodies }) => {
      await begin('order')
      await broker.clock.advance(72 * 3_600_000)
      const before = bodies(GIVEN_UP)
      await broker.clock.advance(30_000)
      deepStrictEqual([before, bodies(GIVEN_UP)], [[], ['order']])
    }))

  for (const [field, value] of [
    ['transactionCheckInterval', 0],
    ['transactionTimeOut', -1],
    ['transactionCheckMax', 1.5],
  ] as const)
    it(`refuses ${value} as ${field}`, () => rejects(startBroker({ [field]: value }), { field }))
})
