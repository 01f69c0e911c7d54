import { deepStrictEqual, strictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { compressionType, TRANSACTION_COMMIT, transactionType } from '../../../src/wire/flags.ts'
import { selectQueueIndex } from '../../../src/wire/hash.ts'
import {
  formatAckBits,
  parseAckBits,
  parseMsgOffsetInfo,
  parseOrderCountInfo,
  parsePopReceipt,
  parseStartOffsetInfo,
} from '../../../src/wire/pop-receipt.ts'
import { formatRecallHandle, parseRecallHandle } from '../../../src/wire/recall-handle.ts'
import { sign } from '../../../src/wire/signature.ts'
import { parseTagExpression } from '../../../src/wire/tag-expression.ts'

test('receipts that break a rule are refused with the part', () => {
  const refused: Record<string, string> = {
    '': 'receipt',
    '1 2 3 4 0 b 6': 'receipt',
    '1 2 3 4 0 b 6 7 8': 'receipt',
    'x 2 3 4 0 b 6 7': 'receipt.ckQueueOffset',
    '1 9223372036854775808 3 4 0 b 6 7': 'receipt.popTime',
    '1 2 3 2147483648 0 b 6 7': 'receipt.reviveQid',
    '1 2 3 4 3 b 6 7': 'receipt.retryFlag',
    '1 2 3 4 0  6 7': 'receipt.brokerName',
    '1 2 3 4 0 b 6.5 7': 'receipt.queueId',
    '1 2 3 4 0 b 6 ': 'receipt.queueOffset',
  }
  for (const [text, field] of Object.entries(refused)) {
    throws(() => parsePopReceipt(text), { name: 'ProtocolError', field }, text)
  }
})

test('offset lists may be empty and end in a separator, and are refused otherwise', () => {
  deepStrictEqual(parseStartOffsetInfo(''), new Map())
  deepStrictEqual(parseStartOffsetInfo('0 1 2;'), new Map([['0@1', 2n]]))
  for (const text of ['0 1', '0 1 2 3', '5 1 2', '0 1 x']) {
    throws(() => parseStartOffsetInfo(text), { name: 'ProtocolError', field: 'startOffsetInfo' })
    throws(() => parseOrderCountInfo(text), { field: 'orderCountInfo' })
  }
  for (const text of ['0 1 1,', '0 1 ,1', '0 1 1;0 1 x'])
    throws(() => parseMsgOffsetInfo(text), { field: 'msgOffsetInfo' })
})

test('acknowledged offsets outside a bit set are refused', () => {
  deepStrictEqual([formatAckBits([]), parseAckBits('')], ['', []])
  for (const offset of [-1, 0.5, 65_536, Number.NaN])
    throws(() => formatAckBits([offset]), { name: 'ProtocolError' })
  throws(() => parseAckBits('!'), { name: 'ProtocolError' })
  throws(() => parseAckBits('A'.repeat(11_000)), { name: 'ProtocolError' })
})

test('recall handles that are not of version 1 are refused', () => {
  const handle = (text: string): string => Buffer.from(text).toString('base64url')

  for (const text of [
    '',
    '!',
    handle('v2 t b 1 id'),
    handle('v1 t b 1'),
    handle('v1 t b x id'),
    handle('v1 t b 1 id more'),
    handle('v1  b 1 id'),
  ]) {
    throws(() => parseRecallHandle(text), { name: 'ProtocolError', field: 'recallHandle' }, text)
  }
  throws(() => formatRecallHandle({ topic: 'a b', brokerName: 'b', deliverTimeMs: 1n, messageId: 'm' }), {
    field: 'topic',
  })
})

test('a tag expression keeps the order of its tags, each once', () => {
  deepStrictEqual(parseTagExpression('b || a||b || Aa||BB'), {
    tags: ['b', 'a', 'Aa', 'BB'],
    codes: [98, 97, 2112],
  })
  for (const all of ['*', '', ' ', ' * ']) deepStrictEqual(parseTagExpression(all), { tags: [], codes: [] })
  for (const none of ['||', ' || '])
    throws(() => parseTagExpression(none), { name: 'ConfigError', field: 'filter' })
})

test('white space that Java does not trim stays part of a tag', () => {
  deepStrictEqual(parseTagExpression('\u00a0a\t||\u0000b').tags, ['\u00a0a', 'b'])
})

test('flags are read out of a sysFlag', () => {
  deepStrictEqual([0, 0x301, 0x101, 0x201].map(compressionType), [0, 3, 1, 2])
  deepStrictEqual(transactionType(0x1 | TRANSACTION_COMMIT | 0x100), TRANSACTION_COMMIT)
})

test('no queues is an error, not NaN', () => {
  for (const count of [0, -1, Number.NaN]) throws(() => selectQueueIndex('a', count), { field: 'queueCount' })
})

test('the order of the header fields does not change a signature', () => {
  strictEqual(sign('k', { b: '2', B: '1', Signature: 'x' }), sign('k', { B: '1', b: '2' }))
})
