/**
 * `node bench/lambda.ts`: what the local Lambda adds to a handler that does nothing, from the request to the Invoke API to
 * the end of its answer. The goal: a warm invocation takes less than 5 ms (median) with freezing on.
 */
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { Agent, type IncomingMessage, request } from 'node:http'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LocalLambda, startLambda } from '../src/testing/index.ts'

const WARM = 1_000
const COLD = 10

const agent = new Agent({ keepAlive: true, maxSockets: 1 })

/** Milliseconds. */
async function invocation({ endpoint }: LocalLambda): Promise<number> {
  const start = performance.now()
  const outgoing = request(`${endpoint}/2015-03-31/functions/empty/invocations`, { method: 'POST', agent })
  outgoing.end('{}')
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
  await once(response.resume(), 'end')
  return performance.now() - start
}

function row(what: string, times: readonly number[]): void {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): string =>
    `${(sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(2).padStart(8)} ms`
  console.log(`${what.padEnd(28)} median ${at(0.5)}   p95 ${at(0.95)}   n ${sorted.length}`)
}

const folder = await mkdtemp(join(tmpdir(), 'local-lambda-bench-'))
try {
  const handler = join(folder, 'index.mjs')
  await writeFile(handler, 'export const handler = async () => undefined\n')
  console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model}`)
  for (const freeze of [true, false]) {
    await using lambda = await startLambda({ functions: { empty: { handler } }, freeze })
    const cold: number[] = []
    const warm: number[] = []
    for (let count = 0; count < COLD; count++) {
      await lambda.replace('empty')
      cold.push(await invocation(lambda))
    }
    for (let count = 0; count < WARM; count++) warm.push(await invocation(lambda))
    const how = freeze ? 'freezing' : 'not freezing'
    row(`cold, ${how}`, cold)
    row(`warm, ${how}`, warm)
  }
} finally {
  agent.destroy()
  await rm(folder, { recursive: true })
}
