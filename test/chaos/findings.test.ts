/** What is printed of a verdict. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { findingsOf } from './findings.ts'

it('tells each case with its cause and when both were, what was forgotten with a commit by its offsets, and keys that moved by their causes', () => {
  const kill = { what: 'kill', target: 'broker-a', at: 12_000, until: 15_500 }
  const cut = { what: 'cut', target: 'broker-b', at: 20_000, until: 21_000 }
  const forgotten = [7, 3, 4].map((offset) => ({
    text: 'twice',
    at: 16_000,
    cause: kill,
    forgotten: { group: 'chaos-block', queue: 'orders/broker-a/0', offset },
  }))
  const moved = ['1-4', '0-0', '1-4'].map((key) => ({
    text: `moved: ${key}`,
    at: 17_000,
    cause: kill,
    moved: key,
  }))
  const verdict = {
    figures: { acknowledged: 3, 'records lost': 0 },
    explained: [...moved, ...forgotten, { text: 'twice: id-1', at: 22_500, cause: cut }],
  }

  assert.deepStrictEqual(findingsOf({ ...verdict, violations: [] }, 10_000), [
    '  acknowledged  3',
    '  records lost  0',
    '  explained: at 12.5 s twice: id-1 (cut of broker-b, 10.0 to 11.0 s)',
    '  explained: 3 × twice, commits lost: 3-4, 7 by chaos-block at orders/broker-a/0 (kill of broker-a, 2.0 to 5.5 s)',
    '  explained: 3 × moved, nothing begun too early: 0-0, 1-4 × 2 (kill of broker-a, 2.0 to 5.5 s)',
    'nothing that no fault explains',
  ])
  assert.deepStrictEqual(findingsOf({ ...verdict, violations: ['lost: id-2'] }, 10_000).slice(-2), [
    '  VIOLATION lost: id-2',
    '1 violations',
  ])
})
