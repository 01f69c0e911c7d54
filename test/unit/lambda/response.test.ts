import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ResponseError } from '../../../src/errors.ts'
import { readBatchResponse } from '../../../src/lambda/response.ts'
import { message } from '../../support/records.ts'

const first = message({ queueOffset: 1n, uniqKey: 'A' })
const second = message({ queueOffset: 2n, uniqKey: 'B' })
const copyOfFirst = message({ queueOffset: 3n, uniqKey: 'A' })
const batch = [first, second, copyOfFirst]

describe('the response of a handler', () => {
  for (const [what, value] of [
    ['undefined', undefined],
    ['null', null],
    ['an empty list of failures', { batchItemFailures: [] }],
    ['null for the list of failures', { batchItemFailures: null }],
  ] as const) {
    it(`takes ${what} for success of all records`, () => {
      assert.deepStrictEqual(readBatchResponse(value, batch), new Set())
    })
  }

  it('fails the record that a recordId names', () => {
    const response = { batchItemFailures: [{ itemIdentifier: 'orders/broker-a/0/2' }] }
    assert.deepStrictEqual(readBatchResponse(response, batch), new Set([second]))
  })

  it('fails every record that a messageId matches', () => {
    const response = { batchItemFailures: [{ itemIdentifier: 'A' }] }
    assert.deepStrictEqual(readBatchResponse(response, batch), new Set([first, copyOfFirst]))
  })

  it('takes an identifier that is named twice once, however many copies there are', () => {
    const copies = Array.from({ length: 10_000 }, (_, at) =>
      message({ queueOffset: BigInt(at), uniqKey: 'A' }),
    )
    const batchItemFailures = copies.map(() => ({ itemIdentifier: 'A' }))

    assert.deepStrictEqual(readBatchResponse({ batchItemFailures }, copies).size, 10_000)
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
      assert.throws(() => readBatchResponse(value, batch), ResponseError)
    })
  }
})
