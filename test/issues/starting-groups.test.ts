/**
 * A group began with LATEST, and one queue was read from its beginning all the same: an invocation had asked where that queue stands
 * before another one set the start of all, and whether the group has begun only then. It took the queue for one that was added
 * later, committed its beginning over the start, and handled all that it held.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { it } from 'node:test'
import { RequestCode } from '../../src/commands/index.ts'
import { fakeCluster } from '../support/fake-cluster.ts'
import { filled, flat, holding, run } from '../support/scripted-queue.ts'

it('a queue that another invocation sets the start of meanwhile is read from there', async (t) => {
  const offsets = new Map<string, string>()
  const commits: unknown[] = []
  const handled: unknown[] = []
  const broker = holding(filled(10), {
    // Queue 0 is that of the other one.
    [RequestCode.LOCK_BATCH_MQ]: ({ body }) => {
      const { mqSet } = JSON.parse(body.toString()) as { mqSet: { queueId: number }[] }
      return {
        body: Buffer.from(JSON.stringify({ lockOKMQSet: mqSet.filter(({ queueId }) => queueId === 1) })),
      }
    },
    [RequestCode.QUERY_CONSUMER_OFFSET]: ({ ext: { queueId = '' } }) => {
      const offset = offsets.get(queueId)
      // The other one has come to its commits, that of queue 0 the last.
      for (const each of ['1', '0']) offsets.set(each, offsets.get(each) ?? '10')
      return offset === undefined ? { code: 22 } : { ext: { offset } }
    },
    [RequestCode.UPDATE_CONSUMER_OFFSET]: ({ ext: { queueId = '', commitOffset = '' } }) => {
      offsets.set(queueId, commitOffset)
      commits.push([queueId, commitOffset])
      return {}
    },
  })

  const result = await run(
    await fakeCluster(t, { brokers: { 'broker-a': broker } }),
    async (event) => void handled.push(...flat(event).map(({ offset }) => offset)),
    { startingPosition: 'LATEST' },
  )

  deepStrictEqual(
    [handled, commits, result.queues.map(({ committedOffset }) => committedOffset)],
    [[], [], ['10']],
  )
})
