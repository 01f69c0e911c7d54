import { deepStrictEqual, doesNotThrow, strictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import {
  checkPropertiesLength,
  checkUserProperties,
  decodeProperties,
  encodeProperties,
  isReservedProperty,
} from '../../../src/wire/properties.ts'

test('separators and empty names are refused with the name', () => {
  throws(() => encodeProperties([['a', 'x\u0001']]), { name: 'ConfigError', field: 'properties.a' })
  throws(() => encodeProperties([['a', 'x\u0002']]), { field: 'properties.a' })
  throws(() => encodeProperties([['a\u0002', 'x']]), { field: 'properties.a\u0002' })
  throws(() => encodeProperties([['', 'x']]), { field: 'properties.' })
})

test('a nameless entry in front of the others does not take them along', () => {
  for (const front of ['\u0001x\u0002', '\u0002'])
    deepStrictEqual({ ...decodeProperties(`${front}UNIQ_KEY\u0001A\u0002`) }, { UNIQ_KEY: 'A' })
})

test('the record has no prototype, so any name is safe', () => {
  const properties = decodeProperties('__proto__\u0001x\u0002constructor\u0001y\u0002')

  deepStrictEqual(Object.getPrototypeOf(properties), null)
  deepStrictEqual(Object.entries(properties), [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ])
})

test('a separator of a later entry does not make a property of an earlier one', () => {
  deepStrictEqual({ ...decodeProperties('none\u0002a\u0001b\u0002none') }, { a: 'b' })
})

test('16 MiB of entries without a value are read in one pass', () => {
  deepStrictEqual({ ...decodeProperties('aaa\u0002'.repeat(4_000_000)) }, {})
  deepStrictEqual({ ...decodeProperties(`${'aaa\u0002'.repeat(4_000_000)}a\u0001b`) }, { a: 'b' })
})

const RESERVED = `
KEYS TAGS WAIT UNIQ_KEY DELAY TIMER_DELAY_SEC TIMER_DELAY_MS TIMER_DELIVER_MS TIMER_OUT_MS
TIMER_ENQUEUE_MS TIMER_DEQUEUE_MS TIMER_ROLL_TIMES TIMER_DEL_UNIQKEY TIMER_DELAY_LEVEL
__STARTDELIVERTIME TRAN_MSG PGROUP __transactionId__ TRANSACTION_CHECK_TIMES
TRAN_PREPARED_QUEUE_OFFSET CHECK_IMMUNITY_TIME_IN_SECONDS REAL_TOPIC REAL_QID RETRY_TOPIC
ORIGIN_MESSAGE_ID RECONSUME_TIME MAX_RECONSUME_TIMES DLQ_ORIGIN_TOPIC DLQ_ORIGIN_MESSAGE_ID
CONSUME_START_TIME MIN_OFFSET MAX_OFFSET __SHARDINGKEY INSTANCE_ID MSG_REGION TRACE_ON CLUSTER
__BORNHOST BORN_TIMESTAMP MSG_TYPE POP_CK 1ST_POP_TIME POP_CK_OFFSET CORRELATION_ID REPLY_TO_CLIENT
TTL ARRIVE_TIME PUSH_REPLY_TIME INNER_NUM INNER_BASE DUP_INFO EXTEND_UNIQ_INFO REDIRECT
TRANSFER_FLAG CORRECTION_FLAG MQ2_FLAG BUYER_ID INNER_MULTI_DISPATCH INNER_MULTI_QUEUE_OFFSET
TRACE_CONTEXT PROPERTY_FORWARD_QUEUE_ID __CRC32#
__RMQ.TRANSIENT.X __RMQ.TRANSIENT.`
  .trim()
  .split(/\s/)

test('the names of RocketMQ are reserved, others are not', () => {
  const near = RESERVED.filter((name) => !name.startsWith('__RMQ')).flatMap((name) => [
    name.slice(1),
    name.slice(0, -1),
    `${name}S`,
    `_${name}`,
    `${name}\n`,
    name.toLowerCase(),
  ])

  deepStrictEqual(
    RESERVED.filter((name) => !isReservedProperty(name)),
    [],
  )
  deepStrictEqual(
    [
      ...near,
      '',
      ' ',
      'tags',
      'TAG',
      'KEYS TAGS',
      ' KEYS',
      'TAGS ',
      'orderId',
      '__RMQ',
      'constructor',
    ].filter(isReservedProperty),
    [],
  )
  strictEqual(isReservedProperty('__RMQ.TRANSIENT.a\nb'), true)
})

test('a user’s property that would not arrive as it is is refused with its name and the reason', () => {
  const refused: [string, unknown, RegExp][] = [
    ['TAGS', 'a', /^properties.TAGS: the name is reserved/],
    ['', 'a', /needs a name/],
    ['a', '', /non-empty text/],
    ['a', 1, /non-empty text/],
    ['a', undefined, /non-empty text/],
    ['a', 'b\u0001', /U\+0001/],
    ['a\u0001', 'b', /U\+0001/],
    ['a', '\ud800', /surrogate/],
  ]
  for (const [name, value, message] of refused) {
    throws(() => checkUserProperties({ ok: 'ok', [name]: value as string }), {
      name: 'ConfigError',
      field: `properties.${name}`,
      message,
    })
  }
  doesNotThrow(() => checkUserProperties({ a: '1\n2', 键: '值', 'x=': ' ' }))
})

test('the length is counted in bytes', () => {
  doesNotThrow(() => checkPropertiesLength('a'.repeat(32_767)))
  throws(() => checkPropertiesLength('a'.repeat(32_768)), { field: 'properties', message: /32768 bytes/ })
  doesNotThrow(() => checkPropertiesLength('é'.repeat(16_383)))
  throws(() => checkPropertiesLength('é'.repeat(16_384)), { field: 'properties' })
})
