/** Which faults come when: all of it follows from the seed, so that a run can be repeated. */

import { type Random, seeded } from '../support/random.ts'
import { NETWORK_FAULTS, type NetworkFault } from './proxy.ts'

/** What is done to a process. */
export const PROCESS_FAULTS = ['kill', 'suspend'] as const
export type ProcessFault = (typeof PROCESS_FAULTS)[number]

/** Kinds of functions: one of their environments that is at work is hit. `sleeper`: with a record in its hands, and for longer than a lease. */
export const FUNCTIONS = [
  'worker',
  'dispatcher',
  'publisher',
  'end-transaction',
  'check-transactions',
  'sleeper',
] as const
export type FunctionTarget = (typeof FUNCTIONS)[number]

export interface PlannedFault {
  /** ms from the start. */
  at: number
  what: NetworkFault | ProcessFault
  /** The name of a server, or a kind of function. */
  target: string
  /** How long it lasts, ms; 0: it is over at once. */
  forMs: number
}

/** Lists that go beside each other; what is in one of them comes one after the other. */
export interface Schedule {
  servers: PlannedFault[]
  functions: PlannedFault[]
  network: PlannedFault[]
  sleeper: PlannedFault[]
}

export interface Extent {
  seed: number
  /** How long faults come, ms. */
  durationMs: number
  /** A server is killed or suspended so often, and an environment of a function as well, ms. */
  everyMs: number
  /** The names of masters. */
  brokers: readonly string[]
  /** The names of replicas and of name servers. */
  others: readonly string[]
}

/** Between two faults of the network, ms. */
const NETWORK_EVERY_MS = [4_000, 12_000] as const
const NETWORK_FOR_MS = [500, 8_000] as const
const SUSPEND_MS = [1_000, 20_000] as const
/** A broker lets a lease go after 60 s. */
export const SLEEP_MS = 70_000
/** Shorter runs have no time for it. */
const SLEEP_FROM_MS = 600_000
/** What is left of a run behind it, and before. */
const AWAKE_MS = 60_000

export function planFaults({ seed, durationMs, everyMs, brokers, others }: Extent): Schedule {
  const random = seeded(seed)
  // Masters more often: theirs are the acknowledgements.
  const servers = [...brokers, ...brokers, ...others]
  const functions = FUNCTIONS.filter((each) => each !== 'sleeper')
  const processes = (targets: readonly string[], from: number): PlannedFault[] => {
    const nextTarget = dealer(random, targets)
    const kinds = new Map(targets.map((target) => [target, dealer(random, PROCESS_FAULTS)]))
    const planned: PlannedFault[] = []
    for (let at = from; at < durationMs; at += everyMs) {
      const target = nextTarget()
      const what = kinds.get(target)?.() ?? 'kill'
      const forMs = what === 'kill' ? 0 : random.between(...SUSPEND_MS)
      planned.push({ at: Math.round(at), what, target, forMs })
    }
    return planned
  }
  return {
    servers: processes(servers, everyMs / 2),
    functions: processes(functions, everyMs),
    network: planNetwork(random, durationMs, servers),
    sleeper:
      durationMs < SLEEP_FROM_MS
        ? []
        : [
            {
              at: random.between(AWAKE_MS, durationMs - SLEEP_MS - AWAKE_MS),
              what: 'suspend',
              target: 'sleeper',
              forMs: SLEEP_MS,
            },
          ],
  }
}

function planNetwork(random: Random, durationMs: number, servers: readonly string[]): PlannedFault[] {
  const nextKind = dealer(random, NETWORK_FAULTS)
  const nextTarget = dealer(random, servers)
  const planned: PlannedFault[] = []
  let at = random.between(...NETWORK_EVERY_MS)
  while (at < durationMs) {
    const forMs = random.between(...NETWORK_FOR_MS)
    planned.push({ at, what: nextKind(), target: nextTarget(), forMs })
    at += forMs + random.between(...NETWORK_EVERY_MS)
  }
  return planned
}

/** Deals what is in a list in ever new orders: each of it comes before one comes again. */
function dealer<T>(random: Random, list: readonly T[]): () => T {
  let rest: T[] = []
  return () => {
    if (rest.length === 0) rest = [...list]
    const [next] = rest.splice(random.below(rest.length), 1)
    return next as T
  }
}
