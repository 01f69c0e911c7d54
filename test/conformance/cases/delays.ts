/** Delay levels, timer messages and recall (protocol.md 15). */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { formatRecallHandle } from '../../../src/wire/recall-handle.ts'
import { type Cases, failure } from '../context.ts'

export const delays: Cases = {
  'a message with a delay level comes after its delay, in the queue it was sent to': async (c) => {
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    await c.producer.send({
      topic,
      body: 'later',
      delayLevel: 1,
      queue: c.queue(topic, 1),
      properties: { mine: 'x' },
      tag: 't',
    })
    await c.producer.send({ topic, body: 'now', queue: c.queue(topic, 1) })
    const [now, later] = await c.read(topic, 2)
    ok(now && later)
    deepStrictEqual(
      [now.body.toString(), later.body.toString(), later.queue, { ...later.properties }, later.tag],
      ['now', 'later', c.queue(topic, 1), { mine: 'x' }, 't'],
    )
    deepStrictEqual([later.systemProperties['REAL_TOPIC'], later.systemProperties['REAL_QID']], [topic, '1'])
    ok(later.storeTimestamp - later.bornTimestamp >= 1_000)
  },

  'a timer message comes at its time, by delay and by point in time': async (c) => {
    const topic = await c.topic()
    // Times are kept to a second: messages of neighbouring seconds may come in either order, so these lie far apart.
    const deliverAt = new Date(Date.now() + 6_000)
    const byTime = await c.producer.send({ topic, body: 'at', deliverAt })
    const byDelay = await c.producer.send({ topic, body: 'after', delayMs: 1_200 })
    ok(byTime.recallHandle && byDelay.recallHandle)
    const stored = await c.read(topic, 2)
    deepStrictEqual(
      stored.map((message) => [message.body.toString(), message.messageId]),
      [
        ['after', byDelay.messageId],
        ['at', byTime.messageId],
      ],
    )
    const [after, at] = stored
    // Kept to a second, and rounded down to it.
    ok(after && after.storeTimestamp - after.bornTimestamp >= 200)
    ok(at && at.storeTimestamp >= deliverAt.getTime() - 1_000)
  },

  'a timer message whose time has passed comes at once': async (c) => {
    const topic = await c.topic()
    await c.producer.send({ topic, body: 'late', deliverAt: Date.now() - 60_000 })
    deepStrictEqual(
      (await c.read(topic, 1)).map((message) => message.body.toString()),
      ['late'],
    )
  },

  'a timer message further than three days away is refused': async (c) => {
    const topic = await c.topic()
    deepStrictEqual(await failure(c.producer.send({ topic, body: 'x', delayMs: 3 * 86_400_000 + 60_000 })), {
      error: 'BrokerError',
      responseCode: 13,
      outcome: 'refused',
    })
  },

  'a recalled timer message never comes': async (c) => {
    const topic = await c.topic()
    const recalled = await c.producer.send({ topic, body: 'recalled', delayMs: 3_000 })
    ok(recalled.recallHandle)
    if (!c.broker.features.recall) {
      deepStrictEqual(await failure(c.producer.recall(topic, recalled.recallHandle)), {
        error: 'BrokerError',
        responseCode: 16,
        outcome: 'refused',
      })
      return
    }
    deepStrictEqual(await c.producer.recall(topic, recalled.recallHandle), recalled.messageId)
    await c.producer.send({ topic, body: 'sentinel', delayMs: 6_000 })
    deepStrictEqual(
      (await c.read(topic, 1)).map((message) => message.body.toString()),
      ['sentinel'],
    )
  },

  'a message whose time has come cannot be recalled': async (c) => {
    if (!c.broker.features.recall) return
    const topic = await c.topic()
    const handle = formatRecallHandle({
      topic,
      brokerName: c.brokerName,
      deliverTimeMs: BigInt(Date.now() - 5_000),
      messageId: 'U',
    })
    deepStrictEqual(await failure(c.producer.recall(topic, handle)), {
      error: 'BrokerError',
      responseCode: 604,
      outcome: 'refused',
    })
  },
}
