/** Handlers of the user that never settle. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient, createGroupAdmin, serve } from '../../src/index.ts'
import { startBroker } from '../../src/testing/index.ts'

it('an idsChanged that never settles is left when its time is over; serve never ended', async (t) => {
  await using broker = await startBroker({ topics: ['orders'] })
  const client = createClient({ nameServers: broker.nameServers })
  t.after(() => client.close())
  let told = 0
  const idsChanged = (): Promise<void> => {
    told++
    return new Promise(() => undefined)
  }

  const served = serve(client, {
    consumerGroup: 'billing',
    windowMs: 1_500,
    handlerTimeoutMs: 50,
    deadlineMs: Date.now() + 20_000,
    handlers: { idsChanged: idsChanged as () => void },
  })
  const ended = await Promise.race([served.then(() => true), delay(15_000, false, { ref: true })])

  ok(told > 0)
  deepStrictEqual(ended, true)
  deepStrictEqual(await createGroupAdmin(client).members('billing'), [])
})
