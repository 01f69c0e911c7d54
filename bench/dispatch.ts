/**
 * The dispatcher: what a tick takes, warm, over more and more mappings with a topic of 8 queues and a group each, on one
 * broker. Lambda's API is left out: a tick that finds nothing invokes nobody.
 */

import { createGroupAdmin } from '../src/client/admin/groups.ts'
import { createTopicAdmin } from '../src/client/admin/topics.ts'
import { createClient, createPullConsumer } from '../src/index.ts'
import { dispatcher } from '../src/lambda/index.ts'
import { lambdaContext } from '../src/testing/index.ts'
import { type Cells, median, table, whole } from './report.ts'

const STEPS = [1, 50, 200, 500] as const
const QUEUES = 8
const TICKS = 9
/** So many topics and groups are made ready at once. */
const AT_ONCE = 20

const nobody = { send: () => Promise.reject(new Error('nobody is to be invoked')) }

export async function dispatchTicks(nameServers: string): Promise<string> {
  const client = createClient({ nameServers, timeoutMs: 20_000 })
  const lines: Cells[] = []
  try {
    let ready = 0
    for (const count of STEPS) {
      const names = Array.from({ length: count }, (_, at) => `dispatched-${at}`)
      for (; ready < count; ready = Math.min(count, ready + AT_ONCE))
        await Promise.all(names.slice(ready, ready + AT_ONCE).map((name) => prepare(client, name)))
      const eventSources = Object.fromEntries(
        names.map((name) => [name, { topic: name, consumerGroup: `group-of-${name}` }]),
      )
      const tick = dispatcher({ eventSources, functionName: 'consume', client, lambda: nobody as never })
      const times: number[] = []
      const cpu = process.cpuUsage()
      for (let run = 0; run <= TICKS; run++) {
        const start = performance.now()
        await tick({}, lambdaContext({ remainingMs: 30_000 }))
        // The first one fetches routes.
        if (run > 0) times.push(performance.now() - start)
      }
      const { user, system } = process.cpuUsage(cpu)
      const cpuMs = (user + system) / 1000 / (TICKS + 1)
      lines.push([whole(count), whole(count * QUEUES), median(times).toFixed(1), cpuMs.toFixed(1)])
    }
  } finally {
    await client.close()
  }
  for (const line of lines) console.log(`  ${line.join('  ')}`)
  return `**a tick of the dispatcher, nothing waiting** (median of ${TICKS})\n\n${table(['mappings', 'queues', 'ms', 'CPU, ms'], lines)}`
}

/** A topic, and a group that has begun to read it. */
async function prepare(client: ReturnType<typeof createClient>, topic: string): Promise<void> {
  const consumerGroup = `group-of-${topic}`
  await createGroupAdmin(client).create(consumerGroup)
  await createTopicAdmin(client).create(topic, { readQueueNums: QUEUES, writeQueueNums: QUEUES })
  const consumer = createPullConsumer(client, { consumerGroup })
  for (const queue of await consumer.queues(topic)) await consumer.commitOffset(queue, 0n)
}
