/** Connections that look alive and are not, and calls whose time is over: what was once written, kept or hidden. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { RequestCode } from '../../src/commands/index.ts'
import { createProducer, createPullConsumer } from '../../src/index.ts'
import { fakeCluster, storing } from '../support/fake-cluster.ts'
import { closedPort, fakeServer } from '../support/fake-server.ts'
import { inMs, isUsable, openConnection, openPool, rejection } from '../support/net.ts'
import { stoppedClock } from '../support/stopped-clock.ts'

const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

describe('a request whose deadline has passed', () => {
  it('is not written, and says so', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)
    const deadline = { at: Date.now(), explicit: true }

    const facts = await rejection(
      connection.request({ code: 310, ext: {}, body: undefined, deadline, write: true }),
    )
    const next = rejection(
      connection.request({ code: 11, ext: {}, body: undefined, deadline: inMs(20_000), write: false }),
    )
    await server.arrived(1)
    connection.destroy(new Error('over'))
    await next

    deepStrictEqual([facts['code'], facts['outcome'], server.codes], ['RMQ_DEADLINE', 'not-sent', [11]])
  })

  it('is not the next batch of a group either', async (t) => {
    const silent = { [RequestCode.SEND_BATCH_MESSAGE]: () => undefined }
    const topics = { orders: { writeQueueNums: 4 } }
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': silent }, topics })
    const producer = createProducer(cluster.client(), { producerGroup: 'g' })
    const messages = [0, 1, 2, 3].map((queueId) => ({ body: 'x', queue: { ...queue, queueId } }))

    const clock = stoppedClock(t)

    const sent = producer.sendBatch('orders', messages, { deadlineMs: Date.now() + 1_000 })
    await cluster.broker().arrived(1)
    const results = await clock.until(sent)

    deepStrictEqual(
      results.map(({ outcome }) => outcome),
      ['unknown', 'not-sent', 'not-sent', 'not-sent'],
    )
    strictEqual(cluster.codes().length, 1)
  })
})

describe('a request whose body is gone', () => {
  it('is refused and not sent without one, whatever leaves in the same turn', async (t) => {
    const server = await fakeServer(t, (frame, connection) => connection.reply(frame))
    const connection = await openConnection(t, server)
    const body = new Uint8Array(10)
    const call = (code: number, bytes?: Uint8Array): Promise<unknown> =>
      connection.request({ code, ext: {}, body: bytes, deadline: inMs(20_000), write: true })
    structuredClone(body, { transfer: [body.buffer] }) // as when it goes to a worker, or its WebAssembly.Memory grows

    const calls = await Promise.allSettled([call(11), call(310, body), call(12)])

    deepStrictEqual(
      calls.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    )
    deepStrictEqual(server.codes, [11, 12])
  })
})

describe('a call that was in flight when the sandbox froze', () => {
  it('does not hold up the deadline of one that is made after it', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)
    const call = { code: 11, ext: {}, body: undefined, write: false }
    const before = rejection(connection.request({ ...call, deadline: inMs(20_000) }))
    const thawedAt = Date.now() + 60_000 // the wall clock went on, that of timers did not
    const woke = performance.now()
    t.mock.method(Date, 'now', () => Math.floor(thawedAt + performance.now() - woke))

    const after = rejection(connection.request({ ...call, deadline: inMs(100) }))
    const first = await Promise.race([after, wait(15_000, { code: 'it waits' }, { ref: false })])

    deepStrictEqual([first['code'], (await before)['code']], ['RMQ_TIMEOUT', 'RMQ_TIMEOUT'])
  })
})

describe('a connection that swallows what is written', () => {
  it('is not used again after a call that its signal ended', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)
    const clock = stoppedClock(t)
    const stop = new AbortController()

    const call = rejection(
      connection.request({
        code: 310,
        ext: {},
        body: undefined,
        deadline: inMs(5_000, { signal: stop.signal }),
        write: true,
      }),
    )
    await server.arrived(1)
    await clock.pass(150)
    stop.abort()
    const facts = await call

    deepStrictEqual(
      [facts['code'], facts['outcome'], isUsable(connection)],
      ['RMQ_ABORTED', 'unknown', false],
    )
  })

  it('stays in use when a call on it was given up at once', async (t) => {
    const server = await fakeServer(t)
    const connection = await openConnection(t, server)
    stoppedClock(t)
    const stop = new AbortController()

    const given = rejection(
      connection.request({
        code: 310,
        ext: {},
        body: undefined,
        deadline: inMs(5_000, { signal: stop.signal }),
        write: true,
      }),
    )
    stop.abort()
    await given

    strictEqual(isUsable(connection), true)
  })

  it('costs a commit one timeout and not the call: it is made again on another connection', async (t) => {
    let calls = 0
    const broker = { [RequestCode.UPDATE_CONSUMER_OFFSET]: () => (calls++ === 0 ? undefined : {}) }
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': broker } })
    const consumer = createPullConsumer(cluster.client({ timeoutMs: 150 }), { consumerGroup: 'g' })

    const clock = stoppedClock(t)

    const committed = consumer.commitOffset(queue, 5n)
    await cluster.broker().arrived(1)
    await clock.pass(150)
    await committed

    deepStrictEqual([calls, cluster.broker().connections.length], [2, 2])
  })

  it('costs a pull one timeout and not the call either', async (t) => {
    let calls = 0
    const empty = {
      code: 19,
      ext: { nextBeginOffset: '0', minOffset: '0', maxOffset: '0', suggestWhichBrokerId: '0' },
    }
    const broker = { [RequestCode.PULL_MESSAGE]: () => (calls++ === 0 ? undefined : empty) }
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': broker } })
    const consumer = createPullConsumer(cluster.client({ timeoutMs: 150 }), { consumerGroup: 'g' })

    const clock = stoppedClock(t)

    const pulled = consumer.pull(queue, 0n)
    await cluster.broker().arrived(1)
    await clock.pass(150)
    const { status } = await pulled

    deepStrictEqual([status, calls, cluster.broker().connections.length], ['NO_NEW_MESSAGE', 2, 2])
  })
})

describe('closing a client', () => {
  it('ends calls on connections that are out of use too', async (t) => {
    const cluster = await fakeCluster(t, {
      brokers: {
        'broker-a': {
          [RequestCode.PULL_MESSAGE]: () => undefined,
          [RequestCode.SEND_MESSAGE_V2]: () => undefined,
        },
      },
    })
    const client = cluster.client({ timeoutMs: 200 })
    const consumer = createPullConsumer(client, { consumerGroup: 'g' })
    const producer = createProducer(client, { producerGroup: 'g', retries: 0 })
    const clock = stoppedClock(t)
    const pulling = rejection(consumer.pull(queue, 0n, { waitMs: 5_000 }))
    await cluster.broker().arrived(1)
    const silent = rejection(producer.send({ topic: 'orders', body: 'x' })) // it takes the connection out of use
    await cluster.broker().arrived(2)
    await clock.pass(200)
    await silent

    await client.close()

    strictEqual((await pulling)['code'], 'RMQ_CLOSED')
  })
})

describe('a TLS handshake', () => {
  it('that is cut off may be tried again: the broker may be restarting', async (t) => {
    const server = await fakeServer(t, undefined, { onConnection: (each) => each.reset() })
    const pool = openPool(t, { tls: {} })

    const facts = await rejection(pool.get(server.address, inMs(20_000)))

    deepStrictEqual([facts['code'], facts['retryable']], ['RMQ_CONNECT', true])
  })

  it('with options that Node refuses names them', async (t) => {
    const pool = openPool(t, { tls: { minVersion: 'x' as never } })

    const facts = await rejection(pool.get(await closedPort(), inMs(20_000)))

    deepStrictEqual([facts['code'], facts['field'], facts['outcome']], ['RMQ_CONFIG', 'tls', 'not-sent'])
  })
})

describe('a broker that sends requests and reads no answers', () => {
  it('is left, before the answers fill the memory', async (t) => {
    const server = await fakeServer(t, undefined, { deaf: true })
    const connection = await openConnection(t, server)
    const [peer] = await server.connected(1)
    const pending = rejection(
      connection.request({ code: 11, ext: {}, body: undefined, deadline: inMs(20_000), write: false }),
    )
    const flood = Buffer.concat(Array.from({ length: 2_000 }, (_, opaque) => requestFrame(opaque)))

    for (let round = 0; round < 200 && isUsable(connection); round++) {
      await new Promise<void>((resolve) => peer?.socket.write(flood, () => resolve()))
    }

    strictEqual((await pending)['code'], 'RMQ_CONNECTION_LOST')
    ok(!isUsable(connection))
  })
})

describe('credentials from a function', () => {
  it('are not fetched again because a grant is missing', async (t) => {
    let asked = 0
    const denying = {
      ...storing(),
      [RequestCode.SEND_MESSAGE_V2]: () => ({
        code: 16,
        remark: 'User:x has no permission to access Topic:orders from 10.0.0.1, no matched policies.',
      }),
    }
    const cluster = await fakeCluster(t, { brokers: { 'broker-a': denying } })
    const credentials = (): { accessKey: string; secretKey: string } => {
      asked += 1
      return { accessKey: 'x', secretKey: 'y' }
    }
    const producer = createProducer(cluster.client({ credentials }), { producerGroup: 'g' })

    for (let turn = 0; turn < 5; turn++)
      strictEqual((await rejection(producer.send({ topic: 'orders', body: 'x' })))['code'], 'RMQ_AUTH')

    strictEqual(asked, 1)
  })
})

/** A request of the broker's own that nobody here handles. */
function requestFrame(opaque: number): Buffer {
  const header = Buffer.from(JSON.stringify({ code: 999, opaque, flag: 0 }))
  const frame = Buffer.alloc(8)
  frame.writeUInt32BE(4 + header.length, 0)
  frame.writeUInt32BE(header.length, 4)
  return Buffer.concat([frame, header])
}
