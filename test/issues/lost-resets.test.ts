/**
 * An administrator's reset was lost when it came while an invocation worked: a broker tells of it once, to the next pull. A queue that
 * was being left at that moment, because a record had failed or could not be decoded, did not listen, and committed over it: the
 * group went on where it was, and the administrator's records never came. So did an invocation that ended while the answer that told
 * of it was under way, or had written a commit over it before the answer came.
 */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { RequestCode } from '../../src/commands/index.ts'
import type { Handlers } from '../support/fake-cluster.ts'
import {
  filled,
  flat,
  holding,
  type Log,
  pullHeader,
  run,
  scripted,
  undecodable,
} from '../support/scripted-queue.ts'

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

/** A broker that tells of a reset to 3 with the answer to the pull from 7, when it may. */
const resetBehind7 = (log: Log, mayTell: Promise<void>): Handlers => ({
  [RequestCode.PULL_MESSAGE]: async ({ ext: { queueOffset } }) => {
    const from = Number(queueOffset)
    if (from < 7) return { ext: pullHeader(7, 10), body: Buffer.concat(log.messages.slice(from, 7)) }
    log.committed = 3n
    await mayTell
    return { code: 21, ext: pullHeader(3, 10) }
  },
})

it('a reset whose answer is under way when a handler throws is taken over', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] }) // the end waits for the answer, however slow this machine is
  const log = filled(10, 5n)
  const sentBack = Promise.withResolvers<void>()
  const broker: Handlers = {
    ...holding(log, resetBehind7(log, sentBack.promise)),
    [RequestCode.CONSUMER_SEND_MSG_BACK]: () => {
      void pauseTurns(50).then(sentBack.resolve)
      return {}
    },
  }

  await rejects(
    run(await scripted(t, broker), () => Promise.reject(new Error('no stock')), { batchSize: 1 }),
    /no stock/,
  )

  deepStrictEqual(log.committed, 3n)
})

it('nothing is asked for ahead, which nobody would take, behind a queue that is left and at the end', async (t) => {
  const asked: Record<string, unknown[]> = {}
  for (const onFailure of ['block', 'retry']) {
    const log = filled(10, 5n)
    const thrown = Promise.withResolvers<void>()
    const broker: Handlers = {
      ...holding(log),
      [RequestCode.PULL_MESSAGE]: async ({ ext: { queueOffset } }) => {
        asked[onFailure] = [...(asked[onFailure] ?? []), queueOffset]
        const from = Number(queueOffset)
        if (from === 6) await thrown.promise
        return { ext: pullHeader(from + 1, 10), body: log.messages[from] as Buffer }
      },
      [RequestCode.CONSUMER_SEND_MSG_BACK]: async () => {
        await pauseTurns(50)
        return {}
      },
      // Before the last commit.
      [RequestCode.LOCK_BATCH_MQ]: async (frame, connection) => {
        if (asked[onFailure]) await pauseTurns(50)
        return await holding(log)[RequestCode.LOCK_BATCH_MQ]?.(frame, connection)
      },
    }

    const handle = (): Promise<void> => {
      thrown.resolve()
      return Promise.reject(new Error('no stock'))
    }
    await rejects(run(await scripted(t, broker), handle, { onFailure }), /no stock/)
    await pauseTurns(50)
  }

  deepStrictEqual(asked, { block: ['5', '6'], retry: ['5', '6'] })
})

/** Until what was sent before has come and was dealt with. */
async function pauseTurns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await setImmediate()
}

it('a reset that is told after a commit has been written over it is committed', async (t) => {
  const log = filled(10, 5n)
  const written = Promise.withResolvers<void>()
  const broker = holding(log, resetBehind7(log, written.promise))
  const commit = broker[RequestCode.UPDATE_CONSUMER_OFFSET]
  const handled: unknown[] = []

  await rejects(
    run(
      await scripted(t, {
        ...broker,
        [RequestCode.UPDATE_CONSUMER_OFFSET]: (frame, connection) => {
          written.resolve()
          return commit?.(frame, connection)
        },
      }),
      async (event) => {
        handled.push(...flat(event).map(({ offset }) => offset))
        if (handled.includes('3')) throw new Error('no stock')
      },
      { onFailure: 'block', batchSize: 2 },
    ),
    /no stock/,
  )

  deepStrictEqual(
    [handled.slice(0, 3), log.commits],
    [
      ['5', '6', '3'],
      [7n, 3n],
    ],
  )
})

it('what another invocation has done behind a reset is not committed over', async (t) => {
  const log = filled(20, 5n)
  const reset: Handlers = {
    [RequestCode.PULL_MESSAGE]: ({ ext: { queueOffset } }) => {
      const from = Number(queueOffset)
      if (from === 5) return { code: 21, ext: pullHeader(3, 20) }
      if (from > 3) return { code: 19, ext: pullHeader(from, from) }
      return { ext: pullHeader(5, 5), body: Buffer.concat(log.messages.slice(3, 5)) }
    },
  }

  const result = await run(await scripted(t, holding(log, reset)), async () => {
    log.committed = 15n
  })

  deepStrictEqual([log.commits, result.queues[0]?.stopped], [[], 'somebody else has moved the group to 15'])
})
