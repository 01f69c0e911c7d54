/**
 * The bundled dispatch and consume functions, each worker a process of the local Lambda, on a real broker; mqadmin is the
 * judge. test/unit/lambda/dispatch-lambda.test.ts has the same on the local broker, and more of it.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { bundleFunction } from '../../scripts/bundle.ts'
import { UpdateAndCreateTopic } from '../../src/commands/index.ts'
import { type Client, createClient, createProducer } from '../../src/index.ts'
import { type DispatchResult, dispatcher } from '../../src/lambda/index.ts'
import { type LocalLambda, lambdaContext, scheduledEvent, startLambda } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'

const available = await realBrokerAvailable()
const TOPICS = ['dispatched-orders', 'dispatched-refunds']
/** What functions/handle-records.ts writes for each record. */
const RECORD = /\{"message":"record".*\}/

describe('dispatch and consume on a real broker', { skip: !available }, () => {
  let rocketmq: RocketMQ
  let folder: string
  let client: Client

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-dispatch-'))
    rocketmq = await startRocketMQ({ brokers: [{}, {}] })
    client = createClient({ nameServers: rocketmq.nameServers, timeoutMs: 15_000 })
  })
  after(async () => {
    await client?.close()
    await rocketmq?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const functionsOn = async (handled: string[]): Promise<LocalLambda> => {
    const mappings = TOPICS.map((topic) => [
      topic,
      { topic, consumerGroup: `${topic}-group`, lagThreshold: 50 },
    ])
    const environment = {
      ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers,
      ROCKETMQ_EVENT_SOURCES: JSON.stringify(Object.fromEntries(mappings)),
      ROCKETMQ_WORKER_FUNCTION: 'consume',
      ROCKETMQ_TIMEOUT_MS: '15000',
    }
    const settings = { environment, timeoutSeconds: 120, maximumRetryAttempts: 0 }
    return await startLambda({
      functions: {
        consume: { handler: await bundleFunction('consume', folder), ...settings },
        dispatch: { handler: await bundleFunction('dispatch', folder), ...settings },
      },
      onLog: ({ line }) => {
        const [text] = RECORD.exec(line) ?? []
        if (text !== undefined) handled.push((JSON.parse(text) as { messageId: string }).messageId)
      },
    })
  }

  it('handle each message of two topics once, also with two dispatchers at a time', async () => {
    for (const topic of TOPICS)
      await rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', topic, '-r', '4', '-w', '4')
    const handled: string[] = []
    await using lambda = await functionsOn(handled)
    const tick = async (): Promise<(number | undefined)[]> => {
      const { payload, functionError } = await lambda.invoke('dispatch')
      assert.deepStrictEqual(functionError, undefined, JSON.stringify(payload))
      await lambda.idle()
      return TOPICS.map((topic) => (payload as DispatchResult).eventSources[topic]?.workers)
    }
    const producer = createProducer(client, { producerGroup: 'shop' })

    const first = await tick()
    const messages = Array.from({ length: 200 }, (_, n) => ({ body: String(n) }))
    const results = await Promise.all(
      TOPICS.flatMap((topic) => messages.map(({ body }) => producer.send({ topic, body }))),
    )
    const busy = await Promise.all([tick(), tick()])
    const late = await tick()
    const drained = await tick()

    assert.deepStrictEqual(
      [first, drained],
      [
        [1, 1],
        [0, 0],
      ],
    )
    assert.ok(
      busy.flat().some((workers = 0) => workers >= 4),
      JSON.stringify({ busy, late }),
    )
    assert.deepStrictEqual(handled.sort(), results.map(({ messageId }) => messageId).sort())
    for (const topic of TOPICS) {
      const text = await rocketmq.mqadmin('consumerProgress', '-g', `${topic}-group`, '-t', topic)
      assert.match(text, /Consume Diff Total: 0\b|Diff Total: 0\b/)
    }
  })

  it('look at 50 topics of 8 queues in one tick', async () => {
    const names = Array.from({ length: 50 }, (_, n) => `many-${n}`)
    const address = rocketmq.brokers[0]?.address ?? ''
    const deadline = client.deadline({ deadlineMs: Date.now() + 60_000 })
    for (const topic of names) {
      const settings = { topic, readQueueNums: 8, writeQueueNums: 8 }
      await client.network.call(address, UpdateAndCreateTopic, settings, undefined, { deadline })
    }
    const started: unknown[] = []
    const lambda = { send: async ({ input }: { input: unknown }) => void started.push(input) }
    const eventSources = Object.fromEntries(
      names.map((topic) => [topic, { topic, consumerGroup: `${topic}-group` }]),
    )
    const tick = dispatcher({ eventSources, functionName: 'consume', client, lambda })

    // Until the name server has all routes it fails.
    const result = await until('the routes', () =>
      tick(scheduledEvent(), lambdaContext({ remainingMs: 60_000 })).catch(() => void started.splice(0)),
    )

    const queues = Object.values(result.eventSources).map((each) => each.queues)
    assert.deepStrictEqual([queues, started.length], [Array(50).fill(8), 50])
  })
})
