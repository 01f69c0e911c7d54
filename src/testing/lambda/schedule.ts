/**
 * Schedule expressions of EventBridge: `rate(5 minutes)` and `cron(0 9 ? * MON-FRI *)`, in UTC.
 *
 * The dialect is AWS's own: six fields with a year, days of the week 1–7 from Sunday, exactly one `?` among the two days,
 * and `L`, `W`, `#`. Libraries for cron count the days from 0 and know no `?`, so this reads it itself.
 */
import { ConfigError } from '../../errors.ts'

/** A parsed expression. */
export interface Schedule {
  /** The first time after `after`, in ms since 1970; undefined when there is none left. */
  next(after: number): number | undefined
}

const MINUTE = 60_000
const DAY = 86_400_000
const UNITS: Readonly<Record<string, number>> = { minute: MINUTE, hour: 60 * MINUTE, day: DAY }

/**
 * @param start when the schedule began, in ms since 1970: a rate counts from there
 * @param field named by the error
 */
export function parseSchedule(expression: string, start: number, field: string): Schedule {
  const [, kind, inner = ''] = /^\s*(rate|cron)\(([^()]*)\)\s*$/.exec(expression) ?? []
  const wrong = (why: string): ConfigError =>
    new ConfigError(field, `${JSON.stringify(expression)} is no schedule: ${why}`)
  if (kind === 'rate') return rate(inner, start, wrong)
  if (kind === 'cron') return cron(inner, wrong)
  throw wrong('it takes rate(5 minutes) or cron(0 9 ? * MON-FRI *)')
}

function rate(text: string, start: number, wrong: (why: string) => ConfigError): Schedule {
  const [, count = '', unit = '', plural] = /^\s*(\d+)\s+(minute|hour|day)(s?)\s*$/.exec(text) ?? []
  const period = Number(count) * (UNITS[unit] ?? 0)
  if (!(period > 0)) throw wrong('a rate is a positive number and minutes, hours or days')
  if ((count === '1') !== (plural === '')) throw wrong(`AWS takes 1 ${unit} and 2 ${unit}s`)
  return { next: (after) => start + (Math.floor((after - start) / period) + 1) * period }
}

type Matches = (value: number, date: Date) => boolean

interface FieldOf {
  name: string
  from: number
  to: number
  /** Names of the values, from the first. */
  names?: readonly string[]
}

const FIELDS = [
  { name: 'minutes', from: 0, to: 59 },
  { name: 'hours', from: 0, to: 23 },
  { name: 'day of month', from: 1, to: 31 },
  { name: 'month', from: 1, to: 12, names: 'JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ') },
  { name: 'day of week', from: 1, to: 7, names: 'SUN MON TUE WED THU FRI SAT'.split(' ') },
  { name: 'year', from: 1970, to: 2199 },
] as const satisfies readonly FieldOf[]

function cron(text: string, wrong: (why: string) => ConfigError): Schedule {
  const parts = text.trim().split(/\s+/)
  if (parts.length !== FIELDS.length)
    throw wrong(
      `cron has six fields (minutes hours day-of-month month day-of-week year), got ${parts.length}`,
    )
  if ((parts[2] === '?') === (parts[4] === '?'))
    throw wrong('exactly one of day of month and day of week is ?')
  const [minutes, hours, days, months, weekdays, years] = FIELDS.map((field, at) =>
    matcher(parts[at] ?? '', field, wrong),
  ) as [Matches, Matches, Matches, Matches, Matches, Matches]
  return {
    next(after) {
      const date = new Date(Math.floor(after / MINUTE) * MINUTE + MINUTE)
      while (date.getUTCFullYear() <= 2199) {
        if (!years(date.getUTCFullYear(), date)) toStart(date, date.getUTCFullYear() + 1, 0, 1)
        else if (!months(date.getUTCMonth() + 1, date))
          toStart(date, date.getUTCFullYear(), date.getUTCMonth() + 1, 1)
        else if (!days(date.getUTCDate(), date) || !weekdays(date.getUTCDay() + 1, date))
          toStart(date, date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate() + 1)
        else if (!hours(date.getUTCHours(), date)) date.setUTCHours(date.getUTCHours() + 1, 0)
        else if (!minutes(date.getUTCMinutes(), date)) date.setUTCMinutes(date.getUTCMinutes() + 1)
        else return date.getTime()
      }
      return undefined
    },
  }
}

function toStart(date: Date, year: number, month: number, day: number): void {
  date.setTime(Date.UTC(year, month, day))
}

/** One field: a list of `*`, values, ranges and steps, or one of the forms for days. */
function matcher(text: string, field: FieldOf, wrong: (why: string) => ConfigError): Matches {
  const bad = (): ConfigError =>
    wrong(`${JSON.stringify(text)} is no ${field.name} (${field.from}-${field.to})`)
  const number = (word: string): number => {
    const named = field.names?.indexOf(word.toUpperCase()) ?? -1
    const value = named >= 0 ? named + field.from : /^\d+$/.test(word) ? Number(word) : Number.NaN
    if (!(value >= field.from && value <= field.to)) throw bad()
    return value
  }
  const special = dayMatcher(text, field, number)
  if (special) return special
  const wanted = new Set<number>()
  for (const item of text.split(',')) {
    const [range = '', step, extra] = item.split('/')
    const [first = '', last, more] = range.split('-')
    const by = step === undefined ? 1 : Number(step)
    if (extra !== undefined || more !== undefined || !Number.isInteger(by) || by < 1) throw bad()
    const from = first === '*' ? field.from : number(first)
    const to = last === undefined ? (first === '*' || step !== undefined ? field.to : from) : number(last)
    // FRI-MON goes over the end of the week.
    const span = to >= from ? to - from : to - from + field.to - field.from + 1
    for (let at = 0; at <= span; at += by)
      wanted.add(field.from + ((from - field.from + at) % (field.to - field.from + 1)))
  }
  return (value) => wanted.has(value)
}

/** `?`, `L` (last), `15W` (the weekday nearest to the 15th), `6L` (the last Friday), `6#3` (the third Friday). */
function dayMatcher(text: string, field: FieldOf, number: (word: string) => number): Matches | undefined {
  const ofMonth = field.name === 'day of month'
  if (!ofMonth && field.name !== 'day of week') return undefined
  if (text === '?') return () => true
  if (text === 'L') return ofMonth ? (day, date) => day === lastDay(date) : (day) => day === 7
  const [, value = '', form = '', nth = ''] = /^(\w+?)(L|W|#)([1-5]?)$/.exec(text) ?? []
  if (ofMonth && form === 'W' && nth === '') {
    const day = value === 'L' ? undefined : number(value)
    return (today, date) => today === nearestWeekday(date, day ?? lastDay(date))
  }
  if (!ofMonth && form === 'L' && nth === '') {
    const weekday = number(value)
    return (today, date) => today === weekday && date.getUTCDate() > lastDay(date) - 7
  }
  if (!ofMonth && form === '#' && nth !== '') {
    const weekday = number(value)
    return (today, date) => today === weekday && Math.ceil(date.getUTCDate() / 7) === Number(nth)
  }
  return undefined
}

const lastDay = (date: Date): number =>
  new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()

/** The weekday nearest to a day of the month, without leaving the month. */
function nearestWeekday(date: Date, day: number): number {
  const last = lastDay(date)
  const target = Math.min(day, last)
  const weekday = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), target)).getUTCDay()
  if (weekday === 6) return target === 1 ? 3 : target - 1
  if (weekday === 0) return target === last ? target - 2 : target + 1
  return target
}
