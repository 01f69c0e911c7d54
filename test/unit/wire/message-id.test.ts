import { deepStrictEqual, match, strictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError, ProtocolError } from '../../../src/errors.ts'
import { parseIp, readIp } from '../../../src/wire/address.ts'
import {
  createUniqKey,
  decodeOffsetMessageId,
  decodeUniqKey,
  encodeOffsetMessageId,
  formatHost,
  parseHost,
} from '../../../src/wire/message-id.ts'

test('ids that are not 32 or 56 hex digits are refused', () => {
  for (const id of [
    '',
    '0',
    'G'.repeat(32),
    '0'.repeat(31),
    '0'.repeat(33),
    '0'.repeat(57),
    ` ${'0'.repeat(31)}`,
  ]) {
    throws(() => decodeOffsetMessageId(id), { name: 'ProtocolError', field: 'offsetMessageId' })
    throws(() => decodeUniqKey(id), { name: 'ProtocolError', field: 'uniqKey' })
  }
})

test('an offset id with an impossible port or offset is refused', () => {
  throws(() => decodeOffsetMessageId('7F000001000100000000000000000000'), ProtocolError)
  throws(() => decodeOffsetMessageId('7F00000100002A9F8000000000000000'), ProtocolError)
})

test('hex digits are read in either case', () => {
  deepStrictEqual(decodeOffsetMessageId('0a0000ff00002a9f00000000000000ff'), {
    address: '10.0.0.255:10911',
    commitLogOffset: 255n,
  })
})

test('an offset id is made from any way to write an address', () => {
  const id = '20010DB800000000000000000000000100002A9F0000000000000001'

  strictEqual(encodeOffsetMessageId('[2001:db8::1]:10911', 1n), id)
  strictEqual(encodeOffsetMessageId('2001:DB8:0:0:0:0:0:1:10911', 1n), id)
  throws(() => encodeOffsetMessageId('broker.local:10911', 1n), ConfigError)
  throws(() => encodeOffsetMessageId('10.0.0.1:10911', -1n), ConfigError)
  throws(() => encodeOffsetMessageId('10.0.0.1:10911', 2n ** 63n), ConfigError)
})

test('a new key is 32 upper-case hex digits of the bytes given, from any view of them', () => {
  const bytes = Uint8Array.from({ length: 20 }, (_, index) => index + 0xa0)

  strictEqual(createUniqKey(bytes.subarray(2, 18)), 'A2A3A4A5A6A7A8A9AAABACADAEAFB0B1')
  match(createUniqKey(new Uint8Array(16)), /^0{32}$/)
  throws(() => createUniqKey(bytes), ConfigError)
})

test('addresses are read in the three ways that routes write them', () => {
  deepStrictEqual(['10.0.0.1:10911', 'broker:1', '[2001:db8::1]:65535', '2001:db8::1:10911'].map(parseHost), [
    { host: '10.0.0.1', port: 10_911 },
    { host: 'broker', port: 1 },
    { host: '2001:db8::1', port: 65_535 },
    { host: '2001:db8::1', port: 10_911 },
  ])
  deepStrictEqual(formatHost('2001:db8::1', 1), '[2001:db8::1]:1')
})

test('text that is not host:port is refused', () => {
  for (const address of [
    '',
    'a',
    'a:',
    ':1',
    'a:0',
    'a:65536',
    'a:1x',
    'a:-1',
    '[a:1',
    'a]:1',
    '[]:1',
    'a b:1',
    '::1', // an IPv6 address without a port, not port 1
    'fe80::1',
    `${'a'.repeat(400)}:1`,
  ]) {
    throws(() => parseHost(address), { name: 'ProtocolError', field: 'address' }, address)
  }
})

test('IPv6 is written as RFC 5952 says', () => {
  const forms: Record<string, string> = {
    '0:0:0:0:0:0:0:0': '::',
    '0:0:0:0:0:0:0:1': '::1',
    '1:0:0:0:0:0:0:0': '1::',
    '2001:DB8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
    '2001:db8:0:1:1:1:1:1': '2001:db8:0:1:1:1:1:1',
    '1:0:0:2:0:0:0:3': '1:0:0:2::3',
    '::ffff:10.0.0.1': '::ffff:a00:1',
    'fe80::1:2:3:4': 'fe80::1:2:3:4',
  }
  for (const [text, shortest] of Object.entries(forms)) {
    strictEqual(readIp(parseIp(text) ?? Buffer.alloc(16), 0, true), shortest)
  }
})

test('text that is not an IP address has no bytes', () => {
  for (const text of [
    '',
    'a',
    '1.2.3',
    '1.2.3.256',
    '1.2.3.4.5',
    '1.2.3.x',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    '::1.2.3',
  ]) {
    strictEqual(parseIp(text), undefined, text)
  }
})
