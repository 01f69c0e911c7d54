/** A schedule starts it. Name servers come from ROCKETMQ_NAMESRV_ADDR. */
import type { Handler } from 'aws-lambda'
import { createClient } from 'rocketmq-lambda'
import { billOrders } from '../src/bill-orders.ts'

export const handler: Handler = billOrders(createClient())
