/**
 * What a handler returned, read strictly: a response that is not understood fails the whole batch, because taking it
 * for success would lose messages.
 */
import type { Message } from '../client/values.ts'
import { ResponseError } from '../errors.ts'
import { recordIdOf } from './event.ts'

/** Which records were not handled; nothing, null or an empty list: all were. */
export interface BatchResponse {
  batchItemFailures?: readonly { itemIdentifier: string }[] | null
}

/**
 * The messages that failed; not their records, which the handler may have changed.
 * @throws ResponseError for anything but the contract, so that the whole batch fails
 */
export function readBatchResponse(value: unknown, batch: readonly Message[]): Set<Message> {
  if (value === undefined || value === null) return new Set()
  const list =
    typeof value === 'object' ? (value as { batchItemFailures?: unknown }).batchItemFailures : undefined
  if (list === null) return new Set()
  if (!Array.isArray(list)) {
    throw broken('the handler must return nothing or { batchItemFailures: [{ itemIdentifier }] }')
  }
  if (list.length === 0) return new Set()
  const messages = byIdentifier(batch)
  const failed: Message[][] = []
  for (const identifier of new Set(list.map(identifierOf))) {
    const matching = messages.get(identifier)
    if (!matching) {
      throw broken(`itemIdentifier ${JSON.stringify(identifier.slice(0, 200))} names no record of the batch`)
    }
    failed.push(matching)
  }
  return new Set(failed.flat())
}

function identifierOf(item: unknown): string {
  const identifier = (item as { itemIdentifier?: unknown } | null | undefined)?.itemIdentifier
  if (typeof identifier === 'string' && identifier !== '') return identifier
  throw broken('an itemIdentifier is missing or empty; give the recordId or messageId of a record')
}

function byIdentifier(batch: readonly Message[]): Map<string, Message[]> {
  const messages = new Map<string, Message[]>()
  for (const message of batch) {
    for (const identifier of [recordIdOf(message), message.messageId]) {
      const others = messages.get(identifier)
      if (others) others.push(message)
      else messages.set(identifier, [message])
    }
  }
  return messages
}

function broken(what: string): ResponseError {
  return new ResponseError(`${what}; the whole batch counts as failed`)
}
