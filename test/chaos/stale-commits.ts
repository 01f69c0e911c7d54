/** Offsets that brokers took although they had taken a higher one, as the proxies have recorded them: who commits them makes others work again. */
import {
  type Cause,
  type Fault,
  killOf,
  longSleepOf,
  type Of,
  type RecordLine,
  type Spans,
} from './causes.ts'

type Commit = Of<'commit'>

export interface StaleCommit {
  text: string
  at: number
  commit: Commit
  /** The higher one before it. */
  before: Commit
  /** All of the group in that queue. */
  all: readonly Commit[]
}

/** Each step back; what goes on from there is none. */
export function staleCommitsOf(commits: readonly Commit[]): StaleCommit[] {
  return [...Map.groupBy(commits, ({ group, queue }) => `${group} ${queue}`)].flatMap(([name, all]) =>
    all.flatMap((commit, index) => {
      const before = all[index - 1]
      if (!before || BigInt(commit.offset) >= BigInt(before.offset)) return []
      const text = `commit: ${name} was told ${commit.offset} after ${before.offset}`
      return [{ text, at: commit.at, commit, before, all }]
    }),
  )
}

/** Groups that were at work, and of whose commits nothing is known: none of theirs can be found. */
export function unknownOf(
  commits: readonly Commit[],
  groups: ReadonlyMap<string, readonly RecordLine[]>,
): string[] {
  const known = new Set(commits.map(({ group }) => group))
  return [...groups]
    .filter(([group, lines]) => lines.some(({ what }) => what !== 'start') && !known.has(group))
    .map(([group]) => `commits: nothing is known of those of ${group}`)
}

export interface Bounds {
  /** So old a commit is saved whatever becomes of its broker. */
  savedMs: number
  /** An invocation lasts no longer. */
  invocationMs: number
}

/**
 * A broker that was killed has forgotten the higher one, or the lease of who was at work and went on, but nothing that it had saved
 * by then; or who committed has slept for longer than its lease.
 */
export function staleCauseOf(
  { commit, before, all }: StaleCommit,
  faults: readonly Fault[],
  records: readonly RecordLine[],
  spans: Spans,
  { savedMs, invocationMs }: Bounds,
): Cause | undefined {
  const ownerOf = ({ group, queue, offset, at }: Commit): RecordLine | undefined =>
    records.findLast(
      (each) => each.group === group && each.queue === queue && each.at <= at && each.offset < Number(offset),
    )
  const owner = ownerOf(before)
  const since = Math.min(before.at, spans.get(owner?.invocation ?? '')?.from ?? before.at - invocationMs)
  const kill = killOf(faults, commit.queue, since, commit.at)
  const saved = kill && all.findLast((each) => each.answeredAt < kill.at - savedMs)
  if (kill && !(saved && BigInt(commit.offset) < BigInt(saved.offset))) return kill
  const writer = ownerOf(commit)
  return writer && longSleepOf(faults, writer, commit.at, spans)
}
