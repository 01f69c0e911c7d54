/**
 * The client of every function here: from its environment, and with ROCKETMQ_SECRET_ARN its credentials from that secret,
 * which is read when they are needed.
 */
import type { ClientOptions } from '../src/client/options.ts'

export function clientOptions(): ClientOptions {
  const secretArn = process.env['ROCKETMQ_SECRET_ARN']
  if (!secretArn) return {}
  return {
    credentials: async () => {
      const { secretCredentials } = await import('../src/lambda/secret-credentials.ts')
      return await secretCredentials(secretArn)()
    },
  }
}
