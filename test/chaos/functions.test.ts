/** What is noted of an invocation that failed. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { ConfigError, TimeoutError } from '../../src/errors.ts'
import { failureOf } from './functions.ts'
import { judge } from './judge.ts'
import { worstOf } from './worst-error.ts'

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

it('is judged by the worst of its errors when it has several, of which Lambda tells only the text', () => {
  const slow = new TimeoutError('no answer')
  const wrong = new ConfigError('topic', 'takes text')
  const fault = new TypeError('x is not a function')
  const several = new AggregateError([slow, slow])

  const worst = [
    several,
    slow,
    new AggregateError([slow, fault]),
    new AggregateError([slow, wrong]),
    new AggregateError([wrong, new AggregateError([slow, fault])]),
  ].map(worstOf)

  assert.deepStrictEqual(worst, [several, slow, fault, wrong, fault])
})
