/** The schedule of the transaction check against the settings of the brokers (docs/transactions.md, Timing). */
import { age } from '../output.ts'
import { type DoctorOptions, type Finding, fail, ok, warn } from './options.ts'
import type { Reached } from './servers.ts'

const MASTER = 0

export function checkTransactions(
  reached: readonly Reached[],
  { window, every }: Pick<DoctorOptions, 'window' | 'every'>,
): Finding[] {
  return reached
    .filter(({ brokerId }) => brokerId === MASTER)
    .map(({ brokerName, config }) => {
      const check = `transaction check of ${brokerName}`
      const [interval, timeOut, most] = [
        'transactionCheckInterval',
        'transactionTimeOut',
        'transactionCheckMax',
      ].map((name) => Number(config?.[name])) as [number, number, number]
      if (!config || !(interval > 0 && most > 0))
        return warn(
          check,
          'its settings cannot be read',
          'run doctor with credentials that may Get the cluster',
        )
      const given = `first after ${age(timeOut)}, then every ${age(interval)}, ${most} times`
      if (window <= interval)
        return fail(
          check,
          `${given}: a window of ${age(window)} may see none`,
          `make the window longer than ${age(interval)} (ROCKETMQ_CHECK_WINDOW_MS), and the function's timeout with it`,
        )
      const given_up = interval * (most - 1)
      if (2 * every > given_up)
        return fail(
          check,
          `${given}: given up after ${age(given_up)}, in which a run every ${age(every)} has fewer than two windows`,
          `run it every ${age(Math.floor(given_up / 2))} or more often, or raise transactionCheckMax`,
        )
      return ok(check, `${given}; a window of ${age(window)} every ${age(every)} sees them`)
    })
}
