/**
 * The local broker's figures: `node bench/local-broker.ts`. The broker has a process of its own, as it would beside other
 * clients; the client is this project's, over one connection with 64 sends under way.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { cpus } from 'node:os'
import { createClient, createProducer } from '../src/index.ts'
import { startBroker } from '../src/testing/index.ts'

const SENDS = 100_000
const BATCHES = 2_000
const BATCH_SIZE = 500
const IN_FLIGHT = 64

interface Usage {
  rssBytes: number
  cpuMs: number
}

if (process.send) await serve()
else await measure()

async function serve(): Promise<void> {
  const began = performance.now()
  const broker = await startBroker({ topics: ['bench', 'small'], retentionBytes: 1 << 30 })
  process.send?.({ nameServers: broker.nameServers, readyMs: performance.now() - began })
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send?.({ rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1000 } satisfies Usage)
  })
  process.on('disconnect', () => void broker.close())
}

async function measure(): Promise<void> {
  const child = fork(import.meta.filename)
  const [{ nameServers, readyMs }] = (await once(child, 'message')) as [
    { nameServers: string; readyMs: number },
  ]
  console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`)
  console.log(`ready after ${readyMs.toFixed(1)} ms`)
  const client = createClient({ nameServers, timeoutMs: 60_000 })
  const producer = createProducer(client, { producerGroup: 'bench', compression: 'none' })
  const body = Buffer.alloc(1024, 'x')
  for (let round = 0; round < 3; round++) {
    const before = await usageOf(child)
    const began = performance.now()
    await inParallel(SENDS, IN_FLIGHT, () => producer.send({ topic: 'bench', body, tag: 'bench' }))
    const seconds = (performance.now() - began) / 1000
    const cpu = ((await usageOf(child)).cpuMs - before.cpuMs) / SENDS
    console.log(
      `${Math.round(SENDS / seconds)} sends/s of 1 KiB, ${(cpu * 1000).toFixed(1)} µs of the broker's CPU each`,
    )
  }
  const small = Array.from({ length: BATCH_SIZE }, () => ({ body: Buffer.alloc(100, 'x') }))
  await inParallel(BATCHES, 4, () => producer.sendBatch('small', small))
  const { rssBytes } = await usageOf(child)
  console.log(`${Math.round(rssBytes / 1e6)} MB with ${3 * SENDS} messages of 1 KiB and 1,000,000 of 100 B`)
  await client.close()
  child.disconnect()
}

async function usageOf(child: ChildProcess): Promise<Usage> {
  child.send('usage')
  const [usage] = (await once(child, 'message')) as [Usage]
  return usage
}

async function inParallel(count: number, workers: number, work: () => Promise<unknown>): Promise<void> {
  let next = 0
  const run = async (): Promise<void> => {
    while (next++ < count) await work()
  }
  await Promise.all(Array.from({ length: workers }, run))
}
