/** When a run is at its end. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { drained, type Setting } from './drained.ts'
import type { Happening } from './history.ts'

const QUEUE = 'orders/broker-a/0'
const done: Happening = {
  kind: 'record',
  group: 'chaos-block',
  what: 'end',
  invocation: 'first',
  pid: 1,
  queue: QUEUE,
  offset: 0,
  messageId: 'id-0',
  key: 'k',
  at: 1_000,
}
const setting: Setting = {
  groups: ['chaos-block'],
  workload: { stored: new Set(['id-0']), commits: new Set(['tx']) },
  history: { all: [done] },
  contentOf: async (topic) =>
    topic === 'orders'
      ? [{ queue: QUEUE, offset: 0, messageId: 'id-0' }]
      : [{ queue: 'payments/broker-a/0', offset: 0, messageId: 'tx' }],
  halvesOf: async () => [{ open: 0 }],
  patienceMs: 5_000,
  pauseMs: 1,
}

it('asks those again that did not answer, until its patience ends', async () => {
  let failures = 2
  const failing = <T>(answer: T): T => {
    if (failures-- > 0) throw new Error('no answer')
    return answer
  }

  const content = await drained({ ...setting, contentOf: async (topic) => failing(setting.contentOf(topic)) })
  failures = 2
  const halves = await drained({ ...setting, halvesOf: async () => failing(setting.halvesOf()) })
  failures = Infinity
  const never = await drained({
    ...setting,
    contentOf: async (topic) => failing(setting.contentOf(topic)),
    patienceMs: 50,
  })

  assert.deepStrictEqual([content, halves, never], [true, true, false])
})

it('is not at its end while something was not handled, by a group or at all, or not ended', async () => {
  const [other, tx] = [{ queue: QUEUE, offset: 1, messageId: 'id-1' }, await setting.contentOf('payments')]
  const judged = (more: Partial<Setting>): Promise<boolean> =>
    drained({ ...setting, patienceMs: 20, ...more })

  assert.deepStrictEqual(
    await Promise.all([
      judged({}),
      judged({ groups: ['chaos-block', 'chaos-retry'] }),
      judged({ workload: { ...setting.workload, stored: new Set(['id-0', 'id-2']) } }),
      judged({ contentOf: async (topic) => (topic === 'orders' ? [other] : tx) }),
      judged({ workload: { ...setting.workload, commits: new Set(['tx', 'other']) } }),
      judged({ halvesOf: async () => [{ open: 1 }] }),
    ]),
    [true, false, false, false, false, false],
  )
})
