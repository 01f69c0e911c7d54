/**
 * What a broker must do for this client, as cases that run against any broker: Apache's own (rocketmq.test.ts), and the
 * local one. Where a broker is known to differ it says so itself, by the name of the case, and the suite checks that it
 * really does.
 */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { after, before, describe, it, type TestContext } from 'node:test'
import { catalogue } from '../../src/commands/catalogue.ts'
import type { AnyCommand } from '../../src/commands/define.ts'
import { admin } from './cases/admin.ts'
import { administration } from './cases/administration.ts'
import { delays } from './cases/delays.ts'
import { filters } from './cases/filters.ts'
import { frames } from './cases/frames.ts'
import { locks } from './cases/locks.ts'
import { offsets } from './cases/offsets.ts'
import { popConsumer } from './cases/pop-consumer.ts'
import { popOrders } from './cases/pop-orders.ts'
import { popReceipts } from './cases/pop-receipts.ts'
import { popWaits } from './cases/pop-waits.ts'
import { pops } from './cases/pops.ts'
import { pulls } from './cases/pulls.ts'
import { refusals } from './cases/refusals.ts'
import { registration } from './cases/registration.ts'
import { restarts } from './cases/restarts.ts'
import { retries } from './cases/retries.ts'
import { routes } from './cases/routes.ts'
import { sends } from './cases/sends.ts'
import { service } from './cases/serving.ts'
import { transactionChecks } from './cases/transaction-checks.ts'
import { transactionEnds } from './cases/transaction-ends.ts'
import { transactionProducer } from './cases/transaction-producer.ts'
import { transactions } from './cases/transactions.ts'
import { type BrokerUnderTest, type Cases, type Context, createContext } from './context.ts'
import { type Recording, recordFrames } from './recorder.ts'

export type { BrokerUnderTest, Features } from './context.ts'

const GROUPS: Readonly<Record<string, Cases>> = {
  routes,
  sends,
  refusals,
  delays,
  transactions,
  transactionChecks,
  transactionProducer,
  transactionEnds,
  pulls,
  filters,
  offsets,
  locks,
  retries,
  pops,
  popConsumer,
  popReceipts,
  popOrders,
  popWaits,
  registration,
  admin,
  administration,
  service,
  frames,
}

/** Cases that wait for a broker's own clock take a second or more each, so many run side by side. */
const CONCURRENCY = 16

/** 5.1.4 and 5.3.3 take half a minute to stop. */
const RESTART_TIMEOUT_MS = 120_000

/** Requests of private forks; on Apache's brokers 1011 cleans data. */
const NEVER_WRITTEN = [1001, 1011]

/** Registers the suite with node:test; `start` is called once, before the first case. */
export function conformance(start: () => Promise<BrokerUnderTest>): void {
  let broker: BrokerUnderTest | undefined
  let recording: Recording | undefined
  let context: (Context & { close(): Promise<void> }) | undefined

  const run = async (t: TestContext, name: string, body: (c: Context) => Promise<void>): Promise<void> => {
    ok(context, 'the broker did not start')
    const older = context.broker.instead?.[name]
    if (older) {
      await older.run(context)
      t.diagnostic(`this version lacks ${older.what}`)
      return
    }
    const why = context.broker.differences?.[name]
    if (why === undefined) return await body(context)
    await rejects(body(context), `the broker declares to differ (${why}) and does not: take it off the list`)
    t.diagnostic(`differs: ${why}`)
  }
  const register = (cases: Cases, timeout = 60_000): void => {
    for (const [name, body] of Object.entries(cases)) it(name, { timeout }, (t) => run(t, name, body))
  }

  describe('conformance', () => {
    before(async () => {
      broker = await start()
      recording = recordFrames()
      context = await createContext(broker, recording)
    })
    after(async () => {
      await context?.close()
      recording?.stop()
      await broker?.stop()
    })

    describe('cases', { concurrency: CONCURRENCY }, () => {
      for (const cases of Object.values(GROUPS)) register(cases)
    })

    describe('after a restart', { concurrency: false }, () => register(restarts, RESTART_TIMEOUT_MS))

    it('every declared difference names a case', () => {
      const names = new Set([...Object.values(GROUPS), restarts].flatMap((cases) => Object.keys(cases)))
      deepStrictEqual(
        Object.keys({ ...broker?.differences, ...broker?.instead }).filter((name) => !names.has(name)),
        [],
      )
    })

    it('every command of the catalogue was answered or came from the broker, but those it declares to lack', () => {
      const { answers, serverRequests } = recording as Recording
      const received = new Set(serverRequests.map((frame) => frame.code))
      const missing = [...catalogue.values()].filter(({ code, to, extension }) => {
        if (extension !== undefined) return false
        return to === 'client' ? !received.has(code) && !answers.has(code) : !answers.get(code)?.has(0)
      })
      const unanswered = (broker?.unanswered ?? []).map((code) => catalogue.get(code))
      const show = (commands: readonly (AnyCommand | undefined)[]): string[] =>
        commands.map((command) => `${command?.name} ${command?.code}`).toSorted()
      deepStrictEqual(show(missing), show(unanswered))
    })

    it('no request of a private fork was ever written', () => {
      const { requests } = recording as Recording
      deepStrictEqual(
        NEVER_WRITTEN.filter((code) => requests.has(code)),
        [],
      )
    })
  })
}
