/**
 * Functions that are frozen between invocations, and in the middle of a request, for so long by their clock, while what they
 * are connected to closes: seen (FIN, RST), or unseen, as when a NAT gateway forgets the flow. The tests and `npm run figures`
 * stand on it.
 */
import { join } from 'node:path'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../../scripts/bundle.ts'
import { sealTransaction } from '../../src/client/transaction.ts'
import { createClient, createProducer, createTopicAdmin, createTransactionProducer } from '../../src/index.ts'
import { httpEvent, type LocalFunction, scheduledEvent, startLambda } from '../../src/testing/index.ts'
import type { RocketMQ } from '../support/rocketmq/start.ts'
import { FROZEN_MS, type Frozen, openFreezeClock } from './freeze-clock.ts'
import { ENDS, type End, type FreezeProxy, openFreezeProxy } from './freeze-proxy.ts'
import type { FrozenEvent, FrozenResult } from './frozen.ts'

/** One invocation of a warm function. */
export interface ThawFigure {
  name: string
  frozen: Frozen
  end: End
  /** In the middle of a request: how that ended. */
  left?: string
  /** `done`, or what went wrong. */
  outcome: string
  tookMs: number
}

const CALLS = ['send', 'pull', 'commit'] as const
/** A pull that the broker may hold for a second. What was swallowed it gives up only 5 s and `timeoutMs` after that. */
const WAITING = 'waiting-pull' as const
const TIMEOUT_MS = 1_000
const SECRET = 'a secret of more than thirty-two characters'
/** Made once only: behind connections that vanished in the moment before nothing can be done about them. */
const ONCE: readonly string[] = ['begin', 'end-transaction']

/** What succeeds at the first call behind its freeze. */
export const isPromised = ({ name, frozen, end }: ThawFigure): boolean =>
  !(ONCE.includes(name) && frozen === '0 s' && end === 'vanish')

/** So many thaws of each function after each freeze and each end of its connections. */
export async function measureThaws(
  { nameServers, brokers }: RocketMQ,
  rounds: number,
): Promise<ThawFigure[]> {
  await using clock = await openFreezeClock()
  const { folder } = clock
  const topic = 'frozen'
  const client = createClient({ nameServers, timeoutMs: 20_000 })
  const open = (): Promise<FreezeProxy[]> =>
    Promise.all([nameServers, ...brokers.map(({ address }) => address)].map(openFreezeProxy))
  /** Of functions with calls in flight, and of the others: their connections live on behind a freeze that is not theirs. */
  const [interrupted, others] = [await open(), await open()]
  const proxies = [...interrupted, ...others]
  try {
    await createTopicAdmin(client).create(topic, { readQueueNums: 1, writeQueueNums: 1 })
    await createProducer(client, { producerGroup: topic }).send({ topic, body: '{}' })
    const entryPoints = { frozen: join(import.meta.dirname, 'frozen.ts') }
    await build({ ...bundleOptions, entryPoints, outdir: folder })
    const func = (handler: string, own: readonly FreezeProxy[], mapping: object = {}): LocalFunction => ({
      handler,
      timeoutSeconds: 60,
      environment: {
        ROCKETMQ_NAMESRV_ADDR: nameServers,
        ROCKETMQ_TIMEOUT_MS: String(TIMEOUT_MS),
        ROCKETMQ_TOPICS: topic,
        ROCKETMQ_EVENT_SOURCES: JSON.stringify({ orders: { topic, consumerGroup: topic, ...mapping } }),
        ROCKETMQ_WORKER_FUNCTION: 'consume',
        ROCKETMQ_PRODUCER_GROUP: topic,
        ROCKETMQ_TRANSACTION_SECRET: SECRET,
        ROCKETMQ_CHECK_WINDOW_MS: '500',
        TOPIC: topic,
        ...clock.environment(own),
      },
    })
    const frozen = join(folder, 'frozen.mjs')
    const [publish, consume] = [
      func(await bundleFunction('publish', folder), others),
      await bundleFunction('consume', folder),
    ]
    const figures: ThawFigure[] = []
    await using lambda = await startLambda({
      functions: {
        ...Object.fromEntries(CALLS.map((name) => [name, func(frozen, interrupted)])),
        [WAITING]: func(frozen, others),
        publish,
        begin: publish,
        consume: func(consume, others),
        pop: func(consume, others, { consumerGroup: 'popping', mode: 'pop' }),
        dispatch: func(await bundleFunction('dispatch', folder), others),
        'end-transaction': func(await bundleFunction('end-transaction', folder), others),
        'check-transactions': func(await bundleFunction('check-transactions', folder), others),
      },
      // Behind an answer nobody would hear of it.
      onLog({ functionName: name, line }) {
        if (/Uncaught|Unhandled/.test(line))
          figures.push({ name, frozen: '0 s', end: 'stay', outcome: line, tookMs: Number.NaN })
      },
    })
    const transactions = createTransactionProducer(client, { producerGroup: topic })
    const seal = { secrets: [SECRET], maxAgeMs: 0 }
    /** By how much the clock of the functions goes before that of the broker, in ms. */
    let aheadMs = 0
    const events: Record<string, () => unknown> = {
      ...Object.fromEntries(
        [...CALLS, WAITING].map((call) => [call, () => ({ call }) satisfies FrozenEvent]),
      ),
      publish: () => httpEvent('POST', `/topics/${topic}/messages`, { body: '{}' }),
      begin: () => httpEvent('POST', `/topics/${topic}/transactions`, { body: '{}' }),
      consume: scheduledEvent,
      pop: scheduledEvent,
      dispatch: scheduledEvent,
      'end-transaction': async () => {
        const transaction = await transactions.begin({ topic, body: '{}' })
        const begunAt = transaction.begunAt + aheadMs
        return { transaction: sealTransaction(seal, { ...transaction, begunAt }), outcome: 'rollback' }
      },
      'check-transactions': scheduledEvent,
    }
    const invoke = async (
      name: string,
      event: unknown,
    ): Promise<Pick<ThawFigure, 'outcome' | 'left' | 'tookMs'>> => {
      const { payload, functionError, report } = await lambda.invoke(name, event)
      const {
        left,
        outcome,
        statusCode = 200,
        errorMessage,
        unreachable = [],
      } = payload as FrozenResult & {
        statusCode?: number
        errorMessage?: string
        unreachable?: unknown[]
      }
      const isDone = functionError === undefined && statusCode < 300 && unreachable.length === 0
      const ended = isDone
        ? 'done'
        : (errorMessage ?? `status ${statusCode}, unreachable: ${JSON.stringify(unreachable)}`)
      return {
        // That of a transaction is another one.
        outcome: 'call' in (event as object) ? (outcome ?? ended) : ended,
        ...(left !== undefined && { left }),
        tookMs: report?.durationMs ?? Number.NaN,
      }
    }
    const thaw = async (frozen: Frozen, end: End, frozenProxies: readonly FreezeProxy[]): Promise<void> => {
      for (const proxy of frozenProxies) proxy.end(end)
      await clock.advance(FROZEN_MS[frozen])
      aheadMs += FROZEN_MS[frozen]
    }
    for (const [name, event] of Object.entries(events)) await invoke(name, await event())
    for (let round = 0; round < rounds; round++) {
      for (const frozen of Object.keys(FROZEN_MS) as Frozen[]) {
        for (const end of ENDS) {
          await thaw(frozen, end, proxies)
          await Promise.all(
            Object.entries(events).map(async ([name, event]) => {
              figures.push({ name, frozen, end, ...(await invoke(name, await event())) })
            }),
          )
          // And once more with a call in flight, whose answer does not come before the freeze.
          for (const proxy of interrupted) proxy.hold()
          await Promise.all(CALLS.map((call) => invoke(call, { call, leave: true } satisfies FrozenEvent)))
          await thaw(frozen, end, interrupted)
          await Promise.all(
            CALLS.map(async (name) => {
              figures.push({
                name: `${name}, one in flight`,
                frozen,
                end,
                ...(await invoke(name, { call: name })),
              })
            }),
          )
        }
      }
    }
    return figures
  } finally {
    await client.close()
    for (const proxy of proxies) proxy.close()
  }
}
