/**
 * The client of every function here: from its environment, and with ROCKETMQ_SECRET_ARN its credentials from that secret,
 * which is read when they are needed.
 */
import type { ClientOptions } from '../src/client/options.ts'
import { secretCredentials } from '../src/lambda/secret-credentials.ts'

export function clientOptions(): ClientOptions {
  const secretArn = process.env['ROCKETMQ_SECRET_ARN']
  return secretArn ? { credentials: secretCredentials(secretArn) } : {}
}
