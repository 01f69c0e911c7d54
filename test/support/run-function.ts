/**
 * Runs a bundled function once in a process of its own, as a cold start is: imports the file, calls `handler` with the
 * event and a context, and gives back what it returned or threw, what it printed, and how long each step took.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { pathToFileURL } from 'node:url'

export interface FunctionRun {
  /** What the handler returned, as JSON has it. */
  result?: unknown
  /** What it rejected with, or what importing it threw. */
  error?: { name: string; message: string; code?: string; field?: string }
  stdout: string
  stderr: string
  /** The exit code of the process, which ended by itself: nothing of the function kept it alive. */
  exitCode: number | null
}

export interface FunctionRunOptions {
  environment?: Readonly<Record<string, string>>
  /** What is left of the invocation when it begins. @default 10000 */
  remainingMs?: number
  /** Passed to node, such as `--disallow-code-generation-from-strings`. */
  nodeOptions?: readonly string[]
}

const RUNNER = `
const { file, event, remainingMs } = JSON.parse(process.argv[1])
const end = Date.now() + remainingMs
const context = { awsRequestId: 'request-1', functionName: 'test', getRemainingTimeInMillis: () => end - Date.now() }
const describe = (error) => {
  const { name, message = String(error), code, field } = error ?? {}
  return { name, message, code, field }
}
try {
  const { handler } = await import(file)
  process.send({ result: (await handler(event, context)) ?? null })
} catch (error) {
  process.send({ error: describe(error) })
}
process.disconnect()
`

export async function runFunction(
  file: string,
  event: unknown,
  options: FunctionRunOptions = {},
): Promise<FunctionRun> {
  const { environment = {}, remainingMs = 10_000, nodeOptions = [] } = options
  const argument = JSON.stringify({ file: pathToFileURL(file).href, event, remainingMs })
  const child = spawn(process.execPath, [...nodeOptions, '--input-type=module', '--eval', RUNNER, argument], {
    env: { PATH: process.env['PATH'], AWS_LAMBDA_FUNCTION_NAME: 'test', ...environment },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const run: FunctionRun = { stdout: '', stderr: '', exitCode: null }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    run.stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    run.stderr += text
  })
  child.on('message', (message: Pick<FunctionRun, 'result' | 'error'>) => Object.assign(run, message))
  const limit = setTimeout(() => child.kill('SIGKILL'), remainingMs + 20_000)
  const [exitCode] = (await once(child, 'close')) as [number | null]
  clearTimeout(limit)
  return { ...run, exitCode }
}
