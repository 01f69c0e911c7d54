import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { Duplex } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ClosedError } from '../../../src/errors.ts'
import { type Connection, createConnection } from '../../../src/net/connection.ts'
import { atMost, type Deadline } from '../../../src/net/deadline.ts'
import type { Socket } from '../../../src/net/tcp.ts'
import { encodeFrame, FLAG_ONEWAY, FLAG_RESPONSE, type Frame } from '../../../src/wire/index.ts'
import { fakeCluster } from '../../support/fake-cluster.ts'
import { answerBytes, fakeServer, type Script } from '../../support/fake-server.ts'
import { factsOf, inMs, isUsable, openConnection, rejection } from '../../support/net.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'

interface Wanted {
  code?: number
  ext?: Record<string, string>
  body?: Uint8Array
  deadline?: Deadline
  /** A limit of the client's own, in ms. */
  ms?: number
  write?: boolean
}

function wanted(request: Wanted = {}): Parameters<Connection['request']>[0] {
  const { code = 1, ext = {}, body, deadline = inMs(20_000), ms = 20_000, write = false } = request
  return { code, ext, body, deadline: atMost(ms, deadline), write }
}

const ask = (connection: Connection, request?: Wanted): Promise<Frame> => connection.request(wanted(request))

/** Answers every request with the header fields it came with. */
const echo: Script = (frame, connection) => connection.reply(frame, { ext: frame.ext, body: frame.body })

/** Enough to fill the buffers of the kernel many times over. */
const LARGE = 15_000_000

describe('a connection', () => {
  it('sends requests without waiting for answers, and takes the answers in any order', async (t) => {
    const server = await fakeServer(t, (_, connection, { frames }) => {
      if (frames.length < 3) return
      for (const frame of [...frames].reverse()) connection.reply(frame, { ext: frame.ext })
    })
    const connection = await openConnection(t, server)

    const answers = await Promise.all(['a', 'b', 'c'].map((n) => ask(connection, { ext: { n } })))

    deepStrictEqual(
      answers.map(({ ext }) => ext['n']),
      ['a', 'b', 'c'],
    )
  })

  it('sends a request that is alone at once, in one write what is behind it in its turn, and what the answers of one turn lead to', async () => {
    const writes: number[] = []
    const stream = new Duplex({
      read: () => undefined,
      write(chunk: Buffer, _, done) {
        writes.push(chunk.length)
        done()
      },
    })
    const socket = Object.assign(stream, { ref: () => stream, unref: () => stream }) as unknown as Socket
    const connection = createConnection(socket, '127.0.0.1:10911')
    const tick = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))
    const answer = (opaque: number): boolean =>
      socket.emit('data', encodeFrame({ code: 0, opaque, flag: FLAG_RESPONSE }))

    const first = [ask(connection)]
    const alone = writes.length
    first.push(ask(connection), ask(connection))
    await tick()
    for (const [at, call] of first.slice(0, 2).entries()) {
      answer(at + 1)
      await call.then(() => void ask(connection).catch(() => undefined))
      await tick()
    }
    await setImmediate()

    const [one = 0, ...others] = writes
    deepStrictEqual([alone, others], [1, [one * 2, one * 2]])
    connection.destroy(new ClosedError('over'))
    await Promise.allSettled(first)
  })

  it('numbers its requests so that no two in flight share an opaque', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)

    const calls = Array.from({ length: 50 }, () => ask(connection))
    const frames = await server.arrived(50)
    connection.destroy(new ClosedError('over'))
    await Promise.allSettled(calls)

    deepStrictEqual(new Set(frames.map(({ opaque }) => opaque)).size, 50)
  })

  it('goes on with negative opaques after the largest one', async (t) => {
    const server = await fakeServer(t, (frame, connection) =>
      connection.reply(frame, { ext: frame.ext, binary: frame.ext['n'] === 'b' }),
    )
    const connection = await openConnection(t, server, undefined, 0x7fff_fffe)

    const answers = await Promise.all(['a', 'b', 'c'].map((n) => ask(connection, { ext: { n } })))

    deepStrictEqual(
      answers.map(({ ext, opaque }) => [ext['n'], opaque]),
      [
        ['a', 0x7fff_ffff],
        ['b', -0x8000_0000],
        ['c', -0x7fff_ffff],
      ],
    )
  })

  it('reads answers in both serialisations on one connection', async (t) => {
    const server = await fakeServer(t, (frame, connection) =>
      connection.reply(frame, { ext: frame.ext, remark: 'é', binary: frame.ext['n'] === 'b' }),
    )
    const connection = await openConnection(t, server)

    const answers = await Promise.all(['a', 'b', 'c'].map((n) => ask(connection, { ext: { n } })))

    deepStrictEqual(
      answers.map(({ ext, remark }) => [ext['n'], remark]),
      [
        ['a', 'é'],
        ['b', 'é'],
        ['c', 'é'],
      ],
    )
  })

  it('reads an answer that arrives byte by byte, and two answers that arrive as one chunk', async (t) => {
    const server = await fakeServer(t, async (frame, connection, { frames }) => {
      if (frames.length === 1)
        await connection.writeByteByByte(answerBytes(frame, { body: Buffer.from('slow') }))
      if (frames.length === 3) {
        connection.write(Buffer.concat(frames.slice(1).map((each) => answerBytes(each, { ext: each.ext }))))
      }
    })
    const connection = await openConnection(t, server)

    const slow = await ask(connection)
    const two = await Promise.all(['a', 'b'].map((n) => ask(connection, { ext: { n } })))

    strictEqual(slow.body.toString(), 'slow')
    deepStrictEqual(
      two.map(({ ext }) => ext['n']),
      ['a', 'b'],
    )
  })

  it('tells a request of the broker from an answer by the flag, though the opaque is that of a call', async (t) => {
    const server = await fakeServer(t, (frame, connection) => {
      if (frame.flag & FLAG_RESPONSE) return
      connection.request({ code: 40, opaque: frame.opaque, oneway: true })
      connection.request({ code: 221, opaque: frame.opaque })
      connection.reply(frame, { ext: { answer: 'yes' } })
    })
    const connection = await openConnection(t, server)

    const answer = await ask(connection)
    strictEqual(answer.ext['answer'], 'yes')

    const [request, refusal] = await server.arrived(2)
    deepStrictEqual(
      [refusal?.code, refusal?.opaque, (refusal?.flag ?? 0) & FLAG_RESPONSE],
      [3, request?.opaque, FLAG_RESPONSE],
    )
  })

  it('answers an unknown request of the broker with code 3, and a one-way one with silence', async (t) => {
    const server = await fakeServer(t, () => undefined, {
      onConnection: (broker) => {
        broker.request({ code: 39, opaque: 1, oneway: true })
        broker.request({ code: 30_000, opaque: 2, binary: true })
        broker.request({ code: 200_050, opaque: -3 })
      },
    })
    await openConnection(t, server)

    const answers = await server.arrived(2)

    deepStrictEqual(
      answers.map(({ code, opaque, flag }) => [code, opaque, flag & (FLAG_RESPONSE | FLAG_ONEWAY)]),
      [
        [3, 2, FLAG_RESPONSE],
        [3, -3, FLAG_RESPONSE],
      ],
    )
  })

  it('ignores answers that nobody asked for, and a second answer to the same request', async (t) => {
    const server = await fakeServer(t, (frame, connection) => {
      connection.reply(frame, { opaque: frame.opaque + 1_000, ext: { n: 'unsolicited' } })
      connection.reply(frame, { opaque: -frame.opaque, ext: { n: 'unsolicited' } })
      connection.reply(frame, { ext: frame.ext })
      connection.reply(frame, { ext: { n: 'second' } })
    })
    const connection = await openConnection(t, server)

    const first = await ask(connection, { ext: { n: 'a' } })
    const next = await ask(connection, { ext: { n: 'b' } })

    deepStrictEqual([first.ext['n'], next.ext['n'], isUsable(connection)], ['a', 'b', true])
  })

  it('never uses an answer that comes after its request was given up for another one', async (t) => {
    const server = await fakeServer(t, (_, connection, { frames }) => {
      if (frames.length === 2) for (const each of frames) connection.reply(each, { ext: each.ext })
    })
    const connection = await openConnection(t, server)
    const stop = new AbortController()

    const given = ask(connection, { ext: { n: 'late' }, deadline: inMs(20_000, { signal: stop.signal }) })
    await server.arrived(1)
    stop.abort()
    strictEqual((await rejection(given))['code'], 'RMQ_ABORTED')
    const answer = await ask(connection, { ext: { n: 'next' } })

    strictEqual(answer.ext['n'], 'next')
  })

  it('takes no new calls after it missed an answer, and still finishes those in flight', async (t) => {
    const server = await fakeServer(t, (frame, connection, { frames }) => {
      if (frame.ext['n'] === 'go')
        for (const each of frames.slice(1)) connection.reply(each, { ext: each.ext })
    })
    const connection = await openConnection(t, server)
    const clock = stoppedClock(t)

    const missed = rejection(ask(connection, { ext: { n: 'missed' }, ms: 20 }))
    const slow = ask(connection, { ext: { n: 'slow' } })
    await server.arrived(2)
    await clock.pass(20)
    const facts = await missed
    const wasUsable = isUsable(connection)
    const go = ask(connection, { ext: { n: 'go' } })

    deepStrictEqual(facts, { code: 'RMQ_TIMEOUT', retryable: true, address: server.address })
    strictEqual(wasUsable, false)
    deepStrictEqual([(await slow).ext['n'], (await go).ext['n']], ['slow', 'go'])
    await server.connections[0]?.closed
  })

  it('calls a wait that ended at the caller’s own deadline a DeadlineError, an earlier limit a TimeoutError', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)
    const clock = stoppedClock(t)
    const short = inMs(30, { explicit: true })
    const long = inMs(60_000, { explicit: true })

    const calls = Promise.all([
      rejection(ask(connection, { deadline: short })),
      rejection(ask(connection, { deadline: short, write: true })),
      rejection(ask(connection, { deadline: long, ms: 30 })),
      rejection(ask(connection, { deadline: inMs(30), write: true })),
    ])
    await clock.pass(30)
    const facts = await calls

    const { address } = server
    deepStrictEqual(facts, [
      { code: 'RMQ_DEADLINE', retryable: false, address },
      { code: 'RMQ_DEADLINE', retryable: false, address, outcome: 'unknown' },
      { code: 'RMQ_TIMEOUT', retryable: true, address },
      { code: 'RMQ_TIMEOUT', retryable: true, address, outcome: 'unknown' },
    ])
  })

  it('ends each call at its own time, whichever was made first', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)
    const clock = stoppedClock(t)
    const over: string[] = []

    const calls = [
      { name: 'last', ms: 90 },
      { name: 'first', ms: 20 },
      { name: 'second', ms: 55 },
    ].map(async ({ name, ms }) => {
      await rejection(ask(connection, { ms }))
      over.push(name)
    })
    const seen: string[][] = []
    for (const ms of [19, 1, 34, 1, 34, 1]) {
      await clock.pass(ms)
      seen.push([...over])
    }
    await Promise.all(calls)

    deepStrictEqual(seen, [
      [],
      ['first'],
      ['first'],
      ['first', 'second'],
      ['first', 'second'],
      ['first', 'second', 'last'],
    ])
  })

  it('ends a call when its signal aborts, and sends nothing when it had aborted before', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)
    const stop = new AbortController()
    const reason = new Error('enough')

    const calls = [false, true].map((write) =>
      ask(connection, { deadline: inMs(20_000, { signal: stop.signal }), write }),
    )
    await server.arrived(2)
    stop.abort(reason)
    const errors = await Promise.allSettled(calls)
    const late = await rejection(
      ask(connection, { deadline: inMs(20_000, { signal: stop.signal }), write: true }),
    )

    const { address } = server
    deepStrictEqual(
      errors.map((each) => each.status === 'rejected' && factsOf(each.reason)),
      [
        { code: 'RMQ_ABORTED', retryable: false, address },
        { code: 'RMQ_ABORTED', retryable: false, address, outcome: 'unknown' },
      ],
    )
    ok(errors.every((each) => each.status === 'rejected' && each.reason.cause === reason))
    deepStrictEqual(late, { code: 'RMQ_ABORTED', retryable: false, address, outcome: 'not-sent' })
    strictEqual(server.frames.length, 2)
  })

  it('leaves no listener on a signal that outlives the call', async (t) => {
    const server = await fakeServer(t, echo)
    const connection = await openConnection(t, server)
    const { signal } = new AbortController()
    const listeners = new Set<unknown>()
    const added = t.mock.method(signal, 'addEventListener')
    const removed = t.mock.method(signal, 'removeEventListener')
    const count = (): number => {
      for (const { arguments: args } of added.mock.calls) listeners.add(args[1])
      for (const { arguments: args } of removed.mock.calls) listeners.delete(args[1])
      return listeners.size
    }

    await ask(connection, { deadline: inMs(20_000, { signal }) })
    const lost = ask(connection, { deadline: inMs(20_000, { signal }) })
    const during = count()
    connection.destroy(new ClosedError('over'))
    await rejection(lost)

    deepStrictEqual([during, count()], [1, 0])
  })

  for (const [how, lose] of [
    ['reset', (connection: { reset(): void }) => connection.reset()],
    ['closed', (connection: { end(): void }) => connection.end()],
  ] as const) {
    it(`that is ${how} with calls in flight leaves writes unknown and reads without an outcome`, async (t) => {
      const server = await fakeServer(t, (_, connection, { frames }) => {
        if (frames.length === 2) lose(connection)
      })
      const connection = await openConnection(t, server)

      const facts = await Promise.all([true, false].map((write) => rejection(ask(connection, { write }))))
      const after = await rejection(ask(connection, { write: true }))

      const lost = { code: 'RMQ_CONNECTION_LOST', retryable: true, address: server.address }
      deepStrictEqual(facts, [{ ...lost, outcome: 'unknown' }, lost])
      deepStrictEqual(after, { ...lost, outcome: 'not-sent' })
      strictEqual(isUsable(connection), false)
    })
  }

  it('that is lost in the middle of an answer does not take the half for one', async (t) => {
    const server = await fakeServer(t, (frame, connection) => {
      connection.write(answerBytes(frame, { body: Buffer.alloc(1_000) }).subarray(0, 500))
      connection.end()
    })
    const connection = await openConnection(t, server)

    strictEqual((await rejection(ask(connection)))['code'], 'RMQ_CONNECTION_LOST')
  })

  it('that dies while a request waits behind another one says that it was not sent', async (t) => {
    const server = await fakeServer(t, () => undefined, { deaf: true })
    const connection = await openConnection(t, server)
    const [broker] = await server.connected(1)

    const stuck = ask(connection, { body: Buffer.alloc(LARGE), write: true })
    const behind = ask(connection, { write: true })
    const calls = Promise.all([rejection(stuck), rejection(behind)])
    broker?.reset()

    const lost = { code: 'RMQ_CONNECTION_LOST', retryable: true, address: server.address }
    deepStrictEqual(await calls, [
      { ...lost, outcome: 'unknown' },
      { ...lost, outcome: 'not-sent' },
    ])
  })

  it('that is closed settles every call with the reason', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)

    const calls = [true, false].map((write) => rejection(ask(connection, { write })))
    await server.arrived(2)
    connection.destroy(new ClosedError('over'))

    const closed = { code: 'RMQ_CLOSED', retryable: false, address: server.address }
    deepStrictEqual(await Promise.all(calls), [{ ...closed, outcome: 'unknown' }, closed])
  })
})

describe('bytes that are no frame', () => {
  const header = Buffer.from('{"code":0,"opaque":1,"flag":1')
  const cases: readonly [what: string, bytes: Buffer, field: string][] = [
    ['an HTTP answer', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'length'],
    ['a length of 2 GB', Buffer.of(0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0), 'length'],
    ['a length of 4 GB', Buffer.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), 'length'],
    ['a length of 0', Buffer.alloc(8), 'length'],
    ['a header longer than its frame', Buffer.of(0, 0, 0, 4, 0, 0xff, 0xff, 0xff), 'headerLength'],
    ['an unknown serialisation', Buffer.of(0, 0, 0, 4, 9, 0, 0, 0), 'serializeType'],
    [
      'a header that is not JSON',
      Buffer.concat([Buffer.of(0, 0, 0, 4 + header.length, 0, 0, 0, header.length), header]),
      'header',
    ],
    ['a binary header that is too short', Buffer.of(0, 0, 0, 5, 1, 0, 0, 1, 0), 'header'],
  ]
  for (const [what, bytes, field] of cases) {
    it(`(${what}) end every call in flight with a ProtocolError`, async (t) => {
      const server = await fakeServer(t, (_, connection, { frames }) => {
        if (frames.length === 2) connection.write(bytes)
      })
      const connection = await openConnection(t, server)

      const facts = await Promise.all([true, false].map((write) => rejection(ask(connection, { write }))))

      const wrong = { code: 'RMQ_PROTOCOL', retryable: false, address: server.address, field }
      deepStrictEqual(facts, [{ ...wrong, outcome: 'unknown' }, wrong])
      strictEqual(isUsable(connection), false)
      await server.connections[0]?.closed
    })
  }

  it('do not spoil the answers before them', async (t) => {
    const server = await fakeServer(t, (_, connection, { frames }) => {
      if (frames.length < 2) return
      const [first] = frames as [Frame]
      connection.write(Buffer.concat([answerBytes(first, { ext: { n: 'good' } }), Buffer.alloc(8)]))
    })
    const connection = await openConnection(t, server)

    const [good, bad] = await Promise.allSettled([ask(connection), ask(connection)])

    strictEqual(good.status === 'fulfilled' && good.value.ext['n'], 'good')
    strictEqual(bad.status, 'rejected')
  })

  it('include a frame above maxFrameBytes, refused by its length alone', async (t) => {
    const server = await fakeServer(t, (frame, connection) => {
      const bytes = answerBytes(frame, { body: Buffer.alloc(2_000) })
      connection.write(
        frame.ext['n'] === 'large' ? bytes.subarray(0, 4) : answerBytes(frame, { body: Buffer.alloc(500) }),
      )
    })
    const connection = await openConnection(t, server, 1_000)

    strictEqual((await ask(connection)).body.length, 500)
    deepStrictEqual(await rejection(ask(connection, { ext: { n: 'large' } })), {
      code: 'RMQ_PROTOCOL',
      retryable: false,
      address: server.address,
      field: 'length',
    })
  })

  it('include a request that is itself too large to send; the connection goes on', async (t) => {
    const server = await fakeServer(t, echo)
    const connection = await openConnection(t, server)

    const facts = await rejection(ask(connection, { body: Buffer.alloc(17_000_000) }))
    const next = await ask(connection, { ext: { n: 'next' } })

    deepStrictEqual([facts['code'], facts['field'], next.ext['n']], ['RMQ_PROTOCOL', 'frame', 'next'])
  })
})

describe('a one-way request', () => {
  it('resolves when its bytes have left, and asks for no answer', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)

    await connection.oneway(wanted({ code: 15, body: Buffer.from('x'), write: true }))
    const [frame] = await server.arrived(1)

    deepStrictEqual([frame?.code, frame?.flag, frame?.body.toString()], [15, FLAG_ONEWAY, 'x'])
  })

  it('that cannot leave ends at its deadline, and then the connection is not used again, or with its signal', async (t) => {
    const server = await fakeServer(t, () => undefined, { deaf: true })
    const stop = new AbortController()
    const body = Buffer.alloc(LARGE)
    const timed = await openConnection(t, server)
    const stopped = await openConnection(t, server)
    const clock = stoppedClock(t)

    const late = rejection(timed.oneway(wanted({ body, deadline: inMs(40), write: true })))
    const aborted = rejection(
      stopped.oneway(wanted({ body, deadline: inMs(20_000, { signal: stop.signal }), write: true })),
    )
    stop.abort()
    await clock.pass(40)

    const { address } = server
    deepStrictEqual(await late, { code: 'RMQ_TIMEOUT', retryable: true, address, outcome: 'unknown' })
    deepStrictEqual(await aborted, { code: 'RMQ_ABORTED', retryable: false, address, outcome: 'unknown' })
    deepStrictEqual([isUsable(timed), isUsable(stopped)], [false, false])
  })

  it('whose signal aborted before sends nothing', async (t) => {
    const server = await fakeServer(t, echo)
    const connection = await openConnection(t, server)

    const facts = await rejection(
      connection.oneway(wanted({ deadline: inMs(20_000, { signal: AbortSignal.abort() }), write: true })),
    )
    await ask(connection, { code: 7 })

    deepStrictEqual([facts['code'], facts['outcome'], server.codes], ['RMQ_ABORTED', 'not-sent', [7]])
  })

  it('on a lost connection was not sent', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)
    connection.destroy(new Error('gone'))

    const facts = await rejection(connection.oneway(wanted({ write: true })))

    deepStrictEqual([facts['code'], facts['outcome']], ['RMQ_CONNECTION_LOST', 'not-sent'])
  })
})

describe('a process', () => {
  const run = promisify(execFile)
  const source = (path: string): string =>
    JSON.stringify(new URL(`../../../src/${path}`, import.meta.url).href)

  /** Runs a script in a process of its own and resolves to what it printed, once it has ended by itself. */
  async function inChild(t: TestContext, script: string): Promise<string> {
    const cluster = await fakeCluster(t)
    const code = `
      import { createClient } from ${source('client/client.ts')}
      import { createProducer } from ${source('client/producer.ts')}
      const client = createClient({ nameServers: ${JSON.stringify(cluster.nameServer.address)}, timeoutMs: 20_000 })
      const producer = createProducer(client, { producerGroup: 'g' })
      ${script}`
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], {
      timeout: 60_000,
      cwd: fileURLToPath(new URL('../../..', import.meta.url)),
    })
    return stdout.trim()
  }

  it('ends by itself with a client that was never used, and with one that was never closed', async (t) => {
    strictEqual(await inChild(t, `console.log('over')`), 'over')
    strictEqual(
      await inChild(t, `console.log((await producer.send({ topic: 'orders', body: 'x' })).status)`),
      'SEND_OK',
    )
  })

  it('has no timer while the client is idle, and none that outlives a call that ended early', async (t) => {
    const printed = await inChild(
      t,
      `const timers = () => process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length
       const before = timers()
       await producer.send({ topic: 'orders', body: 'x' })
       const idle = timers()
       const stop = new AbortController()
       const aborted = producer.send({ topic: 'nowhere', body: 'x' }, { signal: stop.signal })
       stop.abort()
       await aborted.catch(() => undefined)
       await new Promise((resolve) => setImmediate(resolve))
       console.log(JSON.stringify([before, idle, timers()]))`,
    )

    deepStrictEqual(JSON.parse(printed), [0, 0, 0])
  })

  it('waits for a call in flight', async (t) => {
    const printed = await inChild(
      t,
      `producer.send({ topic: 'orders', body: 'x' }).then(() => console.log('stored'))`,
    )

    strictEqual(printed, 'stored')
  })
})

it('a frame of the connection is what the wire layer writes', async (t) => {
  const server = await fakeServer(t, echo)
  const connection = await openConnection(t, server)

  await ask(connection, { code: 310, ext: { a: 'g', ü: '1' }, body: Buffer.from('body') })

  const [frame] = server.frames as [Frame]
  deepStrictEqual(
    Buffer.concat(server.connections[0]?.received ?? []),
    encodeFrame({ code: 310, opaque: frame.opaque, ext: { a: 'g', ü: '1' }, body: Buffer.from('body') }),
  )
})
