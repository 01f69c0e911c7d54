/**
 * `publish` as it is deployed, warm: what a request takes inside the function, beside a function that writes an encoded frame
 * to the broker. Both are frozen between their invocations, and take turns.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { bundleFunction } from '../scripts/bundle.ts'
import { httpEvent, startLambda } from '../src/testing/index.ts'
import { sendFrame } from './cold.ts'
import { outFolder } from './programs.ts'
import { type Cells, median, table } from './report.ts'

const RUNS = 500
/** What is compiled by then stays compiled. */
const WARM_UP = 100
const GOAL = 1.5
/** As much as the frame has. */
const BODY = 'x'.repeat(1024)

/** Around the bundle: its answer, and how long it took. */
const TIMED = `
  import { handler as publish } from './index.mjs'
  export const handler = async (event, context) => {
    const start = performance.now()
    const { statusCode } = await publish(event, context)
    return { statusCode, tookMs: performance.now() - start }
  }
`

interface Took {
  statusCode?: number
  tookMs: number
}

/** @param broker `host:port` */
export async function warmPublish(nameServers: string, broker: string, topic: string): Promise<string> {
  const folder = join(outFolder, 'publish')
  await mkdir(folder, { recursive: true })
  const timed = join(dirname(await bundleFunction('publish', folder)), 'timed.mjs')
  await writeFile(timed, TIMED)
  const raw = { RAW_BROKER: broker, RAW_FRAME: sendFrame(topic) }
  const publish = {
    ROCKETMQ_NAMESRV_ADDR: nameServers,
    ROCKETMQ_TOPICS: topic,
    ROCKETMQ_PRODUCER_GROUP: 'bench',
  }
  await using lambda = await startLambda({
    functions: {
      raw: { handler: join(import.meta.dirname, 'programs/publish-raw.mjs'), environment: raw },
      publish: { handler: timed, environment: publish },
    },
  })
  const event = httpEvent('POST', `/topics/${topic}/messages`, { body: BODY })
  const took = async (name: 'raw' | 'publish'): Promise<number> => {
    const { payload, functionError } = await lambda.invoke(name, event)
    const { statusCode = 200, tookMs } = payload as Took
    if (functionError || statusCode !== 200) throw new Error(`${name}: ${JSON.stringify(payload)}`)
    return tookMs
  }
  const times: Record<'raw' | 'publish', number[]> = { raw: [], publish: [] }
  for (let run = 0; run < WARM_UP + RUNS; run++)
    for (const name of ['raw', 'publish'] as const) {
      const ms = await took(name)
      if (run >= WARM_UP) times[name].push(ms)
    }
  const line = (title: string, all: readonly number[], goal = ''): Cells => {
    const p95 = all.toSorted((a, b) => a - b)[Math.floor(all.length * 0.95)] ?? Number.NaN
    const ratio = median(all) / median(times.raw)
    return [title, median(all).toFixed(2), p95.toFixed(2), ratio.toFixed(2), goal]
  }
  const lines = [
    line('an encoded frame, and its answer', times.raw),
    line('`publish`, from event to answer', times.publish, `≤ ${GOAL.toFixed(2)}`),
  ]
  console.log('\nwarm publish, inside the function')
  for (const each of lines) console.log(`  ${each.join('  ')}`)
  const title = `**one message of 1 KiB, warm, inside the function** (${RUNS} invocations of each)`
  return `${title}\n\n${table(['', 'ms', '95 %', '× the first', 'goal'], lines)}`
}
