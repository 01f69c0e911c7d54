/**
 * What a handler returned, read strictly: a response that is not understood fails the whole batch, because taking it
 * for success would lose messages.
 */
import { ResponseError } from '../errors.ts'
import type { RocketMQRecord } from './event.ts'

/** Which records were not handled; nothing, null or an empty list: all were. */
export interface BatchResponse {
  batchItemFailures?: readonly { itemIdentifier: string }[] | null
}

/** The recordIds that failed. @throws ResponseError for anything but the contract, so that the whole batch fails */
export function readBatchResponse(value: unknown, records: readonly RocketMQRecord[]): Set<string> {
  if (value === undefined || value === null) return new Set()
  const list =
    typeof value === 'object' ? (value as { batchItemFailures?: unknown }).batchItemFailures : undefined
  if (list === null) return new Set()
  if (!Array.isArray(list)) {
    throw broken('the handler must return nothing or { batchItemFailures: [{ itemIdentifier }] }')
  }
  const failed = new Set<string>()
  for (const item of list as unknown[]) {
    const identifier = (item as { itemIdentifier?: unknown } | null | undefined)?.itemIdentifier
    if (typeof identifier !== 'string' || identifier === '') {
      throw broken('an itemIdentifier is missing or empty; give the recordId or messageId of a record')
    }
    const matching = records.filter(
      (record) => record.recordId === identifier || record.messageId === identifier,
    )
    if (matching.length === 0) {
      throw broken(`itemIdentifier ${JSON.stringify(identifier.slice(0, 200))} names no record of the batch`)
    }
    for (const record of matching) failed.add(record.recordId)
  }
  return failed
}

function broken(what: string): ResponseError {
  return new ResponseError(`${what}; the whole batch counts as failed`)
}
