/** Functions that thaw: the first call of each succeeds, however long they were frozen and whatever became of their connections. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'
import { isPromised, measureThaws } from './freeze.ts'
import { type InterruptedFigure, measureInterrupted } from './interrupted.ts'

const ROUNDS = 1

describe('a function that thaws', { skip: !(await realBrokerAvailable()) }, () => {
  let rocketmq: RocketMQ
  before(async () => {
    rocketmq = await startRocketMQ({ settings: { waitTimeMillsInSendQueue: 20_000 } })
  })
  after(() => rocketmq?.stop())

  it('does what it is there for at its first call, and settles the calls that it had in flight', async (t) => {
    const figures = await measureThaws(rocketmq, ROUNDS)

    for (const [name, all = []] of Map.groupBy(figures, (each) => each.name)) {
      const slowest = Math.max(...all.map(({ tookMs }) => tookMs))
      const done = all.filter(({ outcome }) => outcome === 'done').length
      t.diagnostic(`${name}: ${done} of ${all.length}, ${Math.round(slowest)} ms at most`)
    }
    ok(figures.length >= 100)
    deepStrictEqual(
      figures.filter((each) => isPromised(each) && each.outcome !== 'done'),
      [],
    )
    const inFlight = figures.filter(({ name }) => name.endsWith('in flight'))
    deepStrictEqual(
      inFlight.filter(({ left }) => !/^(done|RMQ_(TIMEOUT|CONNECTION_LOST|CONNECT))$/.test(left ?? '')),
      [],
    )
  })

  it('publishes and consumes at its first call behind a freeze in the middle of a request, which ends with what is true', async (t) => {
    const figures = await measureInterrupted(rocketmq, ROUNDS)

    for (const [name, all = []] of Map.groupBy(figures, (each) => each.name))
      t.diagnostic(`${name}: ${all.map(({ frozen, end, ended }) => `${frozen} ${end} ${ended}`).join(', ')}`)
    ok(figures.length === 64)
    deepStrictEqual(
      figures.filter(({ outcome, untrue }) => outcome !== 'done' || untrue.length > 0),
      [],
    )
    // Within its time it ends as it would have without the freeze; when that is over it says so, or what it was in the middle of.
    const isRight = ({ frozen, ended }: InterruptedFigure): boolean =>
      frozen === '20 min'
        ? /^(200|504|done|DeadlineError|TimeoutError|ConnectionLostError)$/.test(ended)
        : /^(200|done)$/.test(ended)
    deepStrictEqual(
      figures.filter((each) => !isRight(each)),
      [],
    )
  })
})
