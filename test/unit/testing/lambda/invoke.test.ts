/** The Invoke API, called by AWS's own client: what is answered, what is refused, and with which words. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { InvokeCommand, type InvokeCommandInput, type LambdaClient } from '@aws-sdk/client-lambda'
import type { Context } from 'aws-lambda'
import { gate, localLambda, sdkClient } from '../../../support/local-lambda.ts'

const ECHO = 'export const handler = async (event) => event'
const COUNT = 'let n = 0; export const handler = async () => ({ count: ++n, pid: process.pid })'
const WAIT = 'export const handler = async ({ gate }) => { await fetch(gate); return process.pid }'

interface Answer {
  status: number | undefined
  error: string | undefined
  payload: unknown
  version: string | undefined
  log: string
}

async function invoke(
  client: LambdaClient,
  FunctionName: string,
  payload?: unknown,
  more: Partial<InvokeCommandInput> = {},
): Promise<Answer> {
  const input = {
    FunctionName,
    ...(payload === undefined ? {} : { Payload: JSON.stringify(payload) }),
    ...more,
  }
  const answer = await client.send(new InvokeCommand(input))
  const text = answer.Payload?.transformToString() ?? ''
  return {
    status: answer.StatusCode,
    error: answer.FunctionError,
    payload: text === '' ? undefined : (JSON.parse(text) as unknown),
    version: answer.ExecutedVersion,
    log: Buffer.from(answer.LogResult ?? '', 'base64').toString(),
  }
}

/** Name, status and message of what the client throws. */
async function refusal(call: Promise<unknown>): Promise<[name: string, status: number, message: string]> {
  const error = await call.then(
    () => assert.fail('it was not refused'),
    (thrown: Error & { $metadata?: { httpStatusCode?: number } }) => thrown,
  )
  return [error.name, error.$metadata?.httpStatusCode ?? 0, error.message]
}

describe('RequestResponse', () => {
  it('answers what the handler has returned, with the version that ran', async (t) => {
    const client = sdkClient(t, await localLambda(t, { echo: ECHO }))

    assert.deepStrictEqual(await invoke(client, 'echo', { a: ['ü', null] }), {
      status: 200,
      error: undefined,
      payload: { a: ['ü', null] },
      version: '$LATEST',
      log: '',
    })
  })

  it('takes no payload for {}, and answers null for undefined', async (t) => {
    const functions = { echo: ECHO, none: 'export const handler = async () => undefined' }
    const client = sdkClient(t, await localLambda(t, functions))

    assert.deepStrictEqual((await invoke(client, 'echo')).payload, {})
    assert.deepStrictEqual((await invoke(client, 'none')).payload, null)
  })

  it('uses a warm environment again', async (t) => {
    const lambda = await localLambda(t, { count: COUNT })
    const client = sdkClient(t, lambda)

    const first = await invoke(client, 'count')
    const second = await invoke(client, 'count')

    const [pid] = lambda.pids()['count'] ?? []
    assert.deepStrictEqual(
      [first.payload, second.payload],
      [
        { count: 1, pid },
        { count: 2, pid },
      ],
    )
  })

  it('gives an environment one invocation at a time: two at once run in two processes', async (t) => {
    const door = await gate(t)
    const lambda = await localLambda(t, { wait: WAIT })
    const client = sdkClient(t, lambda)

    const both = [invoke(client, 'wait', { gate: door.url }), invoke(client, 'wait', { gate: door.url })]
    await door.arrived(2)
    door.open()

    const pids = (await Promise.all(both)).map(({ payload }) => payload)
    assert.equal(new Set(pids).size, 2)
    assert.deepStrictEqual(new Set(pids), new Set(lambda.pids()['wait']))
  })

  it('gives the handler a context as AWS does, with the time that remains', async (t) => {
    const source = `export const handler = async (event, context) =>
      ({ ...context, remaining: context.getRemainingTimeInMillis() })`
    const lambda = await localLambda(t, {
      context: { source, timeoutSeconds: 30, memorySize: 256, qualifiers: ['live'] },
    })
    const ClientContext = Buffer.from('{"custom":{"name":"Grüße"}}').toString('base64')

    const { payload } = await invoke(
      sdkClient(t, lambda),
      'context',
      {},
      { Qualifier: 'live', ClientContext },
    )

    const { awsRequestId, logStreamName, remaining, ...rest } = payload as Context & { remaining: number }
    assert.match(awsRequestId, /^[0-9a-f-]{36}$/)
    assert.match(logStreamName, /^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/)
    assert.ok(remaining > 0 && remaining <= 30_000, `${remaining} ms`)
    assert.deepStrictEqual(rest, {
      callbackWaitsForEmptyEventLoop: true,
      functionName: 'context',
      functionVersion: '$LATEST',
      memoryLimitInMB: '256',
      logGroupName: '/aws/lambda/context',
      invokedFunctionArn: 'arn:aws:lambda:eu-central-1:123456789012:function:context:live',
      clientContext: { custom: { name: 'Grüße' } },
    })
  })

  it('gives the function its own variables and Lambda’s, and none of this process', async (t) => {
    process.env['LOCAL_LAMBDA_SECRET'] = 'x'
    t.after(() => delete process.env['LOCAL_LAMBDA_SECRET'])
    const source = 'export const handler = async () => process.env'
    const lambda = await localLambda(t, { variables: { source, environment: { COLOR: 'blue' } } })

    const variables = (await lambda.invoke('variables')).payload as Record<string, string>

    assert.equal(variables['LOCAL_LAMBDA_SECRET'], undefined)
    const { COLOR, AWS_REGION, AWS_LAMBDA_FUNCTION_NAME, AWS_ENDPOINT_URL_LAMBDA, TZ } = variables
    assert.deepStrictEqual(
      { COLOR, AWS_REGION, AWS_LAMBDA_FUNCTION_NAME, AWS_ENDPOINT_URL_LAMBDA, TZ },
      {
        COLOR: 'blue',
        AWS_REGION: 'eu-central-1',
        AWS_LAMBDA_FUNCTION_NAME: 'variables',
        AWS_ENDPOINT_URL_LAMBDA: lambda.endpoint,
        TZ: 'UTC',
      },
    )
  })

  it('finds the function by its name, with a qualifier, and by its ARN', async (t) => {
    const lambda = await localLambda(t, { echo: { source: ECHO, qualifiers: ['live', '7'] } })
    const client = sdkClient(t, lambda)

    for (const name of [
      'echo:$LATEST',
      'echo:live',
      'echo:7',
      '123456789012:function:echo',
      'arn:aws:lambda:eu-central-1:123456789012:function:echo',
      'arn:aws:lambda:eu-central-1:123456789012:function:echo:live',
    ])
      assert.equal((await invoke(client, name, 1)).payload, 1, name)
  })
})

describe('an invocation is refused', () => {
  it('with 404 when there is no such function or qualifier', async (t) => {
    const client = sdkClient(t, await localLambda(t, { echo: ECHO }))

    const arn = 'arn:aws:lambda:eu-central-1:123456789012:function'
    assert.deepStrictEqual(await refusal(invoke(client, 'none')), [
      'ResourceNotFoundException',
      404,
      `Function not found: ${arn}:none`,
    ])
    assert.deepStrictEqual(await refusal(invoke(client, 'echo', {}, { Qualifier: 'beta' })), [
      'ResourceNotFoundException',
      404,
      `Function not found: ${arn}:echo:beta`,
    ])
    const { endpoint } = await localLambda(t, { echo: ECHO })
    const { status } = await fetch(`${endpoint}/2015-03-31/functions/%zz/invocations`, { method: 'POST' })
    assert.equal(status, 404)
  })

  it('with 413 above 6 MiB, and above 1 MiB for Event', async (t) => {
    const lambda = await localLambda(t, { size: 'export const handler = async ({ text }) => text.length' })
    const client = sdkClient(t, lambda)
    const textOf = (bytes: number): { text: string } => ({ text: 'x'.repeat(bytes - '{"text":""}'.length) })
    const [sync, event] = [6 * 1024 * 1024, 1024 * 1024]

    assert.equal((await invoke(client, 'size', textOf(sync))).payload, sync - 11)
    assert.equal((await invoke(client, 'size', textOf(event), { InvocationType: 'Event' })).status, 202)
    assert.deepStrictEqual(await refusal(invoke(client, 'size', textOf(sync + 1))), [
      'RequestTooLargeException',
      413,
      `${sync + 1} byte payload is too large for the RequestResponse invocation type (limit ${sync} bytes)`,
    ])
    assert.deepStrictEqual(
      (await refusal(invoke(client, 'size', textOf(event + 1), { InvocationType: 'Event' }))).slice(0, 2),
      ['RequestTooLargeException', 413],
    )
  })

  it('with 400 when the payload is not JSON', async (t) => {
    const client = sdkClient(t, await localLambda(t, { echo: ECHO }))

    const [name, status, message] = await refusal(invoke(client, 'echo', undefined, { Payload: '{"a":' }))

    assert.deepStrictEqual([name, status], ['InvalidRequestContentException', 400])
    assert.match(message, /^Could not parse request body into json: /)
  })

  it('with 429 when the concurrency that is reserved for the function is used up', async (t) => {
    const door = await gate(t)
    const functions = { wait: { source: WAIT, reservedConcurrency: 1 }, echo: ECHO }
    const client = sdkClient(t, await localLambda(t, functions))

    const running = invoke(client, 'wait', { gate: door.url })
    await door.arrived(1)
    const refused = await client
      .send(new InvokeCommand({ FunctionName: 'wait' }))
      .catch((error: Error & { Reason?: string }) => [error.name, error.Reason])
    assert.deepStrictEqual(refused, [
      'TooManyRequestsException',
      'ReservedFunctionConcurrentInvocationLimitExceeded',
    ])
    assert.equal((await invoke(client, 'echo', 1)).payload, 1)

    door.open()
    await running
    assert.equal((await invoke(client, 'wait', { gate: door.url })).status, 200)
  })

  it('with 429 when that of the account is used up, without what is reserved for others', async (t) => {
    const door = await gate(t)
    const functions = { wait: WAIT, echo: ECHO, own: { source: ECHO, reservedConcurrency: 1 } }
    const client = sdkClient(t, await localLambda(t, functions, { accountConcurrency: 2 }))

    const running = invoke(client, 'wait', { gate: door.url })
    await door.arrived(1)
    const refused = await client
      .send(new InvokeCommand({ FunctionName: 'echo' }))
      .catch((error: Error & { Reason?: string }) => [error.name, error.Reason])
    assert.deepStrictEqual(refused, ['TooManyRequestsException', 'ConcurrentInvocationLimitExceeded'])
    assert.equal((await invoke(client, 'own', 1)).payload, 1)

    door.open()
    await running
  })

  it('with 204 when it was a DryRun of what could be invoked, and nothing is started', async (t) => {
    const lambda = await localLambda(t, { echo: ECHO })
    const client = sdkClient(t, lambda)

    assert.equal((await invoke(client, 'echo', {}, { InvocationType: 'DryRun' })).status, 204)
    assert.deepStrictEqual(lambda.pids(), { echo: [] })
    const [name] = await refusal(invoke(client, 'none', {}, { InvocationType: 'DryRun' }))
    assert.equal(name, 'ResourceNotFoundException')
  })

  it('when the operation or the invocation type is not known', async (t) => {
    const { endpoint } = await localLambda(t, { echo: ECHO })
    const path = `${endpoint}/2015-03-31/functions/echo/invocations`

    const unknown = await fetch(`${endpoint}/2015-03-31/functions/`)
    const wrong = await fetch(path, { method: 'POST', headers: { 'x-amz-invocation-type': 'Later' } })

    assert.deepStrictEqual(
      [
        unknown.status,
        unknown.headers.get('x-amzn-errortype'),
        wrong.status,
        wrong.headers.get('x-amzn-errortype'),
      ],
      [404, 'UnknownOperationException', 400, 'InvalidParameterValueException'],
    )
  })
})
