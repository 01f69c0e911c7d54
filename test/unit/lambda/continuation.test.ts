/** Going on in a fresh invocation: when an invocation asks for it, with what, and when it does not. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient, createProducer } from '../../../src/index.ts'
import {
  type EventSourceResult,
  eventSource,
  type LambdaApi,
  type RecordHandler,
} from '../../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../../src/testing/index.ts'
import { stoppedClock } from '../../support/stopped-clock.ts'

const QUEUES = [{ topic: 'orders', brokerName: 'broker-a', queueId: 0 }]

interface Setting {
  /** What Lambda was asked for. */
  events: { FunctionName: string; InvocationType: string; payload: unknown }[]
  run: (
    handle: RecordHandler,
    options?: object,
    event?: object,
    remainingMs?: number,
  ) => Promise<EventSourceResult>
}

async function setting(t: TestContext, messages: number): Promise<Setting> {
  const broker = await startBroker({ topics: { orders: { queues: 1 } } })
  const client = createClient({ nameServers: broker.nameServers })
  t.after(async () => {
    await client.close()
    await broker.close()
  })
  const producer = createProducer(client, { producerGroup: 'shop' })
  for (let n = 0; n < messages; n++) await producer.send({ topic: 'orders', body: 'x' })
  const events: Setting['events'] = []
  const lambda: LambdaApi = {
    async send({
      input: { FunctionName, InvocationType, Payload },
    }: {
      input: { FunctionName: string; InvocationType: string; Payload: Uint8Array }
    }) {
      events.push({ FunctionName, InvocationType, payload: JSON.parse(Buffer.from(Payload).toString()) })
      return { StatusCode: 202 }
    },
  }
  return {
    events,
    async run(handle, options = {}, event = scheduledEvent(), remainingMs = 5_000) {
      const all = {
        topic: 'orders',
        consumerGroup: 'billing',
        batchSize: 1,
        continuation: true,
        client,
        lambda,
      }
      const handler = eventSource({ ...all, ...options }, handle)
      return await handler(event, lambdaContext({ remainingMs, functionName: 'consume:live' }))
    },
  }
}

/** A handler that takes its time, and nothing else does: an invocation has less than 100 batches of it need. */
function slowly(t: TestContext): RecordHandler {
  const clock = stoppedClock(t)
  return async () => await clock.pass(150)
}

describe('an invocation that runs out of time', () => {
  it('asks for another one with the same mapping, and says so', async (t) => {
    const { run, events } = await setting(t, 100)

    const { continued, remainingLag } = await run(slowly(t), { name: 'mine' })

    assert.deepStrictEqual([continued, remainingLag > 0], [true, true])
    assert.deepStrictEqual(events, [
      {
        FunctionName: 'arn:aws:lambda:eu-central-1:123456789012:function:consume:live',
        InvocationType: 'Event',
        payload: { version: 1, eventSource: 'mine', continuation: 1 },
      },
    ])
  })

  it('hands its queues over, and counts', async (t) => {
    const { run, events } = await setting(t, 100)
    const event = { version: 1, eventSource: 'orders', queues: QUEUES, continuation: 11 }

    await run(slowly(t), {}, event)

    assert.deepStrictEqual(
      events.map(({ payload }) => payload),
      [{ ...event, continuation: 12 }],
    )
  })

  it('is the last one after 12', async (t) => {
    const { run, events } = await setting(t, 100)

    const result = await run(slowly(t), {}, { version: 1, eventSource: 'orders', continuation: 12 })

    assert.deepStrictEqual([result.continued, result.remainingLag > 0, events], [undefined, true, []])
  })

  it('goes on also when it pops, though what is left is not known', async (t) => {
    const { run, events } = await setting(t, 100)

    const { continued, handled } = await run(slowly(t), { mode: 'pop' })

    assert.deepStrictEqual([continued, handled > 0, events.length], [true, true, 1])
  })

  it('leaves it to the schedule unless asked to go on', async (t) => {
    const { run, events } = await setting(t, 100)

    const result = await run(slowly(t), { continuation: false })

    assert.deepStrictEqual([result.continued, result.remainingLag > 0, events], [undefined, true, []])
  })

  it('fails when Lambda does not take the hand-over: it is set up wrongly, and nothing is lost', async (t) => {
    const { run } = await setting(t, 100)
    const denied = Object.assign(new Error('not authorized'), { name: 'AccessDeniedException' })

    const running = run(slowly(t), { lambda: { send: () => Promise.reject(denied) } })

    await assert.rejects(running, {
      name: 'InvokeError',
      message: /consume:live failed: AccessDeniedException: not authorized$/,
    })
  })
})

describe('an invocation that has time left', () => {
  it('does not go on when it is drained', async (t) => {
    const { run, events } = await setting(t, 3)

    const result = await run(async () => undefined, {}, scheduledEvent(), 10_000)

    assert.deepStrictEqual([result.continued, result.remainingLag, events], [undefined, 0, []])
  })

  it('does not go on after an error of the handler', async (t) => {
    const { run, events } = await setting(t, 100)

    await assert.rejects(
      run(async () => Promise.reject(new RangeError('down'))),
      /down/,
    )

    assert.deepStrictEqual(events, [])
  })

  it('does not go on for a queue that a failed record blocks', async (t) => {
    const { run, events } = await setting(t, 100)
    const failing: RecordHandler = async ({ records }) => {
      await wait(150)
      return {
        batchItemFailures: Object.values(records)
          .flat()
          .map(({ recordId }) => ({ itemIdentifier: recordId })),
      }
    }

    const result = await run(failing, { onFailure: 'block', maximumRetryAttempts: 100 })

    assert.match(result.queues[0]?.stopped ?? '', /failed$/)
    assert.deepStrictEqual([result.continued, events], [undefined, []])
  })
})
