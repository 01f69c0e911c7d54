/** Asynchronous invocations: accepted, retried, given up; started by schedules; stopped when they go round in a loop. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import { InvokeCommand } from '@aws-sdk/client-lambda'
import type { InvocationRecord, LambdaOptions, LocalLambda } from '../../../../src/testing/index.ts'
import { runningClock } from '../../../../src/testing/index.ts'
import { gate, localLambda, manualClock, sdkClient } from '../../../support/local-lambda.ts'

const MINUTE = 60_000
const ECHO = 'export const handler = async (event) => event'
const FAILS = `export const handler = async ({ text }) => { throw new Error(text) }`
const WAIT = 'export const handler = async ({ gate }) => { await fetch(gate) }'

/** Keeps what has run, in its order. */
function recorder(): { records: InvocationRecord[]; options: Pick<LambdaOptions, 'onInvocation'> } {
  const records: InvocationRecord[] = []
  return { records, options: { onInvocation: (record) => void records.push(record) } }
}

const send = async (lambda: LocalLambda, name: string, payload: unknown = {}): Promise<string> => {
  const { statusCode, requestId } = await lambda.invoke(name, payload, { type: 'Event' })
  assert.equal(statusCode, 202)
  return requestId
}

describe('an Event', () => {
  it('is accepted with 202 and no payload before the function has run, and runs', async (t) => {
    const door = await gate(t)
    const { records, options } = recorder()
    const lambda = await localLambda(t, { wait: WAIT }, options)

    const answer = await sdkClient(t, lambda).send(
      new InvokeCommand({
        FunctionName: 'wait',
        InvocationType: 'Event',
        Payload: JSON.stringify({ gate: door.url }),
      }),
    )

    assert.deepStrictEqual(
      [answer.StatusCode, answer.Payload?.length ?? 0, answer.FunctionError],
      [202, 0, undefined],
    )
    await door.arrived(1)
    assert.deepStrictEqual(records, [])
    door.open()
    await lambda.idle()
    assert.deepStrictEqual(
      records.map(({ functionName, type, pid, payload }) => ({ functionName, type, pid, payload })),
      [{ functionName: 'wait', type: 'Event', pid: lambda.pids()['wait']?.[0], payload: 'null' }],
    )
  })

  it('that fails is tried again after one minute and after two more, then put on the list of failed events', async (t) => {
    const clock = manualClock()
    const { records, options } = recorder()
    const lambda = await localLambda(t, { fails: FAILS }, { clock, ...options })

    const requestId = await send(lambda, 'fails', { text: 'down' })
    await lambda.idle()
    clock.advance(MINUTE - 1)
    await lambda.idle()
    assert.equal(records.length, 1)
    clock.advance(1)
    await lambda.idle()
    assert.equal(records.length, 2)
    assert.equal(lambda.failedEvents.length, 0)
    clock.advance(2 * MINUTE)
    await lambda.idle()

    assert.deepStrictEqual(
      records.map((each) => [each.requestId, each.functionError]),
      Array.from({ length: 3 }, () => [requestId, 'Unhandled']),
    )
    const [failed, ...others] = lambda.failedEvents
    assert.deepStrictEqual(others, [])
    const { trace, ...body } = (failed?.responsePayload ?? {}) as { trace?: unknown }
    assert.ok(Array.isArray(trace))
    assert.deepStrictEqual(
      { ...failed, responsePayload: body },
      {
        version: '1.0',
        timestamp: '2026-01-01T00:03:00.000Z',
        requestContext: {
          requestId,
          functionArn: 'arn:aws:lambda:eu-central-1:123456789012:function:fails',
          condition: 'RetriesExhausted',
          approximateInvokeCount: 3,
        },
        requestPayload: { text: 'down' },
        responseContext: { statusCode: 200, executedVersion: '$LATEST', functionError: 'Unhandled' },
        responsePayload: { errorType: 'Error', errorMessage: 'down' },
      },
    )
  })

  it('is tried as often as the function says, and no more after it has succeeded', async (t) => {
    const clock = manualClock()
    const { records, options } = recorder()
    const once = { source: FAILS, maximumRetryAttempts: 0 }
    const second = `let n = 0; export const handler = async () => { if (++n === 1) throw new Error() }`
    const lambda = await localLambda(t, { once, second }, { clock, ...options })

    await send(lambda, 'once')
    await send(lambda, 'second')
    await lambda.idle()
    clock.advance(60 * MINUTE)
    await lambda.idle()

    const names = records.map(({ functionName }) => functionName)
    assert.deepStrictEqual(names.toSorted(), ['once', 'second', 'second'])
    assert.deepStrictEqual(
      lambda.failedEvents.map(({ requestContext }) => requestContext.condition),
      ['RetriesExhausted'],
    )
  })

  it('waits for room when the function is throttled, without that being an attempt', async (t) => {
    const door = await gate(t)
    const { records, options } = recorder()
    const lambda = await localLambda(t, { wait: { source: WAIT, reservedConcurrency: 1 } }, options)

    const ids = [1, 2, 3].map(() => send(lambda, 'wait', { gate: door.url }))
    await door.arrived(1)
    door.open()
    await lambda.idle()

    assert.deepStrictEqual(
      records.map((each) => [each.requestId, each.functionError]),
      (await Promise.all(ids)).map((id) => [id, undefined]),
    )
    assert.equal(lambda.pids()['wait']?.length, 1)
  })

  it('that has waited longer than its maximum age is given up', async (t) => {
    const door = await gate(t)
    const clock = manualClock()
    const { records, options } = recorder()
    const settings = { source: WAIT, reservedConcurrency: 1, maximumEventAgeInSeconds: 60 }
    const lambda = await localLambda(t, { wait: settings }, { clock, ...options })

    await send(lambda, 'wait', { gate: door.url })
    await door.arrived(1)
    const requestId = await send(lambda, 'wait', { late: true })
    clock.advance(MINUTE)
    door.open()
    await lambda.idle()

    assert.equal(records.length, 1)
    assert.deepStrictEqual(
      lambda.failedEvents.map(({ requestContext, requestPayload }) => [
        requestContext.requestId,
        requestContext.condition,
        requestPayload,
      ]),
      [[requestId, 'EventAgeExceeded', { late: true }]],
    )
  })

  it('for a function without any concurrency is given up at once', async (t) => {
    const lambda = await localLambda(t, { off: { source: ECHO, reservedConcurrency: 0 } })

    await send(lambda, 'off')

    assert.equal(lambda.failedEvents[0]?.requestContext.condition, 'ZeroReservedConcurrency')
    await assert.rejects(lambda.invoke('off'), { name: 'TooManyRequestsException', statusCode: 429 })
  })
})

describe('a schedule', () => {
  it('starts its function at each of its times, with its input or EventBridge’s event', async (t) => {
    const clock = manualClock(Date.UTC(2026, 0, 1, 8, 58))
    const { records, options } = recorder()
    const events = [
      { schedule: { rate: 'rate(5 minutes)', input: { version: 1 } } },
      { schedule: { rate: ['cron(0 9 ? * MON-FRI *)'] } },
      { schedule: { rate: 'rate(1 minute)', enabled: false } },
    ]
    const lambda = await localLambda(t, { echo: { source: ECHO, events } }, { clock, ...options })

    for (let minute = 0; minute < 11; minute++) {
      clock.advance(MINUTE)
      await lambda.idle()
    }

    const [nine, ...others] = records.map(({ payload }) => JSON.parse(payload) as Record<string, unknown>)
    assert.deepStrictEqual(others, [{ version: 1 }, { version: 1 }])
    const { id, ...event } = nine ?? {}
    assert.match(String(id), /^[0-9a-f-]{36}$/)
    assert.deepStrictEqual(event, {
      version: '0',
      'detail-type': 'Scheduled Event',
      source: 'aws.events',
      account: '123456789012',
      time: '2026-01-01T09:00:00Z',
      region: 'eu-central-1',
      resources: ['arn:aws:events:eu-central-1:123456789012:rule/echo'],
      detail: {},
    })
  })

  it('is told apart from what others have started', async (t) => {
    const clock = manualClock()
    const { records, options } = recorder()
    const events = [{ schedule: { rate: 'rate(1 minute)' } }, { httpApi: { method: 'GET', path: '/echo' } }]
    const lambda = await localLambda(t, { echo: { source: ECHO, events } }, { clock, ...options })

    clock.advance(MINUTE)
    await lambda.idle()
    await fetch(`${lambda.httpUrl}/echo?a=1`)
    await lambda.invoke('echo')

    assert.deepStrictEqual(
      records.map(({ type, startedBy }) => [type, startedBy]),
      [
        ['Event', 'schedule'],
        ['RequestResponse', 'GET /echo'],
        ['RequestResponse', 'invoke'],
      ],
    )
  })

  it('runs faster on a faster clock', async (t) => {
    const started = Promise.withResolvers<InvocationRecord>()
    const events = [{ schedule: { rate: 'rate(1 day)' } }]
    await localLambda(
      t,
      { echo: { source: ECHO, events } },
      { clock: runningClock(10_000_000), onInvocation: started.resolve },
    )

    assert.equal((await started.promise).functionName, 'echo')
  })
})

describe('a function that invokes itself', () => {
  const root = JSON.stringify(`${import.meta.dirname}/../../../../package.json`)
  const LOOP = `import { createRequire } from 'node:module'
    const { LambdaClient, InvokeCommand } = createRequire(${root})('@aws-sdk/client-lambda')
    const client = new LambdaClient()
    export const handler = async ({ type }, { functionName: FunctionName }) => {
      const Payload = JSON.stringify({ type })
      await client.send(new InvokeCommand({ FunctionName, InvocationType: type, Payload }))
    }`

  it('through the AWS SDK is stopped after 16 invocations, and the event is on the list of failed ones', async (t) => {
    assert.ok(createRequire(import.meta.url).resolve('@aws-sdk/client-lambda'))
    const { records, options } = recorder()
    const lambda = await localLambda(t, { loop: { source: LOOP, memorySize: 512 } }, options)

    await send(lambda, 'loop', { type: 'Event' })
    await lambda.idle()

    assert.deepStrictEqual(records.map(({ functionError }) => functionError).join(), ','.repeat(15))
    assert.equal(records.length, 16)
    assert.deepStrictEqual(
      lambda.failedEvents.map(({ requestContext, requestPayload }) => [
        requestContext.condition,
        requestPayload,
      ]),
      [['RecursiveLoop', { type: 'Event' }]],
    )
  })

  it('synchronously gets RecursiveInvocationException', async (t) => {
    const { endpoint } = await localLambda(t, { echo: ECHO })
    const path = `${endpoint}/2015-03-31/functions/echo/invocations`
    let trace = ''
    const statuses: number[] = []
    for (let round = 0; round < 17; round++) {
      const answer = await fetch(path, {
        method: 'POST',
        headers: trace === '' ? {} : { 'x-amzn-trace-id': trace },
      })
      statuses.push(answer.status)
      if (answer.ok) trace = answer.headers.get('x-amzn-trace-id') ?? ''
      else assert.equal(answer.headers.get('x-amzn-errortype'), 'RecursiveInvocationException')
    }

    assert.deepStrictEqual(statuses, [...Array.from({ length: 16 }, () => 200), 400])
    assert.match(
      trace,
      /^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=[0-9a-f]{8}:16$/,
    )
  })
})
