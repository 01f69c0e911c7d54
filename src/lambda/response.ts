/**
 * What a handler returned, read strictly: a response that is not understood fails the whole batch, because taking it
 * for success would lose messages.
 */
import type { Message } from '../client/values.ts'
import { ResponseError } from '../errors.ts'
import { recordIdOf } from './event.ts'

/** Which records were not handled; nothing, null or an empty list: all were. */
export interface BatchResponse {
  batchItemFailures?: readonly { itemIdentifier: string | KafkaIdentifier }[] | null
}

/** How functions of a Kafka cluster name a record. */
export interface KafkaIdentifier {
  /** `<topic>-<partition>` */
  partition: string
  offset: number
}

/** Names that a format has for messages besides recordId and messageId. */
export interface Identifiers {
  ofMessage(message: Message): string | undefined
  /** Undefined: it is none. */
  ofItem(identifier: object): string | undefined
}

/**
 * The messages that failed; not their records, which the handler may have changed.
 * @throws ResponseError for anything but the contract, so that the whole batch fails
 */
export function readBatchResponse(
  value: unknown,
  batch: readonly Message[],
  identifiers?: Identifiers,
): Set<Message> {
  if (value === undefined || value === null) return new Set()
  const list =
    typeof value === 'object' ? (value as { batchItemFailures?: unknown }).batchItemFailures : undefined
  if (list === null) return new Set()
  if (!Array.isArray(list)) {
    throw broken('the handler must return nothing or { batchItemFailures: [{ itemIdentifier }] }')
  }
  if (list.length === 0) return new Set()
  const messages = byIdentifier(batch, identifiers)
  const failed: Message[][] = []
  // Not list.map, which passes over what a sparse list lacks.
  for (const identifier of new Set(Array.from(list, (item) => identifierOf(item, identifiers)))) {
    const matching = messages.get(identifier)
    if (!matching) {
      throw broken(`itemIdentifier ${JSON.stringify(identifier.slice(0, 200))} names no record of the batch`)
    }
    failed.push(matching)
  }
  return new Set(failed.flat())
}

function identifierOf(item: unknown, identifiers: Identifiers | undefined): string {
  const identifier = (item as { itemIdentifier?: unknown } | null | undefined)?.itemIdentifier
  if (typeof identifier === 'string' && identifier !== '') return identifier
  const own = typeof identifier === 'object' && identifier ? identifiers?.ofItem(identifier) : undefined
  if (own !== undefined) return own
  throw broken('an itemIdentifier is missing or empty; give the recordId or messageId of a record')
}

function byIdentifier(
  batch: readonly Message[],
  identifiers: Identifiers | undefined,
): Map<string, Message[]> {
  const messages = new Map<string, Message[]>()
  for (const message of batch) {
    for (const identifier of [recordIdOf(message), message.messageId, identifiers?.ofMessage(message)]) {
      if (identifier === undefined) continue
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
