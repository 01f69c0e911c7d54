/** What the client refuses to send: the broker's own answer to it, by low-level calls, is why. */
import { deepStrictEqual, rejects } from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { PullMessage } from '../../../src/commands/pull.ts'
import { SendBatchMessage, SendMessage, SendMessageV2 } from '../../../src/commands/send.ts'
import { UpdateAndCreateTopic } from '../../../src/commands/topics.ts'
import { encodeBatch } from '../../../src/wire/batch.ts'
import { type Cases, failure } from '../context.ts'
import { pullOf } from './pulls.ts'
import { plainSend } from './requests.ts'

const refused = (responseCode: number) => ({ error: 'BrokerError', responseCode, outcome: 'refused' })
const unsent = (field: string) => ({ error: 'ConfigError', outcome: 'not-sent', field })

export const refusals: Cases = {
  'an empty body: the broker fails with code 1': async (c) => {
    const topic = await c.topic()
    deepStrictEqual(await failure(c.producer.send({ topic, body: '' })), unsent('body'))
    for (const command of [SendMessage, SendMessageV2]) {
      await rejects(c.call(command, plainSend(topic), Buffer.alloc(0)), {
        responseCode: 1,
        outcome: 'unknown',
      })
    }
  },

  'an empty body in a batch: the broker stores it': async (c) => {
    const topic = await c.topic()
    deepStrictEqual(await failure(c.producer.sendBatch(topic, [{ body: '' }])), unsent('messages[0].body'))
    const batch = encodeBatch([
      { body: Buffer.alloc(0), properties: '', flag: 0 },
      { body: Buffer.from('x'), properties: '', flag: 0 },
    ])
    await c.call(SendBatchMessage, plainSend(topic, { batch: true }), batch)
    deepStrictEqual(
      (await c.read(topic, 2)).map((message) => message.body.toString()),
      ['', 'x'],
    )
  },

  'a body above 4 MiB: the broker answers 13': async (c) => {
    const topic = await c.topic()
    const body = randomBytes((4 << 20) + 1)
    deepStrictEqual(await failure(c.producer.send({ topic, body })), unsent('body'))
    deepStrictEqual(await failure(c.call(SendMessageV2, plainSend(topic), body)), refused(13))
  },

  'properties that do not fit: the broker answers 13': async (c) => {
    const topic = await c.topic()
    const properties = { long: 'x'.repeat(33_000) }
    const { error, outcome } = await failure(c.producer.send({ topic, body: 'x', properties }))
    deepStrictEqual([error, outcome], ['ConfigError', 'not-sent'])
    deepStrictEqual(
      await failure(c.call(SendMessageV2, plainSend(topic, { properties }), Buffer.from('x'))),
      refused(13),
    )
  },

  'a batch with delayed messages: the broker takes it and delays none': async (c) => {
    const topic = await c.topic()
    const delayed = [{ body: 'x', delayLevel: 3 }] as never
    deepStrictEqual(await failure(c.producer.sendBatch(topic, delayed)), unsent('messages[0].delayLevel'))
    const properties = plainSend(topic, { properties: { DELAY: '3' } }).properties ?? ''
    await c.call(
      SendBatchMessage,
      plainSend(topic, { batch: true }),
      encodeBatch([{ body: Buffer.from('x'), properties, flag: 0 }]),
    )
    deepStrictEqual(
      (await c.read(topic, 1)).map((message) => message.queue.topic),
      [topic],
    )
  },

  'a batch to a retry topic: the broker answers 13': async (c) => {
    const retry = `%RETRY%${await c.group()}`
    const batch = encodeBatch([{ body: Buffer.from('x'), properties: '', flag: 0 }])
    deepStrictEqual(
      await failure(c.call(SendBatchMessage, plainSend(retry, { batch: true }), batch)),
      refused(13),
    )
  },

  'a batch that is not marked as one: the broker stores it as a single message': async (c) => {
    const topic = await c.topic()
    const batch = encodeBatch([
      { body: Buffer.from('a'), properties: '', flag: 0 },
      { body: Buffer.from('b'), properties: '', flag: 0 },
    ])
    await c.call(SendBatchMessage, plainSend(topic, { batch: false }), batch)
    deepStrictEqual(
      (await c.read(topic, 1)).map((message) => message.body),
      [batch],
    )
  },

  'a batch without a message: the broker fails with code 1': async (c) => {
    const topic = await c.topic()
    const send = plainSend(topic, { batch: true })
    await rejects(c.call(SendBatchMessage, send, Buffer.alloc(0)), { responseCode: 1 })
  },

  'a delay level that is no number: the broker fails with code 1': async (c) => {
    const topic = await c.topic()
    for (const DELAY of ['3x', ' 3', '99999999999']) {
      const send = plainSend(topic, { properties: { DELAY } })
      await rejects(c.call(SendMessageV2, send, Buffer.from('x')), { responseCode: 1 })
    }
  },

  'queue -1 of a topic without queues to write: the broker fails with code 1': async (c) => {
    const topic = await c.topic({ readQueueNums: 1, writeQueueNums: 0 })
    const send = { ...plainSend(topic), queueId: -1 }
    await rejects(c.call(SendMessageV2, send, Buffer.from('x')), { responseCode: 1 })
  },

  'a group name above 120 characters: the broker creates no such group': async (c) => {
    const topic = await c.topic()
    const [longest = '', tooLong = ''] = [120, 121].map((length) => c.name('long').padEnd(length, 'x'))
    await c.call(PullMessage, pullOf(topic, longest), undefined)
    deepStrictEqual(await failure(c.call(PullMessage, pullOf(topic, tooLong), undefined)), {
      error: 'BrokerError',
      responseCode: 26,
    })
  },

  'a filter type that does not exist: the broker answers 1': async (c) => {
    const settings = { readQueueNums: 1, writeQueueNums: 1, topicFilterType: 'NONE' }
    await rejects(c.call(UpdateAndCreateTopic, { topic: c.name(), ...settings }, undefined), {
      responseCode: 1,
    })
  },

  'a bad topic name: the client refuses it, the broker answers 13 or 29': async (c) => {
    for (const topic of ['with space', 'slash/slash', 'x'.repeat(128)]) {
      deepStrictEqual(await failure(c.producer.send({ topic, body: 'x' })), unsent('topic'))
      deepStrictEqual(
        await failure(
          c.call(UpdateAndCreateTopic, { topic, readQueueNums: 1, writeQueueNums: 1 }, undefined),
        ),
        { error: 'BrokerError', ...c.facts.wrongQueue },
      )
    }
  },

  'a header without a required field: the broker answers 1': async (c) => {
    const topic = await c.topic()
    const { flag: _flag, ...fields } = SendMessage.request
    const incomplete = { ...SendMessage, request: fields } as typeof SendMessage
    await rejects(c.call(incomplete, plainSend(topic), Buffer.from('x')), { responseCode: 1 })
  },
}
