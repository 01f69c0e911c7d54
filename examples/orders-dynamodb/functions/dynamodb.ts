/** The table of the environment. ORDERS_TABLE: its name. */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { type OrderTable, orderTable } from '../src/order-table.ts'

/** A transaction should be ended within 2 s (docs/transactions.md): a write does not wait longer than that. */
export const table: OrderTable = orderTable(
  new DynamoDBClient({
    maxAttempts: 2,
    requestHandler: { connectionTimeout: 500, requestTimeout: 1_000, throwOnRequestTimeout: true },
  }),
  process.env['ORDERS_TABLE'] ?? 'orders',
)
