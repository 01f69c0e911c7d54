import { deepStrictEqual, ok, rejects, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClock, scopeOf } from '../../../../src/testing/broker/clock.ts'

describe('the clock', () => {
  it('stands still where it was told to, and goes on by what it is advanced', async () => {
    const clock = createClock({ at: 1_000 })
    const times = [clock.now(), clock.now()]
    await clock.advance(500)
    deepStrictEqual([...times, clock.now()], [1_000, 1_000, 1_500])
  })

  it('runs with the time of the system otherwise', async () => {
    const clock = createClock()
    ok(clock.now() >= Date.now() - 1_000)
    await clock.advance(3_600_000)
    ok(clock.now() >= Date.now() + 3_599_000)
  })

  it('runs what falls due in its order, each at its own time, and what that sets off too', async () => {
    const clock = createClock({ at: 0 })
    const ran: [string, number][] = []
    const at = (time: number, name: string): (() => void) =>
      clock.at(time, () => ran.push([name, clock.now()]))
    at(300, 'c')
    at(100, 'a')
    at(200, 'b')
    at(200, 'b, later set')
    at(900, 'not yet')
    clock.at(250, () => at(clock.now() + 100, 'set off'))
    at(220, 'taken back')()
    await clock.advance(400)
    deepStrictEqual(ran, [
      ['a', 100],
      ['b', 200],
      ['b, later set', 200],
      ['c', 300],
      ['set off', 350],
    ])
  })

  it('runs what falls due by itself when it runs', async () => {
    const clock = createClock()
    await new Promise<void>((resolve) => {
      const keepAlive = setTimeout(() => {}, 10_000) // its own timers do not
      clock.at(clock.now() + 1, () => {
        clearTimeout(keepAlive)
        resolve()
      })
    })
  })

  it('takes back what one part of it has set, and only that', async () => {
    const clock = createClock({ at: 0 })
    const ran: string[] = []
    const [one, two] = [scopeOf(clock), scopeOf(clock)]
    one.at(10, () => ran.push('one'))
    two.at(10, () => ran.push('two'))
    one.cancelAll()
    await clock.advance(10)
    deepStrictEqual(ran, ['two'])
  })

  it('does not go back', async () => {
    await rejects(createClock().advance(-1), { code: 'RMQ_CONFIG', field: 'ms' })
  })

  it('runs as many times as fast as it is told to, and can be advanced then, too', async (t) => {
    t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000 })
    const clock = createClock({ speed: 60 })
    const ran: number[] = []
    for (const minutes of [1, 2, 5]) clock.at(clock.now() + minutes * 60_000, () => ran.push(minutes))
    t.mock.timers.tick(999)
    const early = [...ran]
    t.mock.timers.tick(1)
    const first = [...ran]
    await clock.advance(60_000)
    t.mock.timers.tick(1_000)

    deepStrictEqual([early, first, ran], [[], [1], [1, 2]])
    deepStrictEqual(clock.now(), 1_000_000 + 3 * 60_000)
  })

  it('takes no speed at which time would stand still or go back', () => {
    for (const speed of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      throws(() => createClock({ speed }), { code: 'RMQ_CONFIG', field: 'speed' })
  })

  it('that stands still takes no speed', () => {
    throws(() => createClock({ at: 0, speed: 60 }), { code: 'RMQ_CONFIG', field: 'speed' })
  })
})
