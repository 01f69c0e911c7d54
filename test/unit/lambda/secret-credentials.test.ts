import { deepStrictEqual, match, ok, rejects, throws } from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../../../scripts/bundle.ts'
import { RequestCode } from '../../../src/commands/index.ts'
import { ConfigError } from '../../../src/errors.ts'
import { createProducer } from '../../../src/index.ts'
import {
  type HttpResponse,
  publisher,
  type SecretsApi,
  secretCredentials,
} from '../../../src/lambda/index.ts'
import { httpEvent, lambdaContext } from '../../../src/testing/index.ts'
import { fakeCluster, type Handler, stored } from '../../support/fake-cluster.ts'
import { fakeSecretsManager } from '../../support/fake-secrets-manager.ts'
import { contractOf } from '../../support/openapi.ts'
import { runFunction } from '../../support/run-function.ts'

const ARN = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:rocketmq-AbCdEf'

function secretsClient(t: TestContext, endpoint: string): SecretsApi {
  const client = new SecretsManagerClient({
    endpoint,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  })
  t.after(() => client.destroy())
  return client
}

/** Takes messages that are signed with this key. */
const taking =
  (accessKey: () => string): Handler =>
  (frame) =>
    frame.ext['AccessKey'] === accessKey() ? stored(frame) : { code: 16, remark: 'check signature failed' }

describe('credentials from a secret', () => {
  it('are its access key, secret key and security token, and nothing else of it', async (t) => {
    const secret = { accessKey: 'AK', secretKey: 'SK', securityToken: 'ST', host: 'a' }
    const { endpoint, asked } = await fakeSecretsManager(t, () => JSON.stringify(secret))

    const credentials = await secretCredentials(ARN, secretsClient(t, endpoint))()

    deepStrictEqual([credentials, asked], [{ accessKey: 'AK', secretKey: 'SK', securityToken: 'ST' }, [ARN]])
  })

  it('are read once for many sends, and again when a broker refuses them', async (t) => {
    let current = 'first'
    const { endpoint, asked } = await fakeSecretsManager(t, () =>
      JSON.stringify({ accessKey: current, secretKey: 'SK' }),
    )
    const cluster = await fakeCluster(t, {
      brokers: { 'broker-a': { [RequestCode.SEND_MESSAGE_V2]: taking(() => current) } },
    })
    const credentials = secretCredentials(ARN, secretsClient(t, endpoint))
    const producer = createProducer(cluster.client({ credentials }), { producerGroup: 'api' })
    const send = async (): Promise<string> => (await producer.send({ topic: 'orders', body: 'x' })).status

    const before = [await send(), await send(), asked.length]
    current = 'second'
    const after = [await send(), await send(), asked.length]

    deepStrictEqual(
      [before, after],
      [
        ['SEND_OK', 'SEND_OK', 1],
        ['SEND_OK', 'SEND_OK', 2],
      ],
    )
  })

  for (const [what, text] of [
    ['no JSON', 'the-key:the-password'],
    ['JSON without keys', '{"username":"the-key","password":"the-password"}'],
    ['null', 'null'],
    ['empty', ''],
  ] as const) {
    it(`are refused, and not shown, when the secret is ${what}`, async (t) => {
      const { endpoint } = await fakeSecretsManager(t, () => text)

      const error = await secretCredentials(ARN, secretsClient(t, endpoint))().catch((e: unknown) => e)

      ok(error instanceof ConfigError)
      deepStrictEqual(
        [error.message, error.cause],
        [`credentials(): secret ${ARN} is not JSON with accessKey and secretKey`, undefined],
      )
    })
  }

  it('that cannot be read say why, and are a 500 to an HTTP caller, who is not told', async (t) => {
    const { endpoint } = await fakeSecretsManager(t, () => undefined)
    const cluster = await fakeCluster(t)
    const credentials = secretCredentials(ARN, secretsClient(t, endpoint))
    const handler = publisher({
      topics: ['orders'],
      producerGroup: 'api',
      client: cluster.client({ credentials }),
    })
    const log = t.mock.method(console, 'error', () => {})

    const event = httpEvent('POST', '/topics/orders/messages', { body: 'x' })
    const { statusCode, headers, body } = (await handler(event, lambdaContext())) as HttpResponse
    const direct = handler({ topic: 'orders', body: 'x' }, lambdaContext())

    await rejects(direct, {
      message: `credentials(): secret ${ARN} was not read: ResourceNotFoundException: no such secret`,
    })
    contractOf('/topics/{topic}/messages').check({ status: statusCode, headers, body: JSON.parse(body) })
    deepStrictEqual([statusCode, body.includes(ARN), log.mock.callCount()], [500, false, 1])
    deepStrictEqual(cluster.codes(), [])
  })

  it('need a name', () => {
    throws(
      () => secretCredentials(''),
      (error) => error instanceof ConfigError && error.field === 'secretId',
    )
  })
})

describe('the functions with ROCKETMQ_SECRET_ARN', () => {
  const folderOf = async (t: TestContext): Promise<string> => {
    const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-secret-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    return folder
  }
  const secretText = JSON.stringify({ accessKey: 'AK', secretKey: 'SK' })
  const mapping = { orders: { topic: 'orders', consumerGroup: 'billing' } }
  const settings: Readonly<Record<string, Record<string, string>>> = {
    publish: { ROCKETMQ_TOPICS: 'orders' },
    consume: { ROCKETMQ_EVENT_SOURCES: JSON.stringify(mapping) },
    dispatch: { ROCKETMQ_EVENT_SOURCES: JSON.stringify(mapping), ROCKETMQ_WORKER_FUNCTION: 'consume' },
  }

  for (const [name, environment] of Object.entries(settings)) {
    it(`sign what ${name} asks with the keys of the secret, which they read once`, async (t) => {
      const file = await bundleFunction(name, await folderOf(t))
      const sign = async () => {
        const secrets = await fakeSecretsManager(t, () => secretText)
        const cluster = await fakeCluster(t)
        const { exitCode } = await runFunction(
          file,
          httpEvent('POST', '/topics/orders/messages', { body: 'x' }),
          {
            environment: {
              ...environment,
              ...secrets.environment,
              ROCKETMQ_NAMESRV_ADDR: cluster.nameServer.address,
              ROCKETMQ_SECRET_ARN: ARN,
            },
          },
        )
        return { exitCode, secrets, frames: cluster.nameServer.frames }
      }

      let signed = await sign()
      for (let again = 0; again < 5 && signed.secrets.isSlow(); again++) signed = await sign()

      const { exitCode, secrets, frames } = signed
      deepStrictEqual([exitCode, secrets.asked], [0, [ARN]])
      ok(frames.length > 0 && frames.every(({ ext }) => ext['AccessKey'] === 'AK'))
    })
  }

  it('say which package is missing, and in a bundle of a publisher without a secret there is nothing of it', async (t) => {
    const folder = await folderOf(t)
    const outfile = join(folder, 'publish.mjs')
    const options = { ...bundleOptions, splitting: false, external: ['@aws-sdk/client-secrets-manager'] }
    const publish = join(import.meta.dirname, '../../../functions/publish.ts')
    await build({ ...options, entryPoints: [publish], outfile })
    const entry = join(import.meta.dirname, '../../../src/lambda/index.ts')
    const contents = `export { publisher } from ${JSON.stringify(entry)}`
    const { outputFiles } = await build({
      ...options,
      stdin: { contents, resolveDir: folder },
      write: false,
    })

    const { error } = await runFunction(
      outfile,
      { topic: 'orders', body: 'x' },
      {
        environment: {
          ROCKETMQ_NAMESRV_ADDR: '127.0.0.1:1',
          ROCKETMQ_TOPICS: 'orders',
          ROCKETMQ_SECRET_ARN: ARN,
        },
      },
    )

    match(error?.message ?? '', /^credentials\(\): need @aws-sdk\/client-secrets-manager; add it /)
    deepStrictEqual(
      outputFiles.some(({ text }) => text.includes('secrets-manager')),
      false,
    )
  })
})
