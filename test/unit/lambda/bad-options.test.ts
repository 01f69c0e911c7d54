/** Wrong options of `eventSource()` and `dispatcher()` as somebody may give them: one message that names field, value and fix. */
import { throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { dispatcher, eventSource } from '../../../src/lambda/index.ts'

const mapping = { topic: 'orders', consumerGroup: 'billing' }
const client = { nameServers: '127.0.0.1:1' }
const at = { startingPosition: 'AT_TIMESTAMP' }
const handle = async (): Promise<void> => undefined

describe('eventSource() says what is wrong and what would do', () => {
  for (const [change, message] of [
    [{ batchSise: 10 }, 'batchSise: is not an option of eventSource; did you mean batchSize?'],
    [{ loger: console }, /^loger: is not an option of eventSource; did you mean .*\blogger\b/],
    [{ maximumBatchingWindow: 5 }, /did you mean maximumBatchingWindowInSeconds/],
    [{ batchSize: '10' }, 'batchSize: takes a number, got "10"'],
    [{ batchSize: Number.NaN }, 'batchSize: takes a number, got NaN'],
    [{ batchSize: -1 }, 'batchSize: must be at least 1, got -1'],
    [{ batchSize: 1e9 }, 'batchSize: must be at most 10000, got 1000000000'],
    [{ batchSize: 0.5 }, 'batchSize: takes a whole number, got 0.5'],
    [{ batchSize: null }, 'batchSize: takes a number, got null'],
    [
      { maximumBatchingWindowInSeconds: 5_000 },
      'maximumBatchingWindowInSeconds: must be at most 300, got 5000',
    ],
    [{ maximumRecordAgeInSeconds: 3 }, 'maximumRecordAgeInSeconds: must be at least 60, got 3'],
    [{ retryLevels: '3,4' }, 'retryLevels: takes an array, got "3,4"'],
    [{ retryLevels: [] }, 'retryLevels: must have at least 1 element, got an array of 0'],
    [{ retryLevels: ['10s'] }, 'retryLevels.0: takes a number, got "10s"'],
    [{ topic: undefined }, 'topic: is required (string)'],
    [
      { topic: 'or ders' },
      'topic: takes only letters, digits, % | _ - and at most 127 of them, got "or ders"',
    ],
    [{ onFailure: 'drop' }, 'onFailure: takes retry, block; got "drop"'],
    [
      { mode: 'pop', onFailure: 'block' },
      'onFailure: block needs mode pull: what is popped has no order to keep',
    ],
    [
      { ...at, startingPositionTimestamp: 1_767_225_600_000 },
      'startingPositionTimestamp: takes epoch seconds; 1767225600000 looks like milliseconds',
    ],
    [
      { ...at, startingPositionTimestamp: new Date(0) },
      'startingPositionTimestamp: takes a number or a string, got an object',
    ],
    [{ filter: { sqll: 'a = 1' } }, 'filter.sqll: is not a field of filter'],
    [{ filter: {} }, 'filter.sql: is required (string)'],
    [{ filter: 'a | b' }, 'filter: takes tags with || between, got "a | b"'],
    [{ enabled: 'false' }, 'enabled: takes a boolean, got "false"'],
    [{ name: 7 }, /^name: takes .*text/],
    [{ name: '' }, /^name: takes non-empty text/],
    [{ lambda: {} }, 'lambda: takes a LambdaClient of @aws-sdk/client-lambda: it has no send()'],
    [{ metrics: { namespace: 7 } }, /^metrics\.namespace: takes .*text/],
    [{ metrics: { dimensions: 'x' } }, 'metrics.dimensions: takes an object, got String'],
    [{ metrics: { dimensions: { stage: 1 } } }, /^metrics\.dimensions\.stage: takes .*text/],
    [{ client: 'x' }, 'client: takes an object, got String'],
    [{ client: null }, 'client: takes an object, got Null'],
    [{ target: { functionName: 'f' } }, 'target: takes the place of the handler: give one of them'],
  ] as const) {
    it(inspect(change, { breakLength: Infinity }), () => {
      throws(() => eventSource({ ...mapping, client, ...change } as never, handle), {
        code: 'RMQ_CONFIG',
        message,
      })
    })
  }

  for (const options of [undefined, null, 'orders', 7, []])
    it(`of all of them: ${inspect(options)}`, () => {
      throws(() => eventSource(options as never, handle), {
        code: 'RMQ_CONFIG',
        message: /^eventSource: takes an object, got /,
      })
    })
})

describe('dispatcher() says what is wrong and what would do', () => {
  for (const [change, message] of [
    [{ maximumConcurrency: 0 }, 'maximumConcurrency: must be at least 1, got 0'],
    [{ lagThreshold: '1k' }, 'lagThreshold: takes a number, got "1k"'],
    [{ activationLagThreshold: -1 }, 'activationLagThreshold: must be at least 0, got -1'],
    [{ functionName: '' }, 'functionName: takes the name or the ARN of the worker'],
    [{ qualifier: 7 }, /^qualifier: takes .*text/],
    [{ lambda: {} }, /^lambda: takes a LambdaClient /],
    [{ eventSources: {} }, 'eventSources: takes at least one mapping by name'],
    [{ eventSources: [mapping] }, 'eventSources: takes an object, got Array'],
    [{ eventSources: 'orders' }, 'eventSources: takes an object, got String'],
    [{ eventSources: { a: null } }, 'eventSources.a: takes an object, got Null'],
    [{ eventSources: { a: 'orders' } }, 'eventSources.a: takes an object, got String'],
    [{ eventSources: { a: { topic: 't' } } }, 'eventSources.a.consumerGroup: is required (string)'],
    [
      { eventSources: { a: mapping, b: mapping } },
      'eventSources.b.consumerGroup: billing is that of a already; each mapping needs its own',
    ],
    [
      { eventSources: { a: { ...mapping, name: 'x' } } },
      'eventSources.a.name: is no part of a mapping: give it to eventSource() in code',
    ],
  ] as const) {
    it(inspect(change, { breakLength: Infinity, depth: 4 }), () => {
      const options = { eventSources: { a: mapping }, functionName: 'consume', client, ...change }
      throws(() => dispatcher(options as never), { code: 'RMQ_CONFIG', message })
    })
  }
})
