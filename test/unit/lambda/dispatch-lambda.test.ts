/** The bundled dispatch and consume functions in the local Lambda: a process for each worker, on the local broker. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../../../scripts/bundle.ts'
import { type Client, createClient, createProducer } from '../../../src/index.ts'
import type { DispatchResult, EventSourceResult } from '../../../src/lambda/index.ts'
import {
  type InvocationRecord,
  type LocalBroker,
  type LocalFunction,
  type LocalLambda,
  startBroker,
  startLambda,
} from '../../../src/testing/index.ts'
import { runFunction } from '../../support/run-function.ts'

const TOPICS = ['orders', 'refunds']
/** What functions/handle-records.ts writes for each record. */
const RECORD = /\{"message":"record".*\}/

let folder = ''
const files = new Map<string, string>()

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-dispatch-'))
  for (const name of ['consume', 'dispatch']) files.set(name, await bundleFunction(name, folder))
})
after(() => rm(folder, { recursive: true, force: true }))

interface Setting {
  broker: LocalBroker
  client: Client
  lambda: LocalLambda
  /** Attempts that have ended, of the worker. */
  workers: InvocationRecord[]
  /** The messages that were handled, as often as they were. */
  handled: string[]
  publish: (topic: string, count: number) => Promise<string[]>
  dispatch: () => Promise<DispatchResult>
}

async function setting(
  t: TestContext,
  options: { mapping?: object; worker?: Partial<LocalFunction>; others?: Record<string, LocalFunction> } = {},
): Promise<Setting> {
  const broker = await startBroker({
    topics: Object.fromEntries(TOPICS.map((topic) => [topic, { queues: 4 }])),
  })
  const client = createClient({ nameServers: broker.nameServers })
  const workers: InvocationRecord[] = []
  const handled: string[] = []
  const mappings = TOPICS.map((topic) => [
    topic,
    { topic, consumerGroup: `${topic}-group`, lagThreshold: 10, maximumConcurrency: 3, ...options.mapping },
  ])
  const environment = {
    ROCKETMQ_NAMESRV_ADDR: broker.nameServers,
    ROCKETMQ_EVENT_SOURCES: JSON.stringify(Object.fromEntries(mappings)),
    ROCKETMQ_WORKER_FUNCTION: 'consume',
  }
  const settings = { environment, timeoutSeconds: 60, maximumRetryAttempts: 0 }
  const lambda = await startLambda({
    functions: {
      consume: { handler: files.get('consume') ?? '', ...settings, ...options.worker },
      dispatch: { handler: files.get('dispatch') ?? '', ...settings },
      ...options.others,
    },
    onInvocation: (record) => {
      if (record.functionName === 'consume') workers.push(record)
    },
    onLog: ({ line }) => {
      const [text] = RECORD.exec(line) ?? []
      if (text !== undefined) handled.push((JSON.parse(text) as { messageId: string }).messageId)
    },
  })
  t.after(async () => {
    await lambda.close()
    await client.close()
    await broker.close()
  })
  const producer = createProducer(client, { producerGroup: 'shop' })
  return {
    broker,
    client,
    lambda,
    workers,
    handled,
    async publish(topic, count) {
      const results = []
      for (let n = 0; n < count; n++) {
        const queue = { topic, brokerName: 'broker-a', queueId: n % 4 }
        results.push(await producer.send({ topic, body: String(n), queue }))
      }
      return results.map(({ messageId }) => messageId)
    },
    async dispatch() {
      const answer = await lambda.invoke('dispatch')
      assert.deepStrictEqual(answer.functionError, undefined, String(answer.payload))
      return answer.payload as DispatchResult
    },
  }
}

const workersOf = ({ eventSources }: DispatchResult): (number | undefined)[] =>
  TOPICS.map((topic) => eventSources[topic]?.workers)

describe('dispatch and consume', () => {
  it('share two topics among workers; each message is handled once', async (t) => {
    const { lambda, publish, dispatch, workers, handled } = await setting(t)
    const idle = await dispatch()
    await lambda.idle()
    const sent = [...(await publish('orders', 24)), ...(await publish('refunds', 8))]

    const busy = await dispatch()
    await lambda.idle()
    const drained = await dispatch()
    await lambda.idle()

    // The first tick gives both groups their offsets.
    assert.deepStrictEqual([idle, busy, drained].map(workersOf), [
      [1, 1],
      [3, 1],
      [0, 0],
    ])
    assert.deepStrictEqual(handled.sort(), sent.sort())
    const results = workers.map(({ payload }) => JSON.parse(payload) as EventSourceResult)
    const shares = results.map(({ queues }) => queues.length)
    assert.deepStrictEqual(
      shares.sort((a, b) => a - b),
      [1, 1, 2, 4, 4, 4],
    )
  })

  it('do no harm when two dispatchers run at once', async (t) => {
    const { lambda, publish, dispatch, handled, broker } = await setting(t)
    await dispatch()
    await lambda.idle()
    const sent = [...(await publish('orders', 40)), ...(await publish('refunds', 40))]

    await Promise.all([dispatch(), dispatch(), dispatch()])
    await lambda.idle()
    await dispatch()
    await lambda.idle()

    assert.deepStrictEqual(handled.sort(), sent.sort())
    const offsets = TOPICS.map((topic) =>
      [0, 1, 2, 3].map((queueId) =>
        broker.committedOffset(`${topic}-group`, { topic, brokerName: 'broker-a', queueId }),
      ),
    )
    assert.deepStrictEqual(offsets.flat(), Array(8).fill(10n))
  })

  it('do no harm when the worker may run only once at a time: late events find less to do', async (t) => {
    const { lambda, publish, dispatch, handled } = await setting(t, { worker: { reservedConcurrency: 1 } })
    await dispatch()
    await lambda.idle()
    const sent = await publish('orders', 40)

    await dispatch()
    await dispatch()
    await lambda.idle()

    assert.deepStrictEqual(handled.sort(), sent.sort())
  })
})

describe('a bundle without AWS’s SDK', () => {
  it('says that it is needed when somebody is invoked, and not before', async (t) => {
    const { broker } = await setting(t)
    const file = join(folder, 'without-sdk.mjs')
    const entryPoints = [join(import.meta.dirname, '../../../functions/dispatch.ts')]
    await build({
      ...bundleOptions,
      splitting: false,
      external: ['@aws-sdk/client-lambda'],
      entryPoints,
      outfile: file,
    })
    const environment = {
      ROCKETMQ_NAMESRV_ADDR: broker.nameServers,
      ROCKETMQ_EVENT_SOURCES: '{ "orders": { "topic": "orders", "consumerGroup": "billing" } }',
      ROCKETMQ_WORKER_FUNCTION: 'consume',
    }

    const { error } = await runFunction(file, {}, { environment })

    assert.deepStrictEqual(
      error?.message,
      'orders: @aws-sdk/client-lambda: is not there; add it to your dependencies',
    )
  })
})

describe('consume with a target and continuation', () => {
  it('goes on in fresh invocations until all is handled, and needs nothing but the mapping for it', async (t) => {
    const file = join(folder, 'target.mjs')
    await writeFile(
      file,
      `export const handler = async (event) => {
        await new Promise((resolve) => setTimeout(resolve, 300))
        for (const { messageId } of Object.values(event.records).flat())
          console.log(JSON.stringify({ message: 'record', messageId }))
      }`,
    )
    const { lambda, publish, workers, handled } = await setting(t, {
      mapping: { target: { functionName: 'target' }, continuation: true, batchSize: 1 },
      worker: { timeoutSeconds: 6 },
      others: { target: { handler: file, timeoutSeconds: 30 } },
    })
    const sent = await publish('orders', 20)

    await lambda.invoke('consume', { version: 1, eventSource: 'orders' })
    await lambda.idle()

    const results = workers.map(({ payload }) => JSON.parse(payload) as EventSourceResult)
    assert.deepStrictEqual(handled.sort(), sent.sort())
    assert.ok(results.length > 1)
    assert.deepStrictEqual(
      results.map(({ continued = false }) => continued),
      results.map((_, at) => at < results.length - 1),
    )
    assert.deepStrictEqual(results.at(-1)?.remainingLag, 0)
  })
})
