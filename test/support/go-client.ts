/**
 * Apache's Go client as a peer in tests: the typed side of go-client/main.go, which is built once for a suite. Modules come
 * through Go's own proxy, as go.sum has them. Go 1.19 is enough, which is what Debian 12 has; neither git nor a C compiler is
 * needed.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const SOURCE = join(import.meta.dirname, 'go-client')

export interface GoReceived {
  Body: string
  Tag: string
  MessageID: string
  ReconsumeTimes: number
}

/** Each call is a process of its own, with a client of its own; it rejects with what the program said. */
export interface GoClient {
  /** One call for each body. Gives the message ids. */
  send(job: { topic: string; group: string; bodies: readonly string[] }): Promise<string[]>
  /** One call for all bodies. */
  batch(job: { topic: string; group: string; bodies: readonly string[] }): Promise<string[]>
  /** Push consumer until it has received so many, attempts that were made to fail included; then it commits. */
  push(job: {
    topic: string
    group: string
    filter: string
    expected: number
    failures: number
  }): Promise<GoReceived[]>
  /** Pull consumer over every queue, from its beginning to its end. */
  pull(job: { topic: string; group: string; brokerName: string; queues: number }): Promise<GoReceived[]>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Whether Go is here. False after one loud line.
 * @throws when it is not, with `GO_REQUIRED=1`
 */
export async function goAvailable(): Promise<boolean> {
  try {
    await run('go', ['version'])
    return true
  } catch (cause) {
    const reason = 'go not found: https://go.dev/dl, or apt-get install -y golang-go'
    if (process.env['GO_REQUIRED'] === '1') throw new Error(reason, { cause })
    console.error(`\n*** TESTS WITH THE GO CLIENT SKIPPED: ${reason} ***\n`)
    return false
  }
}

/** Builds the program, some seconds the first time. */
export async function buildGoClient(nameServers: string): Promise<GoClient> {
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-go-'))
  const program = join(folder, 'client')
  const env = { ...process.env, CGO_ENABLED: '0' }
  await run('go', ['build', '-mod=readonly', '-buildvcs=false', '-o', program, '.'], { cwd: SOURCE, env })
  const call = async <T>(Work: string, job: object): Promise<T> => {
    const fields = Object.entries({ nameServers, ...job }).map(([name, value]) => [
      name.charAt(0).toUpperCase() + name.slice(1),
      value,
    ])
    const { stdout } = await run(program, [JSON.stringify({ Work, ...Object.fromEntries(fields) })], {
      cwd: folder,
      env: { ...process.env, HOME: folder }, // where it writes its logs
      timeout: 90_000,
    })
    return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '')
  }
  return {
    send: (job) => call('send', job),
    batch: (job) => call('batch', job),
    push: (job) => call('push', job),
    pull: (job) => call('pull', job),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
