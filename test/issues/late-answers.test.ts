/**
 * With a broker that hung, functions answered less than half a second before their time limit: `publish` worked until exactly then,
 * and `consume` and `dispatch` gave their leases back behind that. On a busy machine Lambda cut the answer off.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { invocationDeadline } from '../../src/lambda/context.ts'
import { lambdaContext } from '../../src/testing/index.ts'

const LIMIT_MS = 10_000
const PROMISED_MS = 500

describe('the work of an invocation', () => {
  for (const reserveMs of [undefined, 350])
    it(`ends early enough for an answer half a second before its limit, with ${reserveMs ?? 'no'} ms of work behind it`, (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
      const limit = Date.now() + LIMIT_MS

      const end = invocationDeadline(lambdaContext({ remainingMs: LIMIT_MS }), reserveMs)

      // An answer without work behind it was 140 ms late on a machine at its busiest.
      const leftMs = limit - end - (reserveMs ?? 140)
      assert.ok(leftMs > PROMISED_MS, `${leftMs} ms are left`)
    })
})
