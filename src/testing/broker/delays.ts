/**
 * Messages that come later: by delay level (upstream ScheduleMessageService) and by timer (TimerMessageStore). The message
 * is stored under a topic of the broker's own and stored again under its real topic when the clock says so.
 */
import { MESSAGE_ILLEGAL, SYSTEM_ERROR } from '../../commands/response-codes.ts'
import type { ClockScope } from './clock.ts'
import { Refusal } from './handler.ts'
import { formatProperties, type NewMessage, type Properties, readRecord } from './record.ts'
import type { Appended, MessageStore } from './store.ts'
import { SCHEDULE_TOPIC, TIMER_TOPIC } from './topics.ts'

/** What messageDelayLevel is as shipped, in ms: 1s 5s 10s 30s 1m … 10m 20m 30m 1h 2h. */
export const DELAY_LEVELS_MS: readonly number[] = [
  1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000, 480_000,
  540_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000,
]

const TIMER_MAX_MS = 259_200_000
const TIMER_PRECISION_MS = 1_000
const TIMER_PROPERTIES = ['TIMER_DELIVER_MS', 'TIMER_DELAY_SEC', 'TIMER_DELAY_MS']
const ILLEGAL_TIMER = `timer message illegal, the delay time should not be bigger than the max delay ${TIMER_MAX_MS}ms; or if set del msg, the delay time should be bigger than the current time`

/** Stores a message under its real topic. */
type Deliver = (message: NewMessage, properties: Properties) => void

export interface Scheduled {
  topic: string
  queueId: number
  dueAt: number
  isTimer: boolean
}

export class Delays {
  readonly #clock: ClockScope
  readonly #store: MessageStore
  readonly #deliver: Deliver
  /** By the position of the stored copy. */
  readonly #pending = new Map<number, () => void>()

  constructor(clock: ClockScope, store: MessageStore, deliver: Deliver) {
    this.#clock = clock
    this.#store = store
    this.#deliver = deliver
  }

  /**
   * Where and until when a message has to wait; nothing: it is stored as it is. What the broker notes in its properties is
   * added to them. @throws Refusal for a time that is too far away
   */
  plan(topic: string, queueId: number, properties: Properties): Scheduled | undefined {
    const level = levelOf(properties)
    const target = (): void => {
      properties['REAL_TOPIC'] = topic
      properties['REAL_QID'] = String(queueId)
    }
    if (level > 0) {
      for (const name of TIMER_PROPERTIES) delete properties[name]
      const capped = Math.min(level, DELAY_LEVELS_MS.length)
      properties['DELAY'] = String(capped)
      target()
      const dueAt = this.#clock.now() + (DELAY_LEVELS_MS[capped - 1] as number)
      return { topic: SCHEDULE_TOPIC, queueId: capped - 1, dueAt, isTimer: false }
    }
    const time = this.#timeOf(properties)
    if (time === undefined || time <= this.#clock.now()) return undefined
    // Kept to a second: one before where it is a whole one, rounded down otherwise.
    const dueAt = Math.ceil(time / TIMER_PRECISION_MS - 1) * TIMER_PRECISION_MS
    properties['TIMER_OUT_MS'] = String(dueAt)
    target()
    return { topic: TIMER_TOPIC, queueId: 0, dueAt, isTimer: true }
  }

  #timeOf(properties: Properties): number | undefined {
    const [deliver, seconds, ms] = TIMER_PROPERTIES.map((name) => properties[name])
    const text = seconds ?? ms ?? deliver
    if (text === undefined) return undefined
    const now = this.#clock.now()
    const time =
      seconds === undefined
        ? Number(ms ?? deliver) + (ms === undefined ? 0 : now)
        : now + Number(seconds) * 1000
    if (!/^[+-]?\d{1,18}$/.test(text) || time - now > TIMER_MAX_MS)
      throw new Refusal(MESSAGE_ILLEGAL, ILLEGAL_TIMER)
    return time
  }

  /** The message stands at `position` under a topic of the broker's own, and goes to its real one when it is due. */
  schedule({ position }: Appended, { dueAt, isTimer }: Scheduled): void {
    const enqueuedAt = this.#clock.now()
    const cancel = this.#clock.at(dueAt, () => {
      this.#pending.delete(position)
      const record = this.#store.record(position)
      if (!record) return // it has gone with the oldest messages
      const { properties, ...message } = readRecord(record)
      const { REAL_TOPIC: topic = '', REAL_QID: queueId = '0' } = properties
      if (isTimer) {
        properties['TIMER_ENQUEUE_MS'] = String(enqueuedAt)
        properties['TIMER_DEQUEUE_MS'] = String(this.#clock.now())
      }
      this.#deliver(
        { ...message, topic, queueId: Number(queueId), properties: formatProperties(properties) },
        properties,
      )
    })
    this.#pending.set(position, cancel)
  }

  /** Takes a timer message back; gives whether it was still waiting. */
  recall(topic: string, messageId: string): boolean {
    for (const [position, cancel] of this.#pending) {
      const record = this.#store.record(position)
      if (!record) continue
      const { topic: storedUnder, properties } = readRecord(record)
      const { REAL_TOPIC, UNIQ_KEY } = properties
      if (storedUnder !== TIMER_TOPIC || REAL_TOPIC !== topic || UNIQ_KEY !== messageId) continue
      cancel()
      return this.#pending.delete(position)
    }
    return false
  }
}

/** As Integer.parseInt reads it. */
function levelOf(properties: Properties): number {
  const text = properties['DELAY'] || '0'
  const level = Number(text)
  if (/^[+-]?\d+$/.test(text) && level === (level | 0)) return level
  throw new Refusal(SYSTEM_ERROR, `java.lang.NumberFormatException: For input string: "${text}"`)
}
