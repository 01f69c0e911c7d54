/**
 * The event source, as it is deployed: what a scheduled run takes that finds nothing to do, in a warm environment that
 * was frozen before, by the report of the local Lambda.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../scripts/bundle.ts'
import { scheduledEvent, startLambda } from '../src/testing/index.ts'
import { outFolder, type Program } from './programs.ts'
import { type Cells, median, table } from './report.ts'

/** MB; Lambda's own runtime gives a heap these shares of it. */
const MEMORY = 256
const OLD_SPACE_SHARE = 0.9
const SEMI_SPACE_SHARE = 0.05
const RUNS = 200
const GOAL_MS = 30

/** Bundled, as it is deployed: Node's own reader of TypeScript takes memory too. */
export async function drainProgram(): Promise<Program> {
  const outfile = join(outFolder, 'drain.mjs')
  await build({
    ...bundleOptions,
    splitting: false,
    outExtension: {},
    entryPoints: [join(import.meta.dirname, 'programs/drain.ts')],
    outfile,
  })
  const heap = [
    `--max-old-space-size=${Math.floor(MEMORY * OLD_SPACE_SHARE)}`,
    `--max-semi-space-size=${Math.floor(MEMORY * SEMI_SPACE_SHARE)}`,
  ]
  return { name: 'the event source', command: [process.execPath, ...heap, outfile] }
}

/** @param topic with 8 queues */
export async function idleRuns(nameServers: string, topic: string): Promise<string> {
  const folder = join(outFolder, 'event-source')
  await mkdir(folder, { recursive: true })
  const mapping = { topic, consumerGroup: 'bench-idle', startingPosition: 'LATEST' }
  await using lambda = await startLambda({
    functions: {
      consume: {
        handler: await bundleFunction('consume', folder),
        timeoutSeconds: 30,
        memorySize: MEMORY,
        environment: {
          ROCKETMQ_NAMESRV_ADDR: nameServers,
          ROCKETMQ_EVENT_SOURCES: JSON.stringify({ mapping }),
        },
      },
    },
  })
  const times: number[] = []
  for (let run = 0; run < RUNS; run++) {
    const { report, functionError } = await lambda.invoke('consume', scheduledEvent())
    if (!report || functionError) throw new Error('the idle run failed')
    times.push(report.durationMs + (report.initMs ?? 0))
  }
  const [cold = Number.NaN, ...warm] = times
  const p95 = warm.toSorted((a, b) => a - b)[Math.floor(warm.length * 0.95)] ?? Number.NaN
  const lines: Cells[] = [
    [`warm, median of ${warm.length}`, median(warm).toFixed(1), `< ${GOAL_MS}`],
    ['warm, 95 %', p95.toFixed(1), ''],
    ['cold, the first of the group', cold.toFixed(1), ''],
  ]
  console.log('\nidle scheduled run, 8 queues')
  for (const line of lines) console.log(`  ${line.join('  ')}`)
  return `**idle scheduled run of \`consume\`, 8 queues**\n\n${table(['', 'ms', 'goal'], lines)}`
}
