/** Values of arguments, for commander: each is checked before anything is done. */
import { InvalidArgumentError } from 'commander'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** For options that may be repeated. */
export const list = (text: string, before: readonly string[] = []): string[] => [...before, text]

export function pairs(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It takes a name, = and a value.')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

/** A whole number of a range. */
export const whole =
  (least: number, most: number): ((text: string) => number) =>
  (text) => {
    const number = Number(text)
    if (/^\d+$/.test(text) && number >= least && number <= most) return number
    throw new InvalidArgumentError(`It takes ${least} to ${most}.`)
  }

/** Seconds, as milliseconds. */
export function seconds(text: string): number {
  const ms = Math.round(Number(text) * 1_000)
  if (/^\d+(\.\d+)?$/.test(text) && ms >= 1 && ms <= 3_600_000) return ms
  throw new InvalidArgumentError('It takes seconds, from 0.001 to 3600.')
}

/** `90s`, `15m`, `2h`, `3d`, `500ms`, in milliseconds. */
export function duration(text: string): number {
  const ms = durationOf(text)
  if (ms === undefined) throw new InvalidArgumentError('It takes a time such as 90s, 15m, 2h or 3d.')
  return ms
}

/** A point in time, epoch ms: with its zone, since two people may read it in two; or how long ago it was. */
export function time(text: string): number {
  const at = timeOf(text)
  if (at === undefined)
    throw new InvalidArgumentError(
      'It takes a time such as 2026-03-01T02:00:00Z, or how long ago: 15m, 2h, 3d.',
    )
  return at
}

/** As `time`; undefined for what is none. */
export function timeOf(text: string): number | undefined {
  const ago = durationOf(text)
  if (ago !== undefined) return Date.now() - ago
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/.test(text)) return undefined
  const at = Date.parse(text)
  return Number.isNaN(at) || at < 0 ? undefined : at
}

function durationOf(text: string): number | undefined {
  const [, count = '', unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  const factor = UNITS[unit]
  return factor === undefined ? undefined : Number(count) * factor
}

/** `broker-a/3`, or `3`: that queue on each broker. */
export interface ChosenQueue {
  brokerName?: string
  queueId: number
}

export function queue(text: string): ChosenQueue {
  const [, brokerName, id = ''] = /^(?:(.+)\/)?(\d{1,5})$/.exec(text) ?? []
  if (id === '') throw new InvalidArgumentError('It takes a queue such as broker-a/0, or 0.')
  return { ...(brokerName === undefined ? {} : { brokerName }), queueId: Number(id) }
}

export function offset(text: string): bigint {
  if (/^\d{1,18}$/.test(text)) return BigInt(text)
  throw new InvalidArgumentError('It takes an offset, from 0 up.')
}
