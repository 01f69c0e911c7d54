/**
 * Tests of functions as they are deployed, on a local Lambda, without a broker:
 * `npm run bundle && npm run build && node --test examples/test-lambda.ts`.
 */
// #region serverless
import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'node:test'
import { readServerless, startLambda } from 'rocketmq-lambda/testing'

test('the deployed function refuses a topic that is not listed', async () => {
  const environment = { ROCKETMQ_NAMESRV_ADDR: '127.0.0.1:9876' }
  const functions = await readServerless('serverless.yml', { environment })
  await using lambda = await startLambda({ functions })

  const url = `${lambda.httpUrl}/topics/secrets/messages`
  const response = await fetch(url, { method: 'POST', body: '{"body":"hello"}' })

  deepStrictEqual(response.status, 403)
})

// #endregion serverless
// #region sdk
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda'

test('a caller sees the error of the function', async () => {
  const handler = '.build/functions/publish/index.mjs'
  await using lambda = await startLambda({ functions: { publish: { handler } } })
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
  const client = new LambdaClient({ endpoint: lambda.endpoint, region: 'eu-central-1', credentials })

  const answer = await client.send(new InvokeCommand({ FunctionName: 'publish', LogType: 'Tail' }))

  deepStrictEqual(answer.FunctionError, 'Unhandled')
  const { errorType } = JSON.parse(answer.Payload?.transformToString() ?? '{}')
  deepStrictEqual(errorType, 'ConfigError') // ROCKETMQ_TOPICS is not set
})
// #endregion sdk
