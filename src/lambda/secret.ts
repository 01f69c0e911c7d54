/**
 * Reads credentials from a secret of AWS Secrets Manager. Region, endpoint and its own credentials the SDK has from its own
 * environment. It imports nothing of ours, so that a function that has it loaded on demand still begins with one file.
 */
import type { Credentials } from '../net/credentials.ts'

/** What is used of AWS's SecretsManagerClient. */
export interface SecretsApi {
  send(command: never): Promise<unknown>
}

/** The error to throw. */
type Failed = (what: string, cause?: unknown) => Error

/** Without a way to Secrets Manager each invocation would wait for it; two attempts fit into a client's `timeoutMs`. */
const CONNECT_MS = 1_000
const REQUEST_MS = 1_200

export async function readCredentials(
  secretId: string,
  client: SecretsApi | undefined,
  failed: Failed,
): Promise<Credentials> {
  const text = await readSecret(secretId, client, failed)
  // Nothing of the text gets into an error.
  try {
    const { accessKey, secretKey, securityToken } = JSON.parse(text ?? '') as Credentials
    if (accessKey && secretKey) return { accessKey, secretKey, securityToken }
  } catch {
    // Not JSON; its error would quote it.
  }
  throw failed(`secret ${secretId} is not JSON with accessKey and secretKey`)
}

async function readSecret(
  secretId: string,
  own: SecretsApi | undefined,
  failed: Failed,
): Promise<string | undefined> {
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
