/** Mappings in every mode and with every way to fail, and what they are given that may not be told. */
import { handleRecords } from '../../functions/handle-records.ts'
import { type Client, createProducer, type MessageQueue } from '../../src/index.ts'
import type { StandardSchema } from '../../src/lambda/index.ts'
import { CANARY } from './canary.ts'
import { sendUndecodable } from './consuming.ts'

const BODY = JSON.stringify({ card: `${CANARY}-body`, [`${CANARY}-member`]: 1 })

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

export const SILENT_MAPPINGS: readonly [what: string, handle: unknown, options: object][] = [
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

/** Two messages whose every part is to be hidden, and before them one that cannot be decoded. */
export async function sendHidden(client: Client, queue: MessageQueue, isUndecodable: boolean): Promise<void> {
  if (isUndecodable)
    await sendUndecodable(client, queue, `note\u0001${CANARY}\u0002KEYS\u0001${CANARY}\u0002`)
  const producer = createProducer(client, { producerGroup: 'shop' })
  for (const body of [BODY, Buffer.concat([Buffer.of(0xff), Buffer.from(BODY)])])
    await producer.send({
      topic: queue.topic,
      body,
      tag: 'created',
      keys: `${CANARY}-key`,
      shardingKey: `${CANARY}-sharding`,
      properties: { [`${CANARY}-name`]: `${CANARY}-property` },
    })
}
