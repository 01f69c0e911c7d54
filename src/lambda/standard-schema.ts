/**
 * Validates the bodies of messages by a schema of any vendor that speaks Standard Schema (standardschema.dev): Zod,
 * Valibot, ArkType and others.
 */
import { isUtf8 } from 'node:buffer'
import type { Message } from '../client/values.ts'

/** The part of Standard Schema 1 that is used. */
export interface StandardSchema {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult | Promise<StandardResult>
  }
}

export type StandardResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What is told of an issue; a schema's messages may be of any length. */
const MAX_REASON = 300

/** Why a body does not fit. */
export interface Misfit {
  /** The place, and nothing of the body but names of its members: for results and logs. */
  reason: string
  /** With the schema's own message, which may quote the body: for whoever has sent it. */
  detail: string
}

/** Gives why a body does not fit; of one that does, what the schema makes of it goes into `parsed`. */
export async function validate<Body extends Pick<Message, 'body'>>(
  schema: StandardSchema,
  message: Body,
  parsed?: Pick<WeakMap<Body, { value: unknown }>, 'set'>,
): Promise<Misfit | undefined> {
  const body = jsonOf(message)
  if (!body) return misfit('', ': its body is not JSON', ': its body is not JSON')
  const result = await schema['~standard'].validate(body.value)
  if (result.issues) return describe(result.issues)
  parsed?.set(message, { value: result.value })
  return undefined
}

function jsonOf({ body }: Pick<Message, 'body'>): { value: unknown } | undefined {
  // Decoded as it comes, what is not UTF-8 would be replaced: a body that was never sent.
  if (!isUtf8(body)) return undefined
  try {
    return { value: JSON.parse(body.toString()) }
  } catch {
    return undefined
  }
}

function describe([issue, ...others]: readonly StandardIssue[]): Misfit {
  if (!issue) return misfit('', '', ': it says no more')
  const steps = issue.path?.map((step) => String(typeof step === 'object' ? step.key : step)) ?? []
  const more = others.length > 0 ? ` (and ${others.length} more)` : ''
  const path = steps.join('.')
  // What is no plain name is more likely a value that stands as one: an address, a text.
  const place = steps.map((step) => (/^[\w-]{1,64}$/.test(step) ? step : '?')).join('.')
  return misfit(place && ` at ${place}`, more, `: ${path ? `${path}: ` : ''}${issue.message}${more}`)
}

function misfit(place: string, more: string, detail: string): Misfit {
  const what = 'does not fit the schema'
  return {
    reason: `${what}${place}${more}`.slice(0, MAX_REASON),
    detail: `${what}${detail}`.slice(0, MAX_REASON),
  }
}
