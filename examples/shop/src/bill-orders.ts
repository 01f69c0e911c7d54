/**
 * Writes an invoice for each order, once, however often its message comes: Powertools keeps the ids of the messages that
 * were billed in a table.
 */
import {
  IdempotencyConfig,
  IdempotencyPersistenceLayerError,
  makeIdempotent,
} from '@aws-lambda-powertools/idempotency'
import type { BasePersistenceLayer } from '@aws-lambda-powertools/idempotency/persistence'
import type { Context } from 'aws-lambda'
import { type Client, createProducer } from 'rocketmq-lambda'
import { eventSource, type RecordHandler } from 'rocketmq-lambda/lambda'
import { readOrder } from './order.ts'

/** The body of a message of the topic `invoices`. */
export interface Invoice {
  order: string
  totalCents: number
}

/** Longer than brokers keep messages (3 days, as they are shipped): no copy comes later than that. */
const REMEMBERED_SECONDS = 7 * 24 * 3_600

/** @param billed what remembers the messages that were billed */
export function billOrders(client: Client, billed: BasePersistenceLayer): ReturnType<typeof eventSource> {
  const producer = createProducer(client, { producerGroup: 'billing' })
  const config = new IdempotencyConfig({
    eventKeyJmesPath: 'messageId',
    throwOnNoIdempotencyKey: true,
    expiresAfterSeconds: REMEMBERED_SECONDS,
  })

  const billOnce = makeIdempotent(
    async ({ messageId, invoice }: { messageId: string; invoice: Invoice }, signal: AbortSignal) => {
      // Its id makes the second invoice known as a copy, should the function die before the first one is remembered.
      const message = { topic: 'invoices', body: JSON.stringify(invoice), keys: invoice.order, messageId }
      return (await producer.send(message, { signal })).messageId
    },
    // The default prefix has the function's name in it, which a minifier changes with any deployment.
    { persistenceStore: billed, config, keyPrefix: 'bill-orders', dataIndexArgument: 0 },
  )

  const bill: RecordHandler = async (event, context, { signal }) => {
    config.registerLambdaContext(context as Context) // by when a claim of this invocation has ended, if it is killed
    const batchItemFailures: { itemIdentifier: string }[] = []
    for (const record of Object.values(event.records).flat()) {
      try {
        const { order, items } = readOrder(record.json())
        const totalCents = items.reduce((sum, { cents, count }) => sum + cents * count, 0)
        await billOnce({ messageId: record.messageId, invoice: { order, totalCents } }, signal)
      } catch (error) {
        // The table is down: no verdict on this order. The batch comes again, and what was billed of it is remembered.
        if (error instanceof IdempotencyPersistenceLayerError) throw error
        console.error(`order ${record.keys.join()} is not billed:`, error)
        batchItemFailures.push({ itemIdentifier: record.recordId })
      }
    }
    return { batchItemFailures }
  }
  return eventSource({ topic: 'orders', consumerGroup: 'billing', maximumRetryAttempts: 3, client }, bill)
}
