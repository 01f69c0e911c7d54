/** A schedule starts it. Name servers come from ROCKETMQ_NAMESRV_ADDR; BILLED_TABLE: the name of the table. */
import { DynamoDBPersistenceLayer } from '@aws-lambda-powertools/idempotency/dynamodb'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Handler } from 'aws-lambda'
import { createClient } from 'rocketmq-lambda'
import { billOrders } from '../src/bill-orders.ts'

const billed = new DynamoDBPersistenceLayer({
  tableName: process.env['BILLED_TABLE'] ?? 'billed',
  awsSdkV3Client: new DynamoDBClient({
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 500, requestTimeout: 1_000, throwOnRequestTimeout: true },
  }),
})

export const handler: Handler = billOrders(createClient(), billed)
