import { deepStrictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import { greeting } from '../../src/cli/dev/greeting.ts'
import { topicsOf } from '../../src/cli/dev/project.ts'
import type { FunctionEvent } from '../../src/testing/index.ts'

const HTTP = 'http://127.0.0.1:3000'
const INVOKE = 'http://127.0.0.1:3001'

/** The commands for one function with these events. */
function commands(
  events: readonly FunctionEvent[],
  environment: Readonly<Record<string, string>> = {},
): string[] {
  const settings = { handler: '/f/index.mjs', environment, events }
  const lines = greeting({
    project: { config: 'serverless.yml', functions: { f: { settings, origin: 'f.ts', isSource: true } } },
    topics: [],
    broker: { nameServers: '127.0.0.1:9876' },
    lambda: { endpoint: INVOKE, httpUrl: HTTP },
    speed: 1,
  })
  return lines.map((line) => line.trim()).filter((line) => /^(curl|echo) /.test(line))
}

const route = (method: string, path: string): FunctionEvent => ({ httpApi: { method, path } })

describe('the commands of dev', () => {
  for (const [method, path, command] of [
    ['GET', '/orders/{id}', `curl ${HTTP}/orders/id`],
    ['*', '/files/{name+}', `curl ${HTTP}/files/name`],
    ['get', '*', `curl ${HTTP}/`],
    ['DELETE', '/orders/{id}', `curl -X DELETE ${HTTP}/orders/id`],
    ['HEAD', '/orders', `curl -I ${HTTP}/orders`],
    ['POST', '/orders', `curl -H 'content-type: application/json' -d '{}' ${HTTP}/orders`],
    ['PUT', '/orders', `curl -X PUT -H 'content-type: application/json' -d '{}' ${HTTP}/orders`],
  ] as const) {
    it(`request ${method} ${path}`, () => {
      deepStrictEqual(commands([route(method, path)]), [command])
    })
  }

  it('publish a message to the first topic that the function may publish to', () => {
    const events = [route('POST', '/topics/{topic}/messages')]
    deepStrictEqual(commands(events, { ROCKETMQ_TOPICS: ' invoices, orders' }), [
      `curl -H 'content-type: application/json' -d '{"body":{"order":1},"tag":"created","keys":"order-1"}' ${HTTP}/topics/invoices/messages`,
    ])
  })

  it('invoke what a schedule starts with the input of the schedule, quoted for a shell', () => {
    const events = [{ schedule: { rate: 'rate(1 minute)', input: { name: "what's new" } } }]
    const payload = `'{"name":"what'\\''s new"}'`
    deepStrictEqual(commands(events), [
      `curl -d ${payload} ${INVOKE}/2015-03-31/functions/f/invocations`,
      `echo ${payload} | aws lambda invoke --endpoint-url ${INVOKE} --no-sign-request --region eu-central-1 --function-name f --payload fileb:///dev/stdin /dev/stdout`,
    ])
  })
})

describe('the topics of dev', () => {
  const topics = (...environments: Readonly<Record<string, string>>[]): string[] =>
    topicsOf(
      {
        config: undefined,
        functions: Object.fromEntries(
          environments.map((environment, at) => [
            `f${at}`,
            { settings: { handler: '/f.mjs', environment }, origin: '', isSource: false },
          ]),
        ),
      },
      ['wanted', 'orders'],
    )

  it('are those that functions publish to and consume, and those that are asked for, each once', () => {
    const mappings = {
      a: { topic: 'orders', consumerGroup: 'billing' },
      b: { topic: 'returns', consumerGroup: 'b' },
    }
    deepStrictEqual(
      topics({ ROCKETMQ_TOPICS: 'orders, invoices,' }, { ROCKETMQ_EVENT_SOURCES: JSON.stringify(mappings) }),
      ['orders', 'invoices', 'returns', 'wanted'],
    )
  })

  it('leave out what a function will not be able to read itself', () => {
    for (const text of ['mappings.json', '{', 'null', '[1]', '{"a":null}', '{"a":{"topic":1}}'])
      deepStrictEqual(topics({ ROCKETMQ_EVENT_SOURCES: text }), ['wanted', 'orders'])
  })
})
