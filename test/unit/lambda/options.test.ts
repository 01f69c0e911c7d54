import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConfigError } from '../../../src/errors.ts'
import {
  parseEventSources,
  readWorkerPayload,
  resolveEventSource,
  unknownMapping,
} from '../../../src/lambda/options.ts'
import { scheduledEvent } from '../../../src/testing/index.ts'

const orders = { topic: 'orders', consumerGroup: 'billing' }

describe('the options of an event source', () => {
  it('have the defaults of Lambda’s own mappings', () => {
    assert.deepStrictEqual(resolveEventSource(orders, 'orders'), {
      topic: 'orders',
      consumerGroup: 'billing',
      batchSize: 100,
      startingPosition: 'TRIM_HORIZON',
      startingPositionTimestamp: undefined,
      filter: '*',
      enabled: true,
      windowMs: 0,
      onFailure: 'retry',
      maximumRetryAttempts: undefined,
      maximumAgeMs: undefined,
      retryLevels: [],
      parallelizationFactor: 1,
      mode: 'pull',
      eventFormat: 'rocketmq',
      dryRun: false,
      target: undefined,
      continuation: false,
      maximumConcurrency: 10,
      lagThreshold: 1_000,
      activationLagThreshold: 0,
    })
  })

  it('take a starting time in epoch seconds or as ISO 8601', () => {
    for (const startingPositionTimestamp of [1_767_225_600, '2026-01-01T00:00:00Z']) {
      const options = { ...orders, startingPosition: 'AT_TIMESTAMP' as const, startingPositionTimestamp }
      assert.equal(resolveEventSource(options, 'orders').startingPositionTimestamp, 1_767_225_600_000)
    }
  })

  for (const [field, change] of [
    ['topic', { topic: undefined }],
    ['topic', { topic: 'or ders' }],
    ['consumerGroup', { consumerGroup: '' }],
    ['batchSize', { batchSize: 0 }],
    ['batchSize', { batchSize: 10_001 }],
    ['batchSize', { batchSize: 1.5 }],
    ['startingPosition', { startingPosition: 'EARLIEST' }],
    ['startingPositionTimestamp', { startingPosition: 'AT_TIMESTAMP' }],
    ['startingPositionTimestamp', { startingPositionTimestamp: 1 }],
    [
      'startingPositionTimestamp',
      { startingPosition: 'AT_TIMESTAMP', startingPositionTimestamp: 1_767_225_600_000 },
    ],
    [
      'startingPositionTimestamp',
      { startingPosition: 'AT_TIMESTAMP', startingPositionTimestamp: 'yesterday' },
    ],
    [
      'startingPositionTimestamp',
      { startingPosition: 'AT_TIMESTAMP', startingPositionTimestamp: '1' }, // Date.parse: 2001
    ],
    ['filter', { filter: 7 }],
    ['filter', { filter: ' || ' }],
    ['filter.sql', { filter: { sql: ' ' } }],
    ['enabled', { enabled: 'yes' }],
    ['maximumBatchingWindowInSeconds', { maximumBatchingWindowInSeconds: 301 }],
    ['onFailure', { onFailure: 'drop' }],
    ['maximumRetryAttempts', { maximumRetryAttempts: -1 }],
    ['maximumRecordAgeInSeconds', { maximumRecordAgeInSeconds: 59 }],
    ['retryLevels', { retryLevels: [] }],
    ['retryLevels.1', { retryLevels: [1, 19] }],
    ['retryLevels', { retryLevels: [1], onFailure: 'block' }],
    ['parallelizationFactor', { parallelizationFactor: 11 }],
    ['dryRun', { dryRun: 'yes' }],
    ['batchsize', { batchsize: 10 }],
    ['target', { target: 'charge-orders' }],
    ['target.functionName', { target: { functionName: '' } }],
    ['target.alias', { target: { functionName: 'charge-orders', alias: 'live' } }],
    ['continuation', { continuation: 12 }],
    ['maximumConcurrency', { maximumConcurrency: 0 }],
    ['lagThreshold', { lagThreshold: 0.5 }],
    ['activationLagThreshold', { activationLagThreshold: -1 }],
  ] as const) {
    it(`are refused by name when ${field} is ${JSON.stringify(change)}`, () => {
      assert.throws(
        () => resolveEventSource({ ...orders, ...change } as never, 'orders'),
        (error) => error instanceof ConfigError && error.field === field,
      )
    })
  }

  for (const [change, message] of [
    [
      { mode: 'pop', onFailure: 'block' },
      'onFailure: block needs mode pull: what is popped has no order to keep',
    ],
    [
      { mode: 'pop', startingPosition: 'LATEST' },
      'startingPosition: LATEST needs mode pull: a group that pops begins at the first message',
    ],
    [
      { mode: 'pop', dryRun: true },
      'dryRun: true needs mode pull: to look at messages a pop would have to hide them',
    ],
    [
      { retryLevels: [1], onFailure: 'block' },
      'retryLevels: [1] needs onFailure retry: with block nothing is sent back for later',
    ],
    [
      { topic: '%RETRY%billing' },
      "topic: takes no retry topic, got %RETRY%billing: it is read with the group's own topic",
    ],
    [{ topic: undefined }, 'topic: is required (string)'],
  ] as const) {
    it(`that do not go together say what would do: ${JSON.stringify(change)}`, () => {
      assert.throws(() => resolveEventSource({ ...orders, ...change } as never, 'orders'), { message })
    })
  }

  it('suggest the nearest name for one that is not known', () => {
    assert.throws(() => resolveEventSource({ ...orders, batchsize: 10 } as never, 'orders'), /batchSize/)
    const misspelt = { topic: 'orders', consumerGrup: 'billing' }
    assert.throws(
      () => resolveEventSource(misspelt as never, 'orders'),
      /consumerGrup: .*did you mean consumerGroup/,
    )
  })
})

describe('ROCKETMQ_EVENT_SOURCES', () => {
  it('holds mappings by name', () => {
    assert.deepStrictEqual(parseEventSources(JSON.stringify({ orders })), { orders })
  })

  for (const [text, field] of [
    ['', 'ROCKETMQ_EVENT_SOURCES'],
    ['{', 'ROCKETMQ_EVENT_SOURCES'],
    ['[]', 'ROCKETMQ_EVENT_SOURCES'],
    ['{}', 'ROCKETMQ_EVENT_SOURCES'],
    ['{"orders":7}', 'ROCKETMQ_EVENT_SOURCES.orders'],
    ['{"orders":{"topic":"orders"}}', 'ROCKETMQ_EVENT_SOURCES.orders.consumerGroup'],
    ['{"orders":{"topic":"orders","consumerGroup":"g","colour":1}}', 'ROCKETMQ_EVENT_SOURCES.orders.colour'],
    ['{"orders":{"topic":"orders","consumerGroup":"g","schema":{}}}', 'ROCKETMQ_EVENT_SOURCES.orders.schema'],
    ['{"orders":{"topic":"orders","consumerGroup":"g","client":{}}}', 'ROCKETMQ_EVENT_SOURCES.orders.client'],
    [
      '{"orders":{"topic":"orders","consumerGroup":"g","eventFormat":"json"}}',
      'ROCKETMQ_EVENT_SOURCES.orders.eventFormat',
    ],
  ] as const) {
    it(`is refused with the field named when it is ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseEventSources(text),
        (error) => error instanceof ConfigError && error.field === field,
      )
    })
  }
})

describe('mappings with the same consumer group', () => {
  const two = (change: object): string =>
    JSON.stringify({ orders, refunds: { topic: 'refunds', consumerGroup: 'billing', ...change } })

  it('are refused: each would be given what the other has sent back', () => {
    assert.throws(() => parseEventSources(two({})), {
      message:
        'ROCKETMQ_EVENT_SOURCES.refunds.consumerGroup: billing is that of orders already; each mapping needs its own',
    })
  })

  it('are taken as long as only one of them is enabled', () => {
    assert.deepStrictEqual(Object.keys(parseEventSources(two({ enabled: false }))), ['orders', 'refunds'])
  })
})

describe('options of code only', () => {
  it('are refused in a mapping, with a word on where they go', () => {
    const text = JSON.stringify({ orders: { ...orders, schema: {} } })

    assert.throws(() => parseEventSources(text), {
      message:
        /ROCKETMQ_EVENT_SOURCES\.orders\.schema: is no part of a mapping: give it to eventSource\(\) in code/,
    })
  })
})

describe('the event that starts an event source', () => {
  it('restricts the queues when a dispatcher sent it', () => {
    const payload = {
      version: 1,
      eventSource: 'orders',
      queues: [{ topic: 'orders', brokerName: 'broker-a', queueId: 0 }],
    }
    assert.deepStrictEqual(readWorkerPayload(payload), payload)
  })

  it('means all queues when it is a schedule’s, empty, or anything else', () => {
    for (const event of [scheduledEvent(), {}, null, undefined, 'text', 7])
      assert.equal(readWorkerPayload(event), undefined)
  })

  for (const [field, change] of [
    ['version', { version: 2 }],
    ['queues.0.queueId', { queues: [{ topic: 'orders', brokerName: 'broker-a', queueId: -1 }] }],
    ['options', { options: {} }],
    ['continuation', { continuation: 0 }],
    ['continuation', { continuation: 13 }],
  ] as const) {
    it(`is refused when it is a payload with ${JSON.stringify(change)}`, () => {
      assert.throws(
        () => readWorkerPayload({ version: 1, eventSource: 'orders', ...change }),
        (error) => error instanceof ConfigError && error.field === field,
      )
    })
  }

  it('that does not say which of several mappings it is for is told how, and what there is', () => {
    const { field, message } = unknownMapping(undefined, ['orders', 'refunds'])

    assert.deepStrictEqual(
      [field, message],
      [
        'eventSource',
        'eventSource: is required where there are several mappings: invoke with {"version":1,"eventSource":"orders"}; it has orders, refunds',
      ],
    )
  })
})
