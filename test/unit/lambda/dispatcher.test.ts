/** What the dispatcher finds and whom it starts, on the local broker; the workers are looked at in dispatch-lambda.test.ts. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { InvokeBrokerToResetOffset } from '../../../src/commands/index.ts'
import {
  type Client,
  createClient,
  createProducer,
  createPullConsumer,
  type MessageQueue,
} from '../../../src/index.ts'
import {
  type DispatcherOptions,
  type DispatchResult,
  type DispatchSummary,
  dispatcher,
  type LambdaApi,
  type WorkerPayload,
} from '../../../src/lambda/index.ts'
import {
  createClock,
  type LocalBroker,
  type LocalBrokerOptions,
  lambdaContext,
  scheduledEvent,
  startBroker,
} from '../../../src/testing/index.ts'
import { until } from '../../support/local-lambda.ts'

const orders = { topic: 'orders', consumerGroup: 'billing' }

interface Invoked {
  FunctionName: string
  InvocationType: string
  Payload: Uint8Array
  Qualifier?: string
}

interface Setting {
  broker: LocalBroker
  client: Client
  /** What Lambda was asked for. */
  invoked: Invoked[]
  payloads: () => WorkerPayload[]
  dispatch: (options?: Partial<DispatcherOptions>, remainingMs?: number) => Promise<DispatchResult>
  publish: (count: number, queue: Partial<MessageQueue>) => Promise<void>
  /** Commits an offset, as a worker of the group does. */
  commit: (queue: Partial<MessageQueue>, offset: bigint, consumerGroup?: string) => Promise<void>
  lambda: { send(command: never): Promise<unknown> }
}

const queueOf = (queue: Partial<MessageQueue>): MessageQueue => ({
  topic: 'orders',
  brokerName: 'broker-a',
  queueId: 0,
  ...queue,
})

async function setting(t: TestContext, options: LocalBrokerOptions = {}): Promise<Setting> {
  const broker = await startBroker({ topics: { orders: { queues: 2 } }, ...options })
  const client = createClient({ nameServers: broker.nameServers, timeoutMs: 2_000 })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const producer = createProducer(client, { producerGroup: 'shop' })
  const invoked: Invoked[] = []
  const lambda = {
    async send(command: { input: Invoked }) {
      invoked.push(command.input)
      return { StatusCode: 202 }
    },
  }
  return {
    broker,
    client,
    invoked,
    lambda,
    payloads: () => invoked.map(({ Payload }) => JSON.parse(Buffer.from(Payload).toString())),
    async dispatch(given = {}, remainingMs = 8_000) {
      const all = { eventSources: { orders }, functionName: 'consume', client, lambda, ...given }
      return await dispatcher(all)(scheduledEvent(), lambdaContext({ remainingMs }))
    },
    async publish(count, given) {
      const queue = queueOf(given)
      await Promise.all(
        Array.from({ length: count }, () => producer.send({ topic: queue.topic, body: 'x', queue })),
      )
    },
    async commit(given, offset, consumerGroup = 'billing') {
      const consumer = createPullConsumer(client, { consumerGroup })
      const queue = queueOf(given)
      await consumer.pull(queue, 0n, { maxMessages: 1 })
      await consumer.commitOffset(queue, offset)
    },
  }
}

/** The mapping's part of a result. */
const ordersOf = (result: DispatchResult): DispatchSummary | undefined => result.eventSources['orders']

const failureOf = async (running: Promise<unknown>): Promise<AggregateError & { result: DispatchResult }> => {
  try {
    await running
  } catch (error) {
    assert.ok(error instanceof AggregateError)
    return error as AggregateError & { result: DispatchResult }
  }
  assert.fail('it has not failed')
}

describe('a dispatcher', () => {
  it('starts a worker for the queues that are behind, and says how far', async (t) => {
    const { publish, commit, dispatch, invoked, payloads } = await setting(t)
    await publish(5, { queueId: 1 })
    await commit({ queueId: 0 }, 0n)
    await commit({ queueId: 1 }, 2n)

    const result = await dispatch({ qualifier: 'live' })

    assert.deepStrictEqual(result, {
      eventSources: { orders: { queues: 2, lag: 3, unstarted: 0, leased: 0, workers: 1 } },
    })
    assert.deepStrictEqual(
      invoked.map(({ FunctionName, InvocationType, Qualifier }) => [FunctionName, InvocationType, Qualifier]),
      [['consume', 'Event', 'live']],
    )
    assert.deepStrictEqual(payloads(), [
      { version: 1, eventSource: 'orders', queues: [queueOf({ queueId: 1 })] },
    ])
  })

  it('starts nobody when nothing waits', async (t) => {
    const { commit, dispatch, invoked } = await setting(t)
    await commit({ queueId: 0 }, 0n)
    await commit({ queueId: 1 }, 0n)

    const result = await dispatch()

    assert.deepStrictEqual(ordersOf(result), { queues: 2, lag: 0, unstarted: 0, leased: 0, workers: 0 })
    assert.deepStrictEqual(invoked, [])
  })

  it('starts a worker for a group without offsets, also on an idle topic', async (t) => {
    const { dispatch, payloads } = await setting(t, { brokers: 2 })

    const result = await dispatch({ maximumConcurrency: 4, activationLagThreshold: 100 })

    assert.deepStrictEqual(ordersOf(result), { queues: 4, lag: 0, unstarted: 4, leased: 0, workers: 1 })
    assert.deepStrictEqual(payloads()[0]?.queues?.length, 4)
  })

  it('looks at the retry topic, too', async (t) => {
    const { broker, client, publish, commit, dispatch, payloads } = await setting(t)
    await publish(1, { queueId: 0 })
    await commit({ queueId: 0 }, 1n)
    await commit({ queueId: 1 }, 0n)
    const consumer = createPullConsumer(client, { consumerGroup: 'billing' })
    const { messages } = await consumer.pull(queueOf({}), 0n)
    for (const message of messages) await consumer.sendBack(message, { delayLevel: 1 })
    await broker.clock.advance(1_500)

    await dispatch()

    assert.deepStrictEqual(
      payloads().map(({ queues }) => queues),
      [[queueOf({ topic: '%RETRY%billing' })]],
    )
  })

  it('skips what another worker holds', async (t) => {
    const { client, publish, commit, dispatch, payloads } = await setting(t)
    for (const queueId of [0, 1]) {
      await publish(3, { queueId })
      await commit({ queueId }, 0n)
    }
    const worker = createPullConsumer(client, { consumerGroup: 'billing' })
    await worker.lock([queueOf({ queueId: 0 })])

    const result = await dispatch()

    assert.deepStrictEqual(ordersOf(result), { queues: 2, lag: 6, unstarted: 0, leased: 1, workers: 1 })
    assert.deepStrictEqual(payloads()[0]?.queues, [queueOf({ queueId: 1 })])
  })

  it('holds nothing when it has ended: a worker gets every queue', async (t) => {
    const { client, publish, dispatch } = await setting(t)
    await publish(3, { queueId: 0 })
    await dispatch()

    const held = await createPullConsumer(client, { consumerGroup: 'billing' }).lock([
      queueOf({}),
      queueOf({ queueId: 1 }),
    ])

    assert.deepStrictEqual(held.length, 2)
  })

  it('starts a worker for each lagThreshold messages, up to maximumConcurrency and the number of queues', async (t) => {
    const { publish, commit, dispatch, payloads, invoked } = await setting(t, {
      topics: { orders: { queues: 4 } },
    })
    for (const [queueId, count] of [13, 3, 4, 5].entries()) {
      await publish(count, { queueId })
      await commit({ queueId }, 0n)
    }
    const workersWith = async (options: object): Promise<number[][]> => {
      invoked.length = 0
      await dispatch(options)
      return payloads().map(({ queues = [] }) => queues.map(({ queueId }) => queueId))
    }

    assert.deepStrictEqual(await workersWith({ lagThreshold: 25 }), [[0, 3, 2, 1]])
    assert.deepStrictEqual(await workersWith({ lagThreshold: 24 }), [[0], [3, 2, 1]])
    assert.deepStrictEqual(await workersWith({ lagThreshold: 1, maximumConcurrency: 3 }), [[0], [2, 1], [3]])
    assert.deepStrictEqual(await workersWith({ lagThreshold: 1 }), [[0], [3], [2], [1]])
  })

  it('starts nobody before more wait than activationLagThreshold', async (t) => {
    const { publish, commit, dispatch } = await setting(t)
    await commit({ queueId: 0 }, 0n)
    await commit({ queueId: 1 }, 0n)
    await publish(5, { queueId: 0 })

    const at = await dispatch({ activationLagThreshold: 5 })
    await publish(1, { queueId: 0 })
    const above = await dispatch({ activationLagThreshold: 5 })

    assert.deepStrictEqual([ordersOf(at)?.workers, ordersOf(above)?.workers], [0, 1])
  })

  it('takes the limits of a mapping before its own', async (t) => {
    const { publish, commit, dispatch } = await setting(t)
    for (const queueId of [0, 1]) {
      await publish(2, { queueId })
      await commit({ queueId }, 0n)
    }

    const result = await dispatch({
      eventSources: { orders: { ...orders, lagThreshold: 1, maximumConcurrency: 2 } },
      lagThreshold: 100,
      maximumConcurrency: 1,
    })

    assert.deepStrictEqual(ordersOf(result)?.workers, 2)
  })

  it('counts the whole queue where the group stands behind its end: the topic was made anew', async (t) => {
    const { publish, commit, dispatch } = await setting(t)
    await publish(3, { queueId: 0 })
    await commit({ queueId: 0 }, 900n)
    await commit({ queueId: 1 }, 0n)

    const result = await dispatch()

    assert.deepStrictEqual([ordersOf(result)?.lag, ordersOf(result)?.workers], [3, 1])
  })

  it('starts one for a mapping that pops in any case, and more where more waits; they share by themselves', async (t) => {
    const { publish, commit, dispatch, payloads } = await setting(t)
    const eventSources = { orders: { ...orders, mode: 'pop' as const, lagThreshold: 2 } }
    await commit({ queueId: 0 }, 0n)

    const idle = await dispatch({ eventSources })
    await publish(5, { queueId: 0 })
    const busy = await dispatch({ eventSources })

    assert.deepStrictEqual(
      [idle, busy].map((each) => [ordersOf(each)?.lag, ordersOf(each)?.workers]),
      [
        [0, 1],
        [5, 3],
      ],
    )
    assert.deepStrictEqual(payloads(), Array(4).fill({ version: 1, eventSource: 'orders' }))
  })

  it('leaves out mappings that are not enabled', async (t) => {
    const { dispatch } = await setting(t)

    const result = await dispatch({ eventSources: { orders: { ...orders, enabled: false } } })

    assert.deepStrictEqual(result, { eventSources: {} })
  })

  it('does what it can when one mapping fails, and then fails with what went wrong', async (t) => {
    const { publish, dispatch, payloads } = await setting(t, { autoCreateTopics: false })
    await publish(1, { queueId: 0 })
    const missing = { topic: 'missing', consumerGroup: 'others' }

    const error = await failureOf(dispatch({ eventSources: { missing, orders } }))

    assert.match(error.message, /^missing: no topic missing on /)
    assert.deepStrictEqual(
      payloads().map(({ eventSource }) => eventSource),
      ['orders'],
    )
    const { missing: failed, orders: done } = error.result.eventSources
    assert.deepStrictEqual([failed?.errors?.length, failed?.workers, done?.workers], [1, 0, 1])
  })

  it('serves the other brokers when one is away', async (t) => {
    const { broker, publish, dispatch, payloads } = await setting(t, { brokers: 2 })
    await publish(1, { brokerName: 'broker-b' })
    broker.brokers[0]?.freeze()

    const error = await failureOf(dispatch({}, 6_000))
    broker.brokers[0]?.resume()

    assert.deepStrictEqual(error.result.eventSources['orders']?.queues, 2)
    assert.deepStrictEqual(
      payloads().flatMap(({ queues = [] }) => queues.map(({ brokerName }) => brokerName)),
      ['broker-b', 'broker-b'],
    )
  })

  it('says which worker Lambda has not accepted', async (t) => {
    const { publish, dispatch } = await setting(t)
    await publish(1, { queueId: 0 })
    const refusal = Object.assign(new Error('Function not found: consume'), {
      name: 'ResourceNotFoundException',
    })

    const error = await failureOf(dispatch({ lambda: { send: () => Promise.reject(refusal) } }))

    assert.deepStrictEqual(
      error.message,
      'orders: invoking function consume failed: ResourceNotFoundException: Function not found: consume',
    )
    assert.deepStrictEqual(error.result.eventSources['orders']?.workers, 0)
  })

  it('ends in time when Lambda does not answer', async (t) => {
    const { publish, dispatch } = await setting(t)
    await publish(1, { queueId: 0 })
    const silent: LambdaApi = {
      send: (_, { abortSignal } = {}) =>
        new Promise((_resolve, reject) =>
          abortSignal?.addEventListener('abort', () => reject(new Error('aborted'))),
        ),
    }

    const error = await failureOf(dispatch({ lambda: silent }, 4_000))

    assert.deepStrictEqual(error.message, 'orders: consume had not answered when the invocation had to end')
  })

  for (const [field, change] of [
    ['functionName', { functionName: '' }],
    ['eventSources', { eventSources: {} }],
    ['eventSources.orders.topic', { eventSources: { orders: { topic: 'or ders', consumerGroup: 'x' } } }],
    ['lagThreshold', { lagThreshold: 0 }],
    ['maximumConcurrency', { maximumConcurrency: 1_001 }],
    ['activationLagThreshold', { activationLagThreshold: -1 }],
    ['maximumConcurency', { maximumConcurency: 1 }],
  ] as const) {
    it(`refuses ${JSON.stringify(change)} by the name of ${field}`, () => {
      const options = { eventSources: { orders }, functionName: 'consume', ...change }
      assert.throws(() => dispatcher(options), { name: 'ConfigError', field })
    })
  }
})

describe('where the end of a queue may not be asked for', () => {
  const denied = { fault: 'refuse', code: 30, responseCode: 16 } as const
  const remark = 'User:x has no permission to access Topic:orders from 127.0.0.1, no matched policies.'

  it('a pull tells the lag', async (t) => {
    const { broker, publish, commit, dispatch, payloads } = await setting(t)
    broker.faults.add({ ...denied, remark })
    await publish(5, { queueId: 1 })
    await commit({ queueId: 0 }, 0n)
    await commit({ queueId: 1 }, 2n)

    const result = await dispatch()

    assert.deepStrictEqual(ordersOf(result), { queues: 2, lag: 3, unstarted: 0, leased: 0, workers: 1 })
    assert.deepStrictEqual(payloads()[0]?.queues, [queueOf({ queueId: 1 })])
  })

  it('nobody is started when nothing waits', async (t) => {
    const { broker, commit, dispatch, invoked } = await setting(t)
    broker.faults.add({ ...denied, remark })
    await commit({ queueId: 0 }, 0n)
    await commit({ queueId: 1 }, 0n)

    const result = await dispatch()

    assert.deepStrictEqual([ordersOf(result)?.lag, invoked], [0, []])
  })

  it('an administrator’s reset that the pull takes note of is kept', async (t) => {
    const { broker, client, publish, commit, dispatch } = await setting(t, {
      topics: { orders: { queues: 1 } },
    })
    broker.faults.add({ ...denied, remark })
    await publish(5, { queueId: 0 })
    await commit({ queueId: 0 }, 5n)
    const address = broker.brokers[0]?.address ?? ''
    const reset = {
      topic: 'orders',
      group: 'billing',
      queueId: 0,
      offset: 1n,
      timestamp: -1n,
      isForce: true,
    }
    await client.network.call(address, InvokeBrokerToResetOffset, reset as never, undefined as never, {
      deadline: client.deadline(),
    })

    const result = await dispatch()
    const next = await dispatch()

    assert.deepStrictEqual([ordersOf(result)?.lag, ordersOf(next)?.lag], [4, 4])
    assert.deepStrictEqual(broker.committedOffset('billing', queueOf({})), 1n)
  })

  it('a pull leaves alone what another worker holds: it would take note of a reset in its place', async (t) => {
    const { broker, client, publish, commit, dispatch } = await setting(t, {
      topics: { orders: { queues: 1 } },
    })
    broker.faults.add({ ...denied, remark })
    await publish(5, { queueId: 0 })
    await commit({ queueId: 0 }, 0n)
    const pulls = broker.faults.add({ fault: 'busy', code: 11 })
    await createPullConsumer(client, { consumerGroup: 'billing' }).lock([queueOf({})])

    const result = await dispatch()

    assert.deepStrictEqual([ordersOf(result)?.leased, ordersOf(result)?.workers, pulls.hits], [1, 0, 0])
  })
})

describe('a tick over 50 topics of 8 queues', () => {
  const names = Array.from({ length: 50 }, (_, n) => `topic-${n}`)
  const groupOf = (topic: string): string => `billing-${topic}`
  const eventSources = Object.fromEntries(
    names.map((topic) => [topic, { topic, consumerGroup: groupOf(topic) }]),
  )
  const topics = Object.fromEntries(names.map((topic) => [topic, { queues: 8 }]))
  /** Offsets and ends, locks, unlocks, and pulls: each answered a second later by a clock that stands still. */
  const slow = { fault: 'delay', code: [14, 30, 41, 42, 11], ms: 1_000 } as const

  for (const [what, isDenied, trips] of [
    ['takes three round trips beyond routes', false, [800, 850, 900]],
    // A refused request is not slow in this test, so that only the committed offsets count.
    ['takes four where the ends may not be asked for', true, [400, 450, 850, 900]],
  ] as const) {
    it(what, async (t) => {
      const clock = createClock({ at: Date.now() })
      const { broker, publish, commit, dispatch, payloads } = await setting(t, { topics, clock })
      const queues = names.flatMap((topic) => Array.from({ length: 8 }, (_, queueId) => ({ topic, queueId })))
      await Promise.all(queues.map((queue) => publish(1, queue)))
      await Promise.all(queues.map((queue) => commit(queue, 0n, groupOf(queue.topic))))
      if (isDenied) {
        const remark = 'User:x has no permission to access Topic:x'
        broker.faults.add({ fault: 'refuse', code: 30, responseCode: 16, remark })
      }
      const fault = broker.faults.add(slow)

      const running = dispatch({ eventSources }, 60_000)
      for (const sent of trips) {
        await until(() => fault.hits === sent)
        await clock.advance(1_000)
      }
      await running

      assert.deepStrictEqual([fault.hits, payloads().length], [trips.at(-1), 50])
    })
  }
})
