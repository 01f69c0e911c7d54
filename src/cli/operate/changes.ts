/** What an update will change, as `topic update` and `group update` show it before they ask. */
import { bold, dim, table } from '../output.ts'

/** A setting of one broker, before and after. */
export interface Change {
  brokerName: string
  setting: string
  from: string
  to: string
}

/** The settings that differ, each as text. */
export const changesOf = (
  brokerName: string,
  was: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): Change[] =>
  Object.entries(wanted)
    .map(([setting, to]) => ({ brokerName, setting, from: was[setting] ?? 'none', to }))
    .filter(({ from, to }) => from !== to)

export const linesOfChanges = (name: string, changes: readonly Change[]): string[] => [
  bold(name),
  '',
  ...(changes.length === 0
    ? ['Nothing to change.']
    : table(
        [
          ['broker', 'setting', 'from', 'to'],
          ...changes.map(({ brokerName, setting, from, to }) => [brokerName, setting, from, to]),
        ],
        (line, index) => (index === 0 ? dim(line) : line),
      )),
]
