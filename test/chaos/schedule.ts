/** Which faults come when: all of it follows from the seed, so that a run can be repeated. */

import { seeded } from '../support/random.ts'
import { NETWORK_FAULTS, type NetworkFault } from './proxy.ts'

/** What is done to a process. */
export type ProcessFault = 'kill' | 'suspend'

export interface PlannedFault {
  /** ms from the start. */
  at: number
  what: NetworkFault | ProcessFault
  /** A broker's name, `name server 1`; `worker`, `dispatcher` or `publisher`: one of their environments that is at work. */
  target: string
  /** How long it lasts, ms; 0: it is over at once. */
  forMs: number
}

export interface Extent {
  seed: number
  /** How long faults come, ms. */
  durationMs: number
  /** A process is killed or suspended so often, ms. */
  everyMs: number
  /** Their names. */
  brokers: readonly string[]
  nameServers: number
}

/** Between two faults of the network, ms. */
const NETWORK_EVERY_MS = [4_000, 12_000] as const
const NETWORK_FOR_MS = [500, 8_000] as const
const SUSPEND_MS = [1_000, 20_000] as const

export function planFaults({ seed, durationMs, everyMs, brokers, nameServers }: Extent): PlannedFault[] {
  const random = seeded(seed)
  const servers = [...brokers, ...Array.from({ length: nameServers }, (_, index) => `name server ${index}`)]
  // Brokers more often: theirs are the acknowledgements.
  const processes = [...servers, ...brokers, 'worker', 'worker', 'dispatcher', 'publisher']
  const planned: PlannedFault[] = []
  for (let at = everyMs / 2; at < durationMs; at += everyMs) {
    const what = random.pick(['kill', 'suspend'] as const)
    const forMs = what === 'kill' ? 0 : random.between(...SUSPEND_MS)
    planned.push({ at: Math.round(at), what, target: random.pick(processes), forMs })
  }
  let at = random.between(...NETWORK_EVERY_MS)
  while (at < durationMs) {
    const forMs = random.between(...NETWORK_FOR_MS)
    planned.push({ at, what: random.pick(NETWORK_FAULTS), target: random.pick(servers), forMs })
    at += forMs + random.between(...NETWORK_EVERY_MS)
  }
  return planned.sort((a, b) => a.at - b.at)
}
