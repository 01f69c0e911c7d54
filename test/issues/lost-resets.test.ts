/**
 * An administrator's reset was lost when it came while an invocation worked: a broker tells of it once, to the next pull. A queue that
 * was being left at that moment, because a record had failed or could not be decoded, did not listen, and committed over it: the
 * group went on where it was, and the administrator's records never came.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { RequestCode } from '../../src/commands/index.ts'
import type { Handlers } from '../support/fake-cluster.ts'
import { filled, flat, holding, pullHeader, run, scripted, undecodable } from '../support/scripted-queue.ts'

it('a reset that was told ahead of a message that cannot be decoded is taken over', async (t) => {
  const log = filled(10, 5n)
  log.messages[6] = undecodable(6)
  const handled: unknown[] = []
  const reset: Handlers = {
    [RequestCode.PULL_MESSAGE]: ({ ext: { queueOffset } }) => {
      const from = Number(queueOffset)
      if (from === 8 && log.committed === 5n) {
        log.committed = 3n
        return { code: 21, ext: pullHeader(3, 10) }
      }
      return { ext: pullHeader(8, 10), body: Buffer.concat(log.messages.slice(from, 8)) }
    },
  }

  const result = await run(
    await scripted(t, holding(log, reset)),
    async (event) => void handled.push(...flat(event).map(({ offset }) => offset)),
    { onFailure: 'block' },
  )

  deepStrictEqual(
    [handled, result.queues[0]?.moved, log.commits],
    [['3', '4', '5'], 'from 5 to 3: it was reset', [6n]],
  )
})

it('a reset that was told when a record had failed is taken over', async (t) => {
  const log = filled(10, 5n)
  const told = Promise.withResolvers<void>()
  let queries = 0
  const reset: Handlers = {
    [RequestCode.PULL_MESSAGE]: async ({ ext: { queueOffset } }) => {
      if (queueOffset === '5')
        return { ext: pullHeader(7, 10), body: Buffer.concat(log.messages.slice(5, 7)) }
      await told.promise
      return { code: 21, ext: pullHeader(3, 10) }
    },
    // The first one opens the queue, the second one comes before the commit.
    [RequestCode.QUERY_CONSUMER_OFFSET]: async () => {
      queries += 1
      if (queries > 1) {
        log.committed = 3n
        told.resolve()
        await setImmediate()
      }
      return { ext: { offset: String(log.committed) } }
    },
  }

  const result = await run(
    await scripted(t, holding(log, reset)),
    async (event) => ({
      batchItemFailures: flat(event).flatMap(({ offset, recordId }) =>
        offset === '6' ? [{ itemIdentifier: recordId }] : [],
      ),
    }),
    { onFailure: 'block' },
  )

  const [{ committedOffset, moved } = {}] = result.queues
  deepStrictEqual([log.committed, committedOffset, moved], [3n, '3', 'from 7 to 3: it was reset'])
})
