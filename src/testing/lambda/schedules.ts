/** Starts functions at the times of their schedules, as asynchronous invocations, as EventBridge does. */
import { randomUUID } from 'node:crypto'
import { ConfigError } from '../../errors.ts'
import type { Clock } from './clock.ts'
import { MAX_EVENT_PAYLOAD } from './invocation.ts'
import type { ResolvedFunction } from './options.ts'
import { parseSchedule, type Schedule } from './schedule.ts'
import { ACCOUNT_ID } from './service.ts'

export interface PlannedSchedule {
  functionName: string
  schedule: Schedule
  /** Undefined: what EventBridge sends. */
  input: unknown
}

/** The schedules of a function. Throws a ConfigError that names the expression's field. */
export function schedulesOf({ name, events }: ResolvedFunction, start: number): PlannedSchedule[] {
  return events.flatMap((event, at) => {
    if (!('schedule' in event)) return []
    const field = `functions.${name}.events[${at}].schedule.rate`
    const { rate, input, enabled = true } = event.schedule
    if (Buffer.byteLength(JSON.stringify(input ?? null)) > MAX_EVENT_PAYLOAD)
      throw new ConfigError(
        `functions.${name}.events[${at}].schedule.input`,
        `is larger than an event may be (${MAX_EVENT_PAYLOAD} bytes)`,
      )
    const rates = typeof rate === 'string' ? [rate] : rate
    if (!Array.isArray(rates))
      throw new ConfigError(field, 'takes rate(5 minutes) or cron(0 9 ? * MON-FRI *)')
    const planned = rates.map((each: string) => ({
      functionName: name,
      schedule: parseSchedule(each, start, field),
      input,
    }))
    return enabled ? planned : []
  })
}

/** @returns what stops it */
export function runSchedules(
  planned: readonly PlannedSchedule[],
  clock: Clock,
  region: string,
  invoke: (functionName: string, payload: unknown) => void,
): () => void {
  const cancels = new Map<PlannedSchedule, () => void>()
  const arm = (each: PlannedSchedule, after: number): void => {
    const at = each.schedule.next(after)
    if (at === undefined) return
    const cancel = clock.at(at, () => {
      invoke(each.functionName, each.input ?? scheduledEvent(each.functionName, at, region))
      arm(each, clock.now())
    })
    cancels.set(each, cancel)
  }
  for (const each of planned) arm(each, clock.now())
  return () => {
    for (const cancel of cancels.values()) cancel()
  }
}

function scheduledEvent(functionName: string, at: number, region: string): object {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account: ACCOUNT_ID,
    time: new Date(at).toISOString().replace(/\.\d+Z$/, 'Z'),
    region,
    resources: [`arn:aws:events:${region}:${ACCOUNT_ID}:rule/${functionName}`],
    detail: {},
  }
}
