/**
 * What a mapping tells by itself holds nothing of what it carries: in every mode and for every way to fail, no log line of
 * any level, no metric and no message of node:diagnostics_channel has a body, key, property or credential.
 */
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, it, type TestContext } from 'node:test'
import { handleRecords } from '../../../functions/handle-records.ts'
import { createClient, createProducer } from '../../../src/index.ts'
import { type EventSourceLogger, eventSource, type StandardSchema } from '../../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent, startBroker } from '../../../src/testing/index.ts'
import { allOf, CANARY, found } from '../../support/canary.ts'
import { sendUndecodable } from '../../support/consuming.ts'
import { printedJson } from '../../support/printed.ts'

const BODY = JSON.stringify({ card: `${CANARY}-body`, [`${CANARY}-member`]: 1 })

/** Everything that is told, by whatever way. */
function listening(t: TestContext): { logger: EventSourceLogger; told: unknown[] } {
  const told: unknown[] = []
  const note = (...values: unknown[]): void => void told.push(values)
  for (const method of ['debug', 'info', 'log', 'warn', 'error', 'trace'] as const)
    t.mock.method(console, method, note)
  printedJson(t, note)
  for (const channel of ['rocketmq-lambda:batch', 'rocketmq-lambda:invocation']) {
    subscribe(channel, note)
    t.after(() => unsubscribe(channel, note))
  }
  return { told, logger: { debug: note, info: note, warn: note } }
}

/** As those of ArkType and others: the message quotes the value, and the path has what stands as a member's name. */
const quoting: StandardSchema = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ({
      issues: [
        {
          message: `must be a number (was ${JSON.stringify(value)})`,
          path: ['cards', `${CANARY}@example.org`],
        },
      ],
    }),
  },
}

const failing = async ({
  records,
}: {
  records: Record<string, { recordId: string }[]>
}): Promise<object> => ({
  batchItemFailures: Object.values(records)
    .flat()
    .map(({ recordId }) => ({ itemIdentifier: recordId })),
})
const throwing = (): Promise<void> => Promise.reject(new RangeError('the database is down'))
const done = async (): Promise<void> => undefined

/** AWS's client with a target that says no. */
const answering = (answer: object): { send(): Promise<object>; destroy(): void } => ({
  send: async () => answer,
  destroy: () => undefined,
})
const target = { functionName: 'charge' }
const refused = Buffer.from(
  JSON.stringify({ batchItemFailures: [{ itemIdentifier: 'orders/broker-a/0/0' }] }),
)
const crashed = Buffer.from(JSON.stringify({ errorType: 'RangeError', errorMessage: 'down' }))

const CASES: readonly [what: string, handle: unknown, options: object][] = [
  ['records that are handled', done, {}],
  ['the lines of functions/handle-records.ts', handleRecords, {}],
  ['dryRun', done, { dryRun: true }],
  ['a filter that passes over them', done, { filter: 'other' }],
  ['records that failed, retry', failing, {}],
  ['records that failed, block', failing, { onFailure: 'block' }],
  ['records that failed, block with attempts', failing, { onFailure: 'block', maximumRetryAttempts: 0 }],
  ['records that become dead letters', failing, { maximumRetryAttempts: 0 }],
  ['a handler that throws, retry', throwing, {}],
  ['a handler that throws, block', throwing, { onFailure: 'block' }],
  ['a handler that answers what is none', async () => ({ done: true }), {}],
  ['a handler that is not done', () => new Promise(() => undefined), {}],
  ['several batches at once', failing, { parallelizationFactor: 4, batchSize: 1 }],
  ['pop', done, { mode: 'pop' }],
  ['pop, records that failed', failing, { mode: 'pop' }],
  ['pop, dead letters', failing, { mode: 'pop', maximumRetryAttempts: 0 }],
  ['pop, a handler that throws', throwing, { mode: 'pop' }],
  ['pop, a schema that does not fit', done, { mode: 'pop', schema: quoting }],
  ['a target', undefined, { target, lambda: answering({}) }],
  ['a target, records that failed', undefined, { target, lambda: answering({ Payload: refused }) }],
  [
    'a target that failed',
    undefined,
    { target, lambda: answering({ FunctionError: 'Unhandled', Payload: crashed }), onFailure: 'block' },
  ],
  ['a schema that does not fit, retry', done, { schema: quoting }],
  ['a schema that does not fit, block', done, { schema: quoting, onFailure: 'block' }],
  ['a body that fits no SQS event, block', done, { eventFormat: 'sqs', onFailure: 'block' }],
  ['Kafka events, records that failed', async () => ({ batchItemFailures: [] }), { eventFormat: 'kafka' }],
]

describe('no body, key, property or credential is told by', () => {
  for (const [what, handle, options] of CASES) {
    for (const isUndecodable of [false, true]) {
      it(isUndecodable ? `${what}, behind a record that cannot be decoded` : what, async (t) => {
        await using broker = await startBroker({ topics: { orders: { queues: 1 } } })
        const client = createClient({
          nameServers: broker.nameServers,
          credentials: {
            accessKey: `${CANARY}-access`,
            secretKey: `${CANARY}-secret`,
            securityToken: `${CANARY}-token`,
          },
        })
        t.after(() => client.close())
        const { logger, told } = listening(t)
        const producer = createProducer(client, { producerGroup: 'shop' })
        if (isUndecodable)
          await sendUndecodable(client, undefined, `note\u0001${CANARY}\u0002KEYS\u0001${CANARY}\u0002`)
        for (const body of [BODY, Buffer.concat([Buffer.of(0xff), Buffer.from(BODY)])])
          await producer.send({
            topic: 'orders',
            body,
            tag: 'created',
            keys: `${CANARY}-key`,
            shardingKey: `${CANARY}-sharding`,
            properties: { [`${CANARY}-name`]: `${CANARY}-property` },
          })
        const handler = eventSource(
          { topic: 'orders', consumerGroup: 'billing', client, logger, metrics: true, ...options },
          handle as never,
        )

        const context = { ...lambdaContext({ remainingMs: 2_050 }) }
        await handler(scheduledEvent(), context).catch(() => undefined)

        const text = allOf(told)
        assert.ok(text.includes('consumed') && text.includes('PolledEventCount') === !('dryRun' in options))
        assert.deepStrictEqual(found(text), [], text)
      })
    }
  }
})
