import { deepStrictEqual, strictEqual, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CallOptions, deadlineOf, pause, remainingMs } from '../../../src/net/deadline.ts'
import { factsOf, inMs, rejection } from '../../support/net.ts'

const NOW = 1_700_000_000_000

describe('a deadline', () => {
  it('is the caller’s own, or so many ms from now', (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: NOW })
    const { signal } = new AbortController()

    deepStrictEqual(
      [deadlineOf({}, 500), deadlineOf({ signal, deadlineMs: NOW + 5 }, 500)],
      [
        { at: NOW + 500, signal: undefined, explicit: false },
        { at: NOW + 5, signal, explicit: true },
      ],
    )
  })

  it('is a point in time: a duration given by mistake is refused, as is what is no number', (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: NOW })

    for (const deadlineMs of [
      0,
      5_000,
      -1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      '1700000000001',
      null,
      5n,
    ]) {
      throws(
        () => deadlineOf({ deadlineMs } as unknown as CallOptions, 500),
        (error) => {
          deepStrictEqual(factsOf(error), {
            code: 'RMQ_CONFIG',
            retryable: false,
            outcome: 'not-sent',
            field: 'deadlineMs',
          })
          return true
        },
        String(deadlineMs),
      )
    }
  })

  it('that has passed, or a signal that has aborted, ends the call before it begins', (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: NOW })
    const reason = new Error('enough')
    const failed = (options: CallOptions): unknown => {
      try {
        return deadlineOf(options, 500)
      } catch (error) {
        return [factsOf(error), error instanceof Error && error.cause]
      }
    }

    deepStrictEqual(
      [failed({ deadlineMs: NOW }), failed({ signal: AbortSignal.abort(reason) })],
      [
        [{ code: 'RMQ_DEADLINE', retryable: false, outcome: 'not-sent' }, undefined],
        [{ code: 'RMQ_ABORTED', retryable: false, outcome: 'not-sent' }, reason],
      ],
    )
  })

  it('leaves so much time, never less than none', (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: NOW })

    deepStrictEqual([remainingMs(inMs(7)), remainingMs(inMs(0)), remainingMs(inMs(-7))], [7, 0, 0])
  })
})

describe('a pause', () => {
  it('ends with the deadline', async () => {
    const deadline = inMs(20)

    await pause(60_000, deadline)

    strictEqual(remainingMs(deadline) <= 5, true)
  })

  it('ends with the signal, also one that aborted before', async () => {
    const stop = new AbortController()

    const paused = [pause(60_000, inMs(60_000, { signal: stop.signal }))]
    stop.abort()
    paused.push(pause(60_000, inMs(60_000, { signal: stop.signal })))

    for (const each of paused) {
      deepStrictEqual(await rejection(each), { code: 'RMQ_ABORTED', retryable: false, outcome: 'not-sent' })
    }
  })
})
