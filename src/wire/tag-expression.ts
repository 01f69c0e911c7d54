/** Tag filters, `A || B` (protocol.md 8; upstream FilterAPI). */
import { refuse } from './checks.ts'
import { javaHashCode } from './hash.ts'

/**
 * The tags of an expression and their codes, each once, in the order first seen. `*` and nothing mean all: both lists
 * are empty. The broker compares codes only, so the reader must compare the text again ("Aa" and "BB" have one code).
 * @throws ConfigError for separators without a tag.
 */
export const parseTagExpression = (expression: string): { tags: string[]; codes: number[] } => {
  const tags = [...parseTags(expression)]
  return { tags, codes: [...new Set(tags.map(javaHashCode))] }
}

/** The tags alone, for readers: brokers make the codes of an expression themselves. */
export const parseTags = (expression: string): Set<string> => {
  const all = javaTrim(expression)
  const tags = new Set(all === '*' ? [] : expression.split('||').map(javaTrim))
  if (tags.delete('') && all && tags.size === 0) refuse('filter', 'has no tag; use * for all')
  return tags
}

/** `String.trim` of Java: everything up to the space goes, other Unicode white space stays part of the tag. */
const javaTrim = (text: string): string => {
  // Looking behind keeps it linear: a run of blanks inside is tried once, not from each of its places.
  return text.replace(/^[^!-\uffff]+|(?<![^!-\uffff])[^!-\uffff]+$/g, '')
}
