import { deepStrictEqual, doesNotThrow, strictEqual, throws } from 'node:assert/strict'
import { test } from 'node:test'
import {
  checkGroupName,
  checkTopicName,
  isSystemTopic,
  unwrapNamespace,
  vipAddress,
  wrapNamespace,
} from '../../../src/wire/names.ts'

test('names of the allowed characters and lengths pass', () => {
  for (const name of [
    'a',
    'A-b_0',
    '%RETRY%g',
    'ns%topic',
    'a|b',
    't'.repeat(127),
    `%RETRY%${'g'.repeat(248)}`,
  ]) {
    doesNotThrow(() => checkTopicName(name), name)
  }
  doesNotThrow(() => checkGroupName('g'.repeat(120)))
})

test('other names are refused with the field and the rule', () => {
  throws(() => checkTopicName(''), { name: 'ConfigError', field: 'topic', message: /non-empty text/ })
  throws(() => checkTopicName(JSON.parse('null')), { field: 'topic', message: /non-empty text/ })
  throws(() => checkTopicName('t'.repeat(128)), { field: 'topic', message: /at most 127/ })
  throws(() => checkTopicName(`%DLQ%${'g'.repeat(251)}`), { message: /at most 255/ })
  throws(() => checkTopicName('a b', 'topics[0]'), { field: 'topics[0]', message: /only letters, digits/ })
  for (const name of ['a+b', 'a.b', 'é', 'a\n', '主题', 'a/b'])
    throws(() => checkTopicName(name), { name: 'ConfigError' })
  throws(() => checkGroupName('g'.repeat(121)), { field: 'consumerGroup', message: /at most 120/ })
  throws(() => checkGroupName('', 'producerGroup'), { field: 'producerGroup' })
})

test('topics of the broker are known', () => {
  deepStrictEqual(
    ['TBW102', 'RMQ_SYS_TRANS_HALF_TOPIC', 'rmq_sys_x', 'orders', '', 'TBW102 SCHEDULE_TOPIC_XXXX'].map(
      isSystemTopic,
    ),
    [true, true, true, false, false, false],
  )
})

test('a name of another namespace is neither wrapped away nor unwrapped', () => {
  strictEqual(wrapNamespace('ns1', 'ns2%orders'), 'ns1%ns2%orders')
  strictEqual(unwrapNamespace('ns1', 'ns2%orders'), 'ns2%orders')
  strictEqual(unwrapNamespace('', 'ns2%orders'), 'ns2%orders')
  strictEqual(wrapNamespace('', 'orders'), 'orders')
  strictEqual(wrapNamespace('ns1', 'CID_RMQ_SYS_TRANS'), 'CID_RMQ_SYS_TRANS')
})

test('the fast port is two below, where there is one', () => {
  strictEqual(vipAddress('[2001:db8::1]:10911'), '[2001:db8::1]:10909')
  for (const address of ['a:2', 'a:1', 'a']) throws(() => vipAddress(address), { name: 'ProtocolError' })
})
