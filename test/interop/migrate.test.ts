/**
 * docs/migrate.md with Apache's Java client as the resident: a function goes on where it stopped and the other way round, and
 * what becomes of messages while both are in one group.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  type Client,
  createClient,
  createProducer,
  createPullConsumer,
  type Producer,
} from '../../src/index.ts'
import { type EventSourceResult, eventSource } from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type JavaClient, type JavaReceived, startJavaClient } from '../support/rocketmq/interop.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'

const silent = { debug: () => {}, info: () => {}, warn: () => {} }

describe('a function in the place of a resident consumer', { skip: !(await realBrokerAvailable()) }, () => {
  let rocketmq: RocketMQ
  let java: JavaClient
  let client: Client
  let producer: Producer

  before(async () => {
    rocketmq = await startRocketMQ()
    java = await startJavaClient(rocketmq.nameServers)
    client = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 15_000 })
    producer = createProducer(client, { producerGroup: 'shop' })
  })
  after(async () => {
    await client?.close()
    await java?.stop()
    await rocketmq?.stop()
  })

  const createTopic = async (topic: string, queues = '2'): Promise<void> => {
    await rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', topic, '-r', queues, '-w', queues)
    const consumer = createPullConsumer(client, { consumerGroup: 'judge' })
    await until('the route', () => consumer.queues(topic).catch(() => undefined))
  }
  const send = async (topic: string, ...bodies: string[]): Promise<void> => {
    for (const body of bodies) await producer.send({ topic, body })
  }

  /** One invocation; `handle` is called with each body. */
  const invoke = async (
    topic: string,
    handle: (body: string) => Promise<void> | void,
  ): Promise<EventSourceResult> => {
    const handler = eventSource(
      { topic, consumerGroup: topic, client, logger: silent },
      async ({ records }) => {
        for (const record of Object.values(records).flat())
          await handle(`${record.body.toString()}${record.reconsumeTimes > 0 ? ' again' : ''}`)
      },
    )
    return await handler(scheduledEvent(), lambdaContext({ remainingMs: 20_000 }))
  }

  const bodies = (received: JavaReceived[]): string[] => received.map(({ body }) => body.toString()).sort()

  it('goes on where a listener stopped, with what it had sent back, and the listener goes on after it', async () => {
    await createTopic('moved')
    await send('moved', 'a', 'b')
    const first = await java.consume({ topic: 'moved', consumerGroup: 'moved', expected: 2, failures: 1 })
    await send('moved', 'c', 'd')

    const handled: string[] = []
    await until('what comes again', async () => {
      await invoke('moved', (body) => void handled.push(body))
      return handled.length >= 4
    })
    await send('moved', 'e')
    const last = await java.consume({ topic: 'moved', consumerGroup: 'moved', expected: 1 })
    const { handled: left, remainingLag } = await invoke('moved', () => {})

    deepStrictEqual([bodies(first), bodies(last)], [['a', 'b'], ['e']])
    deepStrictEqual(handled.sort(), ['a again', 'b again', 'c', 'd'])
    deepStrictEqual([left, remainingLag], [0, 0])
  })

  it('leaves its queues to an orderly listener that is in the group', async () => {
    await createTopic('ordered')
    await send('ordered', 'a', 'b')
    const resident = java.consume({
      topic: 'ordered',
      consumerGroup: 'ordered',
      expected: 3,
      orderly: true,
    })
    const consumer = createPullConsumer(client, { consumerGroup: 'ordered' })
    await until('the listener to have its queues', async () => {
      const locked = await consumer.queues('ordered')
      const offsets = await Promise.all(locked.map((queue) => consumer.committedOffset(queue)))
      return offsets.reduce<bigint>((sum, offset) => sum + (offset ?? 0n), 0n) === 2n
    })

    const { handled, leftToOthers } = await invoke('ordered', () => {})
    await send('ordered', 'c')
    const received = await resident

    deepStrictEqual([handled, leftToOthers], [0, 3]) // the retry queue is one
    deepStrictEqual(bodies(received), ['a', 'b', 'c'])
  })

  it('shares everything with a concurrent listener that is in the group, which sees no lease', async () => {
    await createTopic('doubled', '1')
    await send('doubled', 'a', 'b')
    let received: JavaReceived[] = []

    const handled: string[] = []
    const result = await invoke('doubled', async (body) => {
      handled.push(body)
      if (handled.length === 1)
        received = await java.consume({ topic: 'doubled', consumerGroup: 'doubled', expected: 2 })
    })

    deepStrictEqual(bodies(received), ['a', 'b'])
    deepStrictEqual(handled, ['a', 'b'])
    const [queue] = result.queues
    deepStrictEqual([result.handled, queue?.stopped], [0, 'somebody else has moved the group to 2'])
  })
})
