/**
 * Message properties: `name U+0001 value U+0002`, repeated (protocol.md 6; upstream MessageDecoder, MessageConst).
 */
import { ConfigError } from '../errors.ts'
import { checkText } from './checks.ts'

/** Longest properties text, in bytes of UTF-8. The broker adds properties of its own and counts them too. */
export const MAX_PROPERTIES_BYTES = 32_767

/** @throws ConfigError naming a property that the text cannot hold: no name, or a separator inside. */
export function encodeProperties(properties: Iterable<readonly [string, string]>): string {
  let text = ''
  for (const [name, value] of properties) {
    checkSeparators(name, value)
    text += `${name}\u0001${value}\u0002`
  }
  return text
}

function checkSeparators(name: string, value: string): void {
  const field = `properties.${name}`
  if (name === '') throw new ConfigError(field, 'needs a name')
  const both = name + value
  if (both.includes('\u0001') || both.includes('\u0002'))
    throw new ConfigError(field, 'must not contain U+0001 or U+0002')
}

/**
 * Text → a record without prototype. As the reference reads it: the last U+0002 may be missing, entries without a
 * name or a value are dropped, of equal names the last wins, a second U+0001 belongs to the value.
 */
export function decodeProperties(text: string): Record<string, string> {
  const properties: Record<string, string> = Object.create(null)
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

const RESERVED: ReadonlySet<string> = /* @__PURE__ */ new Set(
  /* @__PURE__ */ 'KEYS TAGS WAIT UNIQ_KEY DELAY TIMER_DELAY_SEC TIMER_DELAY_MS TIMER_DELIVER_MS TIMER_OUT_MS TIMER_ENQUEUE_MS TIMER_DEQUEUE_MS TIMER_ROLL_TIMES TIMER_DEL_UNIQKEY TIMER_DELAY_LEVEL __STARTDELIVERTIME TRAN_MSG PGROUP __transactionId__ TRANSACTION_CHECK_TIMES TRAN_PREPARED_QUEUE_OFFSET CHECK_IMMUNITY_TIME_IN_SECONDS REAL_TOPIC REAL_QID RETRY_TOPIC ORIGIN_MESSAGE_ID RECONSUME_TIME MAX_RECONSUME_TIMES DLQ_ORIGIN_TOPIC DLQ_ORIGIN_MESSAGE_ID CONSUME_START_TIME MIN_OFFSET MAX_OFFSET __SHARDINGKEY INSTANCE_ID MSG_REGION TRACE_ON CLUSTER __BORNHOST BORN_TIMESTAMP MSG_TYPE POP_CK 1ST_POP_TIME POP_CK_OFFSET CORRELATION_ID REPLY_TO_CLIENT TTL ARRIVE_TIME PUSH_REPLY_TIME INNER_NUM INNER_BASE DUP_INFO EXTEND_UNIQ_INFO REDIRECT TRANSFER_FLAG CORRECTION_FLAG MQ2_FLAG BUYER_ID INNER_MULTI_DISPATCH INNER_MULTI_QUEUE_OFFSET TRACE_CONTEXT PROPERTY_FORWARD_QUEUE_ID __CRC32#'.split(
    ' ',
  ),
)

/** Whether RocketMQ uses the name itself (protocol.md 6). A user's property must not have it. */
export function isReservedProperty(name: string): boolean {
  return RESERVED.has(name) || name.startsWith('__RMQ.TRANSIENT.')
}

/** @throws ConfigError naming the first property that a user may not set, or that would not arrive as it is. */
export function checkUserProperties(properties: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(properties)) {
    const field = `properties.${name}`
    checkText(field, value) // consumers would not see one without a value
    checkSeparators(name, value)
    if (isReservedProperty(name)) throw new ConfigError(field, 'the name is reserved by RocketMQ')
    if (!name.isWellFormed() || !value.isWellFormed())
      throw new ConfigError(field, 'has an unpaired surrogate')
  }
}

/** @param text as `encodeProperties` returned it. @throws ConfigError above 32767 bytes. */
export function checkPropertiesLength(text: string): void {
  // A UTF-16 unit is at most three bytes, so short texts need no count.
  if (text.length * 3 <= MAX_PROPERTIES_BYTES) return
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_PROPERTIES_BYTES) {
    throw new ConfigError('properties', `have ${bytes} bytes; brokers take ${MAX_PROPERTIES_BYTES}`)
  }
}
