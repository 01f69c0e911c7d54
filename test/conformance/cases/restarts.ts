/** What a broker keeps when it is restarted in an orderly way (protocol.md 9.2, 11). These run one after another. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import { createPopConsumer } from '../../../src/index.ts'
import type { Cases } from '../context.ts'
import { topicWith } from '../popping.ts'
import { BEYOND_NUMBERS } from './offsets.ts'

export const restarts: Cases = {
  'a restart keeps messages and offsets, loses locks, and the next calls do not notice': async (c) => {
    const { restart } = c.broker
    ok(restart, 'this broker cannot be restarted')
    const topic = await c.topic()
    const consumerGroup = await c.group()
    const [holder, other] = [c.consumer({ consumerGroup }), c.consumer({ consumerGroup })]
    const queue = c.queue(topic)
    await c.producer.send({ topic, body: 'before' })
    await holder.commitOffset(queue, 1n)
    for (const [id, offset] of BEYOND_NUMBERS.entries())
      await holder.commitOffset(c.queue(topic, 1 + id), offset)
    deepStrictEqual([await holder.lock([queue]), await other.lock([queue])], [[queue], []])
    await restart()
    const sent = await c.producer.send({ topic, body: 'after' })
    deepStrictEqual([sent.status, sent.queueOffset], ['SEND_OK', 1n])
    deepStrictEqual([await holder.committedOffset(queue), await other.lock([queue])], [1n, [queue]])
    const large = BEYOND_NUMBERS.map((_, id) => holder.committedOffset(c.queue(topic, 1 + id)))
    deepStrictEqual(await Promise.all(large), [...BEYOND_NUMBERS])
    deepStrictEqual(
      (await c.read(topic, 2)).map((message) => message.body.toString()),
      ['before', 'after'],
    )
  },

  'a restart keeps what is popped hidden, and its receipts': async (c) => {
    const { restart } = c.broker
    ok(restart, 'this broker cannot be restarted')
    const topic = await topicWith(c, '1', '2')
    const pop = createPopConsumer(c.client, { consumerGroup: c.name('pop') })
    // A broker that takes its time to stop must not bring them back by itself.
    const [first, second] = (await pop.pop(topic, { invisibleMs: 300_000 })).messages
    ok(first && second)
    await restart()
    await c.client.thaw() // a pop is not made again on another connection
    deepStrictEqual((await pop.pop(topic)).messages, [])
    await pop.ack(first)
    await pop.changeInvisibleDuration(second, 0)
    const [again] = (await pop.pop(topic, { waitMs: 20_000 })).messages
    deepStrictEqual([again?.body.toString(), again?.reconsumeTimes], ['2', 1])
  },
}
