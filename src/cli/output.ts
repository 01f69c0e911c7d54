/** What commands print with: styles, which are left out where nobody would see them, and tables. */
import { styleText } from 'node:util'

type Style = (text: string) => string

/** Only on a terminal, and not with NO_COLOR: styleText looks at stdout itself. */
export const bold: Style = (text) => styleText('bold', text)
export const dim: Style = (text) => styleText('dim', text)
export const green: Style = (text) => styleText('green', text)
export const red: Style = (text) => styleText('red', text)

/**
 * Lines with columns as wide as their widest cell.
 * @param style of a whole line, by its index
 */
export function table(
  rows: readonly (readonly string[])[],
  style: (line: string, index: number) => string = (line) => line,
): string[] {
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
  if (!(error instanceof Error)) return String(error)
  const [line = ''] = error.message.split('\n')
  return line === '' ? error.name : line
}

/** `cold 240 ms + 60 ms`: of an invocation the time of loading, if it was, and of the handler. */
export function timeOf({ initMs, durationMs }: { initMs?: number; durationMs: number }): string {
  const duration = milliseconds(durationMs)
  return initMs === undefined ? `warm ${duration}` : `cold ${milliseconds(initMs)} + ${duration}`
}

export const milliseconds = (ms: number): string => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
