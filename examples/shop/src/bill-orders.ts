/** Writes an invoice for each order. */
import { type Client, createProducer } from 'rocketmq-lambda'
import { eventSource, type RecordHandler } from 'rocketmq-lambda/lambda'
import { readOrder } from './order.ts'

/** The body of a message of the topic `invoices`. */
export interface Invoice {
  order: string
  totalCents: number
}

export function billOrders(client: Client): ReturnType<typeof eventSource> {
  const producer = createProducer(client, { producerGroup: 'billing' })
  const bill: RecordHandler = async (event, _context, { signal }) => {
    const batchItemFailures: { itemIdentifier: string }[] = []
    for (const record of Object.values(event.records).flat()) {
      try {
        const { order, items } = readOrder(record.json())
        const totalCents = items.reduce((sum, { cents, count }) => sum + cents * count, 0)
        const body = JSON.stringify({ order, totalCents } satisfies Invoice)
        // An order may come again. The id makes the second invoice known as a copy of the first.
        const { messageId } = record
        await producer.send({ topic: 'invoices', body, keys: order, messageId }, { signal })
      } catch (error) {
        console.error(`order ${record.keys.join()} is not billed:`, error)
        batchItemFailures.push({ itemIdentifier: record.recordId })
      }
    }
    return { batchItemFailures }
  }
  return eventSource({ topic: 'orders', consumerGroup: 'billing', maximumRetryAttempts: 3, client }, bill)
}
