/**
 * Faults by rule: what goes wrong, for which requests, how often. Rules are looked at in the order in which they were
 * added, and the first that applies is the only one.
 */
import { ConfigError } from '../../errors.ts'
import { checkChoice, checkInt, checkObject, checkText } from '../../wire/checks.ts'
import type { Frame } from '../../wire/frame.ts'

/**
 * What happens to a request.
 * - `delay`: it is looked at `ms` later, by the broker's clock.
 * - `drop`: it is neither done nor answered.
 * - `reset`: it is not done, and the connection is reset.
 * - `half-frame`: it is done, half of the answer is written, and the connection closes.
 * - `lose-answer`: it is done and never answered.
 * - `busy`: SYSTEM_BUSY, code 2; not done.
 * - `refuse`: `responseCode` with `remark`; not done.
 * - `freeze`: this server stops reading and writing, for `ms` or until `resume()`. The request is done, and answered then.
 * - `kill`: this server is gone at once as by `kill()`; with `ms` it is back after that time. Not done.
 */
export type FaultKind =
  | 'delay'
  | 'drop'
  | 'reset'
  | 'half-frame'
  | 'lose-answer'
  | 'busy'
  | 'refuse'
  | 'freeze'
  | 'kill'

export interface FaultRule {
  fault: FaultKind
  /** Request codes it is for. @default every request, name server's too */
  code?: number | readonly number[]
  /** The topic that the request's header names. @default any */
  topic?: string
  /** Name of the broker, or `name-server`. @default any */
  server?: string
  /** How many requests at most. @default no limit */
  times?: number
  /** How many requests that would match are let through first. @default 0 */
  after?: number
  /** Share of the requests, 0 to 1; which ones, `seed` decides, the same ones in every run. @default 1 */
  probability?: number
  /** @default 1 */
  seed?: number
  /** `delay`: required. `freeze`, `kill`: until it goes on. By the broker's clock. */
  ms?: number
  /** `refuse`: the code of the answer. */
  responseCode?: number
  /** `refuse`: its text. @default "refused by a fault rule" */
  remark?: string
}

/** A rule in force. */
export interface Fault {
  /** How many requests it has struck. */
  readonly hits: number
  /** Ends it. */
  remove(): void
}

/** The rules in force. */
export interface FaultRules {
  /**
   * @throws ConfigError for a rule that says too little, or something that there is not
   * @example
   * broker.faults.add({ fault: 'busy', code: 310, topic: 'orders', times: 2 })
   */
  add(rule: FaultRule): Fault
  /** Ends all of them. */
  clear(): void
}

const KINDS: readonly FaultKind[] = [
  'delay',
  'drop',
  'reset',
  'half-frame',
  'lose-answer',
  'busy',
  'refuse',
  'freeze',
  'kill',
]

const FIELDS: readonly (keyof FaultRule)[] = [
  'fault',
  'code',
  'topic',
  'server',
  'times',
  'after',
  'probability',
  'seed',
  'ms',
  'responseCode',
  'remark',
]

interface ActiveRule {
  rule: FaultRule
  seen: number
  hits: number
  random: () => number
}

export class Faults implements FaultRules {
  readonly #rules = new Set<ActiveRule>()
  readonly #servers: readonly string[]

  /** @param servers names that a rule may have */
  constructor(servers: readonly string[]) {
    this.#servers = servers
  }

  add(rule: FaultRule): Fault {
    check(rule, this.#servers)
    const active: ActiveRule = { rule, seen: 0, hits: 0, random: randomOf(rule.seed ?? 1) }
    this.#rules.add(active)
    return {
      get hits() {
        return active.hits
      },
      remove: () => void this.#rules.delete(active),
    }
  }

  clear(): void {
    this.#rules.clear()
  }

  /** The rule that strikes this request, counted as a hit. */
  strike(server: string, frame: Frame): FaultRule | undefined {
    for (const active of this.#rules) {
      const { rule } = active
      if (active.hits >= (rule.times ?? Number.POSITIVE_INFINITY) || !applies(rule, server, frame)) continue
      if (active.seen++ < (rule.after ?? 0)) continue
      if (rule.probability !== undefined && active.random() >= rule.probability) continue
      active.hits++
      return rule
    }
    return undefined
  }
}

function check(rule: FaultRule, servers: readonly string[]): void {
  for (const name of Object.keys(checkObject('fault rule', rule))) {
    if (!FIELDS.includes(name as keyof FaultRule))
      throw new ConfigError(name, `is not in a fault rule; there are ${FIELDS.join(', ')}`)
  }
  if (!KINDS.includes(rule.fault))
    throw new ConfigError('fault', `takes ${KINDS.join(', ')}, got ${rule.fault}`)
  const { code, topic, server, remark, seed } = rule
  for (const each of code === undefined ? [] : [code].flat()) checkInt('code', each)
  if (topic !== undefined) checkText('topic', topic)
  if (server !== undefined) checkChoice('server', server, ...servers)
  if (remark !== undefined) checkText('remark', remark)
  if (seed !== undefined) checkInt('seed', seed, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
  for (const name of ['times', 'after', 'ms', 'responseCode'] as const) {
    if (rule[name] !== undefined) checkInt(name, rule[name])
  }
  if (rule.fault === 'delay' && rule.ms === undefined) throw new ConfigError('ms', 'says how long a delay is')
  if (rule.fault === 'refuse' && rule.responseCode === undefined)
    throw new ConfigError('responseCode', 'says what a refusal answers')
  const { probability = 1 } = rule
  if (!(probability >= 0 && probability <= 1))
    throw new ConfigError('probability', `takes 0 to 1, got ${probability}`)
}

/** The short form of a send calls the topic `b`. */
function applies(rule: FaultRule, server: string, frame: Frame): boolean {
  const { code, topic } = rule
  if (rule.server !== undefined && rule.server !== server) return false
  if (code !== undefined && !(typeof code === 'number' ? code === frame.code : code.includes(frame.code)))
    return false
  return topic === undefined || topic === (frame.ext['topic'] ?? frame.ext['b'])
}

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
