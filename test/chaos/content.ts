/** Whether a history has all of what topics hold: what is missing there is missed by no other rule. */
import { type Of, placeOf, type RecordLine, topicOf } from './causes.ts'

/** Acknowledged, and not in a topic that is consumed. */
export function missingOf(
  stored: readonly Of<'stored'>[],
  held: readonly Of<'held'>[],
  consumed: ReadonlySet<string | undefined>,
): string[] {
  const there = new Set(
    held.filter(({ queue }) => consumed.has(topicOf(queue))).map(({ messageId }) => messageId),
  )
  return stored
    .filter(({ messageId }) => !there.has(messageId))
    .map(({ messageId }) => `missing: ${messageId} was acknowledged and is in no queue`)
}

/** Queues of which something is not known that they hold, or that somebody was at work in. */
export function incompleteOf(
  contents: readonly Of<'content'>[],
  held: readonly Of<'held'>[],
  records: readonly RecordLine[],
  offsets: readonly Of<'offset'>[],
): string[] {
  const found = new Set<string>()
  if (contents.length === 0) found.add('held: nothing is known of what topics hold')
  const places = new Set(held.map(placeOf))
  for (const { queue, from, to } of contents) {
    const missing = Array.from({ length: to - from }, (_, index) => from + index).filter(
      (offset) => !places.has(placeOf({ queue, offset })),
    )
    if (missing.length > 0)
      found.add(`held: of ${queue} ${missing.length} of ${to - from} are not known, ${missing[0]} first`)
  }
  const ends = new Map(contents.map(({ queue, to }) => [queue, to]))
  const topics = new Set(contents.map(({ queue }) => topicOf(queue)))
  const reached = [
    ...records.map(({ queue, offset }) => ({ queue, end: offset + 1 })),
    ...offsets.map(({ queue, offset }) => ({ queue, end: Number(offset) })),
  ]
  for (const { queue, end } of reached) {
    // What a retry topic holds is not asked for.
    if (!topics.has(topicOf(queue))) continue
    const to = ends.get(queue)
    if (to === undefined) found.add(`held: nothing is known of ${queue}, where a group was at work`)
    else if (to < end) found.add(`held: ${queue} ends at ${to}, and a group was beyond`)
  }
  return [...found]
}
