/**
 * Sharding keys that changed their queue. Messages of a key follow each other in one queue; over two of them nobody keeps their
 * order, so that each change must have its cause.
 */
import { type Cause, type Fault, faultNear, type Of, placeOf, type RecordLine } from './causes.ts'

export interface Move {
  text: string
  /** When the first message was stored elsewhere, epoch ms. */
  at: number
  /** When the one before it was stored. */
  since: number
  key: string
  /** How often, in all groups that keep order, something was begun behind it before what lies elsewhere was done. */
  early: number
}

interface Copy extends Of<'held'> {
  n: number
}

/** @param ordered the records of each group that keeps order */
export function movesOf(
  stored: readonly Of<'stored'>[],
  held: readonly Of<'held'>[],
  ordered: ReadonlyMap<string, readonly RecordLine[]>,
): Move[] {
  const numbers = new Map(stored.map(({ messageId, n }) => [messageId, n]))
  const copies = held.flatMap((each): Copy[] => {
    const n = numbers.get(each.messageId)
    return n === undefined || each.key === '' ? [] : [{ ...each, n }]
  })
  return [...Map.groupBy(copies, ({ key }) => key)].flatMap(([key, all]) => {
    all.sort((a, b) => a.n - b.n || a.storedAt - b.storedAt)
    const moves = all.flatMap((copy, index) => {
      const before = all[index - 1]
      return before && before.queue !== copy.queue ? [{ index, before, copy, early: 0 }] : []
    })
    const byGroup = [...ordered].map(([group, lines]) => ({ group, early: earlyOf(all, lines) }))
    const texts = moves.map(({ index, before, copy }, place) => {
      const next = moves[place + 1]?.index ?? all.length
      const counts = byGroup.flatMap(({ group, early }) => {
        const count = early.filter((each) => index <= each && each < next).length
        return count > 0 ? [{ group, count }] : []
      })
      const told = counts.map(
        ({ group, count }) => `, and ${group} began ${count} there before what lies elsewhere was done`,
      )
      return {
        text: `moved: ${key} from ${before.queue} to ${placeOf(copy)}${told.join('')}`,
        at: copy.storedAt,
        since: before.storedAt,
        key,
        early: counts.reduce((sum, { count }) => sum + count, 0),
      }
    })
    return texts
  })
}

/** The places, in a key’s own order, of what was begun before something that was sent before it and lies in another queue was done. */
function earlyOf(copies: readonly Copy[], lines: readonly RecordLine[]): number[] {
  const [begun, done] = [new Map<string, number>(), new Map<string, number>()]
  for (const line of lines) {
    if (line.what === 'start' && !begun.has(placeOf(line))) begun.set(placeOf(line), line.at)
    if (line.what === 'end' && !done.has(line.messageId)) done.set(line.messageId, line.at)
  }
  const queues = Map.groupBy(copies, ({ messageId }) => messageId)
  return copies.flatMap((copy, index) => {
    const at = begun.get(placeOf(copy))
    if (at === undefined) return []
    const isEarly = copies.some(
      ({ n, messageId }) =>
        n < copy.n &&
        (done.get(messageId) ?? Infinity) > at &&
        !queues.get(messageId)?.some(({ queue }) => queue === copy.queue),
    )
    return isEarly ? [index] : []
  })
}

/** A broker that has come back reports by then, and a client that knows an old route asks for a new one. */
const ROUTE_MS = 45_000

/** What gave publishers another route: a server that had to come back, with what it knows and who knows it. */
export function rerouted(
  faults: readonly Fault[],
  { at, since }: Pick<Move, 'at' | 'since'>,
): Cause | undefined {
  return faultNear(
    faults,
    since - ROUTE_MS,
    at,
    ({ what, target }) => what === 'kill' && /^(broker-|name server )/.test(target),
  )
}
