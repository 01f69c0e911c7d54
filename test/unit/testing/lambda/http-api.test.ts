/** The HTTP API in front of functions: routes, events of payload version 2.0, answers. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { APIGatewayProxyEventV2 } from 'aws-lambda'
import { answerOf } from '../../../../src/testing/lambda/http-payload.ts'
import { createRoutes } from '../../../../src/testing/lambda/http-routes.ts'
import { gate, localLambda, type TestFunction } from '../../../support/local-lambda.ts'

const ECHO = 'export const handler = async (event) => event'
const RETURN = 'export const handler = async ({ body }) => JSON.parse(body)'

const routed = (source: string, path: string, method = '*'): TestFunction => ({
  source,
  events: [{ httpApi: { method, path } }],
})

describe('an HTTP request', () => {
  it('becomes an event of payload version 2.0', async (t) => {
    const lambda = await localLambda(t, { echo: routed(ECHO, '/topics/{topic}/messages', 'POST') })

    const response = await fetch(`${lambda.httpUrl}/topics/a%20b/messages?x=1&y=%C3%BC&x=2`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Cookie: 'a=1; b=2', 'X-Color': 'blue' },
      body: '{"order":"ü"}',
    })

    const event = (await response.json()) as APIGatewayProxyEventV2
    const { requestContext, headers, ...rest } = event
    assert.deepStrictEqual(rest, {
      version: '2.0',
      routeKey: 'POST /topics/{topic}/messages',
      rawPath: '/topics/a%20b/messages',
      rawQueryString: 'x=1&y=%C3%BC&x=2',
      cookies: ['a=1', 'b=2'],
      queryStringParameters: { x: '1,2', y: 'ü' },
      pathParameters: { topic: 'a b' },
      body: '{"order":"ü"}',
      isBase64Encoded: false,
    })
    assert.deepStrictEqual([headers['x-color'], headers['content-type']], ['blue', 'application/json'])
    const { requestId, time, timeEpoch, domainName, http, ...context } = requestContext
    assert.match(requestId, /^[0-9a-f-]{36}$/)
    assert.match(time, /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/)
    assert.ok(Math.abs(timeEpoch - Date.now()) < 60_000)
    assert.equal(`http://${domainName}`, lambda.httpUrl)
    assert.deepStrictEqual(context, {
      accountId: '123456789012',
      apiId: 'local',
      domainPrefix: '127',
      routeKey: 'POST /topics/{topic}/messages',
      stage: '$default',
    })
    assert.deepStrictEqual(
      { ...http, userAgent: '' },
      {
        method: 'POST',
        path: '/topics/a%20b/messages',
        protocol: 'HTTP/1.1',
        sourceIp: '127.0.0.1',
        userAgent: '',
      },
    )
  })

  it('has its body in base64 unless its type is text', async (t) => {
    const lambda = await localLambda(t, { echo: routed(ECHO, '*') })
    const bytes = Buffer.from([0, 255, 10])

    const sent = async (type: string): Promise<unknown[]> => {
      const response = await fetch(`${lambda.httpUrl}/`, {
        method: 'PUT',
        headers: { 'content-type': type },
        body: bytes,
      })
      const { body, isBase64Encoded, routeKey } = (await response.json()) as APIGatewayProxyEventV2
      return [body, isBase64Encoded, routeKey]
    }

    assert.deepStrictEqual(await sent('application/octet-stream'), [
      bytes.toString('base64'),
      true,
      '$default',
    ])
    assert.deepStrictEqual((await sent('text/plain')).slice(1), [false, '$default'])
    const without = (await (await fetch(`${lambda.httpUrl}/`)).json()) as object
    assert.equal('body' in without, false)
  })

  it('is answered with status, headers, cookies and body of the function', async (t) => {
    const lambda = await localLambda(t, { answer: routed(RETURN, '/') })
    const ask = async (answer: unknown): Promise<Response> =>
      await fetch(`${lambda.httpUrl}/`, { method: 'POST', body: JSON.stringify(answer) })

    const binary = await ask({
      statusCode: 201,
      headers: { 'Content-Type': 'image/png', 'X-Number': 7 },
      cookies: ['a=1; Secure', 'b=2'],
      body: Buffer.from([0, 255]).toString('base64'),
      isBase64Encoded: true,
    })
    assert.equal(binary.status, 201)
    assert.deepStrictEqual(
      [binary.headers.get('content-type'), binary.headers.get('x-number'), binary.headers.getSetCookie()],
      ['image/png', '7', ['a=1; Secure', 'b=2']],
    )
    assert.deepStrictEqual(Buffer.from(await binary.arrayBuffer()), Buffer.from([0, 255]))

    const plain = await ask({ statusCode: 202, body: 'grüße' })
    assert.deepStrictEqual([plain.status, await plain.text()], [202, 'grüße'])
    const empty = await ask({ statusCode: 204 })
    assert.deepStrictEqual([empty.status, await empty.text()], [204, ''])
    const inferred = await ask({ hello: 'world' })
    assert.deepStrictEqual(
      [inferred.status, inferred.headers.get('content-type'), await inferred.json()],
      [200, 'application/json', { hello: 'world' }],
    )
  })

  it('is answered with 404 without a route, 500 after an error, 503 when throttled, 413 when too large', async (t) => {
    const door = await gate(t)
    const lambda = await localLambda(t, {
      throws: routed('export const handler = async () => { throw new Error() }', '/throws'),
      wrong: routed('export const handler = async () => ({ statusCode: "many" })', '/wrong'),
      busy: {
        ...routed(`export const handler = async () => { await fetch('${door.url}') }`, '/busy'),
        reservedConcurrency: 1,
      },
    })
    const ask = async (path: string, options: RequestInit = {}): Promise<[number, unknown]> => {
      const response = await fetch(`${lambda.httpUrl}${path}`, options)
      return [response.status, await response.json()]
    }

    assert.deepStrictEqual(await ask('/none'), [404, { message: 'Not Found' }])
    assert.deepStrictEqual(await ask('//'), [404, { message: 'Not Found' }])
    assert.deepStrictEqual(await ask('//none/busy'), [404, { message: 'Not Found' }])
    assert.deepStrictEqual(await ask('/throws'), [500, { message: 'Internal Server Error' }])
    assert.deepStrictEqual(await ask('/wrong'), [500, { message: 'Internal Server Error' }])
    const body = 'x'.repeat(6 * 1024 * 1024)
    assert.deepStrictEqual(await ask('/throws', { method: 'POST', body }), [
      413,
      { message: 'Request Entity Too Large' },
    ])
    const running = ask('/busy')
    await door.arrived(1)
    assert.deepStrictEqual(await ask('/busy'), [503, { message: 'Service Unavailable' }])
    door.open()
    assert.deepStrictEqual(await running, [200, null])
  })

  it('has no server when no function has a route', async (t) => {
    assert.equal((await localLambda(t, { echo: ECHO })).httpUrl, undefined)
  })
})

describe('the route of a request', () => {
  const routes = createRoutes(
    ['$default', 'ANY /{proxy+}', 'GET /a/{x}', 'ANY /a/{x}', 'GET /a/b', 'POST /a/{x}/{y+}', 'GET /f.x'].map(
      (routeKey) => ({ routeKey, functionName: 'f' }),
    ),
  )

  for (const [method, path, routeKey, pathParameters] of [
    ['GET', '/a/b', 'GET /a/b', undefined],
    ['GET', '/a/c', 'GET /a/{x}', { x: 'c' }],
    ['GET', '/a/c%2Fd', 'GET /a/{x}', { x: 'c/d' }],
    ['GET', '/a/%', 'GET /a/{x}', { x: '%' }],
    ['PUT', '/a/b', 'ANY /a/{x}', { x: 'b' }],
    ['POST', '/a/b/c/d', 'POST /a/{x}/{y+}', { x: 'b', y: 'c/d' }],
    ['GET', '/a/b/c', 'ANY /{proxy+}', { proxy: 'a/b/c' }],
    ['GET', '/fax', 'ANY /{proxy+}', { proxy: 'fax' }],
    ['GET', '/f.x', 'GET /f.x', undefined],
    ['GET', '/', '$default', undefined],
  ] as const) {
    it(`of ${method} ${path} is ${routeKey}`, () => {
      const { functionName, ...found } = routes.find(method, path) ?? {}
      assert.equal(functionName, 'f')
      assert.deepStrictEqual(found, { routeKey, ...(pathParameters === undefined ? {} : { pathParameters }) })
    })
  }

  it('is none when nothing fits', () => {
    assert.equal(createRoutes([{ routeKey: 'GET /a', functionName: 'f' }]).find('POST', '/a'), undefined)
  })

  it('belongs to one function', () => {
    const twice = ['a', 'b'].map((functionName) => ({ routeKey: 'GET /a', functionName }))
    assert.throws(() => createRoutes(twice), {
      name: 'ConfigError',
      message: 'functions.b.events: GET /a is a route of a already',
    })
  })
})

describe('an answer', () => {
  it('of text is that text, and one that API Gateway would not take is none', () => {
    const answer = (value: unknown): string | undefined =>
      answerOf(Buffer.from(JSON.stringify(value)))?.body.toString()

    assert.deepStrictEqual([answer('hello'), answer(null), answer([1])], ['hello', 'null', '[1]'])
    for (const wrong of [
      { statusCode: 99 },
      { statusCode: 200, body: {} },
      { statusCode: 200, cookies: 'a' },
      { statusCode: 200, headers: { 'a b': 'c' } },
      { statusCode: 200, headers: { a: 'b\nc' } },
      { statusCode: 200, cookies: ['a\n'] },
    ])
      assert.equal(answer(wrong), undefined, JSON.stringify(wrong))
  })
})
