/**
 * Whatever a handler returns, the offset passes only what the contract says is done. What is done is read here from the
 * contract once more, record by record, and not by the code that is tested.
 */
import { deepStrictEqual } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { EventFormatName } from '../../src/lambda/index.ts'
import { consuming } from '../support/consuming.ts'

const COUNT = 5

/** How each record of the topic may be named. */
const names = (format: EventFormatName, offset: number): unknown[] => [
  `orders/broker-a/0/${offset}`,
  `id-${offset % 2}`, // of several copies
  ...(format === 'kafka' ? [{ partition: 'orders-0', offset }] : []),
]

/** The records that are done, or none when the response is not in the contract. */
function doneBy(format: EventFormatName, response: unknown): boolean[] {
  const records = Array.from({ length: COUNT }, (_, offset) =>
    names(format, offset).map((name) => keyOf(name)),
  )
  const all = (isDone: boolean): boolean[] => records.map(() => isDone)
  if (response === undefined || response === null) return all(true)
  const list =
    typeof response === 'object' && 'batchItemFailures' in response ? response.batchItemFailures : 0
  if (list === null) return all(true)
  if (!Array.isArray(list)) return all(false)
  const failed = [...list].map((item: unknown) =>
    keyOf((item as { itemIdentifier?: unknown } | null)?.itemIdentifier),
  )
  const isKnown = failed.every((name) => records.some((own) => own.includes(name)))
  return isKnown ? records.map((own) => !own.some((name) => failed.includes(name))) : all(false)
}

/** Equal for two names of the same thing. */
function keyOf(name: unknown): unknown {
  if (typeof name !== 'object' || name === null) return name
  const { partition, offset } = name as { partition?: unknown; offset?: unknown }
  return typeof partition === 'string' && typeof offset === 'number'
    ? JSON.stringify([partition, offset, 'kafka'])
    : name
}

const responseTo = (format: EventFormatName): fc.Arbitrary<unknown> => {
  const known = fc.constantFrom(...Array.from({ length: COUNT }, (_, offset) => names(format, offset)).flat())
  const near = fc.oneof(
    { weight: 8, arbitrary: known },
    {
      weight: 1,
      arbitrary: fc.constantFrom('', 'orders/broker-a/0/7', 'id-2', { partition: 'orders-0', offset: 7 }),
    },
    { weight: 1, arbitrary: fc.anything() },
  )
  const item = fc.oneof({ weight: 9, arbitrary: fc.record({ itemIdentifier: near }) }, fc.anything())
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ batchItemFailures: fc.array(item, { maxLength: 4 }) }) },
    { weight: 1, arbitrary: fc.record({ batchItemFailures: fc.anything({ withSparseArray: true }) }) },
    {
      weight: 1,
      arbitrary: fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withNullPrototype: true,
        withSparseArray: true,
        withTypedArray: true,
      }),
    },
  )
}

describe('whatever a handler returns', () => {
  for (const eventFormat of ['rocketmq', 'kafka', 'sqs'] as const) {
    it(`with eventFormat ${eventFormat} the offset stops before the first record that is not done, and each of them failed`, async () => {
      await using own = await consuming()
      for (let offset = 0; offset < COUNT; offset++)
        await own.producer.send({
          topic: 'orders',
          body: `${offset}`,
          messageId: `id-${offset % 2}`,
        })
      let runs = 0

      await fc.assert(
        fc.asyncProperty(responseTo(eventFormat), async (response) => {
          const consumerGroup = `group-${runs++}`
          const options = { consumerGroup, eventFormat, onFailure: 'block' }
          // One that breaks the contract lets the invocation fail.
          const result = await own.run(async () => response, options).catch(() => ({ failed: COUNT }))

          const done = doneBy(eventFormat, response)
          const first = done.indexOf(false)
          deepStrictEqual(
            [own.committed(consumerGroup), result.failed],
            [BigInt(first < 0 ? COUNT : first), done.filter((isDone) => !isDone).length],
          )
        }),
        { numRuns: 300 },
      )
    })
  }
})
