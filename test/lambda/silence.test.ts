/**
 * On a real broker with access control, too, nothing tells a body, key, property or secret: neither the client and all functions, with
 * every reason of the broker to say no, nor mappings in every mode and with every way to fail, at any level of a logger.
 */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  type Client,
  type ClientOptions,
  createClient,
  createGroupAdmin,
  createPullConsumer,
  createTopicAdmin,
} from '../../src/index.ts'
import { eventSource } from '../../src/lambda/index.ts'
import { lambdaContext, scheduledEvent } from '../../src/testing/index.ts'
import { until } from '../conformance/context.ts'
import { CANARY } from '../support/canary.ts'
import { setUser } from '../support/rocketmq/acl.ts'
import { realBrokerAvailable } from '../support/rocketmq/install.ts'
import { authSettings, type RocketMQ, startRocketMQ } from '../support/rocketmq/start.ts'
import { checkSilence, listening, work } from '../support/silence.ts'
import { SILENT_MAPPINGS, sendHidden } from '../support/silent-mappings.ts'

const ROOT = { accessKey: 'root', secretKey: `${CANARY}-root-secret` }
/** Who calls, and what the broker says to that. */
const USERS: Readonly<Record<string, { accessKey: string; secretKey: string; says?: RegExp }>> = {
  'who may do everything': ROOT,
  'who is granted nothing': {
    accessKey: 'idle',
    secretKey: `${CANARY}-idle-secret`,
    says: /has no permission/,
  },
  'who is disabled': { accessKey: 'gone', secretKey: `${CANARY}-gone-secret`, says: /is disabled/ },
  'who has another key': { accessKey: 'root', secretKey: `${CANARY}-other-secret`, says: /signature/ },
  'whom nobody knows': {
    accessKey: 'stranger',
    secretKey: `${CANARY}-stranger-secret`,
    says: /is not found/,
  },
}
/** So many mappings at once. */
const AT_ONCE = 10

describe('on RocketMQ nothing is told of bodies, keys, properties and secrets by', {
  skip: !(await realBrokerAvailable()),
}, () => {
  let rocketmq: RocketMQ
  let root: Client
  const connect = (options: ClientOptions): Client =>
    createClient({ nameServers: rocketmq.nameServers, timeoutMs: 15_000, ...options })
  /** A topic of one queue with a route, and a group. */
  const create = async (topic: string, group: string): Promise<void> => {
    await createTopicAdmin(root).create(topic, { readQueueNums: 1, writeQueueNums: 1 })
    await createGroupAdmin(root).create(group)
    const consumer = createPullConsumer(root, { consumerGroup: group })
    await until('the route', () => consumer.queues(topic).catch(() => undefined))
  }

  before(async () => {
    rocketmq = await startRocketMQ({
      settings: { transactionCheckInterval: 1_000, transactionTimeOut: 1_000, ...authSettings(ROOT) },
    })
    root = connect({ credentials: ROOT })
    const address = rocketmq.brokers[0]?.address ?? ''
    const { idle, gone } = { idle: USERS['who is granted nothing'], gone: USERS['who is disabled'] }
    await setUser(root, address, 'idle', {
      secretKey: idle?.secretKey ?? '',
      grants: { 'Topic:none': ['Pub'] },
    })
    await setUser(root, address, 'gone', { secretKey: gone?.secretKey ?? '', grants: {}, disabled: true })
    await create('orders', 'billing')
  })
  after(async () => {
    await root?.close()
    await rocketmq?.stop()
  })

  for (const [who, { says, ...credentials }] of Object.entries(USERS))
    it(`a client and functions of one ${who}`, async (t) => {
      const { told } = listening(t)
      const client = connect({ credentials })
      t.after(() => client.close())

      const all = await work(client, 20_000)

      // Or the broker has said something else.
      const refusals = all.came.filter(
        (each) => each.status === 'rejected' && says?.test((each.reason as Error).message),
      )
      deepStrictEqual(says !== undefined, refusals.length > 5)
      checkSilence([all.made, says ? all.came : [], told])
    })

  it('mappings in every mode, whatever becomes of their records, at every level', async (t) => {
    const { told, logger } = listening(t)
    const client = connect({ credentials: { ...ROOT, securityToken: `${CANARY}-token` } })
    t.after(() => client.close())
    const cases = SILENT_MAPPINGS.flatMap((each) =>
      [false, true].map((isUndecodable) => ({ each, isUndecodable })),
    )
    const consume = async (
      { each: [what, handle, options], isUndecodable }: (typeof cases)[number],
      n: number,
    ) => {
      const [topic, consumerGroup] = [`silence-${n}`, `silence-group-${n}`]
      await create(topic, consumerGroup)
      await sendHidden(client, { topic, brokerName: 'broker-a', queueId: 0 }, isUndecodable)
      // With a logger of its own and with the default one, and once more: what finds nothing is told at `debug`.
      const own = {
        topic,
        consumerGroup,
        client,
        metrics: true,
        startingPosition: 'TRIM_HORIZON',
        ...options,
      }
      for (const loggers of [{ logger }, {}, { logger }]) {
        const handler = eventSource({ ...own, ...loggers } as never, handle as never)
        await handler(scheduledEvent(), lambdaContext({ remainingMs: 5_000 })).catch(() => undefined)
      }
      return what
    }

    for (let n = 0; n < cases.length; n += AT_ONCE)
      await Promise.all(cases.slice(n, n + AT_ONCE).map((each, at) => consume(each, n + at)))

    const levels = new Set((told as unknown[][]).map(([level]) => level))
    for (const level of ['debug', 'info', 'warn']) ok(levels.has(level), level)
    checkSilence(told)
  })
})
