/** The checker of transactions as a function, on the local broker. */
import { deepStrictEqual, ok, rejects, throws } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { ConfigError } from '../../../src/errors.ts'
import { type Client, createClient, createTransactionProducer, type Resolve } from '../../../src/index.ts'
import { type TransactionCheckerOptions, transactionChecker } from '../../../src/lambda/index.ts'
import { GetProducerConnectionList } from '../../../src/testing/broker/handlers/more-commands.ts'
import {
  createClock,
  type LocalBroker,
  type LocalBrokerOptions,
  lambdaContext,
  scheduledEvent,
  startBroker,
} from '../../../src/testing/index.ts'
import { printedJson } from '../../support/printed.ts'

const GROUP = 'order-api'
/** Rounds come often, so that one falls into a short window. */
const QUICK: LocalBrokerOptions = { transactionCheckInterval: 100, transactionTimeOut: 50 }
const silent = { debug: () => {}, info: () => {}, warn: () => {} }

interface Setting {
  broker: LocalBroker
  client: Client
  /** Begins one for each body; gives their ids. */
  begin: (...bodies: string[]) => Promise<string[]>
  checker: (
    resolve: Resolve,
    options?: Partial<TransactionCheckerOptions>,
  ) => ReturnType<typeof transactionChecker>
}

async function setting(t: TestContext, options: LocalBrokerOptions = QUICK): Promise<Setting> {
  const broker = await startBroker({ topics: { orders: { queues: 1 } }, ...options })
  const client = createClient({ nameServers: broker.nameServers, timeoutMs: 1_500 })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const transactions = createTransactionProducer(client, { producerGroup: GROUP })
  return {
    broker,
    client,
    begin: (...bodies) =>
      Promise.all(
        bodies.map(async (body) => (await transactions.begin({ topic: 'orders', body })).messageId),
      ),
    checker: (resolve, own = {}) =>
      transactionChecker(
        { producerGroup: GROUP, windowMs: 2_500, warnAfterChecks: 1_000, logger: silent, client, ...own },
        resolve,
      ),
  }
}

/** By what the message says. */
const byBody: Resolve = async ({ body }) => {
  const text = body.toString()
  if (text === 'fails') throw new Error('the database is away')
  return text as 'commit'
}

const isRegistered = ({ broker, client }: Setting): Promise<boolean> =>
  client.network
    .call(broker.brokers[0]?.address ?? '', GetProducerConnectionList, { producerGroup: GROUP }, undefined, {
      deadline: client.deadline(),
    })
    .then(
      () => true,
      () => false,
    )

const context = (remainingMs = 10_000) => lambdaContext({ remainingMs })

describe('a checker of transactions', () => {
  it('answers what is asked in its window, tells of it as JSON, and leaves', async (t) => {
    const all = await setting(t)
    await all.begin('commit', 'rollback', 'unknown', 'fails')
    const check = all.checker(byBody)

    const result = await check(scheduledEvent(), context())

    const { nearestToLast, ...counts } = result
    deepStrictEqual(counts, {
      committed: 1,
      rolledBack: 1,
      unknown: 1,
      failed: 1,
      nearingLast: 0,
      unreachable: [],
    })
    ok(nearestToLast && nearestToLast.checks > 1)
    deepStrictEqual(JSON.parse(JSON.stringify(result)), result)
    deepStrictEqual(
      all.broker.messages('orders').map(({ body }) => body.toString()),
      ['commit'],
    )
    deepStrictEqual(await isRegistered(all), false)
  })

  it('is there again in the next invocation of the sandbox', async (t) => {
    const all = await setting(t)
    const check = all.checker(byBody, { windowMs: 2_000 })

    const before = await check(scheduledEvent(), context())
    const ids = await all.begin('commit')
    const after = await check(scheduledEvent(), context())

    deepStrictEqual([before.committed, after.committed], [0, 1])
    deepStrictEqual(
      all.broker.messages('orders').map(({ properties }) => properties['UNIQ_KEY']),
      ids,
    )
  })

  it('logs what stays open, what is near its last check, and what was done, and counts them for CloudWatch', async (t) => {
    const all = await setting(t)
    await all.begin('commit', 'fails', 'unknown')
    const lines: [string, string, Record<string, unknown>][] = []
    const write =
      (level: string) =>
      (message: string, fields: Readonly<Record<string, unknown>>): void =>
        void lines.push([level, message, fields])
    const logger = { debug: write('debug'), info: write('info'), warn: write('warn') }
    const printed = printedJson(t)
    const check = all.checker(byBody, {
      logger,
      warnAfterChecks: 2,
      metrics: { namespace: 'shop', dimensions: { service: 'orders' } },
    })

    const result = await check(scheduledEvent(), context())

    deepStrictEqual(
      lines.map(([level, message]) => [level, message]),
      [
        ['warn', 'not answered'],
        ['warn', 'near the last check'],
        ['info', 'checked'],
      ],
    )
    deepStrictEqual(lines[0]?.[2]['reason'], 'the database is away')
    deepStrictEqual(lines[2]?.[2], { producerGroup: GROUP, ...result })
    const [written] = printed
    const { _aws, ...values } = written ?? {}
    deepStrictEqual(values, {
      ProducerGroup: GROUP,
      service: 'orders',
      CommittedTransactionCount: 1,
      RolledBackTransactionCount: 0,
      UnknownTransactionCount: 1,
      FailedTransactionCount: 1,
      NearingLastCheckCount: 2,
      MaxChecks: result.nearestToLast?.checks,
      UnreachableBrokerCount: 0,
    })
    const [directive] = (_aws as { CloudWatchMetrics: Record<string, unknown>[] }).CloudWatchMetrics
    deepStrictEqual(
      [directive?.['Namespace'], directive?.['Dimensions']],
      ['shop', [['ProducerGroup', 'service']]],
    )
  })

  it('ends before the function does, says so, and leaves what hangs open', async (t) => {
    const all = await setting(t)
    await all.begin('commit')
    const warned: string[] = []
    const logger = { ...silent, warn: (message: string) => void warned.push(message) }
    const check = all.checker(() => new Promise(() => {}), {
      windowMs: 60_000,
      warnAfterChecks: 1_000,
      logger,
    })

    const result = await check(scheduledEvent(), context(4_500))

    deepStrictEqual([result.committed, result.failed], [0, 1])
    deepStrictEqual(warned, ['the function has less time than its window', 'not answered'])
    deepStrictEqual(await isRegistered(all), false)
  })

  it('asks about no more at once than it may', async (t) => {
    const all = await setting(t)
    await all.begin(...Array<string>(6).fill('commit'))
    let running = 0
    let most = 0
    const resolve: Resolve = async () => {
      most = Math.max(most, ++running)
      await new Promise((done) => setImmediate(done))
      running--
      return 'commit'
    }

    const { committed } = await all.checker(resolve, { concurrency: 2 })(scheduledEvent(), context())

    deepStrictEqual([committed, most], [6, 2])
  })

  it('tells of a broker that is away, and answers the others', async (t) => {
    const all = await setting(t, { ...QUICK, brokers: 2 })
    await all.begin('commit', 'commit')
    all.broker.brokers[1]?.freeze()

    const { committed, unreachable } = await all.checker(byBody)(scheduledEvent(), context())

    deepStrictEqual([committed, unreachable.map(({ brokerName }) => brokerName)], [1, ['broker-b']])
    deepStrictEqual(typeof unreachable[0]?.reason, 'string')
  })

  it('fails when no broker can be reached', async (t) => {
    const all = await setting(t)
    await all.broker.brokers[0]?.kill()

    await rejects(all.checker(byBody)(scheduledEvent(), context(4_000)), { code: 'RMQ_CONNECT' })
  })

  it('sweeps what brokers have given up on when the event says so', async (t) => {
    const clock = createClock({ at: Date.UTC(2026, 0, 1) })
    const all = await setting(t, { transactionCheckMax: 2, clock })
    const [id] = await all.begin('commit')
    await clock.advance(5 * 60_000)

    const swept = await all.checker(byBody)({ sweep: true }, context())
    const again = await all.checker(byBody)({ sweep: true }, context())

    deepStrictEqual([swept.committed, again.committed], [1, 0])
    deepStrictEqual(
      all.broker.messages('orders').map(({ properties }) => properties['UNIQ_KEY']),
      [id],
    )
  })

  for (const [options, field] of [
    [{ producerGroup: '' }, 'producerGroup'],
    [{ windowMs: 0 }, 'windowMs'],
    [{ windowMs: Number.NaN }, 'windowMs'],
    [{ concurrency: 0 }, 'concurrency'],
    [{ resolveTimeoutMs: '5' }, 'resolveTimeoutMs'],
    [{ warnAfterChecks: -1 }, 'warnAfterChecks'],
    [{ metrics: 'shop' }, 'metrics'],
    [{ logger: {} }, 'logger'],
    [{ window: 1 }, 'window'],
  ] as const)
    it(`is not made with ${JSON.stringify(options)}`, () => {
      const all = { producerGroup: GROUP, client: { nameServers: 'a:1' }, ...options }
      throws(
        () => transactionChecker(all as never, byBody),
        (error) => error instanceof ConfigError && error.field === field,
      )
    })

  it('is not made without a function that says what became of a transaction', () => {
    throws(
      () => transactionChecker({ producerGroup: GROUP, client: { nameServers: 'a:1' } }, undefined as never),
      (error) => error instanceof ConfigError && error.field === 'resolve',
    )
  })
})
