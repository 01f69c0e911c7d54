/** Brokers were asked as fast as they answer, until the invocation or its window was over, when their answers led nowhere. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { eventSource } from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent } from '../../src/testing/index.ts'
import { fakeCluster } from '../support/fake-cluster.ts'
import { filled, holding, pullHeader, run, scripted } from '../support/scripted-queue.ts'
import { storedMessage } from '../support/stored-message.ts'

it('a queue whose answers go back is not asked again at once', async (t) => {
  const back = { [RequestCode.PULL_MESSAGE]: () => ({ code: 19, ext: pullHeader(4, 10) }) }
  const cluster = await scripted(t, holding(filled(10, 5n), back))

  await run(cluster, async () => undefined, {}, 3_000)

  deepStrictEqual(cluster.codes().filter((code) => code === RequestCode.PULL_MESSAGE).length, 1)
})

it('a broker that holds no pops, as too many wait, is not asked at once again within a window', async (t) => {
  let pops = 0
  const cluster = await fakeCluster(t, {
    topics: { orders: { readQueueNums: 1, writeQueueNums: 1 } },
    brokers: {
      'broker-a': {
        [RequestCode.POP_MESSAGE]: () => {
          pops += 1
          const ext = {
            popTime: String(Date.now()),
            invisibleTime: '60000',
            reviveQid: '0',
            restNum: '0',
            startOffsetInfo: '0 0 0',
          }
          return pops > 1 ? { code: 209, ext } : { ext, body: storedMessage() }
        },
        [RequestCode.ACK_MESSAGE]: () => ({}),
      },
    },
  })
  const client = cluster.client()
  const handler = eventSource(
    { topic: 'orders', consumerGroup: 'billing', mode: 'pop', maximumBatchingWindowInSeconds: 1, client },
    async () => undefined,
  )

  const { handled } = await handler(scheduledEvent(), lambdaContext({ remainingMs: 10_000 }))

  deepStrictEqual(handled, 1)
  ok(pops < 50, `${pops} pops in a second`)
})
