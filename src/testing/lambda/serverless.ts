/**
 * Reads functions from a serverless.yml (Serverless Framework 3 and 4, osls): handlers, settings, environment, and the
 * events `httpApi` and `schedule`; and of its resources the schedules of EventBridge Scheduler (`AWS::Scheduler::Schedule`)
 * that start one of them. What a local Lambda has no use for is passed over.
 *
 * The only module of ./testing that needs a package: `yaml` is loaded when it is called.
 */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { ConfigError } from '../../errors.ts'
import type { FunctionEvent, LocalFunction } from './options.ts'
import { resolveVariables, type VariableSources } from './serverless-variables.ts'

export interface ServerlessOptions {
  /** For `${param:name}`; they win over the `params` of the file. @default {} */
  params?: Readonly<Record<string, string>>
  /** For `${opt:name}`. @default {} */
  options?: Readonly<Record<string, string>>
  /** For `${sls:stage}`, and which `params` of the file are read, after `default`. @default 'dev' */
  stage?: string
  /** For `${env:NAME}`, such as `process.env`. @default {} */
  hostEnvironment?: Readonly<Record<string, string | undefined>>
  /** Variables of every function; they win over those of the file, which then need no value here. @default {} */
  environment?: Readonly<Record<string, string>>
  /**
   * Gives the file of a function, such as its source, which is then to be bundled before `startLambda` takes it. Called with
   * the handler's absolute path, without extension and export, and the function's name.
   * @default the bundled file that is there, which is also what undefined stands for
   */
  resolveHandler?: (path: string, functionName: string) => string | undefined
}

type Fields = Readonly<Record<string, unknown>>

interface SchedulerSchedule {
  /** Where its Properties stand. */
  field: string
  properties: Fields
}

const EXTENSIONS = ['.mjs', '.js', '.cjs']

/**
 * @param path of the serverless.yml; handlers are relative to its folder
 * @returns functions for `startLambda`. Rejects with a ConfigError that names the field.
 * @example
 * const functions = await readServerless('serverless.yml', { environment: { ROCKETMQ_NAMESRV_ADDR: '127.0.0.1:9876' } })
 * await using lambda = await startLambda({ functions })
 */
export async function readServerless(
  path: string,
  options: ServerlessOptions = {},
): Promise<Record<string, LocalFunction>> {
  const self = await parseFile(path)
  const { stage = 'dev' } = options
  const params = fieldsOf(self['params'], 'params')
  const sources: VariableSources = {
    self,
    params: {
      ...fieldsOf(params['default'], 'params.default'),
      ...fieldsOf(params[stage], `params.${stage}`),
      ...options.params,
    },
    options: options.options ?? {},
    env: options.hostEnvironment ?? {},
    stage,
  }
  return new ServerlessFile(dirname(resolve(path)), self, sources, options).functions()
}

class ServerlessFile {
  readonly #folder: string
  readonly #self: Fields
  readonly #sources: VariableSources
  readonly #environment: Readonly<Record<string, string>>
  readonly #resolveHandler: NonNullable<ServerlessOptions['resolveHandler']>

  constructor(folder: string, self: Fields, sources: VariableSources, options: ServerlessOptions) {
    this.#folder = folder
    this.#self = self
    this.#sources = sources
    this.#environment = options.environment ?? {}
    this.#resolveHandler = options.resolveHandler ?? (() => undefined)
  }

  functions(): Record<string, LocalFunction> {
    const { functions } = this.#self
    // A list of objects is one, too.
    const all = Array.isArray(functions) ? (Object.assign({}, ...functions) as unknown) : functions
    const found = Object.entries(fieldsOf(all, 'functions'))
    if (found.length === 0) throw new ConfigError('functions', 'the file has none')
    const schedules = this.#schedules()
    return Object.fromEntries(
      found.map(([name, each]) => [
        name,
        this.#function(name, fieldsOf(each, `functions.${name}`), schedules),
      ]),
    )
  }

  #function(name: string, fields: Fields, schedules: readonly SchedulerSchedule[]): LocalFunction {
    const field = `functions.${name}`
    const provider = fieldsOf(this.#self['provider'], 'provider')
    const number = (key: string, fallback?: unknown): number | undefined =>
      this.#number(fields[key] ?? fallback, `${field}.${key}`)
    return withoutUndefined<LocalFunction>({
      ...this.#handler(name, this.#text(fields['handler'], `${field}.handler`)),
      environment: {
        ...this.#variables(provider['environment'], 'provider.environment'),
        ...this.#variables(fields['environment'], `${field}.environment`),
        ...this.#environment,
      },
      timeoutSeconds: number('timeout', provider['timeout'] ?? 6),
      memorySize: number('memorySize', provider['memorySize'] ?? 1024),
      reservedConcurrency: number('reservedConcurrency'),
      maximumRetryAttempts: number('maximumRetryAttempts'),
      maximumEventAgeInSeconds: number('maximumEventAge'),
      events: [
        ...listOf(fields['events'], `${field}.events`).flatMap((event, at) =>
          this.#event(event, `${field}.events[${at}]`),
        ),
        ...schedules
          .filter((schedule) => this.#starts(schedule, name, fields['name']))
          .map((schedule) => this.#scheduler(schedule)),
      ],
    })
  }

  /** `.build/publish/index.handler` → the file with the extension that is there, and the export. */
  #handler(name: string, text: string): { handler: string; exportName: string } {
    const field = `functions.${name}.handler`
    const [, path, exportName] = /^(.+)\.([^./]+)$/.exec(text) ?? []
    if (path === undefined || exportName === undefined)
      throw new ConfigError(
        field,
        `takes a file and its export, src/orders.handler, got ${JSON.stringify(text)}`,
      )
    const base = resolve(this.#folder, path)
    const extension = EXTENSIONS.find((each) => existsSync(base + each))
    const bundled = extension === undefined ? undefined : base + extension
    const handler = this.#resolveHandler(base, name) ?? bundled
    if (handler === undefined)
      throw new ConfigError(
        field,
        `there is no file ${base}${EXTENSIONS.join(', ')} for ${JSON.stringify(text)}; has it been bundled?`,
      )
    return { handler, exportName }
  }

  #variables(value: unknown, field: string): Record<string, string> {
    const entries = Object.entries(fieldsOf(this.#resolve(value, field), field))
    return Object.fromEntries(
      entries.flatMap(([name, each]) =>
        Object.hasOwn(this.#environment, name) ? [] : [[name, this.#text(each, `${field}.${name}`)]],
      ),
    )
  }

  #event(value: unknown, field: string): FunctionEvent[] {
    const { httpApi, schedule } = fieldsOf(value, field)
    if (httpApi !== undefined) return [{ httpApi: this.#route(httpApi, `${field}.httpApi`) }]
    if (schedule !== undefined) return [{ schedule: this.#schedule(schedule, `${field}.schedule`) }]
    return []
  }

  /** `'POST /topics'`, `'*'`, or an object of method and path. */
  #route(value: unknown, field: string): { method: string; path: string } {
    if (typeof value !== 'string') {
      const { method = '*', path } = fieldsOf(value, field)
      return { method: this.#text(method, `${field}.method`), path: this.#text(path, `${field}.path`) }
    }
    const [method = '', path] = this.#text(value, field).trim().split(/\s+/)
    return path === undefined ? { method: '*', path: method } : { method, path }
  }

  #schedule(value: unknown, field: string): { rate: string[]; input?: unknown; enabled?: boolean } {
    if (typeof value === 'string') return { rate: [this.#text(value, field)] }
    const { rate, input, enabled } = fieldsOf(value, field)
    const isEnabled = this.#resolve(enabled, `${field}.enabled`)
    return {
      rate: (Array.isArray(rate) ? rate : [rate]).map((each) => this.#text(each, `${field}.rate`)),
      ...(input === undefined ? {} : { input: this.#deep(input, `${field}.input`) }),
      ...(isEnabled === undefined ? {} : { enabled: isEnabled !== false && isEnabled !== 'false' }),
    }
  }

  /** Those of EventBridge Scheduler that stand in the resources. What stands in another file (`${file(…)}`) is passed over. */
  #schedules(): SchedulerSchedule[] {
    const parts = [this.#self['resources']].flat().map((part) => objectOf(objectOf(part)['Resources']))
    return parts
      .flatMap((resources) => Object.entries(resources))
      .map(([id, each]) => [`resources.Resources.${id}.Properties`, objectOf(each)] as const)
      .filter(([, { Type }]) => Type === 'AWS::Scheduler::Schedule')
      .map(([field, { Properties }]) => ({ field, properties: objectOf(Properties) }))
  }

  #scheduler({ field, properties }: SchedulerSchedule): FunctionEvent {
    const { ScheduleExpression, State = 'ENABLED', Target } = properties
    const { Input } = objectOf(Target)
    const input = Input === undefined ? {} : { input: this.#json(Input, `${field}.Target.Input`) }
    const rate = [this.#text(ScheduleExpression, `${field}.ScheduleExpression`)]
    const enabled = this.#text(State, `${field}.State`) === 'ENABLED'
    return { schedule: { rate, ...input, enabled } }
  }

  #json(value: unknown, field: string): unknown {
    const text = this.#text(value, field)
    try {
      return JSON.parse(text) as unknown
    } catch (cause) {
      throw new ConfigError(field, `takes JSON, got ${JSON.stringify(text)}`, { cause })
    }
  }

  /** Whether the target is this function: by an ARN with its name, or by `!GetAtt` of its resource. What else it is need not be known. */
  #starts({ field, properties }: SchedulerSchedule, name: string, ownName: unknown): boolean {
    const { Arn } = objectOf(properties['Target'])
    // As YAML has it or as JSON: !Sub, Fn::Sub.
    const [tag = '', value] = Object.entries(isObject(Arn) ? Arn : { Sub: Arn })[0] ?? []
    if (tag.endsWith('GetAtt')) return [value].flat().join('.') === `${logicalId(name)}LambdaFunction.Arn`
    if (!tag.endsWith('Sub') || !String(value).includes(':function:')) return false
    const service = this.#text(this.#self['service'], 'service')
    const fullName = this.#text(
      ownName ?? `${service}-${this.#sources.stage}-${name}`,
      `functions.${name}.name`,
    )
    const arn = this.#text(value, `${field}.Target.Arn`)
    return /:function:([\w-]+)/.exec(arn)?.[1] === fullName
  }

  #resolve(value: unknown, field: string): unknown {
    return resolveVariables(value, this.#sources, field)
  }

  #deep(value: unknown, field: string): unknown {
    if (Array.isArray(value)) return value.map((each, at) => this.#deep(each, `${field}[${at}]`))
    if (typeof value !== 'object' || value === null) return this.#resolve(value, field)
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [key, this.#deep(each, `${field}.${key}`)]),
    )
  }

  #text(value: unknown, field: string): string {
    const resolved = this.#resolve(value, field)
    if (['string', 'number', 'boolean'].includes(typeof resolved)) return String(resolved)
    throw new ConfigError(
      field,
      resolved === undefined || resolved === null
        ? 'is missing'
        : `takes text; ${JSON.stringify(resolved)} has a value in CloudFormation only`,
    )
  }

  #number(value: unknown, field: string): number | undefined {
    const resolved = this.#resolve(value, field)
    if (resolved === undefined || resolved === null) return undefined
    const number = Number(resolved)
    if (Number.isFinite(number) && resolved !== '') return number
    throw new ConfigError(field, `takes a number, got ${JSON.stringify(resolved)}`)
  }
}

async function parseFile(path: string): Promise<Fields> {
  const yaml = await import('yaml').catch((cause: unknown) => {
    throw new ConfigError('yaml', `the package is needed to read ${path}: npm install --save-dev yaml`, {
      cause,
    })
  })
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new ConfigError('path', `${path} cannot be read: ${cause.code}`, { cause })
  })
  const document = yaml.parseDocument(text)
  const [error] = document.errors
  if (error)
    throw new ConfigError(path, error.message.split('\n')[0]?.replace(/:$/, '') ?? '', { cause: error })
  // !Ref, !Sub and the like have no value here; as objects they cannot be taken for text.
  yaml.visit(document, {
    Node: (_, node) => {
      if (node.tag?.startsWith('!') !== true || node.tag.startsWith('!!')) return undefined
      const text = yaml.isScalar(node) ? node.value : node.toString()
      const tagged = document.createNode({ [node.tag]: text })
      // Or an alias of it would be one of nothing.
      if ('anchor' in node && node.anchor !== undefined) tagged.anchor = node.anchor
      return tagged
    },
  })
  return fieldsOf(
    resolved(() => document.toJS() as unknown, path),
    path,
  )
}

/** Aliases are resolved here: one of nothing, and too many of too much, are errors of the file. */
function resolved(read: () => unknown, path: string): unknown {
  try {
    return read()
  } catch (cause) {
    throw new ConfigError(path, (cause as Error).message, { cause })
  }
}

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Of what a local run can do without: nothing, when it is no object. */
const objectOf = (value: unknown): Fields => (isObject(value) ? value : {})

function fieldsOf(value: unknown, field: string): Fields {
  if (value === undefined || value === null) return {}
  if (isObject(value)) return value
  throw new ConfigError(field, `takes an object, got ${JSON.stringify(value)}`)
}

function listOf(value: unknown, field: string): readonly unknown[] {
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value
  throw new ConfigError(field, `takes a list, got ${JSON.stringify(value)}`)
}

/** Settings that the file does not have are left to their defaults. */
function withoutUndefined<T>(value: { [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as T
}

/** The name that a function has in CloudFormation, without `LambdaFunction`. */
function logicalId(name: string): string {
  const text = name.replaceAll('-', 'Dash').replaceAll('_', 'Underscore')
  return text.charAt(0).toUpperCase() + text.slice(1)
}
