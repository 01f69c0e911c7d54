/** Which dead letters are meant. */
import { createHash } from 'node:crypto'
import type { Letter } from './letters.ts'

export interface Selection {
  tag?: string
  key?: string
  /** All of them. */
  property?: Readonly<Record<string, string>>
  /** Message ids, any of them. */
  id?: readonly string[]
  /** The original topic. */
  topic?: string
  /** That died within so many ms. */
  newerThan?: number
}

export function isSelected({ message, originTopic }: Letter, selection: Selection, now: number): boolean {
  const { tag, key, property = {}, id, topic, newerThan } = selection
  return (
    (tag === undefined || message.tag === tag) &&
    (key === undefined || message.keys.includes(key)) &&
    (id === undefined || id.includes(message.messageId)) &&
    (topic === undefined || originTopic === topic) &&
    (newerThan === undefined || message.storeTimestamp >= now - newerThan) &&
    Object.entries(property).every(([name, value]) => message.properties[name] === value)
  )
}

/**
 * The group whose committed offsets are the progress of a redrive. What a selection has passed over is not done for another
 * one, nor what went to another topic: each has a progress of its own, under the same name every time.
 */
export function progressGroupOf(consumerGroup: string, selection: Selection, to: string | undefined): string {
  const { tag, key, property, id, topic, newerThan } = selection
  const sorted = property && Object.entries(property).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const what = { tag, key, property: sorted, id: id?.toSorted(), topic, newerThan, to }
  const text = JSON.stringify(what)
  const suffix = text === '{}' ? '' : `_${createHash('sha256').update(text).digest('hex').slice(0, 8)}`
  return `${consumerGroup}_redrive${suffix}`
}
