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

/** All of upstream's MessageConst. A pattern for them takes a millisecond when it is first used, and longer each time. */
const RESERVED: string =
  'TAGS KEYS WAIT CLUSTER UNIQ_KEY MSG_REGION MSG_TYPE TRACE_ON TRACE_CONTEXT DELAY TTL PGROUP REDIRECT ' +
  'POP_CK REAL_QID TRAN_MSG BORN_TIMESTAMP REPLY_TO_CLIENT CHECK_IMMUNITY_TIME_IN_SECONDS INNER_NUM ' +
  'INNER_BASE INNER_MULTI_DISPATCH TIMER_DELAY_SEC TIMER_DELAY_MS TIMER_DELAY_LEVEL TIMER_DELIVER_MS ' +
  'TIMER_OUT_MS TIMER_ENQUEUE_MS TIMER_DEQUEUE_MS TIMER_ROLL_TIMES TIMER_DEL_UNIQKEY ' +
  'MAX_RECONSUME_TIMES TRANSACTION_CHECK_TIMES RECONSUME_TIME CONSUME_START_TIME 1ST_POP_TIME ' +
  'ARRIVE_TIME PUSH_REPLY_TIME MIN_OFFSET MAX_OFFSET POP_CK_OFFSET TRAN_PREPARED_QUEUE_OFFSET ' +
  'INNER_MULTI_QUEUE_OFFSET REAL_TOPIC RETRY_TOPIC DLQ_ORIGIN_TOPIC ORIGIN_MESSAGE_ID ' +
  'DLQ_ORIGIN_MESSAGE_ID INSTANCE_ID CORRELATION_ID BUYER_ID PROPERTY_FORWARD_QUEUE_ID TRANSFER_FLAG ' +
  'CORRECTION_FLAG MQ2_FLAG DUP_INFO EXTEND_UNIQ_INFO __STARTDELIVERTIME __transactionId__ ' +
  '__SHARDINGKEY __BORNHOST __CRC32#'
let reserved: ReadonlySet<string> | undefined

/** Whether RocketMQ uses the name itself (protocol.md 6). A user's property must not have it. */
export const isReservedProperty = (name: string): boolean => {
  reserved ??= new Set(RESERVED.split(' '))
  return reserved.has(name) || name.startsWith('__RMQ.TRANSIENT.')
}

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
