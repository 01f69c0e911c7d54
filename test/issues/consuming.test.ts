/** What an event source once did not say, or did although it should not have. */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { type EventSourceLogger, eventSource } from '../../src/lambda/index.ts'
import { lambdaContext } from '../../src/testing/index.ts'
import { type Consuming, consuming, sendUndecodable } from '../support/consuming.ts'
import { fakeCluster } from '../support/fake-cluster.ts'
import { printedJson } from '../support/printed.ts'
import { filled, holding, run } from '../support/scripted-queue.ts'

type Line = [level: string, message: string, fields: Readonly<Record<string, unknown>>]

function noting(): { logger: EventSourceLogger; lines: Line[] } {
  const lines: Line[] = []
  const at =
    (level: string): EventSourceLogger['info'] =>
    (message, fields) =>
      void lines.push([level, message, fields])
  return { lines, logger: { debug: at('debug'), info: at('info'), warn: at('warn') } }
}

const nothing = async (): Promise<void> => undefined

describe('a broker that stays silent in an invocation shorter than timeoutMs', () => {
  /** A second of it is kept back; what is left a stalled machine has to come to the silent question, and is less than timeoutMs. */
  const SHORT_MS = 3_500
  const UNREAD = 'it was not read before the invocation ended'
  const pull = RequestCode.PULL_MESSAGE

  /** Two brokers with two messages each, whose offsets are committed. */
  async function setting(): Promise<Consuming> {
    const own = await consuming({ brokers: 2 })
    await own.run(nothing)
    for (const brokerName of ['broker-a', 'broker-b'])
      for (const body of ['1', '2'])
        await own.producer.send({
          topic: 'orders',
          body,
          queue: { topic: 'orders', brokerName, queueId: 0 },
        })
    return own
  }

  function metricsOf(t: TestContext): { first(): Record<string, unknown> } {
    const written = printedJson(t)
    return { first: () => written[0] ?? {} }
  }

  it('fails an invocation that could read none of its queues', async (t) => {
    await using own = await setting()
    const { logger, lines } = noting()
    const metrics = metricsOf(t)
    own.broker.faults.add({ fault: 'drop', code: pull })

    await rejects(own.run(nothing, { logger, metrics: true }, SHORT_MS), {
      code: 'RMQ_DEADLINE',
      topic: 'orders',
      message: /^no queue of orders was read before the invocation ended; see whether its brokers answer/,
    })

    const warned = lines.filter(([level]) => level === 'warn')
    deepStrictEqual(
      Object.fromEntries(
        warned.map(([, message, { brokerName, stopped }]) => [brokerName, [message, stopped]]),
      ),
      {
        'broker-a': ['queue left before its end', UNREAD],
        'broker-b': ['queue left before its end', UNREAD],
      },
    )
    const { OffsetLag, MaxOffsetLag, SumOffsetLag, PolledEventCount } = metrics.first()
    deepStrictEqual(
      [OffsetLag, MaxOffsetLag, SumOffsetLag, PolledEventCount],
      [undefined, undefined, undefined, 0],
    )
  })

  it('is named where others were read: its lag is not known, and never 0', async (t) => {
    await using own = await setting()
    const { logger, lines } = noting()
    const metrics = metricsOf(t)
    own.broker.faults.add({ fault: 'drop', code: pull, server: 'broker-b' })

    const { handled, queues } = await own.run(nothing, { logger, metrics: true }, SHORT_MS)

    const found = Object.fromEntries(
      queues.map(({ brokerName, lag, stopped }) => [brokerName, [lag, stopped]]),
    )
    deepStrictEqual(found, { 'broker-a': [0, undefined], 'broker-b': [undefined, UNREAD] })
    deepStrictEqual(handled, 2)
    deepStrictEqual(lines[0]?.[2]['brokerName'], 'broker-b')
    deepStrictEqual(metrics.first()['OffsetLag'], [0])
  })

  it('fails a dry run as well', async () => {
    await using own = await setting()
    own.broker.faults.add({ fault: 'drop', code: pull })

    await rejects(own.run(nothing, { dryRun: true }, SHORT_MS), { code: 'RMQ_DEADLINE' })
  })
})

describe('a payload that names another mapping', () => {
  const payload = { version: 1, eventSource: 'refunds' }
  const mapping = { topic: 'orders', consumerGroup: 'billing', client: { nameServers: '127.0.0.1:1' } }

  for (const [what, options, known] of [
    ['has a name', { name: 'mine' }, 'mine'],
    ['has none: it goes by its topic', {}, 'orders'],
    ['is not enabled', { enabled: false }, 'orders'],
  ] as const) {
    it(`is refused by an event source that ${what}`, async () => {
      const handler = eventSource({ ...mapping, ...options }, nothing)

      await rejects(handler(payload, lambdaContext()), {
        code: 'RMQ_CONFIG',
        field: 'eventSource',
        message: `eventSource: "refunds" is no mapping of this function; it has ${known}`,
      })
    })
  }
})

describe('a record that cannot be decoded', () => {
  it('comes again after the delays of retryLevels, as any other that failed', async () => {
    await using own = await consuming()
    await sendUndecodable(own.client)
    const options = { retryLevels: [1, 2], maximumRetryAttempts: 2 } // 1 s, then 5 s
    const failedAfter = async (ms: number): Promise<number[]> => {
      await own.broker.clock.advance(ms)
      const { failed, sentBack, deadLettered } = await own.run(nothing, options)
      return [failed, sentBack, deadLettered]
    }

    const first = await failedAfter(0)
    const second = await failedAfter(1_500)
    const early = await failedAfter(1_500)
    const third = await failedAfter(4_000)

    deepStrictEqual(
      [first, second, early, third],
      [
        [1, 1, 0],
        [1, 1, 0],
        [0, 0, 0],
        [1, 0, 1],
      ],
    )
  })
})

it('a topic that nobody may read fails the invocation; it ended well, and nothing showed what waits there', async (t) => {
  const writeOnly = { orders: { readQueueNums: 1, writeQueueNums: 1, perm: 2 } }
  const cluster = await fakeCluster(t, { topics: writeOnly, brokers: { 'broker-a': holding(filled(3, 0n)) } })

  await rejects(run(cluster, nothing), {
    code: 'RMQ_ROUTE',
    topic: 'orders',
    message: 'topic orders has no readable queue',
  })
})
