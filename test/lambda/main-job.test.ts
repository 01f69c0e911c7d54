/**
 * The main job as it is deployed: the bundled functions, each run in a fresh process, on a real broker, with the
 * committed offsets read by Apache's mqadmin.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../../scripts/bundle.ts'
import { createClient, createProducer, createPullConsumer } from '../../src/index.ts'
import type { EventSourceResult } from '../../src/lambda/index.ts'
import { httpEvent, scheduledEvent } from '../../src/testing/index.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'
import { type FunctionRun, runFunction } from '../support/run-function.ts'

const available = await realBrokerAvailable()

describe('the bundled functions on a real broker', { skip: !available }, () => {
  let rocketmq: RocketMQ
  let folder: string
  let publish: string
  let consume: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-bundles-'))
    publish = await bundleFunction('publish', folder)
    consume = await bundleFunction('consume', folder)
    rocketmq = await startRocketMQ({ brokers: [{}, {}] })
  })
  after(async () => {
    await rocketmq?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const post = async (topic: string, body: unknown): Promise<FunctionRun> =>
    await runFunction(publish, httpEvent('POST', `/topics/${topic}/messages`, body), {
      environment: { ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers, ROCKETMQ_TOPICS: topic },
    })

  const poll = async (
    mapping: Record<string, unknown>,
    file = consume,
    remainingMs = 10_000,
  ): Promise<FunctionRun> =>
    await runFunction(file, scheduledEvent(), {
      remainingMs,
      environment: {
        ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers,
        ROCKETMQ_EVENT_SOURCES: JSON.stringify({ mapping }),
      },
    })

  /** By queue, as mqadmin prints it: broker offset and consumer offset. */
  const progress = async (
    group: string,
    topic: string,
  ): Promise<Record<string, [broker: string, consumer: string]>> => {
    const text = await rocketmq.mqadmin('consumerProgress', '-g', group, '-t', topic)
    const rows = text.split('\n').map((line) => line.trim().split(/\s+/))
    return Object.fromEntries(
      rows
        .filter(([name]) => name === topic)
        .map(([, broker, id, max, offset]) => [`${broker}/${id}`, [max, offset]]),
    ) as Record<string, [string, string]>
  }

  /** Bundles a consume function around a handler of the test. */
  const bundleHandler = async (name: string, handler: string): Promise<string> => {
    const source = join(folder, `${name}.ts`)
    const entry = join(import.meta.dirname, '../../src/lambda/event-source.ts')
    await writeFile(
      source,
      `import { eventSource } from ${JSON.stringify(entry)}
       const { mapping } = JSON.parse(process.env.ROCKETMQ_EVENT_SOURCES)
       export const handler = eventSource(mapping, ${handler})`,
    )
    await build({ ...bundleOptions, entryPoints: { index: source }, outdir: join(folder, name) })
    return join(folder, name, 'index.mjs')
  }

  it('publish what an HTTP API hands over, and consume it in a fresh process with the offsets on the broker', async () => {
    await rocketmq.mqadmin('updateTopic', '-c', 'DefaultCluster', '-t', 'main-job', '-r', '4', '-w', '4')
    const messages = Array.from({ length: 250 }, (_, order) => ({
      body: { order },
      tag: 'created',
      keys: [`order-${order}`],
    }))

    const published = await post('main-job', { messages })
    const consumed = await poll({ topic: 'main-job', consumerGroup: 'main-job-group' })
    const again = await poll({ topic: 'main-job', consumerGroup: 'main-job-group' })

    const response = published.result as { statusCode: number; body: string }
    const ids = (JSON.parse(response.body) as { results: { messageId: string }[] }).results.map(
      (each) => each.messageId,
    )
    assert.equal(response.statusCode, 200)
    const lines = consumed.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { message: string; messageId: string })
      .filter(({ message }) => message === 'record')
    assert.deepStrictEqual(new Set(lines.map((line) => line.messageId)), new Set(ids))
    const { handled, failed, remainingLag } = consumed.result as EventSourceResult
    assert.deepStrictEqual({ handled, failed, remainingLag }, { handled: 250, failed: 0, remainingLag: 0 })
    assert.deepStrictEqual(
      [published.exitCode, consumed.exitCode, published.stderr, consumed.stderr],
      [0, 0, '', ''],
    )
    assert.equal((again.result as EventSourceResult).handled, 0)
    const offsets = await progress('main-job-group', 'main-job')
    assert.equal(Object.keys(offsets).length, 8)
    assert.equal(
      Object.values(offsets).reduce((sum, [, consumer]) => sum + Number(consumer), 0),
      250,
    )
    for (const [max, consumer] of Object.values(offsets)) assert.equal(consumer, max)
  })

  it('publish one message and answer with its id, which finds it on the broker', async () => {
    const published = await post('single', {
      body: 'grüße',
      tag: 'a',
      keys: 'k-1',
      properties: { color: 'blue' },
    })

    const { statusCode, body } = published.result as { statusCode: number; body: string }
    const { messageId, queue, queueOffset } = JSON.parse(body)
    assert.equal(statusCode, 200)
    const client = createClient({ nameServers: rocketmq.nameServers })
    try {
      const { messages } = await createPullConsumer(client, { consumerGroup: 'reader' }).pull(
        queue,
        BigInt(queueOffset),
      )
      assert.deepStrictEqual(
        messages.map((each) => [
          each.messageId,
          each.body.toString(),
          each.tag,
          [...each.keys],
          { ...each.properties },
        ]),
        [[messageId, 'grüße', 'a', ['k-1'], { color: 'blue' }]],
      )
    } finally {
      await client.close()
    }
  })

  it('commit a start for every queue on the first run of a LATEST group, and read what arrives after it', async () => {
    await post('latest', { body: 'before' })
    const mapping = { topic: 'latest', consumerGroup: 'latest-group', startingPosition: 'LATEST' }

    const first = await poll(mapping)
    const offsets = await progress('latest-group', 'latest')
    await post('latest', { body: 'between' })
    const second = await poll(mapping)

    assert.equal((first.result as EventSourceResult).handled, 0)
    assert.equal(Object.keys(offsets).length > 0, true)
    for (const [max, consumer] of Object.values(offsets)) assert.equal(consumer, max)
    assert.equal((second.result as EventSourceResult).handled, 1)
  })

  it('begin at a time when the mapping says so', async () => {
    await post('since', { body: 'old' })
    const since = new Date(Date.now() + 2)
    while (Date.now() <= since.getTime());
    await post('since', { body: 'new' })

    const consumed = await poll({
      topic: 'since',
      consumerGroup: 'since-group',
      startingPosition: 'AT_TIMESTAMP',
      startingPositionTimestamp: since.toISOString(),
    })

    assert.equal((consumed.result as EventSourceResult).handled, 1)
  })

  it('pass over what the filter leaves out, with the offsets moved past it', async () => {
    const messages = Array.from({ length: 40 }, (_, index) => ({
      body: `${index}`,
      tag: index % 4 === 0 ? 'a' : 'b',
    }))
    await post('filtered', { messages })

    const consumed = await poll({ topic: 'filtered', consumerGroup: 'filtered-group', filter: 'a' })

    const { handled, filtered, remainingLag } = consumed.result as EventSourceResult
    assert.deepStrictEqual(
      { handled, filtered, remainingLag },
      { handled: 10, filtered: 30, remainingLag: 0 },
    )
    for (const [max, consumer] of Object.values(await progress('filtered-group', 'filtered')))
      assert.equal(consumer, max)
  })

  it('leave the offset before the first record that failed, and hand it over again', async () => {
    const client = createClient({ nameServers: rocketmq.nameServers })
    try {
      const producer = createProducer(client, { producerGroup: 'test' })
      for (let order = 0; order < 10; order++)
        await producer.send({ topic: 'partial', body: `${order}`, shardingKey: 'k' })
    } finally {
      await client.close()
    }
    const failing = await bundleHandler(
      'failing',
      `async (event) => ({ batchItemFailures: Object.values(event.records).flat().filter((each) => each.body.toString() === process.env.FAILS).map((each) => ({ itemIdentifier: each.recordId })) })`,
    )
    const environment = {
      ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers,
      ROCKETMQ_EVENT_SOURCES: JSON.stringify({
        mapping: { topic: 'partial', consumerGroup: 'partial-group', batchSize: 4, onFailure: 'block' },
      }),
    }

    const first = await runFunction(failing, {}, { environment: { ...environment, FAILS: '5' } })
    const second = await runFunction(failing, {}, { environment: { ...environment, FAILS: 'none' } })

    const summary = first.result as EventSourceResult
    assert.deepStrictEqual([summary.handled, summary.failed, summary.remainingLag], [5, 1, 5])
    assert.match(summary.queues.find((each) => each.stopped)?.stopped ?? '', /\/5 failed$/)
    assert.deepStrictEqual(
      [(second.result as EventSourceResult).handled, (second.result as EventSourceResult).remainingLag],
      [5, 0],
    )
  })

  it('fail the invocation with the handler’s own error, and keep what was handled before it', async () => {
    const messages = Array.from({ length: 30 }, (_, index) => ({ body: `${index}`, shardingKey: 'k' }))
    await post('thrown', { messages })
    const throwing = await bundleHandler(
      'throwing',
      `async (event) => { if (Object.values(event.records).flat().some((each) => each.body.toString() === '12')) throw new RangeError('the database is down') }`,
    )

    const run = await poll(
      { topic: 'thrown', consumerGroup: 'thrown-group', batchSize: 10, onFailure: 'block' },
      throwing,
    )

    assert.deepStrictEqual(
      [run.error?.name, run.error?.message, run.exitCode],
      ['RangeError', 'the database is down', 0],
    )
    const consumer = Object.values(await progress('thrown-group', 'thrown')).map(([, offset]) =>
      Number(offset),
    )
    assert.equal(Math.max(...consumer), 10)
  })

  it('end in time when the handler does not, with its batch left to be handed over again', async () => {
    await post('slow', { body: 'x' })
    const hanging = await bundleHandler(
      'hanging',
      `(event, context, { signal }) => new Promise(() => setInterval(() => undefined, 1000).unref())`,
    )

    const run = await poll({ topic: 'slow', consumerGroup: 'slow-group' }, hanging, 2_500)

    assert.deepStrictEqual(
      [run.error?.name, run.error?.code, run.exitCode],
      ['DeadlineError', 'RMQ_DEADLINE', 0],
    )
    assert.equal(
      Math.max(...Object.values(await progress('slow-group', 'slow')).map(([, offset]) => Number(offset))),
      0,
    )
  })

  it('answer problems as RFC 9457 documents', async () => {
    const [notAllowed, wrong, missing] = await Promise.all([
      runFunction(publish, httpEvent('POST', '/topics/secrets/messages', { body: 'x' }), {
        environment: { ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers, ROCKETMQ_TOPICS: 'orders' },
      }),
      post('orders', { body: 'x', delayLevel: 99 }),
      runFunction(publish, httpEvent('POST', '/topics/orders/messages', { body: 'x' }), {
        environment: {
          ROCKETMQ_NAMESRV_ADDR: '127.0.0.1:1',
          ROCKETMQ_TOPICS: 'orders',
          ROCKETMQ_TIMEOUT_MS: '200',
        },
      }),
    ])

    const answers = [notAllowed, wrong, missing].map(({ result }) => {
      const { statusCode, headers, body } = result as {
        statusCode: number
        headers: Record<string, string>
        body: string
      }
      const { field, code, outcome } = JSON.parse(body)
      return {
        statusCode,
        type: headers['content-type'],
        retryAfter: headers['retry-after'],
        field,
        code,
        outcome,
      }
    })
    const type = 'application/problem+json'
    assert.deepStrictEqual(JSON.parse(JSON.stringify(answers)), [
      { statusCode: 403, type, field: 'topic' },
      { statusCode: 400, type, field: 'delayLevel', code: 'RMQ_CONFIG', outcome: 'not-sent' },
      { statusCode: 503, type, retryAfter: '1', code: 'RMQ_CONNECT', outcome: 'not-sent' },
    ])
  })

  it('need no code generation from strings', async () => {
    const run = await runFunction(
      publish,
      { topic: 'strict', body: 'direct' },
      {
        environment: { ROCKETMQ_NAMESRV_ADDR: rocketmq.nameServers, ROCKETMQ_TOPICS: 'strict' },
        nodeOptions: ['--disallow-code-generation-from-strings'],
      },
    )

    assert.equal((run.result as { sendStatus: string }).sendStatus, 'SEND_OK')
  })
})
