/** Apache's Go client on the local broker. */
import { deepStrictEqual } from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type LocalBroker, startBroker } from '../../src/testing/index.ts'
import { buildGoClient, type GoClient, goAvailable } from '../support/go-client.ts'

const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n))

describe("Apache's Go client on the local broker", { skip: !(await goAvailable()) }, () => {
  let broker: LocalBroker
  let go: GoClient

  before(async () => {
    broker = await startBroker()
    go = await buildGoClient(broker.nameServers)
  })
  after(async () => {
    await go?.[Symbol.asyncDispose]()
    await broker?.close()
  })

  const stored = (topic: string): string[] =>
    broker
      .messages(topic)
      .map(({ body, properties: { TAGS, KEYS } }) => `${body.toString()} ${TAGS} ${KEYS}`)
      .toSorted()

  it('what it sends to a new topic is stored', async () => {
    const ids = await go.send({ topic: 'go-sends', group: 'p', bodies: numbered(5) })
    deepStrictEqual(
      stored('go-sends'),
      numbered(5).map((body) => `${body} go k-${body}`),
    )
    deepStrictEqual(
      broker
        .messages('go-sends')
        .map(({ properties }) => properties['UNIQ_KEY'] ?? '')
        .toSorted(),
      ids.toSorted(),
    )
  })

  it('its batch is stored whole, in one queue', async () => {
    broker.createTopic('go-batch')
    await go.batch({ topic: 'go-batch', group: 'p', bodies: numbered(5) })
    deepStrictEqual(
      stored('go-batch'),
      numbered(5).map((body) => `${body} go k-${body}`),
    )
    deepStrictEqual(new Set(broker.messages('go-batch').map(({ queueId }) => queueId)).size, 1)
  })

  it('its pull consumer reads every queue', async () => {
    broker.createTopic('go-pull', { queues: 2 })
    const ids = await go.send({ topic: 'go-pull', group: 'p', bodies: numbered(40) })
    const received = await go.pull({ topic: 'go-pull', group: 'pull', brokerName: 'broker-a', queues: 2 })
    deepStrictEqual(received.map((message) => message.MessageID).toSorted(), ids.toSorted())
  })

  it('its push consumer receives what its filter wants, what failed again from the retry topic, and commits', async () => {
    broker.createTopic('go-push', { queues: 2 })
    await go.send({ topic: 'go-push', group: 'p', bodies: numbered(6) })
    const received = await go.push({
      topic: 'go-push',
      group: 'push',
      filter: 'go || other',
      expected: 12,
      failures: 1,
    })
    deepStrictEqual(
      received.map((message) => `${message.Body} ${message.ReconsumeTimes}`).toSorted(),
      numbered(6).flatMap((body) => [`${body} 0`, `${body} 1`]),
    )
    const committed = [0, 1].map(
      (queueId) =>
        broker.committedOffset('push', { topic: 'go-push', brokerName: 'broker-a', queueId }) ?? 0n,
    )
    deepStrictEqual(
      committed.reduce((sum, each) => sum + each),
      6n,
    )
    deepStrictEqual(broker.messages('%RETRY%push').length, 6)
  })
})
