/** One of the invocations that contend for the same queues. */
import { setTimeout as wait } from 'node:timers/promises'
import { type Client, createClient, DeadlineError } from '../../src/index.ts'
import { type EventSourceResult, eventSource } from '../../src/lambda/index.ts'
import { lambdaContext } from '../../src/testing/index.ts'
import type { Entry } from './orders.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** What they contend for. */
export interface Contended {
  nameServers: string
  topic: string
  group: string
}

/** One invocation, with a client of its own as a new environment has, or that of a warm one. Undefined: it was cut off. */
export async function consume(
  c: Contended,
  ledger: Entry[],
  invocation: string,
  {
    remainingMs,
    workMs = 0,
    event = {},
    client: warm,
  }: { remainingMs: number; workMs?: number; event?: object; client?: Client },
): Promise<EventSourceResult | undefined> {
  // What ends a call is the time of its invocation: a busy machine is no reason to fail.
  const client = warm ?? createClient({ nameServers: c.nameServers, timeoutMs: 20_000 })
  const mapping = { topic: c.topic, consumerGroup: c.group, batchSize: 5, client, logger: silent }
  const handler = eventSource(mapping, async ({ records }, _context, { signal }) => {
    for (const record of Object.values(records).flat()) {
      const { n } = record.json() as { n: number }
      const { messageId, sourceTopic, brokerName, queueId, offset, reconsumeTimes } = record
      const tell = (what: Entry['what']): void => {
        const queue = `${sourceTopic}/${brokerName}/${queueId}`
        ledger.push({
          what,
          invocation,
          queue,
          offset: Number(offset),
          messageId,
          n,
          reconsumeTimes,
          at: performance.timeOrigin + performance.now(),
        })
      }
      tell('start')
      // A frozen environment would not go on with it either.
      if (workMs > 0)
        await wait(workMs, undefined, { signal }).catch((error) => {
          tell('cut')
          throw error
        })
      tell('end')
    }
  })
  try {
    return await handler(event, lambdaContext({ remainingMs }))
  } catch (error) {
    // Its last batch comes again.
    if (error instanceof DeadlineError) return undefined
    throw error
  } finally {
    if (!warm) await client.close()
  }
}
