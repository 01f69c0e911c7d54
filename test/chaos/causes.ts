/** What of a history may be a cause, and where the things of it lie. */
import type { Happening } from './history.ts'

export type Of<Kind extends Happening['kind']> = Extract<Happening, { kind: Kind }>
export type RecordLine = Of<'record'>
export type Fault = Of<'fault'>
/** What explains something, and when it was. */
export type Cause = Pick<Fault, 'what' | 'target' | 'at' | 'until'>

/** A lease ends by itself after it. */
export const LEASE_MS = 60_000

export const sum = (all: readonly number[]): number => all.reduce((total, each) => total + each, 0)

export const topicOf = (queue: string): string | undefined => queue.split('/').at(-3)

export const laneOf = ({ queue, key }: Pick<RecordLine, 'queue' | 'key'>): string => `${queue} ${key}`
export const placeOf = ({ queue, offset }: Pick<RecordLine, 'queue' | 'offset'>): string =>
  `${queue}/${offset}`

/** What is not kept from its effect: at most it comes twice, in another order, or in pieces. */
export const isHarmless = ({ what }: Fault): boolean => /^(duplicate|reorder|bytewise)$/.test(what)
/** Which environment it befell. */
export const pidOf = ({ target }: Pick<Fault, 'target'>): number =>
  Number(/^[a-z-]+ (\d+)$/.exec(target)?.[1])

/** Not an environment of a function. */
export const isOfServer = (fault: Pick<Fault, 'target'>): boolean => Number.isNaN(pidOf(fault))

export const faultNear = (
  faults: readonly Fault[],
  from: number,
  to: number,
  is: (fault: Fault) => boolean,
): Fault | undefined => faults.find((fault) => fault.at <= to && fault.until >= from && is(fault))

/** In the invocation of a record, up to a time: whoever slept longer than a lease goes on with the batch that it has. */
export function longSleepOf(
  faults: readonly Fault[],
  { pid, at, invocation }: RecordLine,
  until: number,
  spans: Spans,
): Fault | undefined {
  const isLong = (fault: Fault): boolean =>
    fault.what === 'suspend' && fault.until - fault.at >= LEASE_MS && pidOf(fault) === pid
  return faultNear(faults, spans.get(invocation)?.from ?? at, until, isLong)
}

/** When invocations began and ended, by their ids. */
export type Spans = ReadonlyMap<string, { from: number; to: number }>

/** A fault of the broker that has the queue. */
export function faultOn(
  faults: readonly Fault[],
  queue: string,
  from: number,
  to: number,
  is: (fault: Fault) => boolean,
): Fault | undefined {
  return faultNear(faults, from, to, (fault) => is(fault) && fault.target === brokerOf(queue))
}

/** The broker of a queue was killed between two times; what comes while it starts again is another matter. */
export const killOf = (
  faults: readonly Fault[],
  queue: string,
  from: number,
  to: number,
): Fault | undefined =>
  faults.find(
    ({ what, target, at }) => what === 'kill' && target === brokerOf(queue) && from <= at && at <= to,
  )

/** The name of the broker that has a queue. */
export const brokerOf = (queue: string): string | undefined => queue.split('/').at(-2)

/** The machine had no time for a process that wanted it, for as long, between two times, as what was missing. */
export function stallOf(
  stalls: readonly Of<'stall'>[],
  from: number,
  to: number,
  missingMs: number,
): Cause | undefined {
  const found = stalls.filter((each) => each.at <= to && each.until >= from)
  const [first] = found
  const isEnough = sum(found.map((each) => Math.min(each.until, to) - Math.max(each.at, from))) >= missingMs
  return first && isEnough
    ? { what: 'stall', target: 'the machine', at: first.at, until: found.at(-1)?.until ?? to }
    : undefined
}
