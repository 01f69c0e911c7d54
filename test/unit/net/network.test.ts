import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import {
  ConsumerSendMsgBack,
  GetMaxOffset,
  GetMsgNo,
  GetRouteInfoByTopic,
  LockBatchMQ,
  PullMessage,
  PutMsgNo,
  SendMessageV2,
  UpdateConsumerOffset,
} from '../../../src/commands/index.ts'
import type { Credentials } from '../../../src/net/credentials.ts'
import type { Network } from '../../../src/net/network.ts'
import { type Frame, sign } from '../../../src/wire/index.ts'
import { type FakeAnswer, type FakeServer, fakeServer, type Script } from '../../support/fake-server.ts'
import { inMs, openNetwork, rejection } from '../../support/net.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'

const echo: Script = (frame, connection) => connection.reply(frame, { ext: { offset: '7' } })

/** Answers the first request with the first answer, and so on; the last one stands for all that follow. */
const answering =
  (...answers: (FakeAnswer | 'lose')[]): Script =>
  (frame, connection, { frames }) => {
    const answer = answers[Math.min(frames.length, answers.length) - 1]
    if (answer === 'lose') connection.reset()
    else connection.reply(frame, answer)
  }

const ACL: FakeAnswer = { code: 16, remark: 'check signature failed.' }
const queue = { topic: 'orders', queueId: 0 }
const sendFields = {
  producerGroup: 'g',
  topic: 'orders',
  queueId: 0,
  sysFlag: 0,
  bornTimestamp: 1n,
  flag: 0,
  properties: 'a\u0001ü\u0002',
}

/** A call that changes nothing. */
const read = (network: Network, { address }: FakeServer, ms = 20_000): Promise<unknown> =>
  network.call(address, GetMaxOffset, queue, undefined, { deadline: inMs(ms), topic: 'orders' })
/** A call that may be repeated. */
const commit = (network: Network, { address }: FakeServer): Promise<unknown> =>
  network.call(address, UpdateConsumerOffset, { ...queue, consumerGroup: 'g', commitOffset: 5n }, undefined, {
    deadline: inMs(20_000),
    topic: 'orders',
  })
/** A call that must not be repeated. */
const send = (network: Network, { address }: FakeServer, ms = 20_000): Promise<unknown> =>
  network.call(address, SendMessageV2, sendFields, Buffer.from('bödy'), {
    deadline: inMs(ms),
    topic: 'orders',
  })

describe('a call', () => {
  it('sends the fields of its command and gives back those of the answer', async (t) => {
    const server = await fakeServer(t, (frame, connection) =>
      connection.reply(frame, { ext: { offset: '9007199254740993' }, remark: 'not set any response code' }),
    )
    const network = openNetwork(t)

    const answer = await read(network, server)

    deepStrictEqual(answer, {
      code: 0,
      meaning: 'done',
      remark: 'not set any response code',
      header: { offset: 9007199254740993n },
      body: undefined,
      version: 513,
    })
    deepStrictEqual({ ...server.frames[0]?.ext }, { topic: 'orders', queueId: '0' })
  })

  it('rejects with what the answer’s code means', async (t) => {
    const cases: readonly [code: number, retryable: boolean, outcome: string][] = [
      [1, true, 'unknown'],
      [2, true, 'refused'],
      [13, false, 'refused'],
      [14, true, 'refused'],
      [16, false, 'refused'],
      [17, false, 'refused'],
      [29, false, 'refused'],
      [215, true, 'refused'],
      [9_999, false, 'refused'],
    ]
    for (const [code, retryable, outcome] of cases) {
      const server = await fakeServer(t, answering({ code, remark: 'java.lang.Exception: no\n\tat a.b.C' }))
      const facts = await rejection(send(openNetwork(t), server))
      deepStrictEqual(facts, {
        code: 'RMQ_BROKER',
        retryable,
        outcome,
        responseCode: code,
        address: server.address,
        topic: 'orders',
      })
    }
  })

  it('keeps the first line of a remark, at a length that a log can take', async (t) => {
    const server = await fakeServer(t, answering({ code: 1, remark: `${'x'.repeat(1_000)}\n\tat a.b.C` }))

    const error: unknown = await read(openNetwork(t), server).catch((each: unknown) => each)

    ok(error instanceof Error && 'remark' in error && typeof error.remark === 'string')
    ok(error.remark.length <= 300 && !error.message.includes('\n'))
  })

  it('ends after timeoutMs, or at its deadline when that is sooner', async (t) => {
    const server = await fakeServer(t)
    const clock = stoppedClock(t)

    const calls = Promise.all([
      rejection(send(openNetwork(t, { timeoutMs: 250 }), server)),
      rejection(send(openNetwork(t), server, 250)),
      rejection(read(openNetwork(t, { timeoutMs: 250 }), server)),
    ])
    await server.arrived(3)
    await clock.pass(250)

    const { address } = server
    const timeout = { code: 'RMQ_TIMEOUT', retryable: true, address }
    deepStrictEqual(await calls, [
      { ...timeout, outcome: 'unknown' },
      { ...timeout, outcome: 'unknown' },
      timeout,
    ])
  })
})

describe('an answer that makes no sense', () => {
  const pull = { ext: { suggestWhichBrokerId: '0', nextBeginOffset: '1', minOffset: '0', maxOffset: '1' } }
  const cases: readonly [what: string, field: string, answer: FakeAnswer, call: 'send' | 'pull' | 'read'][] =
    [
      ['without a required field', 'offset', {}, 'read'],
      ['with an empty number', 'offset', { ext: { offset: '' } }, 'read'],
      ['with a word for a number', 'offset', { ext: { offset: 'many' } }, 'read'],
      ['with a fraction', 'offset', { ext: { offset: '1.5' } }, 'read'],
      ['with a number in hex', 'offset', { ext: { offset: '0x10' } }, 'read'],
      ['with a number beyond 64 bits', 'offset', { ext: { offset: '9223372036854775808' } }, 'read'],
      ['with a very long number', 'offset', { ext: { offset: '9'.repeat(100_000) } }, 'read'],
      ['without msgId', 'msgId', { ext: { queueId: '0', queueOffset: '0' } }, 'send'],
      [
        'with an int beyond 32 bits',
        'queueId',
        { ext: { msgId: 'a', queueId: '2147483648', queueOffset: '0' } },
        'send',
      ],
      ['without minOffset', 'minOffset', { ext: { ...pull.ext, minOffset: '' } }, 'pull'],
    ]
  for (const [what, field, answer, call] of cases) {
    it(`(${what}) is a ProtocolError; a write may have been done`, async (t) => {
      const server = await fakeServer(t, answering(answer))
      const network = openNetwork(t)
      const limits = { deadline: inMs(20_000), topic: 'orders' }

      const facts = await rejection(
        call === 'send'
          ? send(network, server)
          : call === 'read'
            ? read(network, server)
            : network.call(
                server.address,
                PullMessage,
                { ...queue, consumerGroup: 'g', queueOffset: 0n, maxMsgNums: 1, sysFlag: 4 },
                undefined,
                limits,
              ),
      )

      deepStrictEqual(facts, {
        code: 'RMQ_PROTOCOL',
        retryable: false,
        ...(call === 'send' ? { outcome: 'unknown' } : {}),
        address: server.address,
        topic: 'orders',
        field,
      })
    })
  }

  for (const [what, body] of [
    ['no body', ''],
    ['cut off', '{"queueDatas":['],
    ['not JSON', '<html>'],
    ['null', 'null'],
    ['a list', '[]'],
    ['of the wrong types', '{"queueDatas":{},"brokerDatas":[]}'],
    ['deep', '['.repeat(200_000)],
  ] as const) {
    it(`(a JSON body that is ${what}) is a ProtocolError`, async (t) => {
      const server = await fakeServer(t, answering({ body: Buffer.from(body) }))
      const { address } = server

      const { code, topic, ...rest } = await rejection(
        openNetwork(t).call(address, GetRouteInfoByTopic, { topic: 'orders' }, undefined, {
          deadline: inMs(20_000),
          topic: 'orders',
        }),
      )

      deepStrictEqual([code, topic, rest['address']], ['RMQ_PROTOCOL', 'orders', address])
      ok(rest['field'])
    })
  }

  it('(lock, a body that is not JSON) leaves the outcome unknown', async (t) => {
    const server = await fakeServer(t, answering({ body: Buffer.from('nonsense') }))

    const facts = await rejection(
      openNetwork(t).call(
        server.address,
        LockBatchMQ,
        {},
        { consumerGroup: 'g', clientId: 'c', mqSet: [] },
        { deadline: inMs(20_000) },
      ),
    )

    deepStrictEqual([facts['code'], facts['outcome']], ['RMQ_PROTOCOL', 'unknown'])
  })
})

describe('a call is made again', () => {
  it('once, on a new connection, when the broker is draining (1500): it did not execute the first', async (t) => {
    const server = await fakeServer(t, (frame, connection, { frames }) => {
      if (frames.length === 1) connection.reply(frame, { code: 1500, remark: 'go away' })
      else connection.reply(frame, { ext: { msgId: 'a', queueId: '0', queueOffset: '0' } })
    })

    await send(openNetwork(t), server)

    deepStrictEqual([server.codes, server.connections.length], [[310, 310], 2])
    await server.connections[0]?.closed
  })

  it('no more than once when the broker is still draining', async (t) => {
    const server = await fakeServer(t, answering({ code: 1500 }))

    const facts = await rejection(send(openNetwork(t), server))

    deepStrictEqual(
      [facts['code'], facts['responseCode'], facts['retryable'], facts['outcome'], server.frames.length],
      ['RMQ_BROKER', 1500, true, 'refused', 2],
    )
  })

  it('once after a lost connection when repeating changes nothing', async (t) => {
    const server = await fakeServer(t, answering('lose', { ext: { offset: '7' } }, 'lose', {}))
    const network = openNetwork(t)

    await read(network, server)
    await commit(network, server)

    deepStrictEqual(server.codes, [30, 30, 15, 15])
  })

  it('not a third time', async (t) => {
    const server = await fakeServer(t, answering('lose'))

    const facts = await rejection(commit(openNetwork(t), server))

    deepStrictEqual(
      [facts['code'], facts['outcome'], server.frames.length],
      ['RMQ_CONNECTION_LOST', 'unknown', 2],
    )
  })

  it('and stays unknown when the second time did not get as far: the first may have been done', async (t) => {
    const server = await fakeServer(t, async (_, connection, { close }) => {
      connection.reset()
      await close()
    })

    const facts = await rejection(commit(openNetwork(t), server))

    deepStrictEqual([facts['outcome'], server.codes], ['unknown', [15]])
  })

  it('not at all after a lost connection when it might be done twice', async (t) => {
    const server = await fakeServer(t, answering('lose'))
    const network = openNetwork(t)
    const back = { offset: 1n, group: 'g', delayLevel: 0, originTopic: 'orders' }

    const facts = [
      await rejection(send(network, server)),
      await rejection(
        network.call(server.address, ConsumerSendMsgBack, back, undefined, { deadline: inMs(20_000) }),
      ),
    ]

    deepStrictEqual(
      facts.map(({ code, outcome }) => [code, outcome]),
      [
        ['RMQ_CONNECTION_LOST', 'unknown'],
        ['RMQ_CONNECTION_LOST', 'unknown'],
      ],
    )
    strictEqual(server.frames.length, 2)
  })

  it('even then when no byte of it had left: it waited behind a request that the connection died with', async (t) => {
    let deaf = true
    const server = await fakeServer(t, (frame, connection) =>
      connection.reply(frame, { ext: { msgId: frame.body.toString(), queueId: '0', queueOffset: '0' } }),
    )
    // Like `deaf`, for the first connection only.
    const network = openNetwork(t)
    const deadline = inMs(20_000)
    const connection = await network.pool.get(server.address, deadline)
    const [first] = await server.connected(1)
    if (deaf) first?.socket.removeAllListeners('data').pause()
    deaf = false

    const stuck = rejection(
      connection.request({
        code: 1,
        ext: {},
        body: Buffer.alloc(15_000_000),
        deadline,
        write: true,
      }),
    )
    const sent = network.call(server.address, SendMessageV2, sendFields, Buffer.from('once'), { deadline })
    await new Promise((resolve) => setImmediate(resolve))
    first?.reset()

    strictEqual((await stuck)['outcome'], 'unknown')
    strictEqual((await sent).header.msgId, 'once')
    deepStrictEqual(server.codes, [310])
  })

  it('never after it timed out', async (t) => {
    const server = await fakeServer(t)
    const clock = stoppedClock(t)

    const call = rejection(read(openNetwork(t, { timeoutMs: 250 }), server))
    await server.arrived(1)
    await clock.pass(250)

    strictEqual((await call)['code'], 'RMQ_TIMEOUT')
    strictEqual(server.frames.length, 1)
  })
})

describe('credentials', () => {
  const credentials: Credentials = { accessKey: 'AK', secretKey: 'sëcret', securityToken: 'token' }
  const isSigned = (frame: Frame | undefined, by: Credentials): boolean =>
    frame !== undefined &&
    frame.ext['AccessKey'] === by.accessKey &&
    frame.ext['SecurityToken'] === by.securityToken &&
    frame.ext['Signature'] === sign(by.secretKey, frame.ext, frame.body)

  it('sign every request, its body included, one-way ones too', async (t) => {
    const server = await fakeServer(t, (frame, connection) =>
      connection.reply(frame, { ext: { offset: '1', msgId: 'a', queueId: '0', queueOffset: '0' } }),
    )
    const network = openNetwork(t, { credentials })

    await read(network, server)
    await send(network, server)
    await network.oneway(server.address, SendMessageV2, sendFields, Buffer.from('b'), {
      deadline: inMs(20_000),
    })
    const frames = await server.arrived(3)

    deepStrictEqual(
      frames.map((frame) => isSigned(frame, credentials)),
      [true, true, true],
    )
    ok(
      frames.every(
        (frame) => frame.body.length === 0 || frame.ext['Signature'] !== sign('sëcret', frame.ext),
      ),
    )
  })

  it('without a security token send none', async (t) => {
    const server = await fakeServer(t, echo)
    await read(openNetwork(t, { credentials: { accessKey: 'AK', secretKey: 'SK' } }), server)

    deepStrictEqual(Object.keys(server.frames[0]?.ext ?? {}).sort(), [
      'AccessKey',
      'Signature',
      'queueId',
      'topic',
    ])
  })

  it('from a function are asked for once, by however many calls', async (t) => {
    const server = await fakeServer(t, echo)
    const provide = t.mock.fn(async () => credentials)
    const network = openNetwork(t, { credentials: provide })

    await Promise.all(Array.from({ length: 20 }, () => read(network, server)))
    await read(network, server)

    strictEqual(provide.mock.callCount(), 1)
    ok(server.frames.every((frame) => isSigned(frame, credentials)))
  })

  it('from a function are asked for again when they are old', async (t) => {
    t.mock.timers.enable({ apis: ['Date'], now: 1_700_000_000_000 })
    const server = await fakeServer(t, echo)
    const provide = t.mock.fn(() => credentials)
    const network = openNetwork(t, { credentials: provide })

    const counts: number[] = []
    for (const ms of [0, 299_999, 1, 1]) {
      t.mock.timers.tick(ms)
      await read(network, server)
      counts.push(provide.mock.callCount())
    }

    deepStrictEqual(counts, [1, 1, 2, 2])
  })

  it('from a function are asked for again when they are refused, and the call is made once more', async (t) => {
    const rotated = { accessKey: 'AK2', secretKey: 'SK2' }
    const given = [credentials, rotated]
    const server = await fakeServer(
      t,
      answering(ACL, { ext: { msgId: 'a', queueId: '0', queueOffset: '0' } }),
    )
    const provide = t.mock.fn(async () => given.shift() ?? rotated)

    await send(openNetwork(t, { credentials: provide }), server)

    strictEqual(provide.mock.callCount(), 2)
    deepStrictEqual(
      [server.frames.length, isSigned(server.frames[0], credentials), isSigned(server.frames[1], rotated)],
      [2, true, true],
    )
  })

  it('that are refused again, or that cannot change, end in an AuthError', async (t) => {
    const server = await fakeServer(t, answering(ACL))
    const provide = t.mock.fn(async () => credentials)

    const facts = [
      await rejection(send(openNetwork(t, { credentials: provide }), server)),
      await rejection(send(openNetwork(t, { credentials }), server)),
      await rejection(send(openNetwork(t), server)),
    ]

    const { address } = server
    const refused = {
      code: 'RMQ_AUTH',
      retryable: false,
      outcome: 'refused',
      responseCode: 16,
      address,
      topic: 'orders',
    }
    deepStrictEqual(facts, [refused, refused, refused])
    deepStrictEqual([provide.mock.callCount(), server.frames.length], [2, 4])
  })

  // As a broker of 4.9.7 answered.
  for (const [said, asked] of [
    ['Check signature failed for accessKey=AK', 2],
    ['No default permission for topic:orders', 1],
  ] as const)
    it(`are told to be refused by access control of 4.x, with code 1: ${said}`, async (t) => {
      const place =
        'org.apache.rocketmq.acl.plain.PlainPermissionManager.checkPerm(PlainPermissionManager.java:605)'
      const remark = `org.apache.rocketmq.acl.common.AclException: ${said}, ${place}`
      const server = await fakeServer(t, answering({ code: 1, remark }))
      const provide = t.mock.fn(async () => credentials)

      const facts = await rejection(send(openNetwork(t, { credentials: provide }), server))

      const { code, outcome, retryable, responseCode } = facts
      deepStrictEqual(
        [code, outcome, retryable, responseCode, provide.mock.callCount()],
        ['RMQ_AUTH', 'refused', false, 1, asked],
      )
    })

  it('are not asked for again when a permission other than the key’s is missing', async (t) => {
    const server = await fakeServer(
      t,
      answering({ code: 16, remark: 'the broker[b] sending message is forbidden' }),
    )
    const provide = t.mock.fn(async () => credentials)

    const facts = await rejection(send(openNetwork(t, { credentials: provide }), server))

    deepStrictEqual([facts['code'], provide.mock.callCount(), server.frames.length], ['RMQ_BROKER', 1, 1])
  })

  it('from a function that fails, or gives nonsense, leave nothing sent; the next call asks again', async (t) => {
    const server = await fakeServer(t, echo)
    const reason = new Error('vault is sealed')
    const given: (() => unknown)[] = [
      () => Promise.reject(reason),
      () => {
        throw reason
      },
      () => undefined,
      () => ({ accessKey: 'AK' }),
      () => ({ accessKey: 'AK', secretKey: 5 }),
      () => ({ accessKey: 'AK', secretKey: 'SK', securityToken: 5 }),
    ]
    const provide = (): Credentials => {
      const next = given.shift()
      return (next ? next() : credentials) as Credentials
    }
    const network = openNetwork(t, { credentials: provide })

    const rejected: string[] = []
    for (let left = given.length; left > 0; left--) {
      const { code, outcome, field } = await rejection(send(network, server))
      rejected.push([code, outcome, field].join(' ').trim())
    }
    await read(network, server)

    deepStrictEqual(rejected, [
      'RMQ_AUTH not-sent',
      'RMQ_AUTH not-sent',
      'RMQ_CONFIG not-sent credentials().accessKey',
      'RMQ_CONFIG not-sent credentials().secretKey',
      'RMQ_CONFIG not-sent credentials().secretKey',
      'RMQ_CONFIG not-sent credentials().securityToken',
    ])
    strictEqual(server.frames.length, 1)
  })

  it('from a function that hangs end with the call', async (t) => {
    const server = await fakeServer(t, echo)
    const network = openNetwork(t, {
      credentials: () => new Promise<Credentials>(() => undefined),
      timeoutMs: 30,
    })
    const stop = new AbortController()

    const waiting = rejection(read(network, server))
    const aborted = rejection(
      network.call(server.address, GetMaxOffset, queue, undefined, {
        deadline: inMs(20_000, { signal: stop.signal }),
        timeoutMs: 20_000,
      }),
    )
    stop.abort()

    deepStrictEqual(await waiting, { code: 'RMQ_TIMEOUT', retryable: true, outcome: 'not-sent' })
    deepStrictEqual(await aborted, { code: 'RMQ_ABORTED', retryable: false, outcome: 'not-sent' })
    strictEqual(server.connections.length, 0)
  })

  it('stand in no error and in nothing that is printed', async (t) => {
    const server = await fakeServer(t, answering({ ...ACL, remark: 'no permission to access' }))
    const network = openNetwork(t, { credentials })

    const error: unknown = await send(network, server).catch((each: unknown) => each)

    const printed = [
      inspect(error, { depth: 9, showHidden: true }),
      inspect(network, { depth: 9 }),
      String(error),
    ]
    ok(!printed.some((text) => text.includes('sëcret') || text.includes('bödy')))
    ok(!JSON.stringify([error, network]).includes('sëcret'))
  })
})

describe('a request of a private fork', () => {
  for (const command of [PutMsgNo, GetMsgNo]) {
    it(`(${command.code}) is refused before a byte is written, unless the client was created for it`, async (t) => {
      const server = await fakeServer(t, (frame, connection) =>
        connection.reply(frame, { ext: { msgNo: '5' } }),
      )
      const { address } = server
      const call = (network: Network): Promise<unknown> =>
        network.call(address, PutMsgNo === command ? PutMsgNo : GetMsgNo, { msgNo: '5' }, undefined, {
          deadline: inMs(20_000),
        })

      const facts = await rejection(call(openNetwork(t)))
      const connections = server.connections.length
      await call(openNetwork(t, { messageNumbers: true }))

      deepStrictEqual(facts, {
        code: 'RMQ_CONFIG',
        retryable: false,
        outcome: 'not-sent',
        field: 'extensions.messageNumbers',
      })
      deepStrictEqual([connections, server.codes], [0, [command.code]])
    })
  }

  it('is refused by its code, whatever the command calls itself, one-way too', async (t) => {
    const server = await fakeServer(t, echo)
    const { extension: _, ...disguised } = PutMsgNo
    const network = openNetwork(t)
    const limits = { deadline: inMs(20_000) }

    const facts = [
      await rejection(network.call(server.address, disguised, { msgNo: '5' }, undefined, limits)),
      await rejection(network.oneway(server.address, disguised, { msgNo: '5' }, undefined, limits)),
    ]

    deepStrictEqual(
      facts.map(({ code }) => code),
      ['RMQ_CONFIG', 'RMQ_CONFIG'],
    )
    strictEqual(server.connections.length, 0)
  })
})
