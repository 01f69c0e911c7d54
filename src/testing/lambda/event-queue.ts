/**
 * Asynchronous invocations of one function: accepted at once, run when there is room, tried again after errors, and put on
 * the list of failed events when their attempts or their age are used up.
 *
 * As on Lambda the attempts wait one minute, then two. Being throttled is no attempt: the event waits for room.
 */
import type { Clock } from './clock.ts'
import type { Invocation, InvocationOutcome } from './invocation.ts'

/** Before the second and the third attempt, in ms. */
const RETRY_DELAYS_MS = [60_000, 120_000]

export type FailureCondition =
  | 'RetriesExhausted'
  | 'EventAgeExceeded'
  | 'ZeroReservedConcurrency'
  | 'RecursiveLoop'

/** An event that was given up, in the shape of AWS's record for an on-failure destination. */
export interface FailedEvent {
  version: '1.0'
  timestamp: string
  requestContext: {
    requestId: string
    functionArn: string
    condition: FailureCondition
    approximateInvokeCount: number
  }
  requestPayload: unknown
  /** Of the last attempt, if there was one. */
  responseContext?: { statusCode: 200; executedVersion: '$LATEST'; functionError: 'Unhandled' }
  responsePayload?: unknown
}

export interface EventQueueOptions {
  clock: Clock
  maximumRetryAttempts: number
  maximumEventAgeInSeconds: number
  /** Undefined when there is no room now. */
  invoke: (invocation: Invocation) => Promise<InvocationOutcome> | undefined
  onFailed: (event: FailedEvent) => void
  /** An attempt is over, with all that follows from it. */
  onAttempt: () => void
}

interface QueuedEvent {
  invocation: Invocation
  attempts: number
  last?: InvocationOutcome
  /** Gives it up while it waits. */
  isExpired: boolean
  cancelExpiry(): void
}

export class EventQueue {
  readonly #options: EventQueueOptions
  #waiting: QueuedEvent[] = []
  readonly #timers = new Set<() => void>()
  #running = 0
  #isClosed = false

  constructor(options: EventQueueOptions) {
    this.#options = options
  }

  /** Events that run or wait for room; not those that wait for their next attempt's time. */
  get length(): number {
    return this.#running + this.#waiting.length
  }

  accept(invocation: Invocation): void {
    const { maximumEventAgeInSeconds } = this.#options
    const event: QueuedEvent = { invocation, attempts: 0, isExpired: false, cancelExpiry: () => undefined }
    event.cancelExpiry = this.#after(maximumEventAgeInSeconds * 1000, () => {
      event.isExpired = true
      if (!this.#waiting.includes(event)) return
      this.#waiting = this.#waiting.filter((each) => each !== event)
      this.giveUp(invocation, 'EventAgeExceeded', event.attempts, event.last)
    })
    this.#waiting.push(event)
    this.pump()
  }

  /** Runs what there is room for. */
  pump(): void {
    for (let event = this.#waiting[0]; event && !this.#isClosed; event = this.#waiting[0]) {
      const outcome = this.#options.invoke(event.invocation)
      if (!outcome) return
      this.#waiting.shift()
      this.#running++
      void this.#run(event, outcome)
    }
  }

  giveUp(
    invocation: Invocation,
    condition: FailureCondition,
    attempts: number,
    last?: InvocationOutcome,
  ): void {
    this.#options.onFailed({
      version: '1.0',
      timestamp: new Date(this.#options.clock.now()).toISOString(),
      requestContext: {
        requestId: invocation.requestId,
        functionArn: invocation.invokedFunctionArn,
        condition,
        approximateInvokeCount: attempts,
      },
      requestPayload: JSON.parse(invocation.payload.toString()) as unknown,
      ...(last
        ? {
            responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
            responsePayload: JSON.parse(last.payload.toString()) as unknown,
          }
        : {}),
    })
  }

  close(): void {
    this.#isClosed = true
    this.#waiting = []
    for (const cancel of this.#timers) cancel()
  }

  async #run(event: QueuedEvent, pending: Promise<InvocationOutcome>): Promise<void> {
    const outcome = await pending
    this.#running--
    if (!this.#isClosed) this.#settle(event, outcome)
    this.#options.onAttempt()
  }

  #settle(event: QueuedEvent, outcome: InvocationOutcome): void {
    const { maximumRetryAttempts } = this.#options
    event.attempts++
    event.last = outcome
    const isExhausted = event.attempts > maximumRetryAttempts
    if (outcome.functionError === undefined) event.cancelExpiry()
    else if (isExhausted || event.isExpired) {
      event.cancelExpiry()
      const condition = isExhausted ? 'RetriesExhausted' : 'EventAgeExceeded'
      this.giveUp(event.invocation, condition, event.attempts, outcome)
    } else {
      this.#after(RETRY_DELAYS_MS[event.attempts - 1] ?? 0, () => this.#tryAgain(event))
    }
  }

  #tryAgain(event: QueuedEvent): void {
    if (event.isExpired) this.giveUp(event.invocation, 'EventAgeExceeded', event.attempts, event.last)
    else {
      this.#waiting.push(event)
      this.pump()
    }
  }

  #after(ms: number, callback: () => void): () => void {
    const { clock } = this.#options
    const cancel = clock.at(clock.now() + ms, () => {
      this.#timers.delete(cancel)
      callback()
    })
    this.#timers.add(cancel)
    return () => {
      this.#timers.delete(cancel)
      cancel()
    }
  }
}
