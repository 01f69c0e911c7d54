/**
 * Finds out of a history what was lost, done twice, done out of order, owned by two, moved back or left unfinished, and which of it
 * a fault explains. What is not explained is a violation.
 */
import * as errors from '../../src/errors.ts'
import { DEADLINE_MARGIN_MS } from '../../src/lambda/context.ts'
import {
  type Cause,
  type Fault,
  faultNear,
  faultOn,
  isHarmless,
  isOfServer,
  killOf,
  laneOf,
  longSleepOf,
  type Of,
  pidOf,
  placeOf,
  type RecordLine,
  type Spans,
  stallOf,
  sum,
  topicOf,
} from './causes.ts'
import { incompleteOf, missingOf } from './content.ts'
import type { Happening } from './history.ts'
import { type Move, movesOf, rerouted } from './moves.ts'
import { staleCauseOf, staleCommitsOf, unknownOf } from './stale-commits.ts'
import { delayOf, TAKEOVER_MS, takeoversOf } from './takeovers.ts'

export interface Verdict {
  /** In this order they are printed. */
  figures: Readonly<Record<string, number>>
  /** What must not be. */
  violations: readonly string[]
  /** What looks like one and has a cause in the history. */
  explained: readonly Explained[]
}

export interface Explained {
  text: string
  /** Epoch ms. */
  at: number
  cause: Cause
  /** Of what a killed broker forgot that it was done: there are many of them. */
  forgotten?: Pick<RecordLine, 'group' | 'queue' | 'offset'>
  /** A key that changed its queue, and nothing was begun too early there: publishers with an old and a new route take turns. */
  moved?: string
}

/** Commits that a killed broker may not have saved: it does every 5 s, 10 s after its start for the first time. */
const COMMITS_LOST_MS = 10_000
/** From its begin: it is ended by its caller or by a check, and that is noted. */
const TRANSACTION_NOTED_MS = 45_000
/** From its begin: an end that comes later may come behind a check (docs/transactions.md). */
const EARLY_END_MS = 2_000
/** An end is noted up to 3 s later. */
const END_NOTED_MS = 5_000
/** What was handled is committed so much later at most, unless something befalls its broker by then. */
const SETTLED_MS = 5_000
/** An invocation lasts no longer. */
const INVOCATION_MS = 20_000
/** An invocation must leave so much of its time. */
const MARGIN_MS = 500
/** Its caller has noted an answer by then. */
const NOTED_MS = 50
/** Whoever is killed when it is about to begin ends with that invocation. */
const BEGIN_MS = 1_000
/** What an invocation does at its end, it does in this time. */
const ENDING_MS = 2_000
/** A function plans with all of its time but this (docs/consume.md): what kept it before was over when it came to its end. */
const KEPT_BACK_MS = DEADLINE_MARGIN_MS + 350
/** What a broken server leads to: leases last 60 s, routes 30 s. */
const AFTERMATH_MS = 65_000
/** From the begin of a run: its servers’ first requests take seconds on a machine that starts all of it at once. */
const STARTED_MS = 10_000
const MOST_DUPLICATES = 0.01

export function judge(history: readonly Happening[]): Verdict {
  const of = <Kind extends Happening['kind']>(kind: Kind): Of<Kind>[] =>
    history.filter((each): each is Of<Kind> => each.kind === kind)
  const violations: string[] = []
  const explained: Explained[] = []
  // Of the network: what nobody has met has no effect.
  const faults = of('fault').filter(({ met }) => met !== 0)
  const records = of('record').sort((a, b) => a.at - b.at)
  const groups = new Map<string, RecordLine[]>(of('offset').map(({ group }) => [group, []]))
  for (const [group, lines] of Map.groupBy(records, (each) => each.group)) groups.set(group, lines)
  const held = of('held')
  const invocations = of('invocation')
  const late = invocations.filter(
    ({ status, durationMs, limitMs }) => status === 'timeout' || limitMs - durationMs < MARGIN_MS,
  )
  const stored = of('stored')
  const stalls = of('stall')

  const spans = new Map(
    invocations.map(({ invocation, at, durationMs }) => [invocation, { from: at - durationMs, to: at }]),
  )
  const lost = lostOf(stored, groups)
  violations.push(...lost.map((each) => `lost: ${each}`))
  const skipped = skippedOf(held, groups)
  violations.push(...skipped.map((each) => `skipped: ${each}`))
  violations.push(...misplacedOf(stored, held))
  const consumed = new Set(records.map(({ queue }) => topicOf(queue)))
  const missing = missingOf(stored, held, consumed)
  violations.push(...missing)
  violations.push(...incompleteOf(of('content'), held, records, of('offset')))
  const swaps = [...groups].flatMap(([group, lines]) => (isOrdered(group) ? swapsOf(lines, held) : []))
  sort(swaps, (swap) => lockLossOf(faults, swap, spans))
  const twice = [...groups.values()].flatMap((lines) => duplicatesOf(lines, held))
  const reached = Map.groupBy(of('offset'), ({ group, queue }) => `${group} ${queue}`)
  const lostCommitOf = ({ before, at }: Duplicate): Fault | undefined => {
    const kills = before.map((each) => {
      const committed = committedAt(each, reached.get(`${each.group} ${each.queue}`) ?? [], spans)
      return killOf(faults, each.queue, each.at, Math.min(at, committed + COMMITS_LOST_MS))
    })
    return kills.find(Boolean)
  }
  const byLostCommits = new Set(twice.filter(lostCommitOf))
  sort(twice, (each) => lostCommitOf(each) ?? interruptionOf(each, faults, spans) ?? lateEndOf(each, late))
  const owners = [...groups.values()].flatMap((lines) => doubleOwnersOf(lines, spans))
  sort(owners, (owner) => lockLossOf(faults, owner, spans))
  const back = regressionsOf(of('offset'))
  sort(back, ({ queue, since, at, offset, samples }) => {
    const kill = killOf(faults, queue, since, at)
    // It has saved what was committed so long before.
    const saved = kill && samples.findLast((each) => each.at < kill.at - COMMITS_LOST_MS)
    return saved && BigInt(offset) < BigInt(saved.offset) ? undefined : kill
  })
  const commits = of('commit')
  violations.push(...unknownOf(commits, groups))
  const stale = staleCommitsOf(commits)
  sort(stale, (each) =>
    staleCauseOf(each, faults, records, spans, { savedMs: COMMITS_LOST_MS, invocationMs: INVOCATION_MS }),
  )
  const ordered = new Map([...groups].filter(([group]) => isOrdered(group)))
  const moves = movesOf(stored, held, ordered)
  sort(moves, (move) => rerouted(faults, move))
  const transactions = transactionsOf(of('begun'), of('ended'), held, invocations)
  violations.push(...transactions.wrong)
  const halves = of('half')
  for (const { broker, open, givenUp } of halves)
    if (open + givenUp > 0)
      violations.push(`transactions of ${broker}: ${open} never ended, ${givenUp} given up`)
  // A broker notes an end up to 3 s later: killed or suspended meanwhile it asks again, and takes the second answer for the first.
  // So it does with an end that comes late.
  sort(transactions.twice, ({ queue, at, since, ended }) => {
    const isSuspended = ({ what }: Fault): boolean => what === 'suspend'
    const isChecker = ({ what, target }: Fault): boolean =>
      /^(kill|suspend)$/.test(what) && target.startsWith('check-transactions ')
    return (
      killOf(faults, queue, since, since + TRANSACTION_NOTED_MS) ??
      // The end, too, came late to a broker that was suspended; or the answer to a check did, which was asked again meanwhile.
      faultOn(faults, queue, ended === undefined ? at : since, at + END_NOTED_MS, isSuspended) ??
      (ended === undefined ? faultNear(faults, since, at + END_NOTED_MS, isChecker) : undefined) ??
      (ended !== undefined && at <= ended && at - since >= EARLY_END_MS
        ? { what: 'late end', target: 'its caller', at: since, until: ended }
        : undefined)
    )
  })
  for (const { name, line } of of('crash')) violations.push(`crash: ${name}: ${line}`)
  violations.push(...strangeErrorsOf(invocations, faults, of('begin')[0]?.at))
  sort(
    late.map(({ name, pid, at, durationMs, limitMs }) => ({
      at,
      pid,
      endsFrom: Math.min(at, at - durationMs + limitMs - KEPT_BACK_MS),
      missingMs: MARGIN_MS - (limitMs - durationMs),
      text: `late: ${name} took ${Math.round(durationMs)} of ${limitMs} ms`,
    })),
    ({ endsFrom, at, pid, missingMs }) =>
      faultNear(faults, endsFrom, at, (fault) => fault.what === 'suspend' && pidOf(fault) === pid) ??
      stallOf(stalls, at - ENDING_MS, at, missingMs),
  )
  const takeovers = takeoversOf(records, faults, held)
  sort(
    takeovers.filter(({ ms }) => ms > TAKEOVER_MS),
    (takeover) => delayOf(takeover, faults, stalls),
  )
  const over = of('over').at(-1)
  if (over?.isDrained !== true) violations.push('the queues were not drained in the end')

  const ends = records.filter(({ what }) => what === 'end').length
  const others = twice.length - byLostCommits.size
  if (others > ends * MOST_DUPLICATES) violations.push(`${others} of ${ends} records twice`)
  const figures = {
    acknowledged: stored.length,
    'of them in no queue': missing.length,
    'sends without an acknowledgement': of('not-stored').length,
    'handled, all groups': ends,
    'records lost': lost.length,
    'records skipped': skipped.length,
    'gaps and swaps of order': swaps.length,
    'keys that changed their queue': new Set(moves.map(({ key }) => key)).size,
    'how often they did': moves.length,
    'begun there before what lies elsewhere was done': sum(moves.map(({ early }) => early)),
    'records twice': twice.length,
    'of them by commits of a killed broker': byLostCommits.size,
    'double owners': owners.length,
    'offsets that went back': back.length,
    commits: commits.length,
    'commits of less than before': stale.length,
    'transactions begun': of('begun').length,
    'transactions in the wrong state': transactions.wrong.length,
    'transactions delivered twice': transactions.twice.length,
    'transactions never ended or given up': sum(halves.map(({ open, givenUp }) => open + givenUp)),
    'longest takeover, ms': Math.max(0, ...takeovers.map(({ ms }) => ms)),
    invocations: invocations.length,
    'failed invocations': invocations.filter(({ status }) => status !== 'success').length,
    'invocations with less than 500 ms left': late.length,
    crashes: of('crash').length,
    faults: of('fault').length,
    'of them met by nobody': of('fault').length - faults.length,
    'stalls of the machine': stalls.length,
    connections: over?.connections ?? 0,
  }
  return { figures, violations, explained }

  /** What has a cause is explained by it, everything else a violation. */
  function sort<T extends Pick<Found, 'text' | 'at'>>(
    found: readonly T[],
    causeOf: (each: T) => Cause | undefined,
  ): void {
    for (const each of found) {
      const { text, at } = each
      const cause = causeOf(each)
      if (!cause) violations.push(text)
      else if (isDuplicate(each) && byLostCommits.has(each)) {
        const { group, queue, offset } = each
        explained.push({ text, at, cause, forgotten: { group, queue, offset } })
      } else explained.push({ text, at, cause, ...(isHarmlessMove(each) ? { moved: each.key } : {}) })
    }
  }
}

/** Groups whose mapping has `onFailure: 'block'`. */
const isOrdered = (group: string): boolean => group.endsWith('-block')
/**
 * What lets a lease be given to somebody else while its owner works: its broker forgets it, or it sleeps longer than it lasts. Its
 * owner works no longer than an invocation lasts.
 */
function lockLossOf(
  faults: readonly Fault[],
  { queue, at, owners = [] }: Found,
  spans: Spans,
): Fault | undefined {
  const since = Math.min(
    ...owners.map((owner) => spans.get(owner.invocation)?.from ?? owner.at - INVOCATION_MS),
  )
  const slept = owners.map((owner) => longSleepOf(faults, owner, at, spans))
  return killOf(faults, queue, since, at) ?? slept.find(Boolean)
}

/** Acknowledged, and never handled by a group to its end. */
function lostOf(
  stored: readonly Of<'stored'>[],
  groups: ReadonlyMap<string, readonly RecordLine[]>,
): string[] {
  return [...groups].flatMap(([group, lines]) => {
    const done = new Set(lines.filter(({ what }) => what === 'end').map(({ messageId }) => messageId))
    return stored
      .filter(({ messageId }) => !done.has(messageId))
      .map(({ messageId }) => `${messageId} by ${group}`)
  })
}

/** It is in its topic, with an acknowledgement or without, and a group has neither done it nor sent it back. */
function skippedOf(
  held: readonly Of<'held'>[],
  groups: ReadonlyMap<string, readonly RecordLine[]>,
): string[] {
  const consumed = new Set([...groups.values()].flat().map(({ queue }) => queue))
  const topics = new Set([...consumed].map(topicOf))
  return [...groups].flatMap(([group, lines]) => {
    const done = new Set(lines.filter(({ what }) => what !== 'start').map(placeOf))
    return held
      .filter((each) => topics.has(topicOf(each.queue)) && !done.has(placeOf(each)))
      .map((each) => `${placeOf(each)} by ${group}`)
  })
}

/** In a queue, messages of a sharding key lie as they were sent; a copy that a publisher sent again may lie anywhere behind. */
function misplacedOf(stored: readonly Of<'stored'>[], held: readonly Of<'held'>[]): string[] {
  const numbers = new Map(stored.map(({ messageId, n }) => [messageId, n]))
  return [...Map.groupBy(held, laneOf)].flatMap(([lane, all]) => {
    const seen = new Set<string>()
    let last = -1
    return all
      .toSorted((a, b) => a.offset - b.offset)
      .flatMap(({ messageId, offset }) => {
        const n = numbers.get(messageId)
        if (n === undefined || seen.has(messageId)) return []
        seen.add(messageId)
        const isMisplaced = n < last
        last = Math.max(last, n)
        return isMisplaced
          ? [`order: ${messageId} was sent before, and lies behind in ${lane} at ${offset}`]
          : []
      })
  })
}

/** Errors of this package, or of several of them. */
const OURS = new Set([...Object.keys(errors), 'AggregateError'])

/** What says that something took too long. */
const SLOW = new Set(['TimeoutError', 'DeadlineError'])

/** What an invocation must not fail with: an error that is not ours, one of ours that nothing led to, or an end that nobody gave it. */
function strangeErrorsOf(
  invocations: readonly Of<'invocation'>[],
  faults: readonly Fault[],
  begin = -Infinity,
): string[] {
  return invocations.flatMap(({ name, pid, at, durationMs, status, errorType = '', error }) => {
    if (error === undefined || status === 'timeout') return []
    const wasKilled = faultNear(
      faults,
      at - durationMs - BEGIN_MS,
      at,
      ({ what, ...fault }) => what === 'kill' && pidOf(fault) === pid,
    )
    if (errorType === 'Runtime.ExitError' && wasKilled) return []
    const cause = faultNear(
      faults,
      at - durationMs - AFTERMATH_MS,
      at,
      (fault) => !isHarmless(fault) && (isOfServer(fault) || pidOf(fault) === pid),
    )
    // Servers that have just been started take their time, and nothing else.
    const isEarly = at - durationMs < begin + STARTED_MS && SLOW.has(errorType)
    // What is set wrongly no fault has set.
    if (OURS.has(errorType) && !/\bConfigError\b|\bRMQ_CONFIG\b/.test(error) && (cause || isEarly)) return []
    return [`error: ${name}: ${error.slice(0, 300)}`]
  })
}

interface Found {
  text: string
  at: number
  queue: string
  /** Records of those who had the queue. */
  owners?: readonly RecordLine[]
}

/**
 * Begun before what lies before it in its queue and has its sharding key was done. What is handed over again begins anew: behind a
 * record comes the next one, however often that was done.
 */
function swapsOf(lines: readonly RecordLine[], held: readonly Of<'held'>[]): Found[] {
  const lanes = Map.groupBy(held, laneOf)
  for (const lane of lanes.values()) lane.sort((a, b) => a.offset - b.offset)
  const places = new Map(
    [...lanes.values()].flatMap((lane) => lane.map((each, place) => [placeOf(each), place])),
  )
  /** Which place of a lane may be begun at most, and who was at work in it before. */
  const next = new Map<string, number>()
  const before = new Map<string, RecordLine>()
  /** Who has done a place of a lane, the last time. */
  const done = new Map<string, RecordLine>()
  const swaps: Found[] = []
  for (const line of lines) {
    const { what, queue, offset, at, group } = line
    const place = places.get(placeOf(line))
    if (place === undefined || what === 'fail') continue
    const lane = laneOf(line)
    const expected = next.get(lane) ?? 0
    if (what === 'start' && place > expected) {
      const missing = lanes.get(lane)?.[expected]?.offset
      const text = `order: ${group} began ${queue}/${offset} before ${missing} was done`
      const owners = [before.get(lane) ?? line, line]
      // All of it was done before something began anew: whoever did the last of it may have committed that only now.
      const passed = Array.from({ length: place - expected }, (_, index) =>
        done.get(`${lane} ${expected + index}`),
      )
      const committer = passed.at(-1)
      if (committer && passed.every(Boolean)) owners.push(committer)
      swaps.push({ text, at, queue, owners })
    }
    if (what === 'end') done.set(`${lane} ${place}`, line)
    // Not back: of two owners the slower one may end last.
    next.set(lane, what === 'end' ? Math.max(expected, place + 1) : place)
    before.set(lane, line)
  }
  return swaps
}

/** What kept a broker from learning that a message was done: something that befell it, or who did it, before the invocation had ended. */
function interruptionOf(
  { lines, at: again }: Duplicate,
  faults: readonly Fault[],
  spans: Spans,
): Fault | undefined {
  const before = lines.filter((each) => each.at < again)
  const slept = before.map((line) => longSleepOf(faults, line, again, spans)).find(Boolean)
  if (slept) return slept
  for (const line of before) {
    const { at, queue, pid, invocation } = line
    const { from = at, to: end = at + INVOCATION_MS } = spans.get(invocation) ?? {}
    // What failed before keeps its queue from being committed, too.
    const around = [Math.max(from, at - SETTLED_MS), Math.min(end, at + SETTLED_MS)] as const
    const cause =
      faultNear(faults, at, end, (fault) => pidOf(fault) === pid) ??
      faultOn(faults, queue, ...around, (fault) => !isHarmless(fault))
    if (cause) return cause
  }
  return undefined
}

/** An invocation that had no time left to settle what it had done; that it had none is another matter. */
function lateEndOf({ lines, at }: Duplicate, late: readonly Of<'invocation'>[]): Cause | undefined {
  const ids = new Set(lines.filter((each) => each.at < at).map(({ invocation }) => invocation))
  const found = late.find(({ invocation }) => ids.has(invocation))
  return found && { what: 'late end', target: found.name, at: found.at - found.durationMs, until: found.at }
}

interface Duplicate extends Found {
  group: string
  offset: number
  /** When it was done before: the last time in its place, or, of what was stored again, each time that it was done or sent back. */
  before: readonly RecordLine[]
  /** What the group did with it there, or, of what was stored again, anywhere. */
  lines: readonly RecordLine[]
}

/** Done more often than it is stored. */
function duplicatesOf(lines: readonly RecordLine[], held: readonly Of<'held'>[]): Duplicate[] {
  const copies = new Map<string, number>()
  for (const { messageId } of held) copies.set(messageId, (copies.get(messageId) ?? 0) + 1)
  const ends = Map.groupBy(
    lines.filter(({ what }) => what === 'end'),
    ({ messageId }) => messageId,
  )
  return [...ends].flatMap(([messageId, all]) => {
    const own = lines.filter((each) => each.messageId === messageId)
    const earlier = (line: RecordLine): RecordLine[] => all.slice(0, all.indexOf(line))
    const lastThere = (line: RecordLine): RecordLine | undefined =>
      earlier(line).findLast((each) => placeOf(each) === placeOf(line))
    const again = all.filter(lastThere)
    // A broker that was killed delivers delayed messages, which retries are, once more: it has forgotten those, too.
    const others = all.filter((line) => !lastThere(line))
    // A publisher may have stored it more than once.
    return [...again, ...others.toReversed()]
      .slice(0, all.length - (copies.get(messageId) ?? 1))
      .map((line) => ({
        text: `twice: ${messageId} by ${line.group} at ${placeOf(line)}`,
        at: line.at,
        queue: line.queue,
        offset: line.offset,
        group: line.group,
        before: [lastThere(line) ?? own.filter(({ what, at }) => what !== 'start' && at < line.at)].flat(),
        lines: lastThere(line) ? own.filter((each) => placeOf(each) === placeOf(line)) : own,
      }))
  })
}

const isHarmlessMove = (each: object): each is Move => 'early' in each && each.early === 0
const isDuplicate = (each: object): each is Duplicate => 'before' in each

/**
 * Not before it was done, and not before the last time that its group was seen to stand before it; not long after the end of who
 * had done it: what was not committed by then, nobody commits.
 */
function committedAt(
  { at, offset, invocation }: RecordLine,
  samples: readonly Of<'offset'>[],
  spans: Spans,
): number {
  const past = samples.findIndex((each) => each.at > at && BigInt(each.offset) > BigInt(offset))
  const seen = Math.max(at, samples[past - 1]?.at ?? at)
  return Math.min(seen, (spans.get(invocation)?.to ?? at + INVOCATION_MS) + SETTLED_MS)
}

/**
 * Two invocations that were at work in one queue at the same time: an invocation does not take a queue again that it has lost, so
 * it has it from the first record that it began there to the last one.
 */
function doubleOwnersOf(lines: readonly RecordLine[], spans: Spans): Found[] {
  return [...Map.groupBy(lines, ({ queue }) => queue)].flatMap(([queue, all]) => {
    const works = [...Map.groupBy(all, ({ invocation }) => invocation).values()]
    return works.flatMap((own, index) => {
      const last = own.at(-1)
      if (!last) return []
      // It was killed, perhaps, with a record in its hands.
      const until = last.what === 'start' ? (spans.get(last.invocation)?.to ?? Infinity) : last.at
      return works.slice(index + 1).flatMap(([later]) => {
        if (!later || until <= later.at) return []
        const had = own.findLast(({ at, what }) => what === 'start' && at <= later.at) ?? last
        const text = `two owners: ${later.group} at ${placeOf(later)}: ${later.invocation}, and ${had.invocation} at ${had.offset}`
        return [{ text, at: later.at, queue, owners: [had, later] }]
      })
    })
  })
}

interface Regression extends Found {
  /** When it was seen to stand further. */
  since: number
  offset: string
  /** Of its queue. */
  samples: readonly Of<'offset'>[]
}

function regressionsOf(offsets: readonly Of<'offset'>[]): Regression[] {
  return [...Map.groupBy(offsets, ({ group, queue }) => `${group} ${queue}`)].flatMap(([name, samples]) =>
    samples.flatMap(({ at, offset, queue }, index) => {
      const before = samples[index - 1]
      if (!before || BigInt(offset) >= BigInt(before.offset)) return []
      const text = `offset: ${name} went back from ${before.offset} to ${offset}`
      return [{ text, at, since: before.at, queue, offset, samples }]
    }),
  )
}

interface TwiceDelivered extends Found {
  /** From when it was to be begun. */
  since: number
  /** When its caller was told of its end; undefined: a check has ended it. */
  ended: number | undefined
}

/** A commit is in its topic, once; a rollback is not. */
function transactionsOf(
  begun: readonly Of<'begun'>[],
  ends: readonly Of<'ended'>[],
  held: readonly Of<'held'>[],
  invocations: readonly Of<'invocation'>[],
): { wrong: string[]; twice: TwiceDelivered[] } {
  /** A broker counts from when it was asked, which the invocation did that has just answered. */
  const askedAt = (at: number): number =>
    Math.min(
      at,
      ...invocations
        .filter((each) => each.name === 'publish' && each.at <= at && each.at > at - NOTED_MS)
        .map((each) => each.at - each.durationMs),
    )
  const ended = new Map(ends.map(({ messageId, at }) => [messageId, at]))
  const found = Map.groupBy(held, ({ messageId }) => messageId)
  const wrong: string[] = []
  const twice: TwiceDelivered[] = []
  for (const { messageId, fate, at } of begun) {
    const copies = found.get(messageId) ?? []
    const [first] = copies
    const text = `transaction ${messageId}: to be a ${fate}, and ${copies.length} times in its topic`
    if (first && fate === 'commit' && copies.length > 1)
      twice.push({
        text,
        since: askedAt(at),
        at: first.storedAt,
        queue: first.queue,
        ended: ended.get(messageId),
      })
    else if (copies.length !== (fate === 'commit' ? 1 : 0)) wrong.push(text)
  }
  return { wrong, twice }
}
