/**
 * Functions that are frozen between invocations, and in the middle of a request, for so long by their clock, while what they
 * are connected to closes: seen (FIN, RST), or unseen, as when a NAT gateway forgets the flow. The tests and `npm run figures`
 * stand on it.
 */
import { join } from 'node:path'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../../scripts/bundle.ts'
import { createClient, createProducer, createTopicAdmin } from '../../src/index.ts'
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
    const func = (handler: string, own: readonly FreezeProxy[]): LocalFunction => ({
      handler,
      timeoutSeconds: 60,
      environment: {
        ROCKETMQ_NAMESRV_ADDR: nameServers,
        ROCKETMQ_TIMEOUT_MS: String(TIMEOUT_MS),
        ROCKETMQ_TOPICS: topic,
        ROCKETMQ_EVENT_SOURCES: JSON.stringify({ orders: { topic, consumerGroup: topic } }),
        TOPIC: topic,
        ...clock.environment(own),
      },
    })
    const frozen = join(folder, 'frozen.mjs')
    await using lambda = await startLambda({
      functions: {
        ...Object.fromEntries(CALLS.map((name) => [name, func(frozen, interrupted)])),
        [WAITING]: func(frozen, others),
        publish: func(await bundleFunction('publish', folder), others),
        consume: func(await bundleFunction('consume', folder), others),
      },
    })
    const request = httpEvent('POST', `/topics/${topic}/messages`, { body: '{}' })
    const events: Record<string, unknown> = {
      ...Object.fromEntries([...CALLS, WAITING].map((call) => [call, { call } satisfies FrozenEvent])),
      publish: request,
      consume: scheduledEvent(),
    }
    const invoke = async (
      name: string,
      event: unknown,
    ): Promise<Pick<ThawFigure, 'outcome' | 'left' | 'tookMs'>> => {
      const { payload, functionError, report } = await lambda.invoke(name, event)
      const { left, outcome, statusCode, errorMessage } = payload as FrozenResult & {
        statusCode?: number
        errorMessage?: string
      }
      const isDone = functionError === undefined && (statusCode ?? 200) === 200
      return {
        outcome: outcome ?? (isDone ? 'done' : (errorMessage ?? `status ${statusCode}`)),
        ...(left !== undefined && { left }),
        tookMs: report?.durationMs ?? Number.NaN,
      }
    }
    const thaw = async (frozen: Frozen, end: End, frozenProxies: readonly FreezeProxy[]): Promise<void> => {
      for (const proxy of frozenProxies) proxy.end(end)
      await clock.advance(FROZEN_MS[frozen])
    }
    const figures: ThawFigure[] = []
    for (const name of Object.keys(events)) await invoke(name, events[name])
    for (let round = 0; round < rounds; round++) {
      for (const frozen of Object.keys(FROZEN_MS) as Frozen[]) {
        for (const end of ENDS) {
          await thaw(frozen, end, proxies)
          await Promise.all(
            Object.entries(events).map(async ([name, event]) => {
              figures.push({ name, frozen, end, ...(await invoke(name, event)) })
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
