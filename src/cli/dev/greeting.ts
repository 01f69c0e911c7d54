/** What `dev` prints when everything has started: addresses, functions, and commands that work as they stand. */
import { relative } from 'node:path'
import type { FunctionEvent, LocalBroker, LocalFunction, LocalLambda } from '../../testing/index.ts'
import { bold, dim, table } from '../output.ts'
import { type Project, publishedTopics } from './project.ts'

export interface Started {
  project: Project
  topics: readonly string[]
  broker: Pick<LocalBroker, 'nameServers'>
  lambda: Pick<LocalLambda, 'endpoint' | 'httpUrl'>
  speed: number
}

const ROOM = '  '

export function greeting({ project, topics, broker, lambda, speed }: Started): string[] {
  const { config } = project
  const functions = Object.entries(project.functions)
  const addresses = [
    ['name server', broker.nameServers],
    ['HTTP API', lambda.httpUrl ?? 'none: no function has a route'],
    ['Invoke API', lambda.endpoint],
    ['topics', topics.join(', ') || 'none yet: the first message makes one'],
    ...(speed === 1 ? [] : [['time', `${speed} times as fast`]]),
  ]
  const triggers = functions.map(
    ([
      name,
      {
        settings: { events = [] },
        origin,
      },
    ]) => [name, origin, events.map(triggerOf).join(', ') || 'only when it is invoked'],
  )
  const from = config === undefined ? 'the functions of this package' : relative(process.cwd(), config)
  return [
    `${bold('rocketmq-lambda dev')}: ${from}`,
    '',
    ...table(addresses).map((line) => ROOM + line),
    '',
    ...table(triggers).map((line) => ROOM + line),
    '',
    'In another terminal:',
    '',
    ...functions
      .flatMap(([name, { settings }]) => commandsOf(name, settings, lambda))
      .map((line) => ROOM + line),
    `${ROOM}export ROCKETMQ_NAMESRV_ADDR=${broker.nameServers}`,
    '',
    dim('Ctrl-C ends it.'),
    '',
  ]
}

function triggerOf(event: FunctionEvent): string {
  if ('httpApi' in event) return `${event.httpApi.method.toUpperCase()} ${event.httpApi.path}`
  const { rate, enabled = true } = event.schedule
  return `${[rate].flat().join(', ')}${enabled ? '' : ' (off)'}`
}

function commandsOf(name: string, each: LocalFunction, lambda: Started['lambda']): string[] {
  const { events = [] } = each
  const requests = events.flatMap((event) =>
    'httpApi' in event ? [requestOf(each, event.httpApi, lambda.httpUrl ?? '')] : [],
  )
  const schedule = events.find((event) => 'schedule' in event)
  // What a route starts is easier to start by it.
  if (requests.length > 0 && !schedule) return requests
  const payload = quoted(JSON.stringify(schedule?.schedule.input ?? {}))
  return [
    ...requests,
    `curl -d ${payload} ${lambda.endpoint}/2015-03-31/functions/${name}/invocations`,
    // Versions 1 and 2 read a payload in the same way only from a file.
    `echo ${payload} | aws lambda invoke --endpoint-url ${lambda.endpoint} --no-sign-request --region eu-central-1 ` +
      `--function-name ${name} --payload fileb:///dev/stdin /dev/stdout`,
  ]
}

function requestOf(
  { environment = {} }: LocalFunction,
  { method, path }: { method: string; path: string },
  httpUrl: string,
): string {
  const [topic] = publishedTopics(environment)
  const isPublish = topic !== undefined && path.includes('{topic}')
  const filled = path
    .replace('{topic}', topic ?? 'topic')
    .replaceAll(/\{([\w.-]+)\+?\}/g, '$1')
    .replace(/^(\*|\$default)$/, '/')
  const verb = method === '*' || method.toUpperCase() === 'ANY' ? 'GET' : method.toUpperCase()
  const body = isPublish ? { body: { order: 1 }, tag: 'created', keys: 'order-1' } : {}
  if (['GET', 'HEAD', 'DELETE', 'OPTIONS'].includes(verb))
    return `curl${verb === 'GET' ? '' : verb === 'HEAD' ? ' -I' : ` -X ${verb}`} ${httpUrl}${filled}`
  const how = verb === 'POST' ? '' : `-X ${verb} `
  return `curl ${how}-H 'content-type: application/json' -d ${quoted(JSON.stringify(body))} ${httpUrl}${filled}`
}

/** For a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
