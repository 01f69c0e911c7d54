/** A clock that was set back while a call waited made it wait so much longer: a broker that hung held up a function by the whole step. */
import { strictEqual } from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { RequestCode } from '../../src/commands/index.ts'
import { createPullConsumer } from '../../src/index.ts'
import { fakeCluster } from '../support/fake-cluster.ts'

const QUEUE = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
const STEP_MS = 3_600_000

for (const { what, timeoutMs, withinMs, code } of [
  { what: 'timeoutMs', timeoutMs: 200, code: 'RMQ_TIMEOUT' },
  { what: 'deadlineMs', timeoutMs: 3_000, withinMs: 300, code: 'RMQ_DEADLINE' },
])
  it(`a call ends by its ${what}, though the clock is set back meanwhile`, async (t) => {
    const now = Date.now
    let stepMs = 0
    const cluster = await fakeCluster(t, {
      brokers: {
        'broker-a': {
          [RequestCode.GET_MAX_OFFSET]: () => {
            stepMs = STEP_MS
            return undefined
          },
        },
      },
    })
    t.mock.method(Date, 'now', () => now() - stepMs)
    const consumer = createPullConsumer(cluster.client({ timeoutMs }), { consumerGroup: 'g' })

    const call = consumer.maxOffset(QUEUE, withinMs ? { deadlineMs: Date.now() + withinMs } : {})
    const ended = await Promise.race([
      call.catch((error) => error.code),
      wait(20_000, 'it waits', { ref: false }),
    ])

    strictEqual(ended, code)
  })
