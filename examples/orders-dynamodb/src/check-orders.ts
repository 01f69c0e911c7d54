/** Says what became of an order when nobody ended its transaction: by the table, and by nothing else. */
import type { Resolve } from 'rocketmq-lambda'
import { readOrder } from './order.ts'
import type { OrderTable } from './order-table.ts'

/**
 * @param writtenWithinMs an order that is not written so long after its beginning is abandoned. Longer than the time limit
 * of the function that writes it: a shorter one is safe, but abandons orders that are on their way.
 */
export function resolveOrder(
  table: OrderTable,
  { writtenWithinMs = 60_000 }: { writtenWithinMs?: number } = {},
): Resolve {
  return async ({ body, messageId, bornTimestamp }) => {
    const { id } = readOrder(JSON.parse(body.toString()))
    let item = await table.find(id)
    if (item === undefined && Date.now() - bornTimestamp < writtenWithinMs) return 'unknown' // it may still be written
    item ??= await table.abandon(id, messageId)
    return item.state === 'placed' && item.messageId === messageId ? 'commit' : 'rollback'
  }
}
