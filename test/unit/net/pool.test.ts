import { deepStrictEqual, notStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import dns from 'node:dns'
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { createAddressPolicy } from '../../../src/net/address-policy.ts'
import type { Connection } from '../../../src/net/connection.ts'
import type { Deadline } from '../../../src/net/deadline.ts'
import type { Pool } from '../../../src/net/pool.ts'
import type { TlsOptions } from '../../../src/net/tcp.ts'
import { type Certificate, createCertificate } from '../../support/certificates.ts'
import { closedPort, type FakeServer, fakeServer, type Script } from '../../support/fake-server.ts'
import { inMs, isUsable, openPool, rejection } from '../../support/net.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'

const run = promisify(execFile)

const echo: Script = (frame, connection) => connection.reply(frame, { ext: frame.ext })

async function get(
  pool: Pool,
  server: FakeServer | string,
  deadline: Deadline = inMs(20_000),
): Promise<Connection> {
  return await pool.get(typeof server === 'string' ? server : server.address, deadline)
}

const ask = (connection: Connection, deadline: Deadline = inMs(20_000)): ReturnType<Connection['request']> =>
  connection.request({ code: 1, ext: {}, body: undefined, deadline, write: false })

/** Accepts and says nothing at all: a TLS handshake with it hangs. */
const blackHole = (t: TestContext): Promise<FakeServer> => fakeServer(t, undefined, { deaf: true })

describe('a pool', () => {
  it('opens one connection per address, when it is first asked for', async (t) => {
    const [first, second] = await Promise.all([fakeServer(t, echo), fakeServer(t, echo)])
    const pool = openPool(t)

    const connections = await Promise.all([
      get(pool, first),
      get(pool, first),
      get(pool, second),
      get(pool, first),
    ])
    const again = await get(pool, first)

    deepStrictEqual(
      connections.map((each) => each === again),
      [true, true, false, true],
    )
    deepStrictEqual([first.connections.length, second.connections.length], [1, 1])
  })

  it('replaces a connection that was idle for longer than maxIdleMs', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const server = await fakeServer(t, echo)
    const pool = openPool(t, { options: { maxIdleMs: 1_000 } })

    const first = await get(pool, server)
    await ask(first)
    t.mock.timers.tick(1_000)
    const kept = await get(pool, server)
    await ask(kept) // the time counts from the last use
    t.mock.timers.tick(1_000)
    const keptAgain = await get(pool, server)
    t.mock.timers.tick(1_001)
    const replaced = await get(pool, server)
    await ask(replaced)

    deepStrictEqual([kept === first, keptAgain === first, replaced === first], [true, true, false])
    strictEqual(server.connections.length, 2)
    await server.connections[0]?.closed
  })

  it('keeps a connection with a call in flight, however long it takes', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const server = await fakeServer(t)
    const pool = openPool(t, { options: { maxIdleMs: 1_000 } })

    const first = await get(pool, server)
    const waiting = ask(first, inMs(60_000))
    const [frame] = await server.arrived(1)
    t.mock.timers.tick(10_000)
    const same = await get(pool, server)
    if (frame) server.connections[0]?.reply(frame)
    await waiting

    strictEqual(same, first)
  })

  it('replaces a connection that missed an answer', async (t) => {
    const server = await fakeServer(t)
    const pool = openPool(t)
    const clock = stoppedClock(t)

    const first = await get(pool, server)
    const missed = rejection(ask(first, inMs(20)))
    await server.arrived(1)
    await clock.pass(20)
    await missed

    notStrictEqual(await get(pool, server), first)
    strictEqual(server.connections.length, 2)
  })

  for (const [what, end] of [
    ['FIN', (each: { end(): void }) => each.end()],
    ['RST', (each: { reset(): void }) => each.reset()],
  ] as const) {
    it(`drops on thaw what a ${what} ended during the freeze, so that the next call does not find out`, async (t) => {
      const server = await fakeServer(t, echo)
      const pool = openPool(t)
      const first = await get(pool, server)
      await ask(first)
      const [broker] = server.connections
      if (broker) end(broker)

      await pool.thaw()
      const second = await get(pool, server)
      await ask(second)

      deepStrictEqual([isUsable(first), second === first, server.connections.length], [false, false, 2])
    })
  }

  it('keeps a healthy connection over a thaw, and drops one that slept too long', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const server = await fakeServer(t, echo)
    const pool = openPool(t, { options: { maxIdleMs: 1_000 } })
    const first = await get(pool, server)

    await pool.thaw()
    const kept = await get(pool, server)
    t.mock.timers.tick(5_000)
    await pool.thaw()
    await server.connections[0]?.closed

    deepStrictEqual([kept === first, isUsable(first)], [true, false])
  })

  it('says that nothing was sent when nobody listens', async (t) => {
    const address = await closedPort()
    const pool = openPool(t)

    deepStrictEqual(await rejection(get(pool, address)), {
      code: 'RMQ_CONNECT',
      retryable: true,
      outcome: 'not-sent',
      address,
    })
  })

  it('rests after failed attempts, so that a storm of calls is not a storm of connections', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    t.mock.method(Math, 'random', () => 0.5) // rests of 37.5 ms and of 1.25 s
    const server = await fakeServer(t, undefined, {
      deaf: true,
      onConnection: (each) => each.socket.destroy(),
    })
    const pool = openPool(t, { tls: {} }) // the handshake fails: the server has seen every attempt

    const storm = async (): Promise<void> => {
      for (let call = 0; call < 50; call++)
        strictEqual((await rejection(get(pool, server)))['outcome'], 'not-sent')
    }
    const attempts: number[] = []
    for (const pauseMs of [0, 37, 1, 1_211, 1, 10, 10_000, 999]) {
      t.mock.timers.tick(pauseMs)
      await storm()
      attempts.push(server.connections.length)
    }

    deepStrictEqual(attempts, [1, 1, 2, 2, 3, 3, 4, 5])
  })

  it('tries again at once when the last attempt succeeded', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    let refuse = true
    const { address } = await fakeServer(t, echo)
    const server = address.replace('127.0.0.1', 'localhost')
    const refuses = (): string | undefined => (refuse ? 'not now' : undefined)
    const policy = createAddressPolicy(undefined, undefined, [])
    t.mock.method(policy, 'refuse', (_: string, ip?: string) => (ip ? refuses() : undefined))
    const pool = openPool(t, { policy })

    strictEqual((await rejection(get(pool, server)))['code'], 'RMQ_CONNECT')
    strictEqual((await rejection(get(pool, server)))['code'], 'RMQ_CONNECT')
    refuse = false
    t.mock.timers.tick(2_000)
    const first = await get(pool, server)
    first.destroy(new Error('gone'))
    const second = await get(pool, server)

    deepStrictEqual([isUsable(first), isUsable(second)], [false, true])
    // And the rest after the next failure is as short as the first one was.
    second.destroy(new Error('gone'))
    t.mock.timers.tick(2_000)
    refuse = true
    strictEqual((await rejection(get(pool, server)))['code'], 'RMQ_CONNECT')
    refuse = false
    t.mock.timers.tick(50)
    strictEqual(isUsable(await get(pool, server)), true)
  })

  it('gives up an attempt when the last call that waits for it is over', async (t) => {
    const server = await blackHole(t)
    const pool = openPool(t, { tls: {} })
    const clock = stoppedClock(t)
    const stop = new AbortController()

    const calls = [
      rejection(get(pool, server, inMs(20, { explicit: true }))),
      rejection(get(pool, server, inMs(20_000, { signal: stop.signal }))),
    ]
    const [attempt] = await server.connected(1)
    await clock.pass(20)
    const first = await calls[0]
    const stillOpen = attempt?.socket.destroyed
    stop.abort()
    const second = await calls[1]
    attempt?.socket.resume()
    await attempt?.closed

    const { address } = server
    deepStrictEqual(
      [first, stillOpen, second],
      [
        { code: 'RMQ_DEADLINE', retryable: false, outcome: 'not-sent', address },
        false,
        { code: 'RMQ_ABORTED', retryable: false, outcome: 'not-sent', address },
      ],
    )
    strictEqual(server.connections.length, 1)
    // To have been given up is no failure of the server: the next call does not have to wait.
    const next = rejection(get(pool, server, inMs(30)))
    await server.connected(2)
    await clock.pass(30)
    strictEqual((await next)['code'], 'RMQ_TIMEOUT')
  })

  it('begins a new attempt for a call that comes right after the last one gave up', async (t) => {
    const server = await blackHole(t)
    const pool = openPool(t, { tls: {} })
    const clock = stoppedClock(t)
    const stop = new AbortController()

    const first = get(pool, server, inMs(20_000, { signal: stop.signal }))
    await server.connected(1)
    stop.abort()
    // The very next moment: nothing of the old attempt may reach a call that did not abort.
    const codes = await first.then(
      () => [],
      async () => {
        const next = rejection(get(pool, server, inMs(30)))
        await server.connected(2)
        await clock.pass(30)
        return [(await next)['code']]
      },
    )

    deepStrictEqual(codes, ['RMQ_TIMEOUT'])
    strictEqual(server.connections.length, 2)
  })

  it('settles every call with a ClosedError when it is closed, and takes no more', async (t) => {
    const [server, silent] = await Promise.all([fakeServer(t), blackHole(t)])
    const plain = openPool(t)
    const hanging = openPool(t, { tls: {} })
    const connection = await get(plain, server)

    const inFlight = rejection(ask(connection))
    const connecting = [rejection(get(hanging, silent)), rejection(get(hanging, silent))]
    await Promise.all([server.arrived(1), silent.connected(1)])
    plain.close()
    hanging.close()
    const after = rejection(get(plain, server))

    strictEqual((await inFlight)['code'], 'RMQ_CLOSED')
    deepStrictEqual(
      (await Promise.all([...connecting, after])).map(({ code, outcome }) => [code, outcome]),
      [
        ['RMQ_CLOSED', 'not-sent'],
        ['RMQ_CLOSED', 'not-sent'],
        ['RMQ_CLOSED', 'not-sent'],
      ],
    )
    await server.connections[0]?.closed
  })

  it('connects to an IPv6 address, in brackets or as Java brokers register it', async (t) => {
    const server = await fakeServer(t, echo, { host: '::1' })
    const pool = openPool(t)
    const port = server.address.slice(server.address.lastIndexOf(':'))

    for (const address of [`[::1]${port}`, `::1${port}`]) await ask(await get(pool, address))

    strictEqual(server.connections.length, 2)
  })

  /** What broker.test resolves to, one time after the other. */
  const resolving = (t: TestContext, ...answers: string[][]): string[][] => {
    t.mock.method(dns, 'lookup', (...args: unknown[]) => {
      const found = (answers.shift() ?? []).map((address) => ({ address, family: 4 }))
      const { all } = args[1] as { all?: boolean }
      const answer = args.at(-1) as (...values: unknown[]) => void
      process.nextTick(() => (all ? answer(null, found) : answer(null, found[0]?.address, 4)))
    })
    return answers
  }
  const named = async (
    t: TestContext,
    tls?: Certificate,
  ): Promise<{ server: FakeServer; address: string }> => {
    const server = await fakeServer(t, echo, { host: '0.0.0.0', ...(tls && { tls }) })
    return { server, address: server.address.replace('0.0.0.0', 'broker.test') }
  }

  it('asks what a name resolves to each time, and opens no socket to what must not be used', async (t) => {
    const { server, address } = await named(t)
    const left = resolving(t, ['127.0.0.1'], ['127.0.0.2'], ['127.0.0.3', '127.0.0.1'])
    const pool = openPool(t, { policy: createAddressPolicy(undefined, ['127.0.0.1'], []) })
    const first = await get(pool, address)
    await ask(first)
    first.retire()

    const { code, retryable } = await rejection(get(pool, address))
    const sockets = server.connections.length
    await ask(await get(openPool(t, { policy: createAddressPolicy(undefined, ['127.0.0.1'], []) }), address))

    deepStrictEqual([code, retryable, sockets, left, server.frames.length], ['RMQ_CONNECT', false, 1, [], 2])
  })

  it('opens no socket to a link-local address behind a name, also with TLS, whatever Node asks names for', async (t) => {
    const root = createCertificate({ name: 'root' })
    const own = createCertificate({ name: 'broker', issuer: root, hosts: ['broker.test'] })
    const plain = await named(t)
    const secure = await named(t, own)
    const ways = [{}, { family: 4 }, { autoSelectFamily: false }]
    const kinds = [undefined, ...ways.map((way): TlsOptions => ({ ca: root.cert, ...way }))]
    const left = resolving(t, ...kinds.flatMap(() => [['169.254.169.254'], ['169.254.169.254', '127.0.0.1']]))
    const attempts: string[] = []
    t.mock.method(Socket.prototype, 'emit', function (this: Socket, ...args: unknown[]) {
      if (args[0] === 'connectionAttempt') attempts.push(String(args[1]))
      return EventEmitter.prototype.emit.apply(this, args as [string])
    })
    const told: unknown[] = []

    for (const tls of kinds) {
      const { address } = tls ? secure : plain
      const open = () => get(openPool(t, tls ? { tls } : {}), address)
      const { code, retryable } = await rejection(open())
      await ask(await open())
      told.push([code, retryable])
    }

    deepStrictEqual(
      told,
      kinds.map(() => ['RMQ_CONNECT', false]),
    )
    deepStrictEqual([left, attempts], [[], kinds.map(() => '127.0.0.1')])
  })
})

describe('a pool with TLS', () => {
  const root = createCertificate({ name: 'test root' })
  const broker = createCertificate({ name: 'broker', issuer: root, hosts: ['127.0.0.1'] })
  const attempt = async (t: TestContext, server: FakeServer, tls: TlsOptions): Promise<unknown> => {
    const pool = openPool(t, { tls })
    try {
      await ask(await get(pool, server))
      return 'answered'
    } catch {
      return await rejection(get(openPool(t, { tls }), server))
    }
  }
  const failed = (server: FakeServer): object => ({
    code: 'RMQ_CONNECT',
    retryable: false,
    outcome: 'not-sent',
    address: server.address,
  })

  it('verifies the certificate unless it is told otherwise', async (t) => {
    const server = await fakeServer(t, echo, { tls: broker })

    deepStrictEqual(await attempt(t, server, {}), failed(server))
    deepStrictEqual(await attempt(t, server, { ca: root.cert }), 'answered')
    deepStrictEqual(await attempt(t, server, { rejectUnauthorized: false }), 'answered')
    strictEqual(server.frames.length, 2)
  })

  it('warns when verification is turned off: once for each process, and not otherwise', async (t) => {
    const server = await fakeServer(t, echo, { tls: broker })
    const tcp = join(import.meta.dirname, '../../../src/index.ts')
    const script = `
      import { createClient } from ${JSON.stringify(tcp)}
      const warnings = []
      process.emitWarning = (text) => warnings.push(String(text))
      const connect = async (tls) => {
        const client = createClient({ nameServers: ${JSON.stringify(server.address)}, tls })
        await client.network.pool.get(${JSON.stringify(server.address)}, client.deadline()).catch(() => undefined)
        await client.close()
        return warnings.length
      }
      const ca = ${JSON.stringify(root.cert)}
      const counts = [await connect({ ca }), await connect({}), await connect({ rejectUnauthorized: false }), await connect({ rejectUnauthorized: false })]
      console.log(JSON.stringify({ counts, warnings }))`
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script])

    deepStrictEqual(JSON.parse(stdout), {
      counts: [0, 0, 1, 1],
      warnings: ['tls.rejectUnauthorized is false: brokers are not verified'],
    })
  })

  it('is not told otherwise by NODE_TLS_REJECT_UNAUTHORIZED, which is meant for another client', async (t) => {
    const server = await fakeServer(t, echo, { tls: broker })
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    t.after(() => {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
    })
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'

    deepStrictEqual(
      [await attempt(t, server, {}), await attempt(t, server, { rejectUnauthorized: undefined })],
      [failed(server), failed(server)],
    )
    strictEqual(server.frames.length, 0)
  })

  for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
    it(`shows its own certificate to a server that asks for one, which lets nobody in without (${maxVersion})`, async (t) => {
      const own = createCertificate({ name: 'function', issuer: root })
      const foreign = createCertificate({ name: 'function', issuer: createCertificate({ name: 'other' }) })
      const server = await fakeServer(t, echo, {
        tls: { ...broker, ca: root.cert, requestCert: true, rejectUnauthorized: true, maxVersion },
      })
      const tell = async (given: TlsOptions): Promise<unknown> => {
        const pool = openPool(t, { tls: { ca: root.cert, ...given } })
        const write = async (): Promise<unknown> =>
          (await get(pool, server)).request({
            code: 1,
            ext: {},
            body: undefined,
            deadline: inMs(20_000),
            write: true,
          })
        return await write().then(
          () => 'answered',
          () => rejection(write()),
        )
      }

      const told = [await tell({ cert: own.cert, key: own.key }), await tell({})]
      const { code } = (await tell({ cert: foreign.cert, key: foreign.key })) as Record<string, unknown>

      deepStrictEqual(told, ['answered', failed(server)])
      // Node's servers do not say why they close; one that does is in test/conformance/security.test.ts.
      ok(code === 'RMQ_CONNECT' || code === 'RMQ_CONNECTION_LOST')
      strictEqual(server.frames.length, 1)
    })
  }

  const cases: readonly [
    what: string,
    why: string,
    served: { cert: string; key: string },
    tls: TlsOptions,
  ][] = [
    [
      'of another root',
      'CERT_SIGNATURE_FAILURE',
      broker,
      { ca: createCertificate({ name: 'test root' }).cert },
    ],
    [
      'for another address',
      'ERR_TLS_CERT_ALTNAME_INVALID',
      createCertificate({ name: 'b', issuer: root, hosts: ['127.0.0.2'] }),
      { ca: root.cert },
    ],
    [
      'for another name than tls.servername',
      'ERR_TLS_CERT_ALTNAME_INVALID',
      broker,
      { ca: root.cert, servername: 'other.test' },
    ],
    [
      'that has expired',
      'CERT_HAS_EXPIRED',
      createCertificate({
        name: 'b',
        issuer: root,
        hosts: ['127.0.0.1'],
        notBefore: new Date('2020-01-01'),
        notAfter: new Date('2020-02-01'),
      }),
      { ca: root.cert },
    ],
  ]
  for (const [what, why, served, tls] of cases) {
    it(`refuses a certificate ${what}, before a byte of a request is sent, and says so`, async (t) => {
      const server = await fakeServer(t, echo, { tls: served })

      deepStrictEqual(await attempt(t, server, tls), failed(server))
      const { message } = await get(openPool(t, { tls }), server).then(
        () => new Error('it was taken'),
        (error: Error) => error,
      )
      strictEqual(message, `no connection to ${server.address}: ${why}; check tls and its certificate`)
      strictEqual(server.frames.length, 0)
    })
  }

  it('takes a certificate for tls.servername', async (t) => {
    const named = createCertificate({ name: 'b', issuer: root, hosts: ['broker.test'] })
    const server = await fakeServer(t, echo, { tls: named })

    deepStrictEqual(await attempt(t, server, { ca: root.cert, servername: 'broker.test' }), 'answered')
  })

  it('fails with a server that speaks plain text, and with one that closes', async (t) => {
    const talking = await fakeServer(t, undefined, {
      deaf: true,
      onConnection: (each) => each.write(Buffer.from('HTTP/1.1 400\r\n')),
    })
    const closing = await fakeServer(t, undefined, { deaf: true, onConnection: (each) => each.end() })

    deepStrictEqual(await attempt(t, talking, {}), failed(talking))
    const { code, outcome } = (await attempt(t, closing, {})) as Record<string, unknown>
    deepStrictEqual([code, outcome], ['RMQ_CONNECT', 'not-sent'])
  })

  it('gives up a handshake that hangs when connectTimeoutMs or the deadline is over', async (t) => {
    const server = await blackHole(t)
    const { address } = server
    const clock = stoppedClock(t)

    const calls = Promise.all([
      rejection(get(openPool(t, { tls: {}, options: { connectTimeoutMs: 30 } }), server)),
      rejection(get(openPool(t, { tls: {} }), server, inMs(30, { explicit: true }))),
      rejection(get(openPool(t, { tls: {} }), server, inMs(30))),
    ])
    await server.connected(3)
    await clock.pass(30)

    deepStrictEqual(await calls, [
      { code: 'RMQ_TIMEOUT', retryable: true, outcome: 'not-sent', address },
      { code: 'RMQ_DEADLINE', retryable: false, outcome: 'not-sent', address },
      { code: 'RMQ_TIMEOUT', retryable: true, outcome: 'not-sent', address },
    ])
  })

  it('survives a handshake that dies in any way', async (t) => {
    const server = await fakeServer(t, undefined, {
      deaf: true,
      onConnection: (each) => {
        each.write(Buffer.of(0x16, 3, 3, 0, 5, 2, 0, 0, 1, 0))
        each.reset()
      },
    })

    const facts = (await attempt(t, server, {})) as Record<string, unknown>

    ok(facts['code'] === 'RMQ_CONNECT' && facts['outcome'] === 'not-sent')
  })
})
