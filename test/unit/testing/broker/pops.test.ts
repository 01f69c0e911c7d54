import { deepStrictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AckMessage, POP_INIT_MIN, PopMessage, type PopMessageRequest } from '../../../../src/commands/pop.ts'
import { DeleteTopicInBroker } from '../../../../src/commands/topics.ts'
import { type Client, createClient, createPopConsumer, createProducer } from '../../../../src/index.ts'
import { createClock, type LocalBroker, startBroker } from '../../../../src/testing/index.ts'
import { decodeMessages } from '../../../../src/wire/message.ts'
import { formatPopReceipt, parseStartOffsetInfo } from '../../../../src/wire/pop-receipt.ts'

const START = 1_800_000_000_000
const RETRY = '%RETRY%billing_orders'

/** A broker whose time stands still, with messages in the only queue of `orders`. */
async function withOrders(
  bodies: readonly string[],
  run: (broker: LocalBroker, client: Client) => Promise<void>,
): Promise<void> {
  const clock = createClock({ at: START })
  await using broker = await startBroker({ clock, topics: { orders: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers })
  try {
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (const body of bodies) await producer.send({ topic: 'orders', body })
    await run(broker, client)
  } finally {
    await client.close()
  }
}

async function popped(
  broker: LocalBroker,
  client: Client,
  changes: Partial<PopMessageRequest> = {},
): Promise<{ seen: string[]; receipts: string[] }> {
  const request = {
    consumerGroup: 'billing',
    topic: 'orders',
    queueId: -1,
    maxMsgNums: 32,
    invisibleTime: 10_000n,
    initMode: POP_INIT_MIN,
    ...changes,
  }
  const address = broker.brokers[0]?.address ?? ''
  const answer = await client.network.call(address, PopMessage, request, undefined, {
    deadline: client.deadline(),
  })
  const { popTime, invisibleTime, reviveQid, startOffsetInfo = '' } = answer.header
  const ckQueueOffset = parseStartOffsetInfo(startOffsetInfo).get('0@0') ?? 0n
  const { messages } = decodeMessages(answer.body)
  return {
    seen: messages.map(({ body, reconsumeTimes }) => `${body.toString()} ${reconsumeTimes}`),
    receipts: messages.map(
      ({ queueId, queueOffset, properties }) =>
        properties['POP_CK'] ??
        formatPopReceipt({
          ckQueueOffset,
          popTime,
          invisibleTime,
          reviveQid,
          retryFlag: '0',
          brokerName: 'broker-a',
          queueId,
          queueOffset,
        }),
    ),
  }
}

async function acknowledge(broker: LocalBroker, client: Client, receipt: string): Promise<void> {
  const request = {
    consumerGroup: 'billing',
    topic: 'orders',
    queueId: 0,
    extraInfo: receipt,
    offset: BigInt(receipt.split(' ').at(-1) ?? '0'),
  }
  const address = broker.brokers[0]?.address ?? ''
  await client.network.call(address, AckMessage, request, undefined, { deadline: client.deadline() })
}

async function killAndStart(broker: LocalBroker, client: Client): Promise<void> {
  for (const node of broker.brokers) {
    await node.kill()
    await node.start()
  }
  await client.thaw()
}

describe('pops of the local broker', () => {
  it('come back by its clock, to the millisecond', () =>
    withOrders(['1'], async (broker, client) => {
      const first = await popped(broker, client)
      await broker.clock.advance(9_999)
      const early = [await popped(broker, client), broker.messages(RETRY).length]
      await broker.clock.advance(1)
      const late = await popped(broker, client)
      deepStrictEqual([first.seen, early, late.seen], [['1 0'], [{ seen: [], receipts: [] }, 0], ['1 1']])
    }))

  it('that wait are answered when their time is over, by its clock too', () =>
    withOrders([], async (broker, client) => {
      const bornTime = BigInt(START)
      const pending = popped(broker, client, { pollTime: 60_000n, bornTime })
      await popped(broker, client) // behind it: the other one waits now
      await broker.clock.advance(60_000)
      deepStrictEqual(await pending, { seen: [], receipts: [] })
    }))

  it('keep, over a kill, what was popped and acknowledged; the offset is lost when it was not saved', () =>
    withOrders(['1', '2'], async (broker, client) => {
      const { receipts } = await popped(broker, client)
      await acknowledge(broker, client, receipts[0] ?? '')
      await killAndStart(broker, client)
      const again = await popped(broker, client, { invisibleTime: 60_000n })
      await broker.clock.advance(10_000)
      const retries = await popped(broker, client)
      deepStrictEqual([again.seen, retries.seen], [['1 0', '2 0'], ['2 1']])
    }))

  it('in order lose with an unsaved offset what they block, and keep it when that was saved', () =>
    withOrders(['1', '2'], async (broker, client) => {
      const pop = async (): Promise<string[]> =>
        (await popped(broker, client, { order: true, maxMsgNums: 1, invisibleTime: 60_000n })).seen
      const first = await pop()
      await killAndStart(broker, client)
      const afterLoss = await pop()
      await broker.clock.advance(15_000)
      await killAndStart(broker, client)
      deepStrictEqual([first, afterLoss, await pop()], [['1 0'], ['1 0'], []])
    }))

  it('read on behind a thousand messages that the filter does not let through', () =>
    withOrders([], async (broker, client) => {
      const producer = createProducer(client, { producerGroup: 'shop' })
      const many = Array.from({ length: 2_000 }, (_, n) => ({ body: String(n), tag: n < 1_999 ? 'a' : 'b' }))
      await producer.sendBatch('orders', many)
      const wait = { exp: 'b', expType: 'TAG', pollTime: 60_000n }
      deepStrictEqual((await popped(broker, client, wait)).seen, ['1999 0'])
    }))

  it('of all brokers are given to a pop consumer, and acknowledged where they are', async () => {
    const clock = createClock({ at: START })
    await using broker = await startBroker({ clock, brokers: 2, topics: { orders: { queues: 1 } } })
    const client = createClient({ nameServers: broker.nameServers })
    const producer = createProducer(client, { producerGroup: 'shop' })
    for (const brokerName of ['broker-a', 'broker-b'])
      await producer.send({
        topic: 'orders',
        body: brokerName,
        queue: { topic: 'orders', brokerName, queueId: 0 },
      })
    const pop = createPopConsumer(client, { consumerGroup: 'billing' })

    const { messages } = await pop.pop('orders', { invisibleMs: 10_000 })
    await pop.ack(messages)
    await clock.advance(10_000)

    deepStrictEqual(
      [messages.map(({ body }) => body.toString()), broker.messages(RETRY)],
      [['broker-a', 'broker-b'], []],
    )
    await client.close()
  })

  it('go with their topic, and so do their retries', () =>
    withOrders(['1'], async (broker, client) => {
      await popped(broker, client)
      await broker.clock.advance(10_000)
      const address = broker.brokers[0]?.address ?? ''
      const limits = { deadline: client.deadline() }
      await client.network.call(address, DeleteTopicInBroker, { topic: 'orders' }, undefined, limits)
      deepStrictEqual(broker.messages(RETRY), [])
    }))
})
