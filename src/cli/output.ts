/** What commands print with: styles, which are left out where nobody would see them, tables, JSON, and times. */
import { styleText } from 'node:util'

type Style = (text: string) => string

/** Only on a terminal, and not with NO_COLOR: styleText looks at stdout itself. */
export const bold: Style = (text) => styleText('bold', text)
export const dim: Style = (text) => styleText('dim', text)
export const green: Style = (text) => styleText('green', text)
export const red: Style = (text) => styleText('red', text)

/**
 * Lines with columns as wide as their widest cell. A cell may hold somebody else's text.
 * @param style of a whole line, by its index
 */
export function table(
  cells: readonly (readonly string[])[],
  style: (line: string, index: number) => string = (line) => line,
): string[] {
  const rows = cells.map((row) => row.map(oneLine))
  const columns = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, at) =>
    Math.max(...rows.map((row) => row[at]?.length ?? 0)),
  )
  return rows.map((row, index) =>
    style(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
      index,
    ),
  )
}

/** An error in one line. */
export function lineOf(error: unknown): string {
  if (!(error instanceof Error)) return printable(String(error))
  const [line = ''] = error.message.split('\n')
  return line === '' ? error.name : printable(line)
}

/** One document on one line; 64-bit numbers are decimal text. */
export function printJson(value: unknown): void {
  const text = JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'bigint' ? String(member) : member,
  )
  // The same document: JSON leaves those beyond U+001F as they are, and terminals obey some of them.
  console.log(text.replaceAll(UNPRINTABLE, (all) => `\\u${all.charCodeAt(0).toString(16).padStart(4, '0')}`))
}

const UNPRINTABLE = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}]/gu

/** Text of somebody else, for a terminal: what would move the cursor or change colours is shown instead. */
export const printable = (text: string): string =>
  text.replaceAll(UNPRINTABLE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)

/** As `printable`, for what has a line of its own: names come from brokers and from whoever is a member of a group. */
export const oneLine = (text: string): string => printable(text.replaceAll('\n', ' '))

/** Of a point in time: UTC, as `--from` and `--to` take it. */
/** What no date can be, as whoever has sent a message may have set its time, stays a number. */
export const timestamp = (ms: number): string =>
  Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : `${ms}`

/** `1d 2h`, `3m 4s`, `5s`: the two largest units. */
export function age(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const
  let left = Math.max(0, ms)
  const parts = units.map(([name, length]) => {
    const count = Math.floor(left / length)
    left -= count * length
    return { name, count }
  })
  const first = parts.findIndex(({ count }) => count > 0)
  if (first < 0) return '0s'
  return parts
    .slice(first, first + 2)
    .filter(({ count }) => count > 0)
    .map(({ name, count }) => `${count}${name}`)
    .join(' ')
}

/** `cold 240 ms + 60 ms`: of an invocation the time of loading, if it was, and of the handler. */
export function timeOf({ initMs, durationMs }: { initMs?: number; durationMs: number }): string {
  const duration = milliseconds(durationMs)
  return initMs === undefined ? `warm ${duration}` : `cold ${milliseconds(initMs)} + ${duration}`
}

export const milliseconds = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
