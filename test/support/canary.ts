/** A word that may be nowhere, for tests of what is told: in logs, errors, metrics and what inspect shows of an object. */
import { inspect } from 'node:util'

export const CANARY = 'canary'

/** Also in the forms that a Buffer has when it is printed, and in base64 wherever it may begin. */
export const FORMS: readonly string[] = [
  CANARY,
  Buffer.from(CANARY).toString('hex'),
  (Buffer.from(CANARY).toString('hex').match(/../g) ?? []).join(' '),
  ...['', 'x', 'xx'].map((before) => Buffer.from(`${before}${CANARY}`).toString('base64').slice(4, 8)),
]

/** All that can be seen of a value: with what is hidden, its causes and its JSON. */
export function allOf(value: unknown): string {
  const options = { depth: Infinity, showHidden: true, maxStringLength: null, maxArrayLength: null } as const
  return `${inspect(value, options)}\n${jsonOf(value)}\n${textOf(value)}`
}

const textOf = (value: unknown): string => {
  try {
    return String(value)
  } catch {
    return '' // an object without prototype
  }
}

function jsonOf(value: unknown): string {
  const seen = new Set<unknown>()
  const plain = (_: string, each: unknown): unknown => {
    if (typeof each === 'bigint') return String(each)
    if (typeof each !== 'object' || each === null) return each
    if (seen.has(each)) return '[seen]'
    seen.add(each)
    return each
  }
  return JSON.stringify(value, plain) ?? ''
}

/** The forms of the word that are in the text. */
export const found = (text: string): string[] => FORMS.filter((form) => text.includes(form))
