/**
 * The Node process of an environment: started through /bin/sh in a process group of its own, with Lambda's variables and
 * nothing of this process's environment.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { dirname, extname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** How long the output of a process that has ended is waited for. */
const OUTPUT_TIMEOUT_MS = 1_000
/** Node's heap may take this share of the function's memory. */
const HEAP_SHARE = 0.9
/** As Lambda's messages have them. */
const SIGNAL_NAMES: Readonly<Record<string, string>> = { SIGKILL: 'killed', SIGABRT: 'aborted' }

export interface FunctionProcessOptions {
  functionName: string
  /** Absolute path of the bundle. */
  file: string
  exportName: string
  /** What the function finds in its environment, besides Lambda's own variables. */
  variables: Readonly<Record<string, string>>
  /** MB. */
  memorySize: number
}

/** Beside this file, under the extension that this file has: .ts in the repository, .js in the package. */
const bootstrapPath = (): string =>
  fileURLToPath(new URL(`./bootstrap${extname(fileURLToPath(import.meta.url))}`, import.meta.url))

export class FunctionProcess {
  #child: ChildProcess | undefined
  /** Settles when the process is gone; some of its output may still come. */
  readonly exited: Promise<void>
  /** Settles when its output has been read as well, with the words of Lambda for how it ended. */
  readonly ended: Promise<string>

  /** @param address of the Runtime API */
  constructor(options: FunctionProcessOptions, address: string, onOutput: (text: string) => void) {
    const { file, exportName, memorySize } = options
    const heapMb = Math.floor(memorySize * HEAP_SHARE)
    const command = [process.execPath, `--max-old-space-size=${heapMb}`, bootstrapPath(), file, exportName]
    // One pipe for both outputs keeps their order. The group is what gets the signals: children of the function, too.
    const child = spawn('/bin/sh', ['-c', 'exec "$@" 2>&1', 'sh', ...command], {
      cwd: dirname(file),
      env: variablesOf(options, address),
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    })
    this.#child = child
    child.stdout.setEncoding('utf8').on('data', onOutput)
    const closed = once(child.stdout, 'close')
    // Rejects when it could not be started.
    const exit = once(child, 'exit') as Promise<[code: number | null, signal: NodeJS.Signals | null]>
    const gone = exit.then(
      ([code, signal]) => {
        // A child of the function may live on.
        this.signal('SIGKILL')
        this.#child = undefined
        return signal === null ? `exit status ${code}` : `signal: ${SIGNAL_NAMES[signal] ?? signal}`
      },
      (error: Error) => error.message,
    )
    this.exited = gone.then(() => undefined)
    this.ended = gone.then(async (reason) => {
      // One that has left the group may hold the output open.
      const limit = setTimeout(() => child.stdout.destroy(), OUTPUT_TIMEOUT_MS)
      await closed
      clearTimeout(limit)
      return reason
    })
  }

  /** Undefined when it is gone. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** To the whole process group, which may be gone already. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch (error) {
      // macOS answers EPERM while the last process of a group is a zombie.
      if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
}

function variablesOf(options: FunctionProcessOptions, address: string): Record<string, string> {
  const { functionName, file, exportName, memorySize, variables } = options
  const day = new Date().toISOString().slice(0, 10).replaceAll('-', '/')
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    LANG: 'en_US.UTF-8',
    TZ: 'UTC',
    _HANDLER: `index.${exportName}`,
    AWS_EXECUTION_ENV: `AWS_Lambda_nodejs${process.versions.node.split('.')[0]}.x`,
    AWS_LAMBDA_FUNCTION_NAME: functionName,
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memorySize),
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${functionName}`,
    AWS_LAMBDA_LOG_STREAM_NAME: `${day}/[$LATEST]${randomUUID().replaceAll('-', '')}`,
    LAMBDA_TASK_ROOT: dirname(file),
    ...variables,
    AWS_LAMBDA_RUNTIME_API: address,
  }
}
