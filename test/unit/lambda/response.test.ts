import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ResponseError } from '../../../src/errors.ts'
import { readBatchResponse } from '../../../src/lambda/response.ts'
import { record } from '../../support/records.ts'

const first = record({ queueOffset: 1n, uniqKey: 'A' })
const second = record({ queueOffset: 2n, uniqKey: 'B' })
const copyOfFirst = record({ queueOffset: 3n, uniqKey: 'A' })
const records = [first, second, copyOfFirst]

describe('the response of a handler', () => {
  for (const [what, value] of [
    ['undefined', undefined],
    ['null', null],
    ['an empty list of failures', { batchItemFailures: [] }],
    ['null for the list of failures', { batchItemFailures: null }],
  ] as const) {
    it(`takes ${what} for success of all records`, () => {
      assert.deepStrictEqual(readBatchResponse(value, records), new Set())
    })
  }

  it('fails the record that a recordId names', () => {
    const response = { batchItemFailures: [{ itemIdentifier: 'orders/broker-a/0/2' }] }
    assert.deepStrictEqual(readBatchResponse(response, records), new Set(['orders/broker-a/0/2']))
  })

  it('fails every record that a messageId matches', () => {
    const response = { batchItemFailures: [{ itemIdentifier: 'A' }] }
    assert.deepStrictEqual(
      readBatchResponse(response, records),
      new Set(['orders/broker-a/0/1', 'orders/broker-a/0/3']),
    )
  })

  for (const [what, value] of [
    ['an empty object', {}],
    ['true', true],
    ['a text', 'ok'],
    ['a list', []],
    ['an HTTP response', { statusCode: 200 }],
    ['failures that are no list', { batchItemFailures: { itemIdentifier: 'A' } }],
    ['an unknown identifier', { batchItemFailures: [{ itemIdentifier: 'nobody' }] }],
    ['an empty identifier', { batchItemFailures: [{ itemIdentifier: '' }] }],
    ['a missing identifier', { batchItemFailures: [{}] }],
    ['null among the failures', { batchItemFailures: [null] }],
    [
      'a known and an unknown identifier',
      { batchItemFailures: [{ itemIdentifier: 'A' }, { itemIdentifier: '?' }] },
    ],
  ] as const) {
    it(`fails the whole batch for ${what}`, () => {
      assert.throws(() => readBatchResponse(value, records), ResponseError)
    })
  }
})
