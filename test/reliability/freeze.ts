/**
 * Functions that are frozen between invocations, and in the middle of a request, for so long by their clock, while what they
 * are connected to closes: seen (FIN, RST), or unseen, as when a NAT gateway forgets the flow. The tests and `npm run figures`
 * stand on it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../../scripts/bundle.ts'
import { createClient, createProducer, createTopicAdmin } from '../../src/index.ts'
import { httpEvent, type LocalFunction, scheduledEvent, startLambda } from '../../src/testing/index.ts'
import type { RocketMQ } from '../support/rocketmq/start.ts'
import type { FrozenEvent, FrozenResult } from './frozen.ts'

export const FROZEN_MS = { '0 s': 0, '10 s': 10_000, '130 s': 130_000, '20 min': 1_200_000 } as const
/** What becomes of the connections during a freeze. */
export const ENDS = ['stay', 'FIN', 'RST', 'vanish'] as const
type End = (typeof ENDS)[number]

/** One invocation of a warm function. */
export interface ThawFigure {
  name: string
  frozen: keyof typeof FROZEN_MS
  end: End
  /** In the middle of a request: how that ended. */
  left?: string
  /** `done`, or what went wrong. */
  outcome: string
  tookMs: number
}

const CALLS = ['send', 'pull', 'commit'] as const
/** A pull that the broker may hold for a second. What was swallowed it gives up only 5 s after that. */
const WAITING = 'waiting-pull' as const
const TIMEOUT_MS = 1_000

/** So many thaws of each function after each freeze and each end of its connections. */
export async function measureThaws(
  { nameServers, brokers }: RocketMQ,
  rounds: number,
): Promise<ThawFigure[]> {
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-freeze-'))
  const now = Date.now
  const clock = join(folder, 'clock')
  let aheadMs = 0
  const advance = async (ms: number): Promise<void> => {
    aheadMs += ms
    await writeFile(clock, String(aheadMs))
  }
  const topic = 'frozen'
  const client = createClient({ nameServers, timeoutMs: 20_000 })
  const proxies = await Promise.all([nameServers, ...brokers.map(({ address }) => address)].map(openProxy))
  try {
    await advance(0)
    // The local Lambda's too: it tells functions when their time is over.
    Date.now = () => now() + aheadMs
    await createTopicAdmin(client).create(topic, { readQueueNums: 1, writeQueueNums: 1 })
    await createProducer(client, { producerGroup: topic }).send({ topic, body: '{}' })
    const entryPoints = { frozen: join(import.meta.dirname, 'frozen.ts') }
    await build({ ...bundleOptions, entryPoints, outdir: folder })
    const func = (handler: string): LocalFunction => ({
      handler,
      timeoutSeconds: 60,
      environment: {
        ROCKETMQ_NAMESRV_ADDR: nameServers,
        ROCKETMQ_TIMEOUT_MS: String(TIMEOUT_MS),
        ROCKETMQ_TOPICS: topic,
        ROCKETMQ_EVENT_SOURCES: JSON.stringify({ orders: { topic, consumerGroup: topic } }),
        TOPIC: topic,
        NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'frozen-world.ts')).href}`,
        FROZEN_CLOCK: clock,
        FROZEN_PORTS: JSON.stringify(Object.fromEntries(proxies.map((each) => [each.target, each.port]))),
      },
    })
    const frozen = func(join(folder, 'frozen.mjs'))
    await using lambda = await startLambda({
      functions: {
        ...Object.fromEntries([...CALLS, WAITING].map((name) => [name, frozen])),
        publish: func(await bundleFunction('publish', folder)),
        consume: func(await bundleFunction('consume', folder)),
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
    const thaw = async (frozen: keyof typeof FROZEN_MS, end: End): Promise<void> => {
      for (const proxy of proxies) proxy.end(end)
      await advance(FROZEN_MS[frozen])
    }
    const figures: ThawFigure[] = []
    for (const name of Object.keys(events)) await invoke(name, events[name])
    for (let round = 0; round < rounds; round++) {
      for (const frozen of Object.keys(FROZEN_MS) as (keyof typeof FROZEN_MS)[]) {
        for (const end of ENDS) {
          await thaw(frozen, end)
          await Promise.all(
            Object.entries(events).map(async ([name, event]) => {
              figures.push({ name, frozen, end, ...(await invoke(name, event)) })
            }),
          )
          // And once more with a call in flight, whose answer does not come before the freeze.
          for (const proxy of proxies) proxy.hold()
          await Promise.all(CALLS.map((call) => invoke(call, { call, leave: true } satisfies FrozenEvent)))
          await thaw(frozen, end)
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
    Date.now = now
    await client.close()
    for (const proxy of proxies) proxy.close()
    await rm(folder, { recursive: true, force: true })
  }
}

interface Proxy {
  /** The port that it stands before. */
  target: number
  port: number
  /** Ends what is connected now, or lets what was held go on. */
  end(how: End): void
  /** From now on nothing comes back from the server. */
  hold(): void
  close(): void
}

/** Before a server on this machine. */
async function openProxy(address: string): Promise<Proxy> {
  const target = Number(address.split(':')[1])
  const pairs = new Set<{ near: Socket; far: Socket }>()
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1')
    const pair = { near, far }
    pairs.add(pair)
    const over = (): void => {
      pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    for (const socket of [near, far]) socket.setNoDelay().on('error', over).on('close', over)
    near.pipe(far)
    far.pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    target,
    port: (server.address() as { port: number }).port,
    end(how) {
      for (const pair of pairs) {
        const { near, far } = pair
        if (how === 'stay') {
          far.resume()
          continue
        }
        near.unpipe(far)
        far.removeAllListeners('close').destroy()
        if (how === 'FIN') near.end()
        else if (how === 'RST') near.resetAndDestroy()
        // Whoever writes into it hears nothing more.
        else near.removeAllListeners('close').resume()
        pairs.delete(pair)
      }
    },
    hold() {
      for (const { far } of pairs) far.pause()
    },
    close() {
      server.close()
      for (const { near, far } of pairs) {
        near.destroy()
        far.destroy()
      }
    },
  }
}
