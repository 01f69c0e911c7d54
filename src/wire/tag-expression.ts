/** Tag filters, `A || B` (protocol.md 8; upstream FilterAPI). */
import { ConfigError } from '../errors.ts'
import { javaHashCode } from './hash.ts'

/**
 * The tags of an expression and their codes, each once, in the order first seen. `*` and nothing mean all: both lists
 * are empty. The broker compares codes only, so the reader must compare the text again ("Aa" and "BB" have one code).
 * @throws ConfigError for separators without a tag.
 */
export function parseTagExpression(expression: string): { tags: string[]; codes: number[] } {
  const all = javaTrim(expression)
  if (all === '' || all === '*') return { tags: [], codes: [] }
  const tags = new Set(expression.split('||').map(javaTrim))
  tags.delete('')
  if (tags.size === 0)
    throw new ConfigError('filter', `${JSON.stringify(expression)} has no tag; use * for all`)
  return { tags: [...tags], codes: [...new Set([...tags].map(javaHashCode))] }
}

/** `String.trim` of Java: everything up to the space goes, other Unicode white space stays part of the tag. */
function javaTrim(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && text.charCodeAt(start) <= 32) start++
  while (end > start && text.charCodeAt(end - 1) <= 32) end--
  return text.slice(start, end)
}
