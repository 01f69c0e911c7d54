/** A publisher that answers the web pages of another origin by itself. */
// #region cors
import middy from '@middy/core'
import cors from '@middy/http-cors'
import type { Handler } from 'aws-lambda'
import { type HttpEvent, type PublishAnswer, publisher } from 'rocketmq-lambda/lambda'

const allowed = cors({
  origins: ['https://shop.example'],
  methods: 'POST',
  headers: 'content-type, idempotency-key',
  disableBeforePreflightResponse: false,
})

export const handler: Handler = middy<HttpEvent, PublishAnswer>()
  .use(allowed)
  .handler(publisher({ topics: ['orders'], producerGroup: 'order-api' }))
// #endregion cors
