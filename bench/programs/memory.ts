/** Memory that the client takes, between two full collections: for ../growth.ts. Run with --expose-gc. */
import { createClient } from '../../src/index.ts'
import { createAddressPolicy } from '../../src/net/address-policy.ts'
import type { Connection } from '../../src/net/connection.ts'
import { createPool } from '../../src/net/pool.ts'
import type { Growth } from '../growth.ts'

const { kind, count, port } = JSON.parse(process.argv.at(-1) ?? '')
const address = `127.0.0.1:${port}`
const inAMinute = { at: Date.now() + 60_000, explicit: true }
const numbers = Array.from({ length: count }, (_, index) => index)

function used(): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

async function routes(): Promise<Growth> {
  const client = createClient({ nameServers: address, routeTtlMs: 3_600_000 })
  await client.route('first', client.deadline())
  const before = used()
  const start = performance.now()
  for (const index of numbers) await client.route(`topic-${index}`, client.deadline())
  const microseconds = ((performance.now() - start) * 1000) / count
  const bytes = used() - before
  const last = `topic-${count - 1}`
  const again = performance.now()
  for (let turn = 0; turn < 100_000; turn++) await client.route(last, inAMinute)
  return { microseconds, nanosecondsCached: (performance.now() - again) * 10, bytes }
}

const openPool = (): ReturnType<typeof createPool> =>
  createPool(
    { maxIdleMs: 60_000, connectTimeoutMs: 10_000, maxFrameBytes: 16_777_216 },
    undefined,
    createAddressPolicy(undefined, undefined, []),
  )

/** A pool keeps one connection to an address, so each is of a pool of its own. */
async function connections(): Promise<Growth> {
  const opened: Connection[] = [await openPool().get(address, inAMinute)]
  const before = used()
  const start = performance.now()
  for (const _ of numbers) opened.push(await openPool().get(address, inAMinute))
  const microseconds = ((performance.now() - start) * 1000) / count
  return { microseconds, bytes: (used() - before) / (opened.length - 1) }
}

async function calls(): Promise<Growth> {
  const connection = await openPool().get(address, inAMinute)
  const ask = (index: number): void => {
    const ext = { consumerGroup: 'g', topic: 't', queueId: `${index}` }
    const body = Buffer.alloc(100)
    connection.request({ code: 14, ext, body, deadline: inAMinute, write: false }).catch(() => undefined)
  }
  ask(0)
  await new Promise(setImmediate)
  const before = used()
  const start = performance.now()
  numbers.forEach(ask)
  const microseconds = ((performance.now() - start) * 1000) / count
  await new Promise((resolve) => setTimeout(resolve, 200))
  return { microseconds, bytes: (used() - before) / count }
}

const kinds: Readonly<Record<string, () => Promise<Growth>>> = { routes, connections, calls }
const growth = await kinds[kind]?.()
process.stdout.write(JSON.stringify(growth), () => process.exit(0))
