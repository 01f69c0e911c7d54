/** POST /orders. Name servers come from ROCKETMQ_NAMESRV_ADDR. */
import type { APIGatewayProxyHandlerV2 } from 'aws-lambda'
import { createClient } from 'rocketmq-lambda'
import { placeOrder } from '../src/place-order.ts'
import { table } from './dynamodb.ts'

export const handler: APIGatewayProxyHandlerV2 = placeOrder(createClient(), table)
