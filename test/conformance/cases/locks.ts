/** Queue locks (protocol.md 11). That a lease ends after 60 s is not waited for. */
import { deepStrictEqual } from 'node:assert/strict'
import { LockBatchMQ, UnlockBatchMQ } from '../../../src/commands/locks.ts'
import { createPullConsumer } from '../../../src/index.ts'
import type { Cases } from '../context.ts'

export const locks: Cases = {
  'a lock is renewed by its holder and refused to others, until it is given back': async (c) => {
    const topic = await c.topic({ readQueueNums: 2, writeQueueNums: 2 })
    const consumerGroup = c.name('g')
    const [a, b] = [c.consumer({ consumerGroup }), c.consumer({ consumerGroup })]
    const [first, second] = await a.queues(topic)
    const queues = [first, second] as Exclude<typeof first, undefined>[]
    const granted = [await a.lock(queues.slice(0, 1)), await a.lock(queues.slice(0, 1)), await b.lock(queues)]
    deepStrictEqual(granted, [queues.slice(0, 1), queues.slice(0, 1), queues.slice(1)])
    await a.unlock(queues)
    deepStrictEqual([await b.lock(queues), await a.lock(queues)], [queues, []])
  },

  'an unlock by somebody else changes nothing': async (c) => {
    const topic = await c.topic()
    const consumerGroup = c.name('g')
    const [a, b] = [c.consumer({ consumerGroup }), c.consumer({ consumerGroup })]
    const queue = c.queue(topic)
    await a.lock([queue])
    await b.unlock([queue])
    deepStrictEqual([await b.lock([queue]), await a.lock([queue])], [[], [queue]])
  },

  'a lock belongs to the client id, not to the connection': async (c) => {
    const topic = await c.topic()
    const options = { consumerGroup: c.name('g'), clientId: c.name('holder') }
    const queue = c.queue(topic)
    const other = c.connect()
    await createPullConsumer(other, options).lock([queue])
    await other.close()
    deepStrictEqual(
      [
        await c.consumer({ consumerGroup: options.consumerGroup }).lock([queue]),
        await c.consumer(options).lock([queue]),
      ],
      [[], [queue]],
    )
  },

  'the locks of two groups do not meet': async (c) => {
    const queue = c.queue(await c.topic())
    deepStrictEqual([await c.consumer().lock([queue]), await c.consumer().lock([queue])], [[queue], [queue]])
  },

  'a broker locks queues that do not exist': async (c) => {
    const queue = c.queue(c.name('nowhere'), 4711)
    const body = { consumerGroup: c.name(), clientId: 'x', mqSet: [queue] }
    const answer = await c.call(LockBatchMQ, {}, body)
    deepStrictEqual(answer.body.lockOKMQSet, [queue])
    deepStrictEqual((await c.call(UnlockBatchMQ, {}, body)).code, 0)
  },

  'neither pulls nor commits look at a lock': async (c) => {
    const topic = await c.topic()
    await c.producer.send({ topic, body: 'x' })
    await c.read(topic, 1)
    const consumerGroup = await c.group()
    const queue = c.queue(topic)
    await c.consumer({ consumerGroup }).lock([queue])
    const other = c.consumer({ consumerGroup })
    deepStrictEqual((await other.pull(queue, 0n)).messages.length, 1)
    await other.commitOffset(queue, 1n)
    deepStrictEqual(await other.committedOffset(queue), 1n)
  },
}
