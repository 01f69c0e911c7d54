/** A consumer whose records have passed a schema. */
// #region schema
import type { Handler } from 'aws-lambda'
import { eventSource } from 'rocketmq-lambda/lambda'
import * as z from 'zod/mini'

const Order = z.object({
  order: z.int(),
  placed: z.pipe(
    z.iso.datetime(),
    z.transform((text) => new Date(text)),
  ),
})

export const handler: Handler = eventSource(
  { topic: 'orders', consumerGroup: 'billing', schema: Order },
  async (event) => {
    for (const record of Object.values(event.records).flat()) {
      const { order, placed } = record.json() as z.infer<typeof Order>
      console.log(order, placed.getFullYear())
    }
  },
)
// #endregion schema
