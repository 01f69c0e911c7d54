/** What belongs to signing transactions, apart from the signing: for those who check options, or tell errors apart. */
import { ConfigError } from '../errors.ts'
import { checkText, refuse } from '../wire/checks.ts'
import type { Check } from './options.ts'

/** How values are signed. */
export interface Seal {
  /** The first one signs, each of them is accepted. */
  secrets: readonly string[]
  maxAgeMs: number
}

const LEAST_SECRET = 32

export const checkSecrets: Check<readonly string[] | undefined> = (given, field) => {
  if (given === undefined) return undefined
  const secrets = [given].flat()
  if (secrets.length === 0) refuse(field, 'takes text, or a list of it')
  for (const each of secrets)
    if (checkText(field, each).length < LEAST_SECRET)
      refuse(field, `takes at least ${LEAST_SECRET} characters`)
  return secrets as string[]
}

/** Signed text is older than it may be. */
export class ExpiredError extends ConfigError {}
