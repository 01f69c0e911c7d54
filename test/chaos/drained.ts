/** Whether a run has come to its end: everything handled by every group, every transaction ended. */
import { setTimeout as wait } from 'node:timers/promises'
import { ORDERS, PAYMENTS } from './functions.ts'
import type { Happening, History } from './history.ts'
import type { Held } from './observe.ts'
import type { Workload } from './workload.ts'

export interface Setting {
  groups: readonly string[]
  workload: Pick<Workload, 'stored' | 'commits'>
  history: Pick<History, 'all'>
  /** Both ask brokers, which may fail once more although nothing is broken any longer. */
  contentOf: (topic: string) => Promise<readonly Pick<Held, 'queue' | 'offset' | 'messageId'>[]>
  halvesOf: () => Promise<readonly Pick<Extract<Happening, { kind: 'half' }>, 'open'>[]>
  patienceMs: number
  pauseMs: number
}

export async function drained(setting: Setting): Promise<boolean> {
  const { patienceMs, pauseMs } = setting
  const limit = Date.now() + patienceMs
  while (Date.now() < limit) {
    await wait(pauseMs)
    // Who does not answer is asked again.
    if (await isDrained(setting).catch(() => false)) return true
  }
  return false
}

async function isDrained({ groups, workload, history, contentOf, halvesOf }: Setting): Promise<boolean> {
  const done = new Map<string, Set<string>>(groups.map((group) => [group, new Set()]))
  for (const each of history.all) {
    if (each.kind !== 'record' || each.what === 'start') continue
    done.get(each.group)?.add(`${each.queue}/${each.offset}`)
    if (each.what === 'end') done.get(each.group)?.add(each.messageId)
  }
  if (![...done.values()].every((all) => isPartOf(workload.stored, all))) return false
  // With what was stored and not acknowledged.
  const orders = new Set((await contentOf(ORDERS)).map(({ queue, offset }) => `${queue}/${offset}`))
  if (![...done.values()].every((all) => isPartOf(orders, all))) return false
  const payments = new Set((await contentOf(PAYMENTS)).map(({ messageId }) => messageId))
  const halves = await halvesOf()
  return isPartOf(workload.commits, payments) && halves.every(({ open }) => open === 0)
}

function isPartOf(some: ReadonlySet<string>, all: ReadonlySet<string>): boolean {
  return [...some].every((each) => all.has(each))
}
