/**
 * The functions that come with this package, `publish` and `consume`, with the settings of serverless.yml; on request with
 * transactions, which that file has in comments.
 */
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
  /** `publish` begins transactions, and `check-transactions` is there, without a schedule. @default neither */
  transactions?: { secret: string; checkWindowMs: number } | undefined
}

export const PRODUCER_GROUP = 'order-api'

export function bundledFunctions(options: BundledFunctionsOptions): Record<string, LocalFunction> {
  const { nameServers, topics, consumerGroup, folder = bundleFolder(), transactions } = options
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
        ROCKETMQ_PRODUCER_GROUP: PRODUCER_GROUP,
        ...(transactions && { ROCKETMQ_TRANSACTION_SECRET: transactions.secret }),
      },
      timeoutSeconds: 15,
      events: (transactions ? ['messages', 'transactions'] : ['messages']).map((what) => ({
        httpApi: { method: 'POST', path: `/topics/{topic}/${what}` },
      })),
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
    ...(transactions && {
      'check-transactions': {
        ...shared,
        handler: join(folder, 'check-transactions', 'index.mjs'),
        environment: {
          ROCKETMQ_NAMESRV_ADDR: nameServers,
          ROCKETMQ_PRODUCER_GROUP: PRODUCER_GROUP,
          ROCKETMQ_CHECK_WINDOW_MS: String(transactions.checkWindowMs),
        },
        timeoutSeconds: 60,
        reservedConcurrency: 2,
        maximumRetryAttempts: 0,
        maximumEventAgeInSeconds: 60,
      },
    }),
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
