/** Which functions `dev` runs: those of a serverless.yml, or without one those of this package. */
import { existsSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { type LocalFunction, readServerless } from '../../testing/index.ts'
import { bundledFunctions } from '../bundled-functions.ts'

/** A function and its code. */
export interface ProjectFunction {
  settings: LocalFunction
  /** Where its code comes from, to be shown. */
  origin: string
  /** The handler is a source file: it is to be bundled. */
  isSource: boolean
}

export interface Project {
  /** The path of its serverless.yml; undefined for the functions of this package. */
  config: string | undefined
  functions: Readonly<Record<string, ProjectFunction>>
}

export interface ProjectOptions {
  config?: string
  topic?: readonly string[]
  stage: string
  param?: Readonly<Record<string, string>>
  env?: Readonly<Record<string, string>>
}

const DEFAULT_CONFIG = 'serverless.yml'
const SOURCE_EXTENSIONS = ['.ts', '.mts', '.cts']
const OWN_TOPIC = 'orders'
const OWN_GROUP = 'billing'

export async function readProject(options: ProjectOptions, nameServers: string): Promise<Project> {
  const config = options.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined)
  // The local broker has no TLS and is given no users, whatever the deployed functions find, and nobody collects metrics.
  const environment = {
    ROCKETMQ_NAMESRV_ADDR: nameServers,
    ROCKETMQ_TLS: 'false',
    POWERTOOLS_METRICS_DISABLED: 'true',
    ...options.env,
  }
  if (config === undefined) return { config, functions: ownFunctions(options, environment) }
  const folder = dirname(resolve(config))
  const read = await readServerless(config, {
    environment,
    stage: options.stage,
    options: { stage: options.stage },
    params: options.param ?? {},
    hostEnvironment: process.env,
    resolveHandler: (path, name) => sourceOf(path) ?? sourceOf(join(folder, 'functions', name)),
  })
  return { config, functions: mapValues(read, projectFunction) }
}

function projectFunction(settings: LocalFunction): ProjectFunction {
  const { handler } = settings
  const isSource = SOURCE_EXTENSIONS.some((extension) => handler.endsWith(extension))
  return { settings, origin: relative(process.cwd(), handler), isSource }
}

const sourceOf = (path: string): string | undefined =>
  SOURCE_EXTENSIONS.map((extension) => path + extension).find((each) => existsSync(each))

function ownFunctions(
  { topic = [] }: ProjectOptions,
  environment: Readonly<Record<string, string>>,
): Record<string, ProjectFunction> {
  const own = bundledFunctions({
    nameServers: environment['ROCKETMQ_NAMESRV_ADDR'] ?? '',
    topics: [OWN_TOPIC, ...topic],
    consumerGroup: OWN_GROUP,
  })
  return mapValues(own, (each) => ({
    settings: { ...each, environment: { ...each.environment, ...environment } },
    origin: 'of this package',
    isSource: false,
  }))
}

/** The same names with other values. */
export const mapValues = <From, To>(
  record: Readonly<Record<string, From>>,
  map: (value: From, name: string) => To,
): Record<string, To> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value, name)]))

/** Those that are asked for and those that the functions name, each once. */
export function topicsOf({ functions }: Project, others: readonly string[]): string[] {
  const named = Object.values(functions).flatMap(({ settings: { environment = {} } }) => [
    ...publishedTopics(environment),
    ...consumedTopics(environment['ROCKETMQ_EVENT_SOURCES'] ?? ''),
  ])
  return [...new Set([...named, ...others])]
}

/** What ROCKETMQ_TOPICS names. */
export const publishedTopics = (environment: Readonly<Record<string, string>>): string[] =>
  (environment['ROCKETMQ_TOPICS'] ?? '')
    .split(',')
    .map((topic) => topic.trim())
    .filter((topic) => topic !== '')

/** Of mappings by name. A function that cannot read its own says so itself, when it starts. */
function consumedTopics(mappings: string): string[] {
  try {
    return Object.values(JSON.parse(mappings) as Record<string, { topic?: unknown } | null>)
      .map((mapping) => mapping?.topic)
      .filter((topic) => typeof topic === 'string')
  } catch {
    return []
  }
}
