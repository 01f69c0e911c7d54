/** What figures were made of. */
import { execFileSync } from 'node:child_process'

const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim()

/** The commit, and whether files in these folders are not as they are there. @param folders default: everywhere */
export const commit = (...folders: readonly string[]): string =>
  git('rev-parse', '--short', 'HEAD') +
  (git('status', '--porcelain', '--', ...folders) ? ' with changes' : '')
