import { deepStrictEqual, ok, rejects, strictEqual, throws } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { createPopConsumer, type PopConsumer, type PopConsumerOptions } from '../../../src/client/popper.ts'
import type { PoppedMessage } from '../../../src/client/values.ts'
import { RequestCode } from '../../../src/commands/index.ts'
import type { Frame } from '../../../src/wire/index.ts'
import {
  type FakeCluster,
  type FakeClusterOptions,
  fakeCluster,
  type Handler,
  type Handlers,
} from '../../support/fake-cluster.ts'
import type { FakeAnswer } from '../../support/fake-server.ts'
import { rejection } from '../../support/net.ts'
import { type StoredFields, storedMessage } from '../../support/stored-message.ts'

const POP = RequestCode.POP_MESSAGE
const ACK = RequestCode.ACK_MESSAGE
const CHANGE = RequestCode.CHANGE_MESSAGE_INVISIBLETIME
const BATCH = RequestCode.BATCH_ACK_MESSAGE

const POP_TIME = 1_800_000_000_000
const RECEIPT = `3 ${POP_TIME} 60000 5 0 broker-a 0 4`
const RETRY = `7 ${POP_TIME} 60000 2 1 broker-a 0 8`

async function open(
  t: TestContext,
  cluster: FakeClusterOptions,
  options: Partial<PopConsumerOptions> = {},
  client: Parameters<FakeCluster['client']>[0] = {},
): Promise<{ cluster: FakeCluster; pop: PopConsumer }> {
  const opened = await fakeCluster(t, cluster)
  return {
    cluster: opened,
    pop: createPopConsumer(opened.client(client), { consumerGroup: 'g', ...options }),
  }
}

/** A cluster of one broker. */
const oneBroker = (handlers: Handlers): FakeClusterOptions => ({ brokers: { 'broker-a': handlers } })

const header = {
  popTime: String(POP_TIME),
  invisibleTime: '60000',
  reviveQid: '5',
  restNum: '0',
  startOffsetInfo: '0 0 3;0 1 0',
}
const NOTHING: FakeAnswer = { code: 210, ext: header }

const found = (...messages: (StoredFields | Buffer)[]): FakeAnswer => ({
  ext: header,
  body: Buffer.concat(messages.map((each) => (Buffer.isBuffer(each) ? each : storedMessage(each)))),
})

const bodies = (messages: readonly PoppedMessage[]): string[] => messages.map(({ body }) => body.toString())

const extOf = (frame: Frame | undefined): Record<string, string> => ({ ...frame?.ext })

describe('a pop', () => {
  it('asks the broker for all of its queues, with its filter, and by the clock of the broker', async (t) => {
    const { cluster, pop } = await open(t, oneBroker({ [POP]: () => NOTHING }), { filter: 'a || b' })

    await pop.pop('orders', { maxMessages: 5, invisibleMs: 30_000 })

    deepStrictEqual(extOf(cluster.broker().frames[0]), {
      consumerGroup: 'g',
      topic: 'orders',
      queueId: '-1',
      maxMsgNums: '5',
      invisibleTime: '30000',
      pollTime: '0',
      bornTime: '0',
      initMode: '0',
      expType: 'TAG',
      exp: 'a || b',
    })
  })

  it('gives messages with a receipt made of the answer, or the one that a retry has', async (t) => {
    const retry = {
      queueOffset: 8n,
      properties: { POP_CK: RETRY, ORIGIN_GROUP: 'g', own: 'x' },
      reconsumeTimes: 1,
    }
    const answer = found({ queueOffset: 4n, properties: { ORIGIN_GROUP: 'mine' } }, retry)
    const { pop } = await open(t, oneBroker({ [POP]: () => answer }))

    const { messages, undecodable } = await pop.pop('orders')

    deepStrictEqual(
      messages.map(({ topic, queue, receipt, properties, systemProperties }) => ({
        topic,
        queue,
        receipt,
        properties: { ...properties },
        group: systemProperties['ORIGIN_GROUP'],
      })),
      [
        {
          topic: 'orders',
          queue: { topic: 'orders', brokerName: 'broker-a', queueId: 0 },
          receipt: RECEIPT,
          properties: { ORIGIN_GROUP: 'mine' },
          group: undefined,
        },
        {
          topic: 'orders',
          queue: { topic: '%RETRY%g_orders', brokerName: 'broker-a', queueId: 0 },
          receipt: RETRY,
          properties: { own: 'x' },
          group: 'g',
        },
      ],
    )
    deepStrictEqual([undecodable, messages[0]?.toJSON()['receipt']], [[], RECEIPT])
  })

  it('gives a retry of a broker that does not note the group', async (t) => {
    const retry = { queueOffset: 8n, properties: { POP_CK: RETRY, own: 'x' } }
    const { pop } = await open(t, oneBroker({ [POP]: () => found(retry) }))

    const [message] = (await pop.pop('orders')).messages

    deepStrictEqual(
      [{ ...message?.properties }, { ...message?.systemProperties }],
      [{ own: 'x' }, { POP_CK: RETRY }],
    )
  })

  it('waits at a single broker, for no longer than there is time', async (t) => {
    const { cluster, pop } = await open(t, oneBroker({ [POP]: () => NOTHING }))

    await pop.pop('orders', { waitMs: 20_000 })
    await pop.pop('orders', { waitMs: 20_000, deadlineMs: Date.now() + 400 })

    deepStrictEqual(
      cluster.broker().frames.map(({ ext }) => ext['pollTime']),
      ['20000', '0'],
    )
  })

  it('asks one broker after another for what is missing, and begins with another one each time', async (t) => {
    const answers = (body: string): Handlers => ({ [POP]: () => found({ queueOffset: 4n, body }) })
    const { cluster, pop } = await open(t, {
      brokers: { 'broker-a': answers('a'), 'broker-b': answers('b') },
    })

    const both = await pop.pop('orders', { maxMessages: 2, waitMs: 5_000 })
    const one = await pop.pop('orders', { maxMessages: 1 })

    deepStrictEqual(
      {
        given: [bodies(both.messages), bodies(one.messages)],
        a: cluster.broker('broker-a').frames.map(({ ext }) => [ext['maxMsgNums'], ext['pollTime']]),
        b: cluster.broker('broker-b').frames.map(({ ext }) => [ext['maxMsgNums'], ext['pollTime']]),
      },
      {
        given: [['a', 'b'], ['b']],
        a: [['2', '0']],
        b: [
          ['1', '0'],
          ['1', '0'],
        ],
      },
    )
  })

  it('of several brokers asks each without waiting first, and then waits at each in turn', async (t) => {
    const asked: string[] = []
    const answers =
      (name: string): Handler =>
      (frame) => {
        asked.push(`${name} ${frame.ext['pollTime']}`)
        return asked.length < 5 ? NOTHING : found({ queueOffset: 4n })
      }
    const { pop } = await open(t, {
      brokers: { 'broker-a': { [POP]: answers('a') }, 'broker-b': { [POP]: answers('b') } },
    })

    await pop.pop('orders', { waitMs: 2_500 })

    deepStrictEqual(asked, ['a 0', 'b 0', 'a 1000', 'b 1000', 'a 500'])
  })

  it('gives what the others have while one broker cannot be asked, and rejects when they have nothing', async (t) => {
    let answer = found({ queueOffset: 4n })
    const { cluster, pop } = await open(t, {
      brokers: {
        'broker-a': { [POP]: () => ({ code: 2, remark: 'busy' }) },
        'broker-b': { [POP]: () => answer },
      },
    })

    const some = await pop.pop('orders')
    answer = NOTHING
    const { code, responseCode, address } = await rejection(pop.pop('orders', { waitMs: 2_000 }))

    deepStrictEqual(
      [some.messages.length, code, responseCode, address],
      [1, 'RMQ_BROKER', 2, cluster.broker('broker-a').address],
    )
    strictEqual(cluster.codes('broker-a').length, 2)
  })

  it('acknowledges a message that matches by its hash only, and does not give it', async (t) => {
    const answer = found(
      { queueOffset: 3n, body: '1', properties: { TAGS: 'BB' } },
      { queueOffset: 4n, body: '2', properties: { TAGS: 'Aa' } },
      { queueOffset: 5n, body: '3', properties: { TAGS: 'BB' } },
    )
    const { cluster, pop } = await open(
      t,
      oneBroker({ [POP]: () => answer, [BATCH]: () => ({ code: 1, remark: 'no' }) }),
      { filter: 'Aa' },
    )

    const { messages } = await pop.pop('orders')

    const [, batch] = cluster.broker().frames
    deepStrictEqual(bodies(messages), ['2'])
    deepStrictEqual(JSON.parse(batch?.body.toString() ?? ''), {
      brokerName: 'broker-a',
      acks: [{ c: 'g', t: 'orders', r: '0', so: 3, q: 0, rq: 5, pt: POP_TIME, it: 60_000, b: 'BQ==' }],
    })
  })

  it('is refused by name for a filter that the broker cannot read', async (t) => {
    const { pop } = await open(t, oneBroker({ [POP]: () => ({ code: 23, remark: 'parse failed' }) }), {
      filter: { sql: 'a =' },
    })

    await rejects(pop.pop('orders'), { name: 'ConfigError', field: 'filter.sql', outcome: 'refused' })
  })

  it('reports what makes no sense', async (t) => {
    const broken = storedMessage({ queueOffset: 4n })
    broken.writeInt32BE(12_345, 4)
    const { pop } = await open(
      t,
      oneBroker({ [POP]: () => found(broken, { queueOffset: 5n, body: 'sound' }) }),
    )

    const { messages, undecodable } = await pop.pop('orders')

    deepStrictEqual([bodies(messages), undecodable.map(({ message }) => message)], [['sound'], [undefined]])
  })

  it('gives what only has a body that makes no sense as it is stored, with its receipt', async (t) => {
    const retry = { queueOffset: 8n, sysFlag: 1, body: 'neither', properties: { POP_CK: RETRY } }
    const own = { queueOffset: 4n, sysFlag: 1, body: 'no zlib' }
    const astray = { ...own, queueId: 7 }
    const { pop } = await open(t, oneBroker({ [POP]: () => found(own, retry, astray) }))

    const { messages, undecodable } = await pop.pop('orders')

    deepStrictEqual(
      [messages, undecodable.map(({ message }) => [message?.body.toString(), message?.receipt])],
      [
        [],
        [
          ['no zlib', RECEIPT],
          ['neither', RETRY],
          [undefined, undefined],
        ],
      ],
    )
  })

  it('rejects an answer that does not say where its messages stand', async (t) => {
    const answer = found({ queueId: 7 })
    const { pop } = await open(t, oneBroker({ [POP]: () => answer }))

    const { code, field, outcome } = await rejection(pop.pop('orders'))

    deepStrictEqual([code, field, outcome], ['RMQ_PROTOCOL', 'startOffsetInfo', undefined])
  })

  it('is not made again when its answer is lost: what it took comes back', async (t) => {
    const { cluster, pop } = await open(
      t,
      oneBroker({
        [POP]: (_frame, connection) => {
          connection.socket.destroy()
          return undefined
        },
      }),
    )

    const { outcome } = await rejection(pop.pop('orders'))

    deepStrictEqual([outcome, cluster.codes()], ['unknown', [POP]])
  })

  it('sends names with their namespace, and gives them without', async (t) => {
    const receipt = `7 ${POP_TIME} 60000 2 1 broker-a 0 8`
    const stored = {
      topic: 'ns%orders',
      queueOffset: 8n,
      properties: { POP_CK: receipt, ORIGIN_GROUP: 'ns%g' },
    }
    const topics = { 'ns%orders': {} }
    const brokers = { 'broker-a': { [POP]: () => found(stored), [ACK]: () => ({}) } }
    const { cluster, pop } = await open(t, { topics, brokers }, {}, { namespace: 'ns' })

    const [message] = (await pop.pop('orders')).messages
    ok(message)
    await pop.ack(message)

    const [popped, acked] = cluster.broker().frames.map(extOf)
    deepStrictEqual(
      [
        message.topic,
        popped?.['topic'],
        popped?.['consumerGroup'],
        acked?.['topic'],
        acked?.['consumerGroup'],
      ],
      ['orders', 'ns%orders', 'ns%g', '%RETRY%ns%g_ns%orders', 'ns%g'],
    )
  })

  for (const [what, call] of [
    ['topic', (pop) => pop.pop('no good!')],
    ['topic', (pop) => pop.pop('%RETRY%g')],
    ['maxMessages', (pop) => pop.pop('orders', { maxMessages: 0 })],
    ['invisibleMs', (pop) => pop.pop('orders', { invisibleMs: 0 })],
    ['waitMs', (pop) => pop.pop('orders', { waitMs: -1 })],
    ['message', (pop) => pop.ack('x' as never)],
    ['message.receipt', (pop) => pop.ack({ topic: 'orders', receipt: 'x' })],
    [
      'message.receipt',
      (pop) => pop.ack([{ topic: 'orders', receipt: RECEIPT }, { topic: 'orders' } as never]),
    ],
    ['message.topic', (pop) => pop.ack({ receipt: RECEIPT } as never)],
    ['invisibleMs', (pop) => pop.changeInvisibleDuration({ topic: 'orders', receipt: RECEIPT }, -1)],
  ] as [string, (pop: PopConsumer) => Promise<unknown>][]) {
    it(`names ${what} when it is wrong, and asks nobody (${call.toString().slice(10)})`, async (t) => {
      const { cluster, pop } = await open(t, oneBroker({}))

      await rejects(async () => call(pop), { name: 'ConfigError', field: what })
      deepStrictEqual(cluster.codes(), [])
    })
  }

  it('checks its options', async (t) => {
    const client = (await fakeCluster(t)).client()

    for (const [field, options] of [
      ['consumerGroup', {}],
      ['filter', { consumerGroup: 'g', filter: '||' }],
      ['maxBodyBytes', { consumerGroup: 'g', maxBodyBytes: 0 }],
      ['queue', { consumerGroup: 'g', queue: 1 }],
    ] as [string, PopConsumerOptions][])
      throws(() => createPopConsumer(client, options), { name: 'ConfigError', field })
  })
})

describe('an acknowledgement', () => {
  it('of one message goes to its broker, under its stored topic', async (t) => {
    const { cluster, pop } = await open(t, {
      brokers: { 'broker-a': { [ACK]: () => ({}) }, 'broker-b': {} },
    })

    await pop.ack({ topic: 'orders', receipt: RETRY })

    deepStrictEqual(
      [extOf(cluster.broker().frames[0]), cluster.codes('broker-b')],
      [{ consumerGroup: 'g', topic: '%RETRY%g_orders', queueId: '0', extraInfo: RETRY, offset: '8' }, []],
    )
  })

  it('of several is one request for each broker, with an entry for each pop of each queue', async (t) => {
    const { cluster, pop } = await open(t, {
      brokers: { 'broker-a': { [BATCH]: () => ({}) }, 'broker-b': { [ACK]: () => ({}) } },
    })
    const receipts = [
      RECEIPT,
      `3 ${POP_TIME} 60000 5 0 broker-a 0 12`,
      RETRY,
      `0 ${POP_TIME} 60000 5 0 broker-b 1 0`,
    ]

    await pop.ack(receipts.map((receipt) => ({ topic: 'orders', receipt })))

    const entry = { c: 'g', t: 'orders', q: 0, pt: POP_TIME, it: 60_000 }
    deepStrictEqual(
      [JSON.parse(cluster.broker().frames[0]?.body.toString() ?? ''), cluster.codes('broker-b')],
      [
        {
          brokerName: 'broker-a',
          acks: [
            { ...entry, r: '0', so: 3, rq: 5, b: 'AgI=' },
            { ...entry, r: '1', so: 7, rq: 2, b: 'Ag==' },
          ],
        },
        [ACK],
      ],
    )
  })

  it('of none asks nobody', async (t) => {
    const { cluster, pop } = await open(t, oneBroker({}))

    await pop.ack([])

    deepStrictEqual(cluster.codes(), [])
  })

  it('tells all brokers before it rejects', async (t) => {
    const { cluster, pop } = await open(t, {
      brokers: {
        'broker-a': { [ACK]: () => ({ code: 208, remark: 'no' }) },
        'broker-b': { [ACK]: () => ({}) },
      },
    })
    const messages = ['a', 'b'].map((name) => ({
      topic: 'orders',
      receipt: `3 ${POP_TIME} 60000 5 0 broker-${name} 0 4`,
    }))

    const { responseCode, outcome } = await rejection(pop.ack(messages))

    deepStrictEqual([responseCode, outcome, cluster.codes('broker-b')], [208, 'refused', [ACK]])
  })

  it('is made again when its answer is lost: twice is as good as once', async (t) => {
    let calls = 0
    const { pop } = await open(
      t,
      oneBroker({
        [ACK]: (_frame, connection) => {
          if (++calls > 1) return {}
          connection.socket.destroy()
          return undefined
        },
      }),
    )

    await pop.ack({ topic: 'orders', receipt: RECEIPT })

    strictEqual(calls, 2)
  })
})

describe('a change of the invisible time', () => {
  it('puts the new receipt on the message', async (t) => {
    const ext = { popTime: String(POP_TIME + 9), invisibleTime: '90000', reviveQid: '6' }
    const { cluster, pop } = await open(t, oneBroker({ [CHANGE]: () => ({ ext }) }))
    const message = { topic: 'orders', receipt: RECEIPT }

    await pop.changeInvisibleDuration(message, 90_000)

    deepStrictEqual(
      [extOf(cluster.broker().frames[0]), message.receipt],
      [
        {
          consumerGroup: 'g',
          topic: 'orders',
          queueId: '0',
          extraInfo: RECEIPT,
          offset: '4',
          invisibleTime: '90000',
        },
        `4 ${POP_TIME + 9} 90000 6 0 broker-a 0 4`,
      ],
    )
  })

  it('leaves the receipt as it is when it fails', async (t) => {
    const { pop } = await open(t, oneBroker({ [CHANGE]: () => ({ code: 208, remark: 'no' }) }))
    const message = { topic: 'orders', receipt: RECEIPT }

    await rejects(pop.changeInvisibleDuration(message, 90_000), { responseCode: 208, outcome: 'refused' })
    strictEqual(message.receipt, RECEIPT)
  })
})
