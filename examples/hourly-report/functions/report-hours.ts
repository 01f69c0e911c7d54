/**
 * A schedule starts it, five minutes past each hour.
 *
 * ROCKETMQ_NAMESRV_ADDR  name servers
 * REPORTS_TABLE          the name of the table
 * REPORTS_FROM           the beginning of the first hour, ISO 8601
 */
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import type { Handler } from 'aws-lambda'
import { createClient } from 'rocketmq-lambda'
import { reportHours } from '../src/report-hours.ts'
import { reportTable } from '../src/report-table.ts'

const dynamodb = new DynamoDBClient({
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 500, requestTimeout: 1_000, throwOnRequestTimeout: true },
})

export const handler: Handler = reportHours({
  client: createClient(),
  table: reportTable(dynamodb, process.env['REPORTS_TABLE'] ?? 'reports'),
  from: process.env['REPORTS_FROM'] ?? '',
})
