/** What a run tells of its faults. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { faultTable } from './faults.ts'
import type { Happening } from './history.ts'

const fault = (what: string, target: string, met?: number): Happening => ({
  kind: 'fault',
  at: 0,
  until: 1,
  what,
  target,
  ...(met === undefined ? {} : { met }),
})

describe('the table of faults', () => {
  it('counts each kind by whom it met, and tells apart those that met nobody', () => {
    const table = faultTable([
      fault('suspend', 'consume-block 12'),
      fault('kill', 'broker-a'),
      fault('kill', 'consume-retry 13'),
      fault('kill', 'consume-long 14'),
      fault('delay', 'broker-b', 3),
      fault('delay', 'replica of broker-a', 0),
      fault('delay', 'name server 1', 2),
      { kind: 'healed', at: 2 },
      fault('kill', 'end-transaction 15'),
    ])

    assert.deepStrictEqual(table.split('\n'), [
      '         broker  consume  end-transaction  name server  met nobody',
      'delay         1                                      1           1',
      'kill          1        2                1',
      'suspend                1',
    ])
  })
})
