/** Targets: functions of the local Lambda that are given the events, and what each way to fail does to the records. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { LambdaClient } from '@aws-sdk/client-lambda'
import { type Client, createClient, createProducer } from '../../../src/index.ts'
import {
  type EventSourceResult,
  eventSource,
  type LambdaApi,
  type RocketMQEvent,
} from '../../../src/lambda/index.ts'
import {
  type InvocationRecord,
  type LocalBroker,
  type LocalFunction,
  lambdaContext,
  scheduledEvent,
  startBroker,
} from '../../../src/testing/index.ts'
import { localLambda, sdkClient } from '../../support/local-lambda.ts'

const QUEUE = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }

interface Setting {
  broker: LocalBroker
  client: Client
  publish: (...bodies: (string | Buffer)[]) => Promise<void>
  run: (lambda: LambdaApi, options?: object, remainingMs?: number) => Promise<EventSourceResult>
  stored: (topic: string) => string[]
  committed: () => bigint | undefined
}

async function setting(t: TestContext): Promise<Setting> {
  const broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const producer = createProducer(client, { producerGroup: 'shop', compression: 'none' })
  const target = { functionName: 'target' }
  return {
    broker,
    client,
    async publish(...bodies) {
      for (const body of bodies) await producer.send({ topic: 'orders', body })
    },
    async run(lambda, options = {}, remainingMs = 20_000) {
      const handler = eventSource({
        topic: 'orders',
        consumerGroup: 'billing',
        client,
        target,
        lambda,
        ...options,
      })
      return await handler(scheduledEvent(), lambdaContext({ remainingMs }))
    },
    stored: (topic) => broker.messages(topic).map(({ body }) => body.toString()),
    committed: () => broker.committedOffset('billing', QUEUE),
  }
}

/** A target of that source, and a client to reach it. */
async function targetOf(
  t: TestContext,
  source: string,
  settings: Partial<LocalFunction> = {},
): Promise<{ lambda: LambdaApi; calls: InvocationRecord[] }> {
  const calls: InvocationRecord[] = []
  const functions = { target: { source, ...settings } }
  const local = await localLambda(t, functions, { onInvocation: (record) => void calls.push(record) })
  return { lambda: sdkClient(t, local), calls }
}

const counting = `export const handler = async (event) => ({
  batchItemFailures: Object.values(event.records).flat()
    .filter(({ value }) => Buffer.from(value, 'base64').toString().startsWith('bad'))
    .map(({ recordId }) => ({ itemIdentifier: recordId })),
})`

/** In place of Lambda: what each call gets, in turn; the last one goes on. */
function answering(...answers: (object | Error)[]): LambdaApi & { events: RocketMQEvent[] } {
  const events: RocketMQEvent[] = []
  return {
    events,
    async send({ input }: { input: { Payload: Uint8Array } }) {
      events.push(JSON.parse(Buffer.from(input.Payload).toString()))
      const answer = answers.length > 1 ? answers.shift() : answers[0]
      if (answer instanceof Error) throw answer
      return answer
    },
  }
}

const serviceError = (name: string): Error => Object.assign(new Error('no'), { name })
const offsetsOf = ({ records }: RocketMQEvent): string[] =>
  Object.values(records)
    .flat()
    .map(({ offset }) => offset)

describe('a target', () => {
  it('is given the event as JSON, and says which records failed', async (t) => {
    const { publish, run, stored, committed, broker } = await setting(t)
    await publish('a', 'bad', 'c')
    const { lambda, calls } = await targetOf(t, counting)

    const result = await run(lambda)
    await broker.clock.advance(10_500)

    assert.deepStrictEqual([result.handled, result.failed, result.sentBack, calls.length], [2, 1, 1, 1])
    assert.deepStrictEqual([committed(), stored('%RETRY%billing')], [3n, ['bad']])
  })

  it('is given the event in the format of the mapping', async (t) => {
    const { publish, run } = await setting(t)
    await publish('a', 'bad')
    const { lambda } = await targetOf(
      t,
      `export const handler = async ({ Records }) => ({
        batchItemFailures: Records.filter(({ body }) => body === 'bad').map(({ messageId }) => ({ itemIdentifier: messageId })),
      })`,
    )

    const result = await run(lambda, { eventFormat: 'sqs' })

    assert.deepStrictEqual([result.handled, result.failed], [1, 1])
  })

  it('that returns nothing has handled all of it', async (t) => {
    const { publish, run } = await setting(t)
    await publish('a')
    const { lambda } = await targetOf(t, 'export const handler = async () => undefined')

    const result = await run(lambda, { target: { functionName: 'target', qualifier: '$LATEST' } })

    assert.deepStrictEqual(result.handled, 1)
  })

  it('that throws has one batch sent back, and the invocation fails with its error', async (t) => {
    const { publish, run, stored, committed, broker } = await setting(t)
    await publish('a', 'b', 'c')
    const { lambda, calls } = await targetOf(
      t,
      'export const handler = async () => { throw new RangeError("the database is down") }',
    )

    await assert.rejects(run(lambda, { batchSize: 1 }), {
      name: 'FunctionError',
      code: 'RMQ_FUNCTION',
      message: 'function target failed: RangeError: the database is down',
    })
    await broker.clock.advance(10_500)

    assert.deepStrictEqual([calls.length, committed(), stored('%RETRY%billing')], [1, 1n, ['a']])
  })

  it('that reaches its own time limit has failed', async (t) => {
    const { publish, run, committed } = await setting(t)
    await publish('a')
    const { lambda } = await targetOf(
      t,
      'export const handler = () => new Promise(() => setTimeout(() => 0, 60_000))',
      {
        timeoutSeconds: 0.5,
      },
    )

    await assert.rejects(run(lambda), /function target failed: Sandbox.Timedout: .*Task timed out after/)

    assert.deepStrictEqual(committed(), 1n)
  })

  for (const [what, source] of [
    ['an unknown record', 'async () => ({ batchItemFailures: [{ itemIdentifier: "x" }] })'],
    ['another value', 'async () => "done"'],
  ] as const) {
    it(`that answers ${what} has failed`, async (t) => {
      const { publish, run, stored, broker } = await setting(t)
      await publish('a', 'b')
      const { lambda } = await targetOf(t, `export const handler = ${source}`)

      await assert.rejects(run(lambda), { name: 'ResponseError' })
      await broker.clock.advance(10_500)

      assert.deepStrictEqual(stored('%RETRY%billing'), ['a', 'b'])
    })
  }

  it('that answers what is no JSON has failed', async (t) => {
    const { publish, run } = await setting(t)
    await publish('a')

    await assert.rejects(run(answering({ Payload: Buffer.from('<html>') })), {
      name: 'ResponseError',
      message: 'the target answered what is no JSON; the whole batch counts as failed',
    })
  })

  it('with onFailure block leaves the offset before what failed', async (t) => {
    const { publish, run, committed } = await setting(t)
    await publish('a', 'bad', 'c')
    const { lambda } = await targetOf(t, counting)

    const result = await run(lambda, { onFailure: 'block' })

    assert.match(result.queues[0]?.stopped ?? '', /^record orders\/broker-a\/0\/1 failed$/)
    assert.deepStrictEqual([result.handled, committed()], [1, 1n])
  })

  it('takes the place of a handler: one of them is needed', () => {
    const orders = { topic: 'orders', consumerGroup: 'billing', client: { nameServers: '127.0.0.1:1' } }
    const target = { functionName: 'target' }

    assert.throws(() => eventSource(orders), { name: 'ConfigError', field: 'handler' })
    assert.throws(() => eventSource({ ...orders, target }, async () => undefined), {
      name: 'ConfigError',
      field: 'target',
    })
  })
})

describe('a target that cannot be invoked', () => {
  const left = async (
    { publish, run, stored, committed, broker }: Setting,
    lambda: LambdaApi,
    error: object,
    remainingMs?: number,
  ): Promise<void> => {
    await publish('a', 'b', 'c')
    await assert.rejects(run(lambda, { batchSize: 1, maximumRetryAttempts: 0 }, remainingMs), error)
    await broker.clock.advance(10_500)
    const { handled } = await run(answering({ Payload: Buffer.from('null') }))

    assert.deepStrictEqual([handled, committed()], [3, 3n])
    assert.deepStrictEqual([stored('%RETRY%billing'), stored('%DLQ%billing')], [[], []])
  }

  it('for want of room is asked four times; then its records stay where they are', async (t) => {
    const lambda = answering(serviceError('TooManyRequestsException'))

    await left(await setting(t), lambda, {
      name: 'InvokeError',
      code: 'RMQ_INVOKE',
      message: 'invoking function target failed: TooManyRequestsException: no',
    })

    assert.deepStrictEqual(lambda.events.map(offsetsOf), [['0'], ['0'], ['0'], ['0']])
  })

  it('for want of room at first is given the batch when there is some', async (t) => {
    const { publish, run } = await setting(t)
    await publish('a')
    const throttled = serviceError('TooManyRequestsException')

    const result = await run(answering(throttled, throttled, { Payload: Buffer.from('null') }))

    assert.deepStrictEqual([result.handled, result.failed], [1, 0])
  })

  it('since it may not run at all, throttled by Lambda itself', async (t) => {
    const { lambda } = await targetOf(t, counting, { reservedConcurrency: 0 })

    await left(await setting(t), lambda, { name: 'InvokeError', message: /TooManyRequestsException: Rate/ })
  })

  it('since there is no such function', async (t) => {
    const { lambda } = await targetOf(t, counting)
    const own = await setting(t)
    const missing: Setting = {
      ...own,
      run: (given, options, ms) =>
        own.run(given, given === lambda ? { ...options, target: { functionName: 'missing' } } : options, ms),
    }

    await left(missing, lambda, {
      name: 'InvokeError',
      message: /^invoking function missing failed: Resource/,
    })
  })

  it('since the connection breaks: nobody knows whether it ran, and it is not asked twice', async (t) => {
    let requests = 0
    const server = createServer((request) => {
      requests += 1
      request.socket.destroy()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const lambda = new LambdaClient({
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: 'eu-central-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      maxAttempts: 1,
    })

    await left(await setting(t), lambda, { name: 'InvokeError', message: /ECONNRESET|socket hang up/ })

    assert.deepStrictEqual(requests, 1)
  })

  it('in time: the invocation ends before it does, and the records come again', async (t) => {
    const { lambda } = await targetOf(
      t,
      'export const handler = () => new Promise(() => setTimeout(() => 0, 60_000))',
    )

    await left(await setting(t), lambda, { name: 'DeadlineError' }, 4_000)
  })
})

describe('an event of 6 MB and more', () => {
  const large = (letter: string): Buffer => Buffer.alloc(1_500_000, letter)
  const done = { Payload: Buffer.from('null') }

  it('is given in parts, one after the other, in the order of the queue', async (t) => {
    const { publish, run, committed } = await setting(t)
    await publish(...['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(large))
    const { lambda, calls } = await targetOf(
      t,
      'export const handler = async (event) => { console.log(Object.values(event.records).flat().map(({ offset }) => offset).join()) }',
    )

    const result = await run(lambda, { maximumBatchingWindowInSeconds: 1 })

    const parts = calls.map(({ log }) => /[\d,]+$/m.exec(log.trim())?.[0])
    assert.deepStrictEqual([result.handled, committed()], [7, 7n])
    assert.deepStrictEqual(parts, ['0,1', '2,3', '4,5,6'])
  })

  it('is given in parts also to a mapping that pops', async (t) => {
    const { publish, run } = await setting(t)
    await publish('a', 'b', 'c', 'd')
    const lambda = answering(serviceError('RequestTooLargeException'), done)

    const result = await run(lambda, { mode: 'pop' })

    assert.deepStrictEqual(lambda.events.map(offsetsOf).slice(0, 3), [
      ['0', '1', '2', '3'],
      ['0', '1'],
      ['2', '3'],
    ])
    assert.deepStrictEqual([result.handled, result.failed], [4, 0])
  })

  it('with onFailure block is not gone on with behind a part that failed', async (t) => {
    const { publish, run, committed } = await setting(t)
    await publish(...['a', 'b', 'c', 'd'].map(large))
    const failing = {
      Payload: Buffer.from('{"batchItemFailures":[{"itemIdentifier":"orders/broker-a/0/1"}]}'),
    }
    const lambda = answering(failing, done)

    const result = await run(lambda, { maximumBatchingWindowInSeconds: 1, onFailure: 'block' })

    assert.deepStrictEqual(lambda.events.map(offsetsOf), [['0', '1']])
    assert.deepStrictEqual([result.handled, result.failed, committed()], [1, 1, 1n])
  })

  it('of a single record that blocks its queue is no use to try again', async (t) => {
    const { publish, run, committed, stored } = await setting(t)
    await publish('large', 'behind')
    const lambda = answering(
      serviceError('RequestTooLargeException'),
      serviceError('RequestTooLargeException'),
      done,
    )

    const result = await run(lambda, { onFailure: 'block', maximumRetryAttempts: 1_000 })

    assert.deepStrictEqual(lambda.events.map(offsetsOf), [['0', '1'], ['0'], ['1']])
    assert.deepStrictEqual([result.handled, committed(), stored('%DLQ%billing')], [1, 2n, ['large']])
  })

  it('of a single record fails with its reason, and the queue goes on', async (t) => {
    const { publish, run, committed, stored } = await setting(t)
    await publish('before', Buffer.alloc(4_000_000, 'x'), Buffer.alloc(4_000_000, 'y'), 'behind')
    const lambda = answering(done)
    // Lambda's own word counts, too.
    const strict: LambdaApi = {
      async send(command: { input: { Payload: Uint8Array } }) {
        if (command.input.Payload.length > 3_000_000) throw serviceError('RequestTooLargeException')
        return await lambda.send(command as never)
      },
    }

    const result = await run(strict, { maximumRetryAttempts: 0 })

    assert.deepStrictEqual(lambda.events.flatMap(offsetsOf), ['0', '3'])
    assert.deepStrictEqual([result.handled, result.deadLettered, committed()], [2, 2, 4n])
    assert.match(result.queues[0]?.failure ?? '', /RequestTooLargeException/)
    assert.deepStrictEqual(
      stored('%DLQ%billing').map(({ length }) => length),
      [4_000_000, 4_000_000],
    )
  })
})
