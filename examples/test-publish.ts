/** A test of a function, without a broker: `node --test examples/test-publish.ts` after `npm run build`. */
// #region test
import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { publisher } from 'rocketmq-lambda/lambda'
import { httpEvent, lambdaContext } from 'rocketmq-lambda/testing'

test('a topic that is not listed is refused', async () => {
  const client = { nameServers: '127.0.0.1:9876' }
  const handler = publisher({ topics: ['orders'], producerGroup: 'order-api', client })
  const event = httpEvent('POST', '/topics/secrets/messages', { body: 'hello' })
  const answer = await handler(event, lambdaContext())
  deepStrictEqual('statusCode' in answer && answer.statusCode, 403)
})
// #endregion test
