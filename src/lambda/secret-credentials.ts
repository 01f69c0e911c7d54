/**
 * Credentials from AWS Secrets Manager. What reads them is loaded when they are asked for, and AWS's SDK with it, an optional
 * peer. The client of RocketMQ keeps what it got for five minutes, and asks again when a broker refuses it.
 */
import { ConfigError } from '../errors.ts'
import type { Credentials } from '../net/credentials.ts'
import { checkText } from '../wire/checks.ts'
import type { SecretsApi } from './secret.ts'

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
  return async () => {
    const { readCredentials } = await import('./secret.ts')
    return await readCredentials(secretId, client, failed)
  }
}

/** A ConfigError is thrown as it is, with its text; of another one the client shows the cause only. */
const failed = (what: string, cause?: unknown): ConfigError =>
  new ConfigError('credentials()', what, { cause })
