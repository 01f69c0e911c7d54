/** Schedule expressions, with the examples of EventBridge's own documentation. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseSchedule } from '../../../../src/testing/lambda/schedule.ts'

const START = Date.parse('2026-01-01T00:00:30Z') // a Thursday

/** The next times after the start, or after `after`. */
function times(expression: string, count: number, after: number = START): (string | undefined)[] {
  const schedule = parseSchedule(expression, START, 'rate')
  const found: (string | undefined)[] = []
  let from = after
  for (let at = 0; at < count; at++) {
    const next = schedule.next(from)
    found.push(next === undefined ? undefined : new Date(next).toISOString().slice(0, 19))
    from = next ?? from
  }
  return found
}

describe('a schedule', () => {
  for (const [expression, ...expected] of [
    ['rate(1 minute)', '2026-01-01T00:01:30', '2026-01-01T00:02:30'],
    ['rate(5 minutes)', '2026-01-01T00:05:30', '2026-01-01T00:10:30'],
    ['rate(2 hours)', '2026-01-01T02:00:30', '2026-01-01T04:00:30'],
    ['rate(1 day)', '2026-01-02T00:00:30', '2026-01-03T00:00:30'],
    ['cron(0 10 * * ? *)', '2026-01-01T10:00:00', '2026-01-02T10:00:00'],
    ['cron(15 12 * * ? *)', '2026-01-01T12:15:00', '2026-01-02T12:15:00'],
    ['cron(0 18 ? * MON-FRI *)', '2026-01-01T18:00:00', '2026-01-02T18:00:00', '2026-01-05T18:00:00'],
    ['cron(0 8 1 * ? *)', '2026-01-01T08:00:00', '2026-02-01T08:00:00'],
    ['cron(0/15 * * * ? *)', '2026-01-01T00:15:00', '2026-01-01T00:30:00'],
    ['cron(0/5 8-17 ? * MON-FRI *)', '2026-01-01T08:00:00', '2026-01-01T08:05:00'],
    ['cron(0 9 ? * 2#1 *)', '2026-01-05T09:00:00', '2026-02-02T09:00:00'],
    ['cron(0 12 L * ? *)', '2026-01-31T12:00:00', '2026-02-28T12:00:00'],
    ['cron(0 12 LW * ? *)', '2026-01-30T12:00:00', '2026-02-27T12:00:00'],
    ['cron(0 12 1W * ? *)', '2026-01-01T12:00:00', '2026-02-02T12:00:00'],
    ['cron(0 12 15W 2,8 ? *)', '2026-02-16T12:00:00', '2026-08-14T12:00:00'],
    ['cron(0 12 31W * ? 2026)', '2026-01-30T12:00:00', '2026-02-27T12:00:00'],
    ['cron(0 0 ? * 6L *)', '2026-01-30T00:00:00', '2026-02-27T00:00:00'],
    ['cron(0 0 ? * L *)', '2026-01-03T00:00:00', '2026-01-10T00:00:00'],
    [
      'cron(0 0 ? * FRI-MON *)',
      '2026-01-02T00:00:00',
      '2026-01-03T00:00:00',
      '2026-01-04T00:00:00',
      '2026-01-05T00:00:00',
      '2026-01-09T00:00:00',
    ],
    ['cron(0 0 29 FEB ? *)', '2028-02-29T00:00:00', '2032-02-29T00:00:00'],
    ['cron(59 23 31 12 ? 2027/10)', '2027-12-31T23:59:00', '2037-12-31T23:59:00'],
    ['cron(0 0 1 1 ? 2026)', undefined],
    ['cron(0 0 30 2 ? *)', undefined],
  ] as const) {
    it(`${expression} comes next at ${expected[0] ?? 'no time'}`, () => {
      assert.deepStrictEqual(times(expression, expected.length), [...expected])
    })
  }

  it('counts a rate from its start, however late it is asked', () => {
    assert.deepStrictEqual(times('rate(10 minutes)', 1, Date.parse('2026-01-01T01:05:00Z')), [
      '2026-01-01T01:10:30',
    ])
  })

  for (const [expression, why] of [
    ['every minute', /it takes rate\(5 minutes\) or cron/],
    ['rate(0 minutes)', /a positive number/],
    ['rate(1 minutes)', /AWS takes 1 minute and 2 minutes/],
    ['rate(5 minute)', /AWS takes 1 minute and 2 minutes/],
    ['rate(5 weeks)', /minutes, hours or days/],
    ['cron(0 9 * * MON)', /six fields .*got 5/],
    ['cron(0 9 * * MON *)', /exactly one of day of month and day of week is \?/],
    ['cron(0 9 ? * ? *)', /exactly one/],
    ['cron(60 9 * * ? *)', /"60" is no minutes \(0-59\)/],
    ['cron(0 9 * * ? 1969)', /"1969" is no year/],
    ['cron(0 9 ? * 0 *)', /"0" is no day of week \(1-7\)/],
    ['cron(0/0 9 * * ? *)', /"0\/0" is no minutes/],
    ['cron(1-2-3 9 * * ? *)', /"1-2-3" is no minutes/],
    ['cron(0 9 * FOO ? *)', /"FOO" is no month/],
    ['cron(0 9 32W * ? *)', /"32W" is no day of month/],
    ['cron(0 9 ? * 2#6 *)', /"2#6" is no day of week/],
  ] as const) {
    it(`refuses ${expression} in one line that names the field`, () => {
      assert.throws(
        () => parseSchedule(expression, START, 'functions.f.rate'),
        (error: Error & { field?: string }) => {
          assert.deepStrictEqual([error.name, error.field], ['ConfigError', 'functions.f.rate'])
          assert.ok(
            error.message.startsWith(`functions.f.rate: ${JSON.stringify(expression)} is no schedule: `),
          )
          assert.match(error.message, why)
          return !error.message.includes('\n')
        },
      )
    })
  }
})
