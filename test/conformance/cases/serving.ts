/** Registering, and answering what brokers pass on to the members of a group, by the client's own means. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { ConsumeMessageDirectly, GetConsumerRunningInfo } from '../../../src/commands/consumer-requests.ts'
import {
  createGroupAdmin,
  createRegistration,
  type ServeOptions,
  type ServeResult,
  serve,
} from '../../../src/index.ts'
import { type Cases, type Context, failure, until } from '../context.ts'

/** Long enough that a busy machine asks within it; other cases run meanwhile. */
const WINDOW_MS = 10_000

/** Serves from a client of its own, and calls `meanwhile` as soon as it is a member. */
async function serving<T>(
  c: Context,
  options: ServeOptions,
  meanwhile: () => Promise<T>,
): Promise<{ result: ServeResult; seen: T }> {
  const served = serve(c.connect(), { windowMs: WINDOW_MS, ...options })
  const groups = createGroupAdmin(c.client)
  await until('the member', async () => (await groups.members(options.consumerGroup)).length > 0)
  const seen = await meanwhile()
  return { result: await served, seen }
}

export const service: Cases = {
  'a registration makes members, until it is taken back': async (c) => {
    const groups = createGroupAdmin(c.client)
    const consumerGroup = c.name('members')
    const clientId = c.name('client')
    const registration = createRegistration(c.connect(), {
      clientId,
      producerGroups: [c.name('producers')],
      consumers: [
        { consumerGroup, consumeType: 'CONSUME_PASSIVELY', subscriptions: { [await c.topic()]: 'a || b' } },
      ],
    })
    const before = await groups.members(consumerGroup)
    const places = await registration.heartbeat()
    const during = await groups.members(consumerGroup)
    await registration.unregister()
    deepStrictEqual(
      [before, places, during, await groups.members(consumerGroup)],
      [[], [{ brokerName: c.brokerName, cluster: c.clusterName, address: c.master }], [clientId], []],
    )
  },

  'a member that serves tells its subscriptions and offsets, and is gone afterwards': async (c) => {
    const topic = await c.topic()
    const consumerGroup = await c.group()
    const clientId = c.name('client')
    await c.consumer({ consumerGroup }).commitOffset(c.queue(topic), 7n)
    const { result, seen } = await serving(
      c,
      { consumerGroup, clientId, subscriptions: { [topic]: 'a || b' } },
      async () => (await c.call(GetConsumerRunningInfo, { consumerGroup, clientId }, undefined)).body,
    )
    deepStrictEqual(
      [
        seen.properties['PROP_CONSUME_TYPE'],
        seen.subscriptionSet.map(({ topic: of, subString }) => [of, subString]),
        seen.mqTable.map(([queue, { commitOffset }]) => [queue, commitOffset]),
        [result.clientId, result.runningInfo, result.consumed, result.unreachable],
        await createGroupAdmin(c.client).members(consumerGroup),
      ],
      ['CONSUME_ACTIVELY', [[topic, 'a || b']], [[c.queue(topic), 7n]], [clientId, 1, [], []], []],
    )
    ok(result.idsChanged > 0)
  },

  'a member that serves handles a message that an administrator picks': async (c) => {
    const topic = await c.topic()
    const consumerGroup = await c.group()
    const clientId = c.name('client')
    const sent = await c.producer.send({ topic, body: 'picked', tag: 'a' })
    await c.read(topic, 1)
    const request = { consumerGroup, clientId, topic, brokerName: c.brokerName, msgId: sent.offsetMessageId }
    const handled: unknown[] = []
    const { result, seen } = await serving(
      c,
      {
        consumerGroup,
        clientId,
        subscriptions: { [topic]: '*' },
        handlers: {
          consumeDirectly: async (message) => {
            handled.push([message.body.toString(), message.messageId, message.queue])
            if (handled.length === 2) return 'later'
            if (handled.length === 3) throw new Error('out of stock')
            return undefined
          },
        },
      },
      async () => {
        const outcomes: unknown[] = []
        for (let n = 0; n < 3; n++) {
          const { body } = await c.call(ConsumeMessageDirectly, request, Buffer.alloc(0))
          outcomes.push([body.consumeResult, body.remark])
        }
        return outcomes
      },
    )
    deepStrictEqual(seen, [
      ['CR_SUCCESS', undefined],
      ['CR_LATER', undefined],
      ['CR_THROW_EXCEPTION', 'Error: out of stock'],
    ])
    deepStrictEqual(handled, Array(3).fill(['picked', sent.messageId, c.queue(topic)]))
    deepStrictEqual(
      [
        result.consumed.map((each) => each.result),
        await c.consumer({ consumerGroup }).committedOffset(c.queue(topic)),
      ],
      [['success', 'later', 'failed'], undefined],
    )
  },

  'a member that serves without a handler for messages refuses them': async (c) => {
    const topic = await c.topic()
    const consumerGroup = await c.group()
    const clientId = c.name('client')
    const { offsetMessageId } = await c.producer.send({ topic, body: 'x' })
    const request = { consumerGroup, clientId, topic, brokerName: c.brokerName, msgId: offsetMessageId }
    const { result, seen } = await serving(c, { consumerGroup, clientId }, () =>
      failure(c.call(ConsumeMessageDirectly, request, Buffer.alloc(0))),
    )
    deepStrictEqual(
      [seen, result.refused],
      [{ error: 'BrokerError', responseCode: 3, outcome: 'refused' }, [309]],
    )
  },
}
