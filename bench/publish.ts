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
/** By then V8 has compiled what runs each time: from some 600 invocations on, the times of neither function fall any further. */
const WARM_UP = 1_000
/** Before, they run in the interpreter for the most part: what a young sandbox takes is shown beside. */
const YOUNG = 100
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
  const names = ['raw', 'publish'] as const
  const times: Record<'raw' | 'publish', number[]> = { raw: [], publish: [] }
  // What the broker does behind its answer falls into the turn of the other one: neither always comes second.
  for (let run = 0; run < WARM_UP + RUNS; run++)
    for (const name of run % 2 === 0 ? names : names.toReversed()) times[name].push(await took(name))
  const lines = [
    ...linesFrom(times, WARM_UP, '', `≤ ${GOAL.toFixed(2)}`),
    ...linesFrom(times, YOUNG, ` (invocations ${YOUNG + 1} to ${YOUNG + RUNS})`),
  ]
  console.log('\nwarm publish, inside the function')
  for (const each of lines) console.log(`  ${each.join('  ')}`)
  const title = `**one message of 1 KiB, warm, inside the function** (${RUNS} invocations of each, from the ${WARM_UP + 1}st on)`
  return `${title}\n\n${table(['', 'ms', '95 %', '× the first', 'goal'], lines)}`
}

/** A line for each function, of the invocations from one on. */
function linesFrom(
  times: Readonly<Record<'raw' | 'publish', readonly number[]>>,
  first: number,
  which: string,
  goal = '',
): Cells[] {
  const raw = times.raw.slice(first, first + RUNS)
  const line = (title: string, all: readonly number[], wanted = ''): Cells => {
    const p95 = all.toSorted((a, b) => a - b)[Math.floor(all.length * 0.95)] ?? Number.NaN
    const ratio = median(all) / median(raw)
    return [title + which, median(all).toFixed(2), p95.toFixed(2), ratio.toFixed(2), wanted]
  }
  return [
    line('an encoded frame, and its answer', raw),
    line('`publish`, from event to answer', times.publish.slice(first, first + RUNS), goal),
  ]
}
