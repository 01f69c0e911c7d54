/**
 * The job: reads what has come since it last ran, counts it by the hour in which a broker has stored it, and writes a report of
 * each hour that is over and was read to its end. It may be cut off anywhere, and started as often as you like.
 */
import type { Client } from 'rocketmq-lambda'
import {
  type EventSourceResult,
  eventSource,
  type LambdaContext,
  type RecordHandler,
} from 'rocketmq-lambda/lambda'
import { readOrder } from './order.ts'
import type { Counts, Part, ReportTable } from './report-table.ts'

const HOUR_MS = 3_600_000
/** An hour is over when it is over by the clocks of all brokers. */
const CLOCKS_DIFFER_MS = 60_000
/** How long ago an hour may be over and be reported yet. */
const LOOK_BACK_MS = 48 * HOUR_MS
/** What is kept of the invocation's time for the reports. */
const REPORT_MS = 10_000

export interface ReportOptions {
  client: Client
  table: ReportTable
  /** The beginning of the first hour: ISO 8601. */
  from: string
  now?: () => number
}

export interface ReportResult {
  /** The hours whose reports were written now. */
  reported: string[]
  /** Messages that were read. */
  read: number
}

type Record = Parameters<RecordHandler>[0]['records'][string][number]

export function reportHours({
  client,
  table,
  from,
  now = Date.now,
}: ReportOptions): (event: unknown, context: LambdaContext) => Promise<ReportResult> {
  /** By queue: the hour of the last message that was counted. */
  const reached = new Map<string, string>()

  const count = eventSource(
    {
      topic: 'orders',
      consumerGroup: 'hourly-report',
      startingPosition: 'AT_TIMESTAMP',
      startingPositionTimestamp: from,
      batchSize: 1_000,
      onFailure: 'block', // when the table is down everything stays where it is, and in its order
      client,
    },
    async ({ records }) => {
      for (const [queue, batch] of Object.entries(records)) {
        const byHour = Object.groupBy(batch, ({ timestamp }) => hourOf(timestamp))
        for (const [hour, ofHour = []] of Object.entries(byHour)) {
          await countPart(table, hour, queue, ofHour)
          reached.set(queue, hour)
        }
      }
    },
  )

  return async (event, context) => {
    const startedAt = now()
    const remaining = (): number => context.getRemainingTimeInMillis() - REPORT_MS
    const result = await count(event, { ...context, getRemainingTimeInMillis: remaining })
    const reported: string[] = []
    for (const hour of hoursBetween(Math.max(Date.parse(from), startedAt - LOOK_BACK_MS), startedAt)) {
      const { report, parts } = await table.hour(hour)
      if (report !== undefined) continue
      // An error, so that Lambda starts the job again: after one minute, and after two more.
      if (!wasReadPast(hour, result, reached)) throw new Error(`${hour} is not read to its end yet`)
      if (await table.writeReport(hour, parts.reduce(add, NOTHING))) reported.push(hour)
    }
    return { reported, read: result.handled }
  }
}

/** Counts what was not counted yet. */
async function countPart(table: ReportTable, hour: string, queue: string, records: Record[]): Promise<void> {
  for (;;) {
    const previous = await table.part(hour, queue)
    const fresh = records.filter(({ offset }) => BigInt(offset) >= (previous?.nextOffset ?? 0n))
    const last = fresh.at(-1)
    if (last === undefined) return
    const part: Part = {
      ...fresh.map(({ body }) => countsOf(body)).reduce(add, previous ?? NOTHING),
      nextOffset: BigInt(last.offset) + 1n,
    }
    // Otherwise somebody was faster; or it was this write, whose answer the SDK has not had and repeated it.
    if (await table.writePart(hour, queue, part, previous)) return
  }
}

function countsOf(body: Buffer): Counts {
  const order = readOrder(body)
  return order
    ? { orders: 1, totalCents: order.totalCents, unreadable: 0 }
    : { orders: 0, totalCents: 0, unreadable: 1 }
}

const NOTHING: Counts = { orders: 0, totalCents: 0, unreadable: 0 }

const add = (a: Counts, b: Counts): Counts => ({
  orders: a.orders + b.orders,
  totalCents: a.totalCents + b.totalCents,
  unreadable: a.unreadable + b.unreadable,
})

/** Every queue was read to its end after the hour, or to a message of a later one: brokers store in the order of time. */
const wasReadPast = (
  hour: string,
  { leftToOthers, queues }: EventSourceResult,
  reached: ReadonlyMap<string, string>,
): boolean =>
  leftToOthers === 0 &&
  queues.every(
    ({ topic, brokerName, queueId, lag, stopped }) =>
      (lag === 0 && stopped === undefined) || (reached.get(`${topic}/${brokerName}/${queueId}`) ?? '') > hour,
  )

/** `2026-11-27T01`, in UTC. */
const hourOf = (time: number): string => new Date(time).toISOString().slice(0, 13)

/** The hours that begin at or after `from` and are over. */
function* hoursBetween(from: number, now: number): Generator<string> {
  const first = Math.ceil(from / HOUR_MS) * HOUR_MS
  for (let begin = first; begin + HOUR_MS + CLOCKS_DIFFER_MS <= now; begin += HOUR_MS) yield hourOf(begin)
}
