/** What is noted of an invocation that failed. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { failureOf } from './functions.ts'
import { judge } from './judge.ts'

it('is judged by its type, however long the text of its error is', () => {
  const judged = (errorType: string): readonly string[] => {
    const failure = failureOf(JSON.stringify({ errorMessage: 'x'.repeat(5_000), errorType }))
    const history = [
      { kind: 'fault', what: 'kill', target: 'broker-a', at: 4_000, until: 4_500 } as const,
      {
        kind: 'invocation',
        name: 'publish',
        invocation: 'first',
        at: 5_000,
        durationMs: 10,
        limitMs: 10_000,
        status: 'error',
        ...failure,
      } as const,
    ]
    return judge(history).violations.filter((each) => each.startsWith('error: '))
  }

  assert.deepStrictEqual([judged('TimeoutError').length, judged('TypeError').length], [0, 1])
})
