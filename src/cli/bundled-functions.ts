/** The functions that come with this package, `publish` and `consume`, with the settings of serverless.yml. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConfigError } from '../errors.ts'
import type { LocalFunction } from '../testing/lambda/index.ts'

export interface BundledFunctionsOptions {
  nameServers: string
  /** What `publish` may publish to; `consume` consumes the first. */
  topics: readonly [string, ...string[]]
  consumerGroup: string
  /** Where the bundles are. @default where the build or `npm run bundle` has put them */
  folder?: string | undefined
}

export function bundledFunctions(options: BundledFunctionsOptions): Record<string, LocalFunction> {
  const { nameServers, topics, consumerGroup, folder = bundleFolder() } = options
  const [topic] = topics
  const shared = { exportName: 'handler', memorySize: 512 }
  const mapping = { [topic]: { topic, consumerGroup, maximumRetryAttempts: 3 } }
  return {
    publish: {
      ...shared,
      handler: join(folder, 'publish', 'index.mjs'),
      environment: {
        ROCKETMQ_NAMESRV_ADDR: nameServers,
        ROCKETMQ_TOPICS: topics.join(','),
        ROCKETMQ_PROPERTIES: '*',
        ROCKETMQ_PRODUCER_GROUP: 'order-api',
      },
      timeoutSeconds: 15,
      events: [{ httpApi: { method: 'POST', path: '/topics/{topic}/messages' } }],
    },
    consume: {
      ...shared,
      handler: join(folder, 'consume', 'index.mjs'),
      environment: { ROCKETMQ_NAMESRV_ADDR: nameServers, ROCKETMQ_EVENT_SOURCES: JSON.stringify(mapping) },
      timeoutSeconds: 50,
      reservedConcurrency: 1,
      maximumRetryAttempts: 0,
      maximumEventAgeInSeconds: 60,
      events: [{ schedule: { rate: ['rate(1 minute)'], input: { version: 1, eventSource: topic } } }],
    },
  }
}

/** Beside the built command line, or where the bundler puts them in the repository. */
function bundleFolder(): string {
  const places = ['../functions', '../../.build/functions'].map((each) =>
    fileURLToPath(new URL(each, import.meta.url)),
  )
  const folder = places.find((each) => existsSync(join(each, 'publish')))
  if (folder === undefined) throw new ConfigError('functions', 'are not bundled yet: npm run bundle')
  return folder
}
