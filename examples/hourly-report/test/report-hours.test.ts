/** The job against a broker and a table in memory, whose clock the tests move: each hour is counted once, whatever dies. */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createClient, createProducer } from 'rocketmq-lambda'
import {
  createClock,
  type LocalBroker,
  lambdaContext,
  scheduledEvent,
  startBroker,
} from 'rocketmq-lambda/testing'
import { startTable } from '../local/table.ts'
import { type ReportResult, reportHours } from '../src/report-hours.ts'
import { type Counts, type ReportTable, reportTable } from '../src/report-table.ts'

const FROM = '2026-12-01T08:00:00Z'

interface Shop {
  broker: LocalBroker
  table: ReportTable
  order: (...cents: number[]) => Promise<void>
  /** Lets the time pass up to this time of the day. */
  waitUntil: (time: string) => Promise<void>
  /** The job, cold: nothing is left of an earlier run. */
  run: (table?: ReportTable) => Promise<ReportResult>
  report: (hour: string) => Promise<Counts | undefined>
}

async function openShop(t: TestContext): Promise<Shop> {
  const clock = createClock({ at: Date.parse('2026-12-01T07:30:00Z') })
  const broker = await startBroker({ clock, topics: { orders: { queues: 2 } } })
  const local = await startTable('reports')
  t.after(async () => {
    await broker.close()
    await local[Symbol.asyncDispose]()
  })
  const client = createClient({ nameServers: broker.nameServers })
  const producer = createProducer(client, { producerGroup: 'shop' })
  const table = reportTable(local.dynamodb, 'reports')
  return {
    broker,
    table,
    order: async (...cents) => {
      for (const totalCents of cents)
        await producer.send({ topic: 'orders', body: JSON.stringify({ order: 'order-1', totalCents }) })
    },
    waitUntil: (time) => clock.advance(Date.parse(`2026-12-01T${time}:00Z`) - clock.now()),
    run: (used = table) => {
      const job = reportHours({ client, table: used, from: FROM, now: () => clock.now() })
      return job(scheduledEvent(), lambdaContext({ remainingMs: 30_000 }))
    },
    report: async (hour) => (await table.hour(hour)).report,
  }
}

const counts = (orders: number, totalCents: number, unreadable = 0): Counts => ({
  orders,
  totalCents,
  unreadable,
})

test('each hour is reported once, from the first one on; one without orders is too', async (t) => {
  const shop = await openShop(t)
  await shop.order(1_000) // before the first hour
  await shop.waitUntil('08:10')
  await shop.order(100, 20, 3)
  await shop.waitUntil('10:01')
  await shop.order(4)

  await shop.waitUntil('10:05')
  const results = [await shop.run(), await shop.run()]
  await shop.waitUntil('11:05')
  results.push(await shop.run())

  deepStrictEqual(results, [
    { reported: ['2026-12-01T08', '2026-12-01T09'], read: 4 },
    { reported: [], read: 0 },
    { reported: ['2026-12-01T10'], read: 0 },
  ])
  const reports = await Promise.all(['08', '09', '10'].map((hour) => shop.report(`2026-12-01T${hour}`)))
  deepStrictEqual(reports, [counts(3, 123), counts(0, 0), counts(1, 4)])
})

test('what is no order is counted as such, and holds nothing up', async (t) => {
  const shop = await openShop(t)
  await shop.waitUntil('08:10')
  await shop.order(100, Number.NaN, 20)
  await shop.waitUntil('09:05')

  await shop.run()

  deepStrictEqual(await shop.report('2026-12-01T08'), counts(2, 120, 1))
})

test('orders that come again, because a killed broker has lost the commit, are not counted again', async (t) => {
  const shop = await openShop(t)
  await shop.waitUntil('08:10')
  await shop.order(100, 20)
  await shop.waitUntil('08:30')
  const early = await shop.run()
  await shop.broker.brokers[0]?.kill()
  await shop.broker.brokers[0]?.start()
  await shop.order(3)
  await shop.waitUntil('09:05')

  const { reported, read } = await shop.run()

  deepStrictEqual([early.read, read, reported], [2, 3, ['2026-12-01T08']])
  deepStrictEqual(await shop.report('2026-12-01T08'), counts(3, 123))
})

test('a job that dies behind any of its writes leaves no report, and the next one has the right one', async (t) => {
  for (const survived of [0, 1, 2, 3]) {
    const shop = await openShop(t)
    await shop.waitUntil('08:10')
    await shop.order(100, 20, 3)
    await shop.waitUntil('09:05')
    let writes = 0
    const dying: ReportTable = {
      ...shop.table,
      writePart: async (...args) => {
        const done = await shop.table.writePart(...args)
        if (writes++ === survived) throw new Error('killed')
        return done
      },
      writeReport: async () => {
        throw new Error('killed')
      },
    }

    await rejects(shop.run(dying))
    const left = await shop.report('2026-12-01T08')
    const { reported } = await shop.run()

    deepStrictEqual([left, reported], [undefined, ['2026-12-01T08']])
    deepStrictEqual(await shop.report('2026-12-01T08'), counts(3, 123))
  }
})

test('an hour is not reported while another invocation holds a queue', async (t) => {
  const shop = await openShop(t)
  await shop.waitUntil('08:10')
  await shop.order(100, 20)
  await shop.waitUntil('09:05')
  let nested: unknown
  const slow: ReportTable = {
    ...shop.table,
    writePart: async (...args) => {
      nested ??= await shop.run().catch(String)
      return await shop.table.writePart(...args)
    },
  }

  const { reported } = await shop.run(slow)

  deepStrictEqual([nested, reported], ['Error: 2026-12-01T08 is not read to its end yet', ['2026-12-01T08']])
  deepStrictEqual(await shop.report('2026-12-01T08'), counts(2, 120))
})
