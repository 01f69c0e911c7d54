/** A publisher with rules for its topics: what bodies must fit, and which properties may be given. */
// #region topics
import type { Handler } from 'aws-lambda'
import { publisher } from 'rocketmq-lambda/lambda'
import * as z from 'zod/mini'

export const handler: Handler = publisher({
  topics: {
    orders: { schema: z.object({ order: z.int() }), properties: ['source', 'tenant'] },
    clicks: {},
  },
  properties: ['source'], // of topics that say nothing else: clicks
  producerGroup: 'order-api',
})
// #endregion topics
