/** Servers that hang or never answer: every call of the client ends by its deadline, every function before its time limit. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'
import { isSound, measureCalls, measureFunctions, SETTINGS } from './deadlines.ts'

describe('with servers that hang', { skip: !(await realBrokerAvailable()), concurrency: false }, () => {
  let rocketmq: RocketMQ
  before(async () => {
    rocketmq = await startRocketMQ({ settings: SETTINGS })
  })
  after(() => rocketmq?.stop())

  it('every call of the client is settled by its deadline', async (t) => {
    const figures = await measureCalls(rocketmq)

    for (const [condition, all = []] of Map.groupBy(figures, (each) => each.condition)) {
      const slowest = all.toSorted((a, b) => b.tookMs - b.allowedMs - (a.tookMs - a.allowedMs))[0]
      t.diagnostic(
        `${condition}: ${all.length} calls, ${slowest?.name} took ${slowest?.tookMs} of ${slowest?.allowedMs} ms`,
      )
    }
    const late = figures.filter(({ isLate }) => isLate)
    const strange = figures.filter(({ outcome }) => !/^(done|RMQ_[A-Z_]+)$/.test(outcome))
    deepStrictEqual([late, strange], [[], []])
    ok(figures.length > 300)
  })

  it('every deployed function returns before its time is over, with an answer or an error of this package', async (t: TestContext) => {
    const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-hung-'))
    t.after(() => rm(folder, { recursive: true, force: true }))

    const figures = await measureFunctions(rocketmq, folder, 60)

    for (const { name, condition, outcome, leftMs } of figures)
      t.diagnostic(`${condition}: ${name} ended with ${outcome}, ${Math.round(leftMs)} ms before its limit`)
    deepStrictEqual(
      figures.filter((each) => !isSound(each)),
      [],
    )
  })
})
