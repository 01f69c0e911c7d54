/**
 * The table of orders, in DynamoDB. An item is written once, by whoever is first: the transaction that places the order, or
 * the check that abandons it. All else follows from that: what is abandoned cannot be placed any more, however late the
 * write comes, so that its message may be rolled back; and of two transactions for one order only one is committed.
 */
import {
  ConditionalCheckFailedException,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb'
import type { Order } from './order.ts'

export interface OrderItem {
  state: 'placed' | 'abandoned'
  /** Of the transaction that was first. */
  messageId: string
  /** As JSON; an abandoned one has none. */
  order?: string | undefined
}

export interface OrderTable {
  /** The item as it is now, or undefined. */
  find(id: string): Promise<OrderItem | undefined>
  /** Places the order unless there is an item; gives the item that is there then. */
  place(order: Order, messageId: string): Promise<OrderItem>
  /** Sees to it that the order is not placed any more, unless there is an item; gives the item that is there then. */
  abandon(id: string, messageId: string): Promise<OrderItem>
}

/** @param table its name; its key is `id`, a text */
export function orderTable(dynamodb: DynamoDBClient, table: string): OrderTable {
  const find: OrderTable['find'] = async (id) => {
    // An ordinary read may not see yet what was written a moment ago; its check would roll back a placed order.
    const { Item: item } = await dynamodb.send(
      new GetItemCommand({ TableName: table, Key: { id: { S: id } }, ConsistentRead: true }),
    )
    if (item === undefined) return undefined
    return {
      state: item['state']?.S as OrderItem['state'],
      messageId: item['messageId']?.S ?? '',
      order: item['order']?.S,
    }
  }

  const write = async (id: string, item: OrderItem): Promise<OrderItem> => {
    const { state, messageId, order } = item
    try {
      await dynamodb.send(
        new PutItemCommand({
          TableName: table,
          Item: {
            id: { S: id },
            state: { S: state },
            messageId: { S: messageId },
            ...(order !== undefined && { order: { S: order } }),
          },
          ConditionExpression: 'attribute_not_exists(id)',
        }),
      )
      return item
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error
      // Possibly our own: the SDK repeats a write whose answer was lost.
      return (await find(id)) ?? Promise.reject(error)
    }
  }

  return {
    find,
    place: (order, messageId) =>
      write(order.id, { state: 'placed', messageId, order: JSON.stringify(order) }),
    abandon: (id, messageId) => write(id, { state: 'abandoned', messageId }),
  }
}
