import { deepStrictEqual } from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import middy from '@middy/core'
import cors from '@middy/http-cors'
import type { Context, Handler } from 'aws-lambda'
import {
  type HttpEvent,
  type HttpResponse,
  type PublishAnswer,
  publisher,
} from '../../../src/lambda/index.ts'
import { httpEvent, lambdaContext } from '../../../src/testing/index.ts'
import { fakeCluster } from '../../support/fake-cluster.ts'

const ORIGIN = 'https://shop.example'

/** As in examples/publish-cors.ts. */
async function publishing(
  t: TestContext,
): Promise<(method: string, origin: string, topic?: string) => Promise<unknown[]>> {
  const cluster = await fakeCluster(t)
  const allowed = cors({
    origins: [ORIGIN],
    methods: 'POST',
    headers: 'content-type, idempotency-key',
    disableBeforePreflightResponse: false,
  })
  const handler: Handler = middy<HttpEvent, PublishAnswer>()
    .use(allowed)
    .handler(publisher({ topics: ['orders'], producerGroup: 'api', client: cluster.client() }))
  return async (method, origin, topic = 'orders') => {
    const event = httpEvent(method, `/topics/${topic}/messages`, { body: 'x' })
    const from = { ...event, headers: { ...event.headers, origin } }
    const answer = (await handler(from, lambdaContext() as Context, () => {})) as HttpResponse
    return [answer.statusCode, answer.headers['Access-Control-Allow-Origin'], cluster.codes().length]
  }
}

describe('a publisher in middy’s CORS middleware', () => {
  it('answers the question of a browser, and tells the origin with each answer, problems too', async (t) => {
    const request = await publishing(t)

    deepStrictEqual(await request('OPTIONS', ORIGIN), [204, ORIGIN, 0])
    deepStrictEqual(await request('POST', ORIGIN, 'secrets'), [403, ORIGIN, 0])
    deepStrictEqual(await request('POST', ORIGIN), [200, ORIGIN, 1])
  })

  it('does not allow another origin', async (t) => {
    const request = await publishing(t)

    deepStrictEqual(await request('OPTIONS', 'https://other.example'), [204, undefined, 0])
  })
})
