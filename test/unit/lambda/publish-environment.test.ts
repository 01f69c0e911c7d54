/** The environment of functions/publish.ts: what a deployed function may be sent is set without code. */
import { deepStrictEqual, match } from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { httpEvent, startBroker } from '../../../src/testing/index.ts'
import { runFunction } from '../../support/run-function.ts'

const publish = join(import.meta.dirname, '../../../functions/publish.ts')

describe('ROCKETMQ_PROPERTIES of the publish function', () => {
  for (const [what, environment, source, tenant] of [
    ['lists what a request may give', { ROCKETMQ_PROPERTIES: ' source, region' }, 200, 'properties.tenant'],
    [
      'lets nothing through when it is empty',
      { ROCKETMQ_PROPERTIES: '' },
      'properties.source',
      'properties.tenant',
    ],
    ['lets all through when it is *', { ROCKETMQ_PROPERTIES: '*' }, 200, 200],
    ['lets all through when it is not set', {}, 200, 200],
  ] as const) {
    it(what, async () => {
      await using broker = await startBroker({ topics: { orders: { queues: 1 } } })
      const answerTo = async (properties: object): Promise<unknown> => {
        const event = httpEvent('POST', '/topics/orders/messages', { body: 'x', properties })
        const { result, error } = await runFunction(publish, event, {
          environment: {
            ROCKETMQ_NAMESRV_ADDR: broker.nameServers,
            ROCKETMQ_TOPICS: 'orders',
            ...environment,
          },
        })
        const { statusCode, body = '{}' } = (result ?? {}) as { statusCode?: number; body?: string }
        return statusCode === 200 ? 200 : (error ?? JSON.parse(body).field)
      }

      const answers = await Promise.all([answerTo({ source: 'a' }), answerTo({ tenant: 'b' })])

      deepStrictEqual(answers, [source, tenant])
    })
  }

  for (const [text, message] of [
    ['source,TAGS', '"TAGS" is a name of RocketMQ’s own, which no request may give'],
    ['source;tenant', '"source;tenant" is no name; names stand with commas between, or * alone for all'],
    ['source tenant', '"source tenant" is no name; names stand with commas between, or * alone for all'],
    ['source,*', '"*" is no name; names stand with commas between, or * alone for all'],
  ] as const) {
    it(`lets the function fail at its start when it is ${JSON.stringify(text)}`, async () => {
      const { error } = await runFunction(
        publish,
        {},
        {
          environment: {
            ROCKETMQ_NAMESRV_ADDR: '127.0.0.1:1',
            ROCKETMQ_TOPICS: 'orders',
            ROCKETMQ_PROPERTIES: text,
          },
        },
      )

      deepStrictEqual([error?.code, error?.message], ['RMQ_CONFIG', `ROCKETMQ_PROPERTIES: ${message}`])
    })
  }
})

describe('ROCKETMQ_TRANSACTION_SECRET of the publish function', () => {
  it('lets the function fail at its start without the group that its transactions are ended and checked under', async () => {
    const environment = {
      ROCKETMQ_NAMESRV_ADDR: '127.0.0.1:1',
      ROCKETMQ_TOPICS: 'orders',
      ROCKETMQ_TRANSACTION_SECRET: 'a secret of more than 32 characters',
    }

    const { error } = await runFunction(publish, {}, { environment })

    match(error?.message ?? '', /ROCKETMQ_PRODUCER_GROUP: is not set/)
  })
})
