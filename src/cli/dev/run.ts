/**
 * `rocketmq-lambda dev`: a local broker and a local Lambda that run the functions of a project until a signal comes. Nothing
 * is left behind then: no process, no temporary folder.
 */
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  createClock,
  type LocalBroker,
  type LocalFunction,
  type LocalLambda,
  startBroker,
  startLambda,
} from '../../testing/index.ts'
import { naming } from '../naming.ts'
import { dim } from '../output.ts'
import { Activity } from './activity.ts'
import { greeting } from './greeting.ts'
import { mapValues, readProject, topicsOf } from './project.ts'
import { bundleSources, watchBuilt } from './watching.ts'

export interface DevOptions {
  config?: string
  port: number
  httpPort: number
  lambdaPort: number
  topic?: readonly string[]
  stage: string
  param?: Readonly<Record<string, string>>
  env?: Readonly<Record<string, string>>
  speed: number
}

const LAG_EVERY_MS = 1_000

/** Resolves when a signal has come and everything has ended. */
export async function runDev(options: DevOptions): Promise<void> {
  const ending = endOnSignal()
  const opened: (() => Promise<void> | void)[] = []
  try {
    await open(options, ending, (close) => opened.push(close))
    if (!ending.aborted) await once(ending, 'abort')
  } catch (error) {
    // Ctrl-C on the terminal also ends esbuild's process, whose end may be seen before the signal.
    await nextTurn()
    if (!ending.aborted) throw error
  } finally {
    for (const close of opened.reverse()) await close()
  }
}

/** @param onEnd takes what closes a part; called as soon as the part is there */
async function open(
  options: DevOptions,
  ending: AbortSignal,
  onEnd: (close: () => Promise<void> | void) => void,
): Promise<void> {
  const clock = createClock({ speed: options.speed })
  const broker = await startBroker({ clock, port: options.port }).catch(naming({ '': '--port' }))
  onEnd(() => broker.close())

  const project = await readProject(options, broker.nameServers).catch(naming({ path: '--config' }))
  const topics = topicsOf(project, options.topic ?? [])
  createTopics(broker, topics)

  const activity = new Activity(broker, Object.keys(project.functions))
  let lambda: LocalLambda | undefined
  const replace = async (name: string, file: string): Promise<void> => {
    if (!lambda) return
    await lambda.replace(name, file)
    activity.replaced(name, project.functions[name]?.origin ?? file)
  }
  const watching = {
    functions: project.functions,
    folder: await temporaryFolder(onEnd),
    onBuilt: replace,
    onFailed: (name: string, why: string) => activity.notReplaced(name, why),
    ending,
  }
  const bundles = await bundleSources(watching)
  onEnd(() => bundles.close())

  const functions = mapValues(project.functions, ({ settings }, name) =>
    runnable(settings, bundles.files[name]),
  )
  lambda = await startLambda({
    functions,
    clock,
    port: options.lambdaPort,
    httpPort: options.httpPort,
    onLog: (line) => activity.line(line),
    onInvocation: (record) => activity.invocation(record),
    onFailedEvent: (event) => activity.failedEvent(event),
  }).catch(naming({ port: '--lambda-port', httpPort: '--http-port' }))
  onEnd(() => lambda?.close())
  onEnd(watchBuilt(watching))
  if (ending.aborted) return
  for (const line of greeting({ project, topics, broker, lambda, speed: options.speed })) console.log(line)
  onEnd(watchLag(broker, activity))
}

function createTopics(broker: LocalBroker, topics: readonly string[]): void {
  for (const topic of topics) {
    try {
      broker.createTopic(topic)
    } catch (error) {
      naming({ topic: `topic ${JSON.stringify(topic)}` })(error)
    }
  }
}

function runnable(settings: LocalFunction, bundle: string | undefined): LocalFunction {
  if (bundle === undefined) return settings
  // Stacks name the lines of the source.
  const environment = { NODE_OPTIONS: '--enable-source-maps', ...settings.environment }
  return { ...settings, handler: bundle, environment }
}

function watchLag(broker: LocalBroker, activity: Activity): () => void {
  const timer = setInterval(() => activity.lag(broker.lag()), LAG_EVERY_MS)
  return () => clearInterval(timer)
}

/** Aborted by the first signal that asks for the end; a second one ends the process at once. */
function endOnSignal(): AbortSignal {
  const ending = new AbortController()
  const onSignal = (): void => {
    if (ending.signal.aborted) process.exit(1)
    console.log(dim('Ending; a second time ends at once.'))
    ending.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onSignal)
  return ending.signal
}

/** Removed at the end, also when the process ends at once. */
async function temporaryFolder(onEnd: (close: () => void) => void): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-dev-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  onEnd(remove)
  return folder
}
