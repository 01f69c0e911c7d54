/** Pulls (protocol.md 8). */
import { deepStrictEqual, ok, rejects } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { QueryConsumerOffset } from '../../../src/commands/offsets.ts'
import {
  PULL_COMMIT_OFFSET,
  PULL_SUBSCRIPTION,
  PullMessage,
  type PullMessageRequest,
} from '../../../src/commands/pull.ts'
import { SendMessageV2 } from '../../../src/commands/send.ts'
import type { PullResult } from '../../../src/index.ts'
import { encodeBatch } from '../../../src/wire/batch.ts'
import { INNER_BATCH, NEED_UNWRAP } from '../../../src/wire/flags.ts'
import { type Cases, failure, until } from '../context.ts'
import { plainSend } from './requests.ts'

const summary = ({ status, messages, nextBeginOffset, minOffset, maxOffset }: PullResult) => ({
  status,
  count: messages.length,
  nextBeginOffset,
  minOffset,
  maxOffset,
})

export const pullOf = (
  topic: string,
  consumerGroup: string,
  changes: Partial<PullMessageRequest> = {},
): PullMessageRequest => ({
  consumerGroup,
  topic,
  queueId: 0,
  queueOffset: 0n,
  maxMsgNums: 32,
  sysFlag: PULL_SUBSCRIPTION,
  subscription: '*',
  ...changes,
})

export const pulls: Cases = {
  'one pull gives at most 32 messages': async (c) => {
    const topic = await c.topic()
    await c.producer.sendBatch(
      topic,
      Array.from({ length: 40 }, (_, n) => ({ body: `m${n}` })),
    )
    await c.read(topic, 40)
    const consumer = c.consumer()
    const first = await consumer.pull(c.queue(topic), 0n, { maxMessages: 100 })
    const second = await consumer.pull(c.queue(topic), first.nextBeginOffset)
    const few = await consumer.pull(c.queue(topic), 5n, { maxMessages: 3 })
    deepStrictEqual([first, second, few].map(summary), [
      { status: 'FOUND', count: 32, nextBeginOffset: 32n, minOffset: 0n, maxOffset: 40n },
      { status: 'FOUND', count: 8, nextBeginOffset: 40n, minOffset: 0n, maxOffset: 40n },
      { status: 'FOUND', count: 3, nextBeginOffset: 8n, minOffset: 0n, maxOffset: 40n },
    ])
    // A pull for more than the broker gives is the same.
    const raw = await c.call(PullMessage, pullOf(topic, c.name(), { maxMsgNums: 1000 }), undefined)
    deepStrictEqual(raw.header.nextBeginOffset, 32n)
  },

  'one pull gives at most 256 KiB, but at least one message': async (c) => {
    const topic = await c.topic()
    for (let n = 0; n < 5; n++) await c.producer.send({ topic, body: randomBytes(100_000) })
    await c.producer.send({ topic, body: randomBytes(1_000_000) })
    await c.read(topic, 6)
    const consumer = c.consumer()
    const first = await consumer.pull(c.queue(topic), 0n)
    const large = await consumer.pull(c.queue(topic), 5n)
    deepStrictEqual(
      [first.messages.length, large.messages.map((message) => message.body.length)],
      [2, [1_000_000]],
    )
  },

  'a message that says it is a batch of three has the one place that the broker gave it': async (c) => {
    // For other topics brokers from 5.0 on refuse it.
    const topic = await c.topic({ attributes: '+queue.type=BatchCQ' })
    const batch = encodeBatch(
      ['1', '2', '3'].map((body) => ({ flag: 0, body: Buffer.from(body), properties: '' })),
    )
    const request = plainSend(topic, { sysFlag: NEED_UNWRAP | INNER_BATCH, properties: { INNER_NUM: '1' } })
    const consumer = c.consumer()
    const pull = async (from: bigint): Promise<unknown> => {
      const { messages, undecodable, nextBeginOffset } = await consumer.pull(c.queue(topic), from)
      const bodies = messages.map(({ queueOffset, body }) => [queueOffset, body.toString()])
      return [bodies, undecodable.map(({ queueOffset }) => queueOffset), nextBeginOffset]
    }

    await c.producer.send({ topic, body: 'before' })
    await c.call(SendMessageV2, request, batch)
    const last = await until('both', async () =>
      (await consumer.maxOffset(c.queue(topic))) === 2n ? pull(0n) : undefined,
    )
    await c.producer.send({ topic, body: 'behind' })
    await c.read(topic, 2)

    deepStrictEqual(last, [[[0n, 'before']], [1n], 2n])
    deepStrictEqual(await pull(1n), [[[2n, 'behind']], [1n], 3n])
  },

  'a pull at the end finds nothing; one outside the queue is told where to go': async (c) => {
    const topic = await c.topic()
    await c.producer.sendBatch(topic, [{ body: 'a' }, { body: 'b' }])
    await c.read(topic, 2)
    const consumer = c.consumer()
    const at = async (offset: bigint) => summary(await consumer.pull(c.queue(topic), offset))
    const around = { count: 0, minOffset: 0n, maxOffset: 2n }
    deepStrictEqual(
      [await at(2n), await at(3n), await at(1_000_000n), await at(-1n)],
      [
        { status: 'NO_NEW_MESSAGE', nextBeginOffset: 2n, ...around },
        { status: 'OFFSET_MOVED', nextBeginOffset: 2n, ...around },
        { status: 'OFFSET_MOVED', nextBeginOffset: 2n, ...around },
        { status: 'OFFSET_MOVED', nextBeginOffset: 0n, ...around },
      ],
    )
  },

  'an empty queue has nothing at 0 and moves every other offset there': async (c) => {
    const topic = await c.topic()
    const consumer = c.consumer()
    const empty = { count: 0, nextBeginOffset: 0n, minOffset: 0n, maxOffset: 0n }
    deepStrictEqual(
      [summary(await consumer.pull(c.queue(topic), 0n)), summary(await consumer.pull(c.queue(topic), 7n))],
      [
        { status: 'NO_NEW_MESSAGE', ...empty },
        { status: 'OFFSET_MOVED', ...empty },
      ],
    )
  },

  'a pull of an unknown topic answers 17, of a queue that is not there 29': async (c) => {
    const topic = await c.topic()
    const group = c.name()
    deepStrictEqual(await failure(c.call(PullMessage, pullOf(c.name('nowhere'), group), undefined)), {
      error: 'BrokerError',
      responseCode: 17,
    })
    deepStrictEqual(await failure(c.consumer().pull(c.queue(topic, 1), 0n)), {
      error: 'BrokerError',
      responseCode: c.facts.wrongQueue.responseCode,
    })
  },

  'a waiting pull is answered by the next message': async (c) => {
    const topic = await c.topic()
    const consumer = c.consumer()
    const waiting = consumer.pull(c.queue(topic), 0n, { waitMs: 15_000 })
    await consumer.maxOffset(c.queue(topic)) // answered behind the pull: it is parked by now
    await c.producer.send({ topic, body: 'wake up' })
    deepStrictEqual(
      (await waiting).messages.map((message) => message.body.toString()),
      ['wake up'],
    )
  },

  'a waiting pull ends without a message when its time is over': async (c) => {
    const topic = await c.topic()
    const result = await c.consumer().pull(c.queue(topic), 0n, { waitMs: 500 })
    deepStrictEqual(summary(result), {
      status: 'NO_NEW_MESSAGE',
      count: 0,
      nextBeginOffset: 0n,
      minOffset: 0n,
      maxOffset: 0n,
    })
  },

  'twenty waiting pulls on one connection do not hold each other up': async (c) => {
    const topic = await c.topic({ readQueueNums: 20, writeQueueNums: 20 })
    const consumer = c.consumer()
    const queues = await consumer.queues(topic)
    const waiting = Promise.all(queues.map((queue) => consumer.pull(queue, 0n, { waitMs: 15_000 })))
    await consumer.maxOffset(c.queue(topic))
    for (const queue of queues.toReversed())
      await c.producer.send({ topic, body: String(queue.queueId), queue })
    deepStrictEqual(
      (await waiting).map((result) => result.messages.map((message) => message.body.toString())),
      queues.map((queue) => [String(queue.queueId)]),
    )
  },

  'a pull without a subscription in it needs a registered consumer': async (c) => {
    const topic = await c.topic()
    deepStrictEqual(
      await failure(c.call(PullMessage, pullOf(topic, await c.group(), { sysFlag: 0 }), undefined)),
      {
        error: 'BrokerError',
        responseCode: 24,
      },
    )
  },

  'a pull may commit the offset before it reads, also when it is sent away': async (c) => {
    const topic = await c.topic()
    const consumerGroup = await c.group()
    await c.producer.send({ topic, body: 'x' })
    await c.read(topic, 1)
    const sysFlag = PULL_SUBSCRIPTION | PULL_COMMIT_OFFSET
    const answer = await c.call(
      PullMessage,
      pullOf(topic, consumerGroup, { sysFlag, commitOffset: 1n, queueOffset: 99n }),
      undefined,
    )
    deepStrictEqual([answer.code, answer.meaning, answer.header.nextBeginOffset], [21, 'moved', 1n])
    const { header } = await c.call(QueryConsumerOffset, { consumerGroup, topic, queueId: 0 }, undefined)
    deepStrictEqual(header.offset, 1n)
  },

  'maxMsgBytes changes nothing': async (c) => {
    const topic = await c.topic()
    await c.producer.sendBatch(
      topic,
      Array.from({ length: 5 }, () => ({ body: Buffer.alloc(1000, 1) })),
    )
    await c.read(topic, 5)
    const answer = await c.call(PullMessage, pullOf(topic, c.name(), { maxMsgBytes: 300 }), undefined)
    deepStrictEqual(answer.header.nextBeginOffset, 5n)
  },

  'an aborted pull rejects at once, and the connection goes on': async (c) => {
    const topic = await c.topic()
    const consumer = c.consumer()
    const stop = new AbortController()
    const waiting = consumer.pull(c.queue(topic), 0n, { waitMs: 15_000, signal: stop.signal })
    await consumer.maxOffset(c.queue(topic))
    stop.abort()
    await rejects(waiting, { name: 'AbortError' })
    ok((await consumer.maxOffset(c.queue(topic))) === 0n)
  },
}
