/** Promises that nobody waits for: rejected, they ended the process. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { it, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient, createProducer } from '../../src/index.ts'
import { type EventSourceLogger, eventSource, transactionChecker } from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../src/testing/index.ts'
import { fakeCluster } from '../support/fake-cluster.ts'

/** The reasons of promises that were rejected with nobody to hear of it: any of them would end a function. */
function unheard(t: TestContext): unknown[] {
  const reasons: unknown[] = []
  // The runner fails a test for them: it is to see what they are.
  const others = process.listeners('unhandledRejection')
  const note = (reason: unknown): void => void reasons.push(reason)
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', note)
  t.after(() => {
    process.off('unhandledRejection', note)
    for (const each of others) process.on('unhandledRejection', each)
  })
  return reasons
}

it('an async addressMap is refused by its name; where it rejected, it ended the process', async (t) => {
  const reasons = unheard(t)
  const cluster = await fakeCluster(t)
  const maps = [
    async () => Promise.reject(new Error('the table is down')),
    async () => cluster.broker().address,
    () => 5,
  ]

  const errors: unknown[] = []
  for (const addressMap of maps) {
    const producer = createProducer(cluster.client({ addressMap: addressMap as never }), {
      producerGroup: 'g',
    })
    errors.push(await producer.send({ topic: 'orders', body: 'x' }).catch((error: unknown) => error))
  }
  await delay(10)

  deepStrictEqual(
    [reasons, errors.map((each) => (each as Error).message)],
    [
      [],
      [
        'addressMap: must not be async',
        'addressMap: must not be async',
        'addressMap: takes non-empty text, no unpaired surrogates',
      ],
    ],
  )
})

it('a logger whose promises reject is told of on the console; they ended the process', async (t) => {
  const reasons = unheard(t)
  const warned = t.mock.method(console, 'warn', () => undefined)
  await using broker = await startBroker({ topics: ['orders'] })
  const client = createClient({ nameServers: broker.nameServers })
  t.after(() => client.close())
  await createProducer(client, { producerGroup: 'shop' }).send({ topic: 'orders', body: 'x' })
  const failing = async (): Promise<never> => Promise.reject(new Error('the log is full'))
  const logger = { debug: failing, info: failing, warn: failing } as unknown as EventSourceLogger
  const consume = eventSource(
    { topic: 'orders', consumerGroup: 'billing', client, logger },
    async () => undefined,
  )
  const check = transactionChecker(
    { producerGroup: 'shop', windowMs: 10, client, logger },
    async () => 'commit',
  )

  const { handled } = await consume(scheduledEvent(), lambdaContext())
  await check(scheduledEvent(), lambdaContext())
  await delay(10)

  deepStrictEqual([handled, reasons], [1, []])
  const lines = warned.mock.calls.map(({ arguments: [line] }) => String(line))
  ok(lines.length >= 2)
  for (const line of lines)
    deepStrictEqual(JSON.parse(line), {
      level: 'WARN',
      message: 'the logger failed',
      reason: 'the log is full',
    })
})
