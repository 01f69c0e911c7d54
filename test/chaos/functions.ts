/** The bundled functions as they are deployed, in the local Lambda, and what each of them is set to. */
import { join } from 'node:path'
import { build as bundleWith, type Plugin } from 'esbuild'
import { bundleOptions, functionNames } from '../../scripts/bundle.ts'
import { type LocalFunction, type LocalLambda, startLambda } from '../../src/testing/index.ts'
import type { History } from './history.ts'

export const ORDERS = 'orders'
export const PAYMENTS = 'payments'
/** On each broker, of each topic. */
export const QUEUES = 4
/** Consumer groups, and how their functions are called: the name says how the judge judges. */
export const GROUPS = ['chaos-block', 'chaos-retry', 'chaos-dispatched'] as const
const PRODUCER_GROUP = 'chaos'
const WINDOW_MS = 7_000
/** Of what an invocation failed with. */
const MOST_CHARACTERS = 2_000

/** How many invocations of each function there are at once. */
export const WORKERS: Readonly<Record<string, number>> = {
  'consume-block': 3,
  'consume-long': 1,
  'consume-retry': 2,
  dispatch: 1,
}

/** What stands in for the parts of functions/ that users write. */
const replaced: Plugin = {
  name: 'what users write',
  setup(build) {
    build.onResolve({ filter: /\/(handle-records|resolve-transaction)\.ts$/ }, ({ path }) => ({
      path: join(import.meta.dirname, path),
    }))
  },
}

/** Of the payload of an invocation that failed, however long it is: the type apart from the text, which is cut. */
export function failureOf(payload: string): { errorType: string; error: string } {
  const { errorType = '' } = JSON.parse(payload) as { errorType?: string }
  return { errorType, error: payload.slice(0, MOST_CHARACTERS) }
}

/** That of `dispatch` tells a judge more of its errors. */
const sourceOf = (name: string): string =>
  join(import.meta.dirname, name === 'dispatch' ? 'dispatch.ts' : `../../functions/${name}.ts`)

async function bundle(folder: string): Promise<(name: string) => string> {
  const fileOf = (name: string): string => join(folder, 'functions', name, 'index.mjs')
  for (const name of functionNames)
    await bundleWith({
      ...bundleOptions,
      plugins: [replaced],
      entryPoints: { index: sourceOf(name) },
      outdir: join(folder, 'functions', name),
    })
  return fileOf
}

export async function startFunctions(
  nameServers: string,
  folder: string,
  history: History,
): Promise<LocalLambda> {
  const fileOf = await bundle(folder)
  const common = {
    ROCKETMQ_NAMESRV_ADDR: nameServers,
    ROCKETMQ_PRODUCER_GROUP: PRODUCER_GROUP,
    ROCKETMQ_TOPICS: `${ORDERS},${PAYMENTS}`,
    ROCKETMQ_TRANSACTION_SECRET: 'a secret of more than thirty-two characters',
  }
  const func = (
    bundled: string,
    timeoutSeconds: number,
    environment: Record<string, string> = {},
  ): LocalFunction => ({
    handler: fileOf(bundled),
    timeoutSeconds,
    maximumRetryAttempts: 0,
    environment: { ...common, ...environment },
  })
  const mapping = (consumerGroup: string, more: object): Record<string, string> => ({
    GROUP: consumerGroup,
    ROCKETMQ_EVENT_SOURCES: JSON.stringify({
      [ORDERS]: { topic: ORDERS, consumerGroup, batchSize: 10, ...more },
    }),
  })
  const dispatched = mapping('chaos-dispatched', {
    lagThreshold: 20,
    maximumConcurrency: 3,
    retryLevels: [1],
  })
  const functions = {
    publish: func('publish', 10),
    'consume-block': func('consume', 20, mapping('chaos-block', { onFailure: 'block' })),
    // In the group of the one before, and with time to sleep longer than its leases last.
    'consume-long': func('consume', 100, mapping('chaos-block', { onFailure: 'block' })),
    'consume-retry': func('consume', 20, { ...mapping('chaos-retry', { retryLevels: [1] }), FAILS: 'true' }),
    'consume-dispatched': func('consume', 20, dispatched),
    dispatch: func('dispatch', 10, { ...dispatched, ROCKETMQ_WORKER_FUNCTION: 'consume-dispatched' }),
    'end-transaction': func('end-transaction', 10),
    'check-transactions': func('check-transactions', 15, { ROCKETMQ_CHECK_WINDOW_MS: String(WINDOW_MS) }),
  }
  return await startLambda({
    functions,
    onLog: ({ functionName: name, line }) => {
      if (line.startsWith('{"kind":"record"')) history.add(JSON.parse(line))
      else if (/Uncaught|Unhandled/.test(line)) history.add({ kind: 'crash', at: Date.now(), name, line })
    },
    onInvocation: ({ functionName, requestId, pid, report, payload, functionError }) => {
      history.add({
        kind: 'invocation',
        name: functionName,
        invocation: requestId,
        ...(pid === undefined ? {} : { pid }),
        at: Date.now(),
        durationMs: report.durationMs,
        limitMs: (functions[functionName as keyof typeof functions].timeoutSeconds ?? 3) * 1_000,
        status: report.status,
        ...(functionError ? failureOf(payload) : {}),
      })
    },
  })
}
