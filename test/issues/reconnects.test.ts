/**
 * A peer that refuses, or that closes each connection at once, was connected to again with every call: hundreds of times a
 * second from each sandbox when it accepted first.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { UpdateConsumerOffset } from '../../src/commands/index.ts'
import { fakeServer } from '../support/fake-server.ts'
import { inMs, openNetwork, openPool, rejection } from '../support/net.ts'

const STEP_MS = 10
const offset = { consumerGroup: 'g', topic: 'orders', queueId: 0, commitOffset: 1n }

describe('a peer that is called every 10 ms', () => {
  for (const [what, tls] of [
    ['closes each connection before it answers', undefined],
    ['ends each TLS handshake', {}],
  ] as const) {
    it(`and ${what} is connected to twice a second at the most`, async (t) => {
      t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_700_000_000_000 })
      t.mock.method(Math, 'random', () => 0.5)
      const connects: number[] = []
      const server = await fakeServer(t, (_, each) => each.reset(), {
        onConnection: (each) => {
          connects.push(Date.now())
          if (tls) each.reset()
        },
      })
      const network = openNetwork(t, tls ? { tls } : {})
      const limits = { deadline: inMs(60_000) }

      for (let ms = 0; ms < 10_000; ms += STEP_MS) {
        void rejection(network.call(server.address, UpdateConsumerOffset, offset, undefined, limits))
        for (let turn = 0; turn < 5; turn++) await nextTurn()
        t.mock.timers.tick(STEP_MS)
      }

      const inASecond = connects.map(
        (from) => connects.filter((at) => at >= from && at < from + 1_000).length,
      )
      deepStrictEqual(Math.max(...inASecond), 2)
      ok(connects.length > 10, `${connects.length} in 10 s`)
    })
  }

  it('and ends each TLS handshake is left alone for another while each time, so that not all sandboxes come at once', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const random = t.mock.method(Math, 'random')
    /** Between the first three connects. What it says in the meantime is the error of the last one. */
    const pauses = async (chance: number): Promise<[first: number, second: number]> => {
      random.mock.mockImplementation(() => chance)
      const connects: number[] = []
      const server = await fakeServer(t, undefined, {
        onConnection: (each) => {
          connects.push(Date.now())
          each.reset()
        },
      })
      const pool = openPool(t, { tls: {} })
      for (let ms = 0; ms < 10_000 && connects.length < 3; ms += STEP_MS) {
        await rejection(pool.get(server.address, inMs(60_000)))
        t.mock.timers.tick(STEP_MS)
      }
      const [first = 0, second = 0, third = 0] = connects
      return [second - first, third - second]
    }

    const [soon, late] = [await pauses(0), await pauses(0.999)]

    deepStrictEqual(
      soon.map((ms, index) => 0 < ms && ms < (late[index] ?? 0)),
      [true, true],
    )
  })

  it('is left alone no longer because the clock was set back', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    let refuse = true
    const server = await fakeServer(t, (frame, each) => each.reply(frame), {
      onConnection: (each) => {
        if (refuse) each.reset()
      },
    })
    const network = openNetwork(t)
    const commit = (): Promise<unknown> =>
      network.call(server.address, UpdateConsumerOffset, offset, undefined, { deadline: inMs(5_000) })
    await rejection(commit())
    refuse = false

    t.mock.timers.setTime(1_600_000_000_000)
    await commit()

    deepStrictEqual(server.codes, [UpdateConsumerOffset.code])
  })
})
