/**
 * Credentials from AWS Secrets Manager. AWS's SDK is an optional peer, loaded when they are asked for; region, endpoint and
 * its own credentials come from its own environment. The client of RocketMQ keeps what it got for five minutes, and asks
 * again when a broker refuses it.
 */
import { ConfigError } from '../errors.ts'
import type { Credentials } from '../net/credentials.ts'
import { checkText } from '../wire/checks.ts'

/** What is used of AWS's SecretsManagerClient. */
export interface SecretsApi {
  send(command: never): Promise<unknown>
}

/** Without a way to Secrets Manager each invocation would wait for it; two attempts fit into a client's `timeoutMs`. */
const CONNECT_MS = 1_000
const REQUEST_MS = 1_200

/**
 * The `credentials` option of a client: reads a secret whose text is JSON, `{ accessKey, secretKey, securityToken? }`.
 *
 * @param secretId its ARN or name
 * @param client a client of the caller's, which stays open
 * @example
 * const client = createClient({ credentials: secretCredentials('arn:aws:secretsmanager:…:secret:rocketmq') })
 * @throws ConfigError without a name
 */
export function secretCredentials(secretId: string, client?: SecretsApi): () => Promise<Credentials> {
  checkText('secretId', secretId)
  return async () => credentialsIn(await readSecret(secretId, client), secretId)
}

async function readSecret(secretId: string, own?: SecretsApi): Promise<string | undefined> {
  const { SecretsManagerClient, GetSecretValueCommand } = await import(
    '@aws-sdk/client-secrets-manager'
  ).catch((cause: unknown) => {
    throw failed('need @aws-sdk/client-secrets-manager; add it to your dependencies', cause)
  })
  // For this one call: a socket that was kept over a freeze would be dead, and look alive.
  const requestHandler = {
    connectionTimeout: CONNECT_MS,
    requestTimeout: REQUEST_MS,
    throwOnRequestTimeout: true,
  }
  const client = own ? undefined : new SecretsManagerClient({ maxAttempts: 2, requestHandler })
  try {
    const command = new GetSecretValueCommand({ SecretId: secretId })
    const answer = await (own ?? client)?.send(command as never)
    return (answer as { SecretString?: string }).SecretString
  } catch (cause) {
    const { name, message } = cause as Error
    throw failed(`secret ${secretId} was not read: ${name}: ${message}`, cause)
  } finally {
    client?.destroy()
  }
}

/** Nothing of the text gets into an error. */
function credentialsIn(text: string | undefined, secretId: string): Credentials {
  try {
    const { accessKey, secretKey, securityToken } = JSON.parse(text ?? '') as Credentials
    if (accessKey && secretKey) return { accessKey, secretKey, securityToken }
  } catch {
    // Not JSON; its error would quote it.
  }
  throw failed(`secret ${secretId} is not JSON with accessKey and secretKey`)
}

/** A ConfigError is thrown as it is, with its text; of another one the client shows the cause only. */
const failed = (what: string, cause?: unknown): ConfigError =>
  new ConfigError('credentials()', what, { cause })
