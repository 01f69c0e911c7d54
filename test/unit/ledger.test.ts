/** What tests of leases read from their ledger. */
import { deepStrictEqual } from 'node:assert/strict'
import { it } from 'node:test'
import { doubleOwners } from '../delivery/context.ts'

type Entry = Parameters<typeof doubleOwners>[0][number]

const record = (invocation: string, offset: number, at: number): Entry[] =>
  (['start', 'end'] as const).map((what, index) => ({
    what,
    invocation,
    offset,
    at: at + index,
    queue: 'orders/broker-a/0',
    n: offset,
    messageId: `id-${offset}`,
    reconsumeTimes: 0,
  }))

it('two invocations have a queue at once, also where they have it by turns', () => {
  const found = [
    [...record('a', 0, 1), ...record('b', 1, 3), ...record('a', 2, 5)],
    [...record('a', 0, 1), ...record('a', 1, 3), ...record('b', 2, 5)],
  ].map(doubleOwners)

  deepStrictEqual(found, [['orders/broker-a/0/1'], []])
})

it('invocations whose names are numbers have queues in the order in which they had them', () => {
  const found = [
    [...record('10', 0, 1), ...record('2', 1, 3)],
    [...record('10', 0, 1), ...record('2', 1, 3), ...record('10', 2, 5)],
  ].map(doubleOwners)

  deepStrictEqual(found, [[], ['orders/broker-a/0/1']])
})
