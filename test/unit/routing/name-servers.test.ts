import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Client, createClient } from '../../../src/client/client.ts'
import type { ClientOptions } from '../../../src/client/options.ts'
import { DeleteTopicInNamesrv, RequestCode } from '../../../src/commands/index.ts'
import { type Handler, type Handlers, handling, json } from '../../support/fake-cluster.ts'
import { closedPort, type FakeServer, fakeServer } from '../../support/fake-server.ts'
import { inMs, rejection } from '../../support/net.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'

const ROUTE = RequestCode.GET_ROUTEINFO_BY_TOPIC
const empty: Handler = () => ({ body: json({ queueDatas: [], brokerDatas: [] }) })

const answering = (t: TestContext): Promise<FakeServer> => handling(t, { [ROUTE]: empty })

function open(t: TestContext, addresses: readonly string[], options: ClientOptions = {}): Client {
  const client = createClient({ nameServers: addresses, timeoutMs: 1_500, ...options })
  t.after(() => client.close())
  return client
}

/** Asks for the routes of so many topics, one after the other. */
async function ask(client: Client, times = 1): Promise<void> {
  for (let n = 0; n < times; n++) await client.route(`t${n}`, client.deadline({}))
}

describe('name servers', () => {
  const bad: readonly [what: string, open: (t: TestContext) => Promise<string>][] = [
    ['that is not there', () => closedPort()],
    ['that never answers', async (t) => (await fakeServer(t)).address],
    [
      'that sends garbage',
      async (t) => (await fakeServer(t, (_, each) => each.write(Buffer.from('SSH-2.0-x\r\n')))).address,
    ],
    ['that closes', async (t) => (await fakeServer(t, (_, each) => each.reset())).address],
    [
      'that answers nonsense',
      async (t) => (await handling(t, { [ROUTE]: () => ({ body: json([]) }) })).address,
    ],
    ['that fails', async (t) => (await handling(t, { [ROUTE]: () => ({ code: 1 }) })).address],
    ['that is busy', async (t) => (await handling(t, { [ROUTE]: () => ({ code: 2 }) })).address],
  ]
  for (const [what, openBad] of bad) {
    it(`are asked in turn: one ${what} costs a share of the time and no more`, async (t) => {
      const good = await answering(t)
      const client = open(t, [await openBad(t), good.address])

      await ask(client, 4)

      strictEqual(good.frames.length, 4)
    })
  }

  it('are remembered: after a bad one was met the good one is asked first', async (t) => {
    const [silent, good] = await Promise.all([fakeServer(t), answering(t)])
    const client = open(t, [silent.address, good.address], { timeoutMs: 2_000 })

    await ask(client, 10)

    deepStrictEqual([silent.frames.length <= 1, good.frames.length], [true, 10])
  })

  it('share the first calls of many clients', async (t) => {
    const servers = await Promise.all([answering(t), answering(t)])
    const addresses = servers.map(({ address }) => address)

    await Promise.all(Array.from({ length: 40 }, () => ask(open(t, addresses, { timeoutMs: 20_000 }))))

    ok(servers.every(({ frames }) => frames.length > 0))
  })

  it('that know no topics yet do not hide one that another name server knows', async (t) => {
    const started = await handling(t, { [ROUTE]: () => ({ code: 17, remark: 'No topic route info' }) })
    const good = await answering(t)
    const addresses = [started.address, good.address]

    const clients = Array.from({ length: 40 }, () => open(t, addresses, { timeoutMs: 10_000 }))
    const routes = await Promise.all(clients.map((client) => ask(client)))

    strictEqual(routes.length, 40)
    ok(started.frames.length > 0)
  })

  it('that all answer "no such topic" are asked once each', async (t) => {
    const servers = await Promise.all(
      [1, 2].map(() => handling(t, { [ROUTE]: () => ({ code: 17, remark: 'No topic route info' }) })),
    )
    const client = open(
      t,
      servers.map(({ address }) => address),
    )

    const { code, responseCode, outcome } = await rejection(ask(client))

    deepStrictEqual([code, responseCode, outcome], ['RMQ_ROUTE', 17, 'not-sent'])
    deepStrictEqual(
      servers.map(({ frames }) => frames.length),
      [1, 1],
    )
  })

  it('that refuse the credentials are believed as well', async (t) => {
    const servers = await Promise.all(
      [1, 2].map(() => handling(t, { [ROUTE]: () => ({ code: 16, remark: 'check signature failed.' }) })),
    )
    const client = open(
      t,
      servers.map(({ address }) => address),
    )

    strictEqual((await rejection(ask(client)))['code'], 'RMQ_AUTH')
    strictEqual(servers.flatMap(({ frames }) => frames).length, 1)
  })

  it('that are all down are tried a few times, and the error names each of them', async (t) => {
    const addresses = [await closedPort(), await closedPort()]
    const client = open(t, addresses)

    const error: unknown = await ask(client).catch((each: unknown) => each)

    ok(error instanceof Error && addresses.every((address) => error.message.includes(address)))
    deepStrictEqual(await rejection(Promise.reject(error)), {
      code: 'RMQ_CONNECT',
      retryable: true,
      outcome: 'not-sent',
    })
  })

  it('that are down for a moment are there for the next attempt', async (t) => {
    const address = await closedPort()

    const asked = ask(open(t, [address], { timeoutMs: 20_000 }))
    await nextTurn() // refused
    const port = Number(address.split(':')[1])
    const server = await fakeServer(t, async (frame, each) => each.reply(frame, await empty(frame, each)), {
      port,
    })
    await asked

    deepStrictEqual(server.codes, [ROUTE])
  })

  it('are waited for no longer than the deadline, all of them together', async (t) => {
    const servers = await Promise.all([fakeServer(t), fakeServer(t), fakeServer(t)])
    const client = open(
      t,
      servers.map(({ address }) => address),
      { timeoutMs: 10_000 },
    )

    const clock = stoppedClock(t)

    const call = rejection(client.route('orders', client.deadline({ deadlineMs: Date.now() + 600 })))
    for (const asked of [1, 2, 3]) {
      while (servers.flatMap(({ frames }) => frames).length < asked) await nextTurn()
      await clock.pass(200)
    }
    const facts = await call

    deepStrictEqual([facts['code'], facts['outcome']], ['RMQ_DEADLINE', 'not-sent'])
    ok(servers.every(({ frames }) => frames.length === 1))
  })

  it('are not asked after the signal aborted, nor between two attempts', async (t) => {
    const stop = new AbortController()
    const server = await handling(t, {
      [ROUTE]: () => {
        stop.abort()
        return { code: 2 }
      },
    })
    const client = open(t, [server.address])

    const facts = await rejection(client.route('orders', client.deadline({ signal: stop.signal })))

    deepStrictEqual([facts['code'], server.frames.length], ['RMQ_ABORTED', 1])
  })

  it('may have IPv6 addresses', async (t) => {
    const server = await fakeServer(
      t,
      async (frame, connection) => connection.reply(frame, await empty(frame, connection)),
      {
        host: '::1',
      },
    )

    await ask(open(t, [server.address]))

    ok(server.address.startsWith('[::1]:'))
    strictEqual(server.frames.length, 1)
  })

  it('may have done a write whose answer was lost', async (t) => {
    const lose: Handlers = {
      [RequestCode.DELETE_TOPIC_IN_NAMESRV]: (_, connection) => connection.reset(),
    }
    const servers = await Promise.all([handling(t, lose), handling(t, lose)])
    const client = open(
      t,
      servers.map(({ address }) => address),
    )

    const { outcome } = await rejection(
      client.nameServers.call(DeleteTopicInNamesrv, { topic: 'orders' }, undefined, inMs(20_000)),
    )

    strictEqual(outcome, 'unknown')
  })
})
