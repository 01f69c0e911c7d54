/**
 * With a broker that hung, functions answered less than half a second before their time limit: `publish` worked until exactly then,
 * and `consume` and `dispatch` gave their leases back behind that. On a busy machine Lambda cut the answer off: the invocation
 * counted as a timeout, and its environment was thrown away.
 */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { type Client, createClient, createProducer } from '../../src/index.ts'
import { invocationDeadline } from '../../src/lambda/context.ts'
import { eventSource } from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../src/testing/index.ts'

const LIMIT_MS = 10_000
const PROMISED_MS = 500
/** Two answers of `consume` came so much later than the last of its calls had to end, while a broker was suspended. */
const SEEN_LATE_MS = 200

describe('the work of an invocation', () => {
  for (const reserveMs of [undefined, 350])
    it(`ends early enough for an answer half a second before its limit, with ${reserveMs ?? 'no'} ms of work behind it`, (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
      const limit = Date.now() + LIMIT_MS

      const end = invocationDeadline(lambdaContext({ remainingMs: LIMIT_MS }), reserveMs)

      const leftMs = limit - end - (reserveMs ?? 140) - SEEN_LATE_MS
      assert.ok(leftMs >= PROMISED_MS, `${leftMs} ms are left`)
    })
})

describe('the last calls of consume, commits and giving leases back,', () => {
  for (const mode of ['pull', 'pop'] as const)
    it(`must end so early that an answer which is late by ${SEEN_LATE_MS} ms comes in time: ${mode}`, async (t) => {
      const { client, endings } = await noting(t)
      await createProducer(client, { producerGroup: 'shop' }).send({ topic: 'orders', body: '1' })
      const handler = eventSource(
        { topic: 'orders', consumerGroup: 'billing', client, mode },
        async () => undefined,
      )
      // From here on all ends of calls follow from the limit alone.
      t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
      const limit = Date.now() + LIMIT_MS
      endings.length = 0

      await handler(scheduledEvent(), lambdaContext({ remainingMs: LIMIT_MS }))

      const leftMs = limit - Math.max(...endings) - SEEN_LATE_MS
      assert.ok(leftMs >= PROMISED_MS, `${leftMs} ms are left`)
      assert.ok(leftMs < LIMIT_MS / 2, 'no call had a limit that follows from that of the invocation')
    })
})

/** A client of a local broker, and when each of its calls had to be over, epoch ms. */
async function noting(t: TestContext): Promise<{ client: Client; endings: number[] }> {
  const broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const own = createClient({ nameServers: broker.nameServers })
  t.after(async () => {
    await own.close()
    await broker.close()
  })
  const endings: number[] = []
  const client: Client = {
    ...own,
    deadline(limits) {
      if (limits?.deadlineMs !== undefined) endings.push(limits.deadlineMs)
      return own.deadline(limits)
    },
  }
  return { client, endings }
}
