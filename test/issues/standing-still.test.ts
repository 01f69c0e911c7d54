/**
 * A process that was suspended, or whose handler kept the event loop busy, gave up calls whose answers had long come: timers
 * are looked at before sockets. A send was then made again, and stored twice.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { createProducer } from '../../src/index.ts'
import type { Frame } from '../../src/wire/index.ts'
import { fakeCluster, stored } from '../support/fake-cluster.ts'
import type { FakeConnection } from '../support/fake-server.ts'

const TIMEOUT_MS = 1_000

it('an answer that came while the event loop stood still for longer than timeoutMs is taken', async (t) => {
  const broker = {
    [RequestCode.SEND_MESSAGE_V2]: (frame: Frame, connection: FakeConnection) => {
      connection.reply(frame, stored(frame))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1.2 * TIMEOUT_MS)
      return undefined
    },
  }
  const cluster = await fakeCluster(t, { brokers: { 'broker-a': broker } })
  const producer = createProducer(cluster.client({ timeoutMs: TIMEOUT_MS }), { producerGroup: 'g' })

  const { status } = await producer.send({ topic: 'orders', body: 'x' })

  deepStrictEqual([status, cluster.codes()], ['SEND_OK', [RequestCode.SEND_MESSAGE_V2]])
})
