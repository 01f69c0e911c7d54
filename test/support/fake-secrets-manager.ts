/** Secrets Manager as far as GetSecretValue goes: an HTTP server that AWS's SDK is pointed at. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

export interface FakeSecretsManager {
  endpoint: string
  /** The ids that were asked for, each attempt of a call counted once: where an answer comes late AWS's client asks again. */
  asked: string[]
  /** Whether there were calls of more than one attempt, or none at all: the machine was too busy to answer in time. */
  isSlow(): boolean
  /** What a function needs to find it. */
  environment: Record<string, string>
}

/** @param secretOf the text of the secret; undefined: there is none of that id */
export async function fakeSecretsManager(
  t: TestContext,
  secretOf: (id: string) => string | undefined,
): Promise<FakeSecretsManager> {
  const asked: string[] = []
  const calls = new Set<unknown>()
  let attempts = 0
  const answer = (call: unknown, body: string, response: ServerResponse): void => {
    const { SecretId } = JSON.parse(body) as { SecretId: string }
    if (!calls.has(call)) asked.push(SecretId)
    calls.add(call)
    attempts += 1
    const text = secretOf(SecretId)
    const [status, value] =
      text === undefined
        ? [400, { __type: 'ResourceNotFoundException', message: 'no such secret' }]
        : [200, { ARN: SecretId, Name: 'rocketmq', SecretString: text }]
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(value))
  }
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk
    })
    request.on('end', () => answer(request.headers['amz-sdk-invocation-id'], body, response))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    endpoint,
    asked,
    isSlow: () => attempts === 0 || attempts > calls.size,
    environment: {
      AWS_ENDPOINT_URL_SECRETS_MANAGER: endpoint,
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
    },
  }
}
