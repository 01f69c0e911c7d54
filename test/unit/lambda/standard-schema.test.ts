/** Bodies that a schema looks at before the handler does, on the local broker. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as z from 'zod/mini'
import {
  eventSource,
  type RocketMQEvent,
  type SqsEvent,
  type StandardSchema,
} from '../../../src/lambda/index.ts'
import { consuming } from '../../support/consuming.ts'

const order: StandardSchema = z.object({
  order: z.pipe(z.string(), z.transform(Number)),
  lines: z.optional(z.array(z.int())),
})

/** A schema of nobody in particular. */
const schemaOf = (validate: StandardSchema['~standard']['validate']): StandardSchema => ({
  '~standard': { version: 1, vendor: 'test', validate },
})
const stopped = ({ queues }: { queues: { topic: string; stopped?: string }[] }): string | undefined =>
  queues.find(({ topic }) => topic === 'orders')?.stopped
const values = (event: RocketMQEvent): unknown[] =>
  Object.values(event.records).flatMap((records) => records.map((record) => record.json()))

describe('schema', () => {
  it('gives the handler what it makes of each body, and sends back what does not fit', async () => {
    await using own = await consuming()
    await own.publish(
      '{"order":"1"}',
      '{"order":2}',
      'no JSON',
      Buffer.from('{"order":"größe"}', 'latin1'),
      '{"order":"3"}',
    )
    const seen: unknown[] = []

    const result = await own.run(async (event: RocketMQEvent) => void seen.push(...values(event)), {
      schema: order,
    })

    assert.deepStrictEqual(seen, [{ order: 1 }, { order: 3 }])
    assert.deepStrictEqual([result.handled, result.failed, result.sentBack, own.committed()], [2, 3, 3, 5n])
  })

  for (const [what, body, reason] of [
    ['the path of an issue', '{"order":"1","lines":[1,"x"]}', ' at lines.1'],
    ['no path where all of it is wrong', '7', ''],
    ['how many issues there are', '{"lines":[1,"x"]}', ' at order (and 1 more)'],
  ] as const) {
    it(`says ${what} where it blocks a queue`, async () => {
      await using own = await consuming()
      await own.publish('{"order":"1"}', body, '{"order":"3"}')
      const seen: unknown[] = []

      const result = await own.run(async (event: RocketMQEvent) => void seen.push(...values(event)), {
        schema: order,
        onFailure: 'block',
      })

      assert.deepStrictEqual([seen, result.failed, own.committed()], [[{ order: 1 }], 1, 1n])
      assert.equal(stopped(result), `record orders/broker-a/0/1 does not fit the schema${reason}`)
    })
  }

  it('may say where by objects with a key; its message and what is no plain name are not told', async () => {
    await using own = await consuming()
    await own.publish('{}')
    const path = [{ key: 'lines' }, 0, 'ann@example.org']
    const schema = schemaOf(() => ({ issues: [{ message: 'is "4111 1111 1111 1111"', path }] }))

    const result = await own.run(async () => assert.fail('nothing fits'), { schema, onFailure: 'block' })

    assert.equal(stopped(result), 'record orders/broker-a/0/0 does not fit the schema at lines.0.?')
  })

  it('may be asynchronous, a function, and give undefined', async () => {
    await using own = await consuming()
    await own.publish('1')
    const schema = Object.assign(
      () => undefined,
      schemaOf(async () => ({ value: undefined })),
    )
    const seen: unknown[] = []

    await own.run(async (event: RocketMQEvent) => void seen.push(...values(event)), { schema })

    assert.deepStrictEqual(seen, [undefined])
  })

  it('that throws is an outage: one batch is sent back, and the invocation fails with its error', async () => {
    await using own = await consuming()
    await own.publish('1', '2', '3')
    const schema = schemaOf(() => Promise.reject(new RangeError('the registry is down')))

    const running = own.run(async () => assert.fail('nothing is known'), { schema, batchSize: 2 })

    await assert.rejects(running, /the registry is down/)
    assert.equal(own.committed(), 2n)
  })

  it('that is never done leaves everything where it is', async () => {
    await using own = await consuming()
    await own.publish('1')
    const schema = schemaOf(() => new Promise(() => undefined))

    const running = own.run(async () => assert.fail('nothing is known'), { schema }, 3_500)

    await assert.rejects(running, { code: 'RMQ_DEADLINE' })
    assert.equal(own.committed(), 0n)
  })

  it('is kept for the attempts that follow', async () => {
    await using own = await consuming()
    await own.publish('{"order":"1"}')
    const seen: unknown[] = []
    const handle = async (event: RocketMQEvent): Promise<object> => {
      seen.push(...values(event))
      return { batchItemFailures: [{ itemIdentifier: 'orders/broker-a/0/0' }] }
    }

    await own.run(handle, { schema: order, onFailure: 'block', maximumRetryAttempts: 1 })

    assert.deepStrictEqual(seen, [{ order: 1 }, { order: 1 }])
  })

  it('leaves the bodies of other formats as they are', async () => {
    await using own = await consuming()
    await own.publish('{"order":"1"}', '{}')
    const seen: string[] = []

    const result = await own.run(
      async ({ Records }: SqsEvent) => void seen.push(...Records.map(({ body }) => body)),
      { schema: order, eventFormat: 'sqs' },
    )

    assert.deepStrictEqual([seen, result.sentBack], [['{"order":"1"}'], 1])
  })

  for (const [what, schema] of [
    ['a text', 'order'],
    ['null', null],
    ['an object', {}],
    ['one of Standard Schema without validate', { '~standard': { version: 1 } }],
  ] as const) {
    it(`is refused when it is ${what}`, () => {
      assert.throws(
        () =>
          eventSource(
            { topic: 'orders', consumerGroup: 'billing', schema: schema as never },
            async () => undefined,
          ),
        { code: 'RMQ_CONFIG', field: 'schema' },
      )
    })
  }
})
