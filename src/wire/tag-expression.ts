/** Tag filters, `A || B` (protocol.md 8; upstream FilterAPI). */

import { refuse } from './checks.ts'
import { javaHashCode } from './hash.ts'

/**
 * The tags of an expression and their codes, each once, in the order first seen. `*` and nothing mean all: both lists
 * are empty. The broker compares codes only, so the reader must compare the text again ("Aa" and "BB" have one code).
 * @throws ConfigError for separators without a tag.
 */
export const parseTagExpression = (expression: string): { tags: string[]; codes: number[] } => {
  const all = javaTrim(expression)
  if (all === '' || all === '*') return { tags: [], codes: [] }
  const tags = new Set(expression.split('||').map(javaTrim))
  tags.delete('')
  if (tags.size === 0) refuse('filter', 'has no tag; use * for all')
  return { tags: [...tags], codes: [...new Set([...tags].map(javaHashCode))] }
}

/** `String.trim` of Java: everything up to the space goes, other Unicode white space stays part of the tag. */
const javaTrim = (text: string): string => {
  // Looking behind keeps it linear: a run of blanks inside is tried once, not from each of its places.
  return text.replace(/^[^!-\uffff]+|(?<![^!-\uffff])[^!-\uffff]+$/g, '')
}
