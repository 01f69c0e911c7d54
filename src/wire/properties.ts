/**
 * Message properties: `name U+0001 value U+0002`, repeated (protocol.md 6; upstream MessageDecoder, MessageConst).
 */
import { checkText, refuse } from './checks.ts'

/** Longest properties text, in bytes of UTF-8. The broker adds properties of its own and counts them too. */
export const MAX_PROPERTIES_BYTES = 32_767

/** @throws ConfigError naming a property that the text cannot hold: no name, or a separator inside. */
export const encodeProperties = (properties: Iterable<readonly [string, string]>): string => {
  let text = ''
  for (const [name, value] of properties) text += encodeProperty(name, value)
  return text
}

/** U+0001 and U+0002 stand between names and values. */
const hasSeparator = (text: string): boolean => text.includes('\u0001') || text.includes('\u0002')

const encodeProperty = (name: string, value: string): string => {
  if (!name || hasSeparator(name) || hasSeparator(value))
    refuse(`properties.${name}`, 'needs a name, and no U+0001 or U+0002')
  return `${name}\u0001${value}\u0002`
}

/**
 * Text → a record without prototype. As the reference reads it: the last U+0002 may be missing, entries without a
 * name or a value are dropped, of equal names the last wins, a second U+0001 belongs to the value.
 */
export const decodeProperties = (text: string): Record<string, string> => {
  // Object.create(null) would be a hash table, which takes longer to fill and to read.
  const properties: Record<string, string> = Object.setPrototypeOf({}, null)
  const { length } = text
  let at = 0
  let split = -1
  while (at < length) {
    // Searched again only when it was passed, so that text without U+0001 is not scanned once for each entry.
    if (split < at) {
      split = text.indexOf('\u0001', at)
      if (split < 0) break
    }
    let end = text.indexOf('\u0002', at)
    if (end < 0) end = length
    if (split > at && split < end - 1) properties[text.slice(at, split)] = text.slice(split + 1, end)
    at = end + 1
  }
  return properties
}

/** All of upstream's MessageConst by families, those of every message first; groups that capture would be slower. */
const RESERVED =
  /^(?:TAGS|KEYS|WAIT|CLUSTER|UNIQ_KEY|MSG_(?:REGION|TYPE)|TRACE_(?:ON|CONTEXT)|DELAY|TTL|PGROUP|REDIRECT|POP_CK|REAL_QID|TRAN_MSG|BORN_TIMESTAMP|REPLY_TO_CLIENT|CHECK_IMMUNITY_TIME_IN_SECONDS|INNER_(?:NUM|BASE|MULTI_DISPATCH)|TIMER_(?:DELAY_(?:SEC|MS|LEVEL)|(?:DELIVER|OUT|ENQUEUE|DEQUEUE)_MS|ROLL_TIMES|DEL_UNIQKEY)|(?:MAX_RECONSUME|TRANSACTION_CHECK)_TIMES|(?:RECONSUME|CONSUME_START|1ST_POP|ARRIVE|PUSH_REPLY)_TIME|(?:MIN|MAX|POP_CK|TRAN_PREPARED_QUEUE|INNER_MULTI_QUEUE)_OFFSET|(?:REAL|RETRY|DLQ_ORIGIN)_TOPIC|(?:(?:DLQ_)?ORIGIN_MESSAGE|INSTANCE|CORRELATION|BUYER|PROPERTY_FORWARD_QUEUE)_ID|(?:TRANSFER|CORRECTION|MQ2)_FLAG|(?:DUP|EXTEND_UNIQ)_INFO|__(?:STARTDELIVERTIME|transactionId__|SHARDINGKEY|BORNHOST|CRC32#|RMQ\.TRANSIENT\..*))$/s

/** Whether RocketMQ uses the name itself (protocol.md 6). A user's property must not have it. */
export const isReservedProperty = (name: string): boolean => name < '`' && RESERVED.test(name) // no lower-case name is among them, so users' names seldom cost a match

/**
 * A user's properties, encoded.
 * @throws ConfigError naming the first one that a user may not set, or that would not arrive as it is
 */
export const checkUserProperties = (properties: Readonly<Record<string, string>>): string => {
  let text = ''
  for (const name of Object.keys(properties)) {
    const field = `properties.${name}`
    const value = checkText(field, properties[name]) // consumers would not see one without a value
    text += encodeProperty(name, value)
    checkText(field, name)
    if (isReservedProperty(name)) refuse(field, 'the name is reserved')
  }
  return text
}

/** @param text as `encodeProperties` returned it. @throws ConfigError above 32767 bytes. */
export const checkPropertiesLength = (text: string): void => {
  const bytes = text.length * 3 > MAX_PROPERTIES_BYTES ? Buffer.byteLength(text) : 0
  if (bytes > MAX_PROPERTIES_BYTES)
    refuse('properties', `have ${bytes} bytes; brokers take ${MAX_PROPERTIES_BYTES}`)
}
