/** What a judge has found, line by line, for who reads it: each case with its cause, and when both were. */
import type { Explained, Verdict } from './judge.ts'

/** So many violations are told one by one. */
const MOST_VIOLATIONS = 50

/** @param begin epoch ms, from which the times count */
export function findingsOf({ figures, violations, explained }: Verdict, begin: number): string[] {
  const width = Math.max(...Object.keys(figures).map(({ length }) => length))
  const after = (at: number): string => ((at - begin) / 1_000).toFixed(1)
  const because = ({ cause: { what, target, at, until } }: Explained): string =>
    `(${what} of ${target}, ${after(at)} to ${after(until)} s)`
  const forgotten = Map.groupBy(
    explained.filter((each) => each.forgotten),
    (each) => `by ${each.forgotten?.group} at ${each.forgotten?.queue} ${because(each)}`,
  )
  const moved = Map.groupBy(
    explained.filter((each) => each.moved !== undefined),
    because,
  )
  return [
    ...Object.entries(figures).map(([name, figure]) => `  ${name.padEnd(width)}  ${figure}`),
    ...explained
      .filter((each) => !each.forgotten && each.moved === undefined)
      .map((each) => `  explained: at ${after(each.at)} s ${each.text} ${because(each)}`),
    ...[...forgotten].map(
      ([what, all]) =>
        `  explained: ${all.length} × twice, commits lost: ${rangesOf(all.map((each) => each.forgotten?.offset ?? 0))} ${what}`,
    ),
    ...[...moved].map(
      ([cause, all]) =>
        `  explained: ${all.length} × moved, nothing begun too early: ${countsOf(all.map((each) => each.moved ?? ''))} ${cause}`,
    ),
    ...violations.slice(0, MOST_VIOLATIONS).map((each) => `  VIOLATION ${each}`),
    violations.length === 0 ? 'nothing that no fault explains' : `${violations.length} violations`,
  ]
}

/** `a × 2, b`. */
const countsOf = (names: readonly string[]): string =>
  [...Map.groupBy(names.toSorted(), (name) => name)]
    .map(([name, { length }]) => (length > 1 ? `${name} × ${length}` : name))
    .join(', ')

/** `3-5, 9`. */
function rangesOf(numbers: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const each of numbers.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last && each <= last[1] + 1) last[1] = each
    else ranges.push([each, each])
  }
  return ranges.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(', ')
}
