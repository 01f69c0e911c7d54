/**
 * Messages that nobody had read were passed over: a replica that checks offsets (offsetCheckInSlave) and lags behind its master
 * says that a queue ends before where the group stands. It was taken for a queue that had lost its messages, so that the group began
 * anew: with LATEST at the end of the master's queue, else with all of it once more.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { fakeCluster, type Handlers } from '../support/fake-cluster.ts'
import { filled, flat, holding, pullHeader, run } from '../support/scripted-queue.ts'

const suggesting = (id: number, next: number, max: number): Record<string, string> => ({
  ...pullHeader(next, max),
  suggestWhichBrokerId: String(id),
})

it('where a queue ends is asked of its master when a replica says that it ends before the group', async (t) => {
  const log = filled(100, 40n)
  const handled: number[] = []
  const master = holding(log, {
    [RequestCode.PULL_MESSAGE]: ({ ext: { queueOffset } }) => {
      const from = Number(queueOffset)
      const found = log.messages.slice(from, from + 32)
      const ext = suggesting(1, from + found.length, 100)
      return found.length > 0 ? { ext, body: Buffer.concat(found) } : { code: 19, ext }
    },
  })
  const replica: Handlers = { [RequestCode.PULL_MESSAGE]: () => ({ code: 21, ext: suggesting(0, 0, 50) }) }
  const topics = { orders: { readQueueNums: 1, writeQueueNums: 1 } }
  const cluster = await fakeCluster(t, {
    topics,
    brokers: { 'broker-a': master },
    replicas: { 'broker-a': { 1: replica } },
  })

  const { skipped, queues } = await run(
    cluster,
    async (event) => void handled.push(...flat(event).map(({ offset }) => Number(offset))),
    { startingPosition: 'LATEST' },
  )

  const asked = cluster.codes('broker-a/1').includes(RequestCode.PULL_MESSAGE)
  const unread = Array.from({ length: 60 }, (_, index) => 40 + index)
  deepStrictEqual(
    [asked, handled, skipped, queues[0]?.moved, log.committed],
    [true, unread, 0, undefined, 100n],
  )
})

it('a reset that the master tells where the suggested replica is gone is not asked for a second time', async (t) => {
  const log = filled(100, 40n)
  let told = 0
  const handled: number[] = []
  const master = holding(log, {
    [RequestCode.PULL_MESSAGE]: ({ ext: { queueOffset } }) => {
      const from = Number(queueOffset)
      if (from === 72 && told++ === 0) {
        log.committed = 98n
        return { code: 21, ext: suggesting(0, 98, 100) }
      }
      const found = log.messages.slice(from, from + 32)
      const ext = suggesting(1, from + found.length, 100)
      return found.length > 0 ? { ext, body: Buffer.concat(found) } : { code: 19, ext }
    },
  })
  const topics = { orders: { readQueueNums: 1, writeQueueNums: 1 } }
  const cluster = await fakeCluster(t, { topics, brokers: { 'broker-a': master } })

  const { queues } = await run(
    cluster,
    async (event) => void handled.push(...flat(event).map(({ offset }) => Number(offset))),
    { batchSize: 1 },
  )

  deepStrictEqual(
    [queues[0]?.moved, handled.slice(-2), log.committed],
    ['from 72 to 98: it was reset', [98, 99], 100n],
  )
})
