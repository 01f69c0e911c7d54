/** What a broker keeps when it is restarted in an orderly way (protocol.md 9.2, 11). These run one after another. */
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { Cases } from '../context.ts'

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
    deepStrictEqual([await holder.lock([queue]), await other.lock([queue])], [[queue], []])
    await restart()
    const sent = await c.producer.send({ topic, body: 'after' })
    deepStrictEqual([sent.status, sent.queueOffset], ['SEND_OK', 1n])
    deepStrictEqual([await holder.committedOffset(queue), await other.lock([queue])], [1n, [queue]])
    deepStrictEqual(
      (await c.read(topic, 2)).map((message) => message.body.toString()),
      ['before', 'after'],
    )
  },
}
