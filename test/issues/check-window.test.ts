/**
 * What a window of checks was asked before its end and had not come to yet, because `resolve` was busy with others, was reported as
 * unknown and left open: it was delivered a round of checks later, and an alarm on transactions that stay open could ring. So was
 * what had failed in the round before and was asked about once more in the last moment: its error was not told.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient, createTransactionProducer, type Resolve } from '../../src/index.ts'
import { type TransactionCheckerResult, transactionChecker } from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../src/testing/index.ts'

const GROUP = 'order-api'
const WINDOW_MS = 2_000

interface Window {
  begin: (body: string) => Promise<unknown>
  /** One invocation, which asks about one transaction at a time. */
  check: (resolve: Resolve) => Promise<TransactionCheckerResult>
  delivered: () => string[]
}

/** Rounds come often, so that many fall into the window. */
async function open(t: TestContext): Promise<Window> {
  const topics = { orders: { queues: 1 } }
  const broker = await startBroker({ topics, transactionCheckInterval: 100, transactionTimeOut: 50 })
  const client = createClient({ nameServers: broker.nameServers })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const transactions = createTransactionProducer(client, { producerGroup: GROUP })
  const logger = { debug() {}, info() {}, warn() {} }
  return {
    begin: (body) => transactions.begin({ topic: 'orders', body }),
    check: (resolve) =>
      transactionChecker(
        { producerGroup: GROUP, windowMs: WINDOW_MS, concurrency: 1, logger, client },
        resolve,
      )(scheduledEvent(), lambdaContext({ remainingMs: 20_000 })),
    delivered: () => broker.messages('orders').map(({ body }) => body.toString()),
  }
}

/** Resolves when a window that begins now is over. */
const windowEnd = async (): Promise<void> => await wait(WINDOW_MS + 1_000)

it('a transaction that waits for others when the window ends is resolved', async (t) => {
  const { begin, check, delivered } = await open(t)
  for (const body of ['1', '2', '3']) await begin(body)
  const over = windowEnd()

  const { committed, unknown } = await check(async () => {
    await over
    return 'commit'
  })

  deepStrictEqual([committed, unknown, delivered().toSorted()], [3, 0, ['1', '2', '3']])
})

it('a transaction that has failed, and waits to be asked about again when the window ends, is resolved', async (t) => {
  const { begin, check, delivered } = await open(t)
  await begin('fails at first')
  const over = windowEnd()
  let slow: Promise<unknown> | undefined
  let isOver = false

  const { committed, unknown, failed } = await check(async ({ body }) => {
    if (body.toString() === 'slow') await over.then(() => (isOver = true))
    else if (!isOver) {
      slow ??= begin('slow')
      await slow
      throw new Error('the database is away')
    }
    return 'commit'
  })

  deepStrictEqual([committed, unknown, failed, delivered().toSorted()], [2, 0, 0, ['fails at first', 'slow']])
})
