/**
 * What becomes of the transactions of processes that are killed, on both brokers: as `npm run bench -- --only transactions`
 * measures it, with fewer of them.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Figures, onLocalBroker, onRocketMQ } from '../../bench/transactions.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'

const OPTIONS = { processes: 4, count: 30 }

for (const [name, run, skip] of [
  ['the local broker', onLocalBroker, false],
  ['a real broker', onRocketMQ, !(await realBrokerAvailable())],
] as const)
  describe(`transactions of processes that are killed, on ${name}`, { skip }, () => {
    it('end as the check knows it within three checks, none twice; what nobody knows is not delivered', async () => {
      const figures = await run(OPTIONS)

      deepStrictEqual(countsOf(figures), {
        begun: 120,
        ended: 40,
        known: 40,
        unknown: 40,
        wrong: 0,
        endedAndTwice: 0,
        givenUp: 40,
      })
      ok(figures.mostChecks <= 3, `${figures.mostChecks} checks`)
    })
  })

/** Without what differs from run to run. */
const countsOf = ({ begun, ended, known, unknown, wrong, endedAndTwice, givenUp }: Figures): object => ({
  begun,
  ended,
  known,
  unknown,
  wrong,
  endedAndTwice,
  givenUp,
})
