/**
 * What a cold start costs: processes started one after the other, from their start to the moment that they say so. Bundles
 * are made as functions are deployed.
 */
import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions } from '../scripts/bundle.ts'
import { httpEvent } from '../src/testing/index.ts'
import { encodeFrame, encodeProperties } from '../src/wire/index.ts'
import { pullHeader, sendHeader } from './headers.ts'
import { outFolder, type Program } from './programs.ts'
import { type Cells, median, table } from './report.ts'

const ROUNDS = 31
const folder = join(outFolder, 'cold')
const source = join(import.meta.dirname, 'programs')

export interface ColdTarget {
  nameServer: string
  broker: string
  brokerName: string
  /** Takes messages. */
  topic: string
  /** Has at least 100 messages in queue 0. */
  fullTopic: string
}

interface Start {
  name: string
  command: readonly string[]
  environment?: Readonly<Record<string, string>>
}

interface ColdRow {
  name: string
  starts: Start[]
}

export async function coldStarts(target: ColdTarget, peers: readonly Program[]): Promise<string> {
  await mkdir(folder, { recursive: true })
  const sections: string[] = []
  for (const row of await coldRows(target, peers)) sections.push(await measureRow(row))
  return sections.join('\n\n')
}

async function coldRows(target: ColdTarget, peers: readonly Program[]): Promise<ColdRow[]> {
  const { nameServer, broker, brokerName, topic, fullTopic } = target
  const queue = { topic: fullTopic, brokerName, queueId: 0 }
  const about = { nameServer, topic }
  const raw = join(source, 'cold-raw.mjs')
  const routeFrame = (of: string): string => frame(105, { topic: of, acceptStandardJsonOnly: 'true' })
  const rawSend = { nameServer, broker, routeFrame: routeFrame(topic), frames: [sendFrame(topic)] }
  const fetchFrames = [0, 32, 64, 96].map((offset) =>
    pullFrame(fullTopic, offset, Math.min(32, 100 - offset)),
  )
  const rawFetch = {
    nameServer,
    broker,
    routeFrame: routeFrame(fullTopic),
    frames: [...fetchFrames, commitFrame(fullTopic)],
  }
  const publish = await bundleFunction('publish', folder)
  const environment = {
    ROCKETMQ_NAMESRV_ADDR: nameServer,
    ROCKETMQ_TOPICS: topic,
    AWS_LAMBDA_FUNCTION_NAME: 'publish',
  }
  const { path: invoke } = await script(
    'invoke.mjs',
    `const { handler } = await import(process.argv[2])
const context = { awsRequestId: '1', functionName: 'publish', getRemainingTimeInMillis: () => 10_000 }
const { statusCode } = await handler(JSON.parse(process.argv[3]), context)
if (statusCode !== 200) throw new Error(String(statusCode))
process.stdout.write('done')`,
  )
  const { path: load } = await script(
    'load.mjs',
    `await import(process.argv[2])\nprocess.stdout.write('done')`,
  )
  const { url: empty } = await script('empty.mjs', 'export const handler = async () => {}')
  const event = JSON.stringify(
    httpEvent('POST', `/topics/${topic}/messages`, { body: 'x'.repeat(1024), tag: 'bench', keys: 'k-1' }),
  )
  const publishUrl = pathToFileURL(publish).href
  const node = (...args: string[]): string[] => [process.execPath, ...args]
  const aliOns = peers.find(({ name, problem }) => name === 'ali-ons' && problem === undefined)
  const own = (command: string[]): Start[] => (aliOns ? [{ name: 'ali-ons, bundled', command }] : [])
  const aliOnsBundle = aliOns ? await bundle('cold-ali-ons.cjs', join(outFolder, 'ali-ons')) : ''
  const once = JSON.stringify({
    work: 'send',
    nameServers: nameServer,
    broker,
    brokerName,
    topic,
    queues: 8,
    group: 'bench',
    bodyBytes: 1024,
    inFlight: 1,
    batchSize: 1,
    warmup: 0,
    messages: 1,
  })
  const others = peers
    .filter(({ name, problem }) => /Go|Java/.test(name) && problem === undefined)
    .map(({ name, command }) => ({ name, command: [...command, once] }))

  return [
    {
      name: 'process start → first acknowledged send',
      starts: [
        { name: 'the raw program', command: node(raw, JSON.stringify(rawSend)) },
        {
          name: 'client only, bundled',
          command: node(await bundle('cold-send.ts'), JSON.stringify(about)),
        },
        { name: '`publish` as deployed', command: node(invoke, publishUrl, event), environment },
        ...own(node(aliOnsBundle, JSON.stringify(about))),
        ...others,
      ],
    },
    {
      name: 'process start → 100 messages fetched, commit acknowledged, closed',
      starts: [
        { name: 'the raw program', command: node(raw, JSON.stringify(rawFetch)) },
        {
          name: 'client only, bundled',
          command: node(
            await bundle('cold-fetch.ts'),
            JSON.stringify({ nameServer, queue, consumerGroup: 'bench-cold' }),
          ),
        },
        ...own(node(aliOnsBundle, JSON.stringify({ nameServer, topic, queue, consumerGroup: 'bench-cold' }))),
      ],
    },
    {
      name: 'process start → handler loaded',
      starts: [
        { name: 'an empty handler', command: node(load, empty) },
        { name: '`publish` as deployed', command: node(load, publishUrl), environment },
      ],
    },
  ]
}

/** By row and line, against the first line of the row. */
const GOALS: Readonly<Record<string, number>> = {
  'process start → first acknowledged send/client only, bundled': 1.2,
  'process start → first acknowledged send/`publish` as deployed': 1.35,
  'process start → 100 messages fetched, commit acknowledged, closed/client only, bundled': 1.35,
  'process start → handler loaded/`publish` as deployed': 1.35,
}

async function measureRow({ name, starts }: ColdRow): Promise<string> {
  const times = starts.map((): number[] => [])
  for (let round = 0; round < ROUNDS; round++)
    for (const [index, start] of starts.entries()) times[index]?.push(await timeOf(start))
  const base = median(times[0] ?? [])
  const lines = starts.map((start, index): Cells => {
    const ms = median(times[index] ?? [])
    const goal = GOALS[`${name}/${start.name}`]
    return [
      start.name,
      ms.toFixed(1),
      (ms / base).toFixed(2),
      goal === undefined ? '' : `≤ ${goal.toFixed(2)}`,
    ]
  })
  console.log(`\n${name}`)
  for (const line of lines) console.log(`  ${line.join('  ')}`)
  return `**${name}**\n\n${table(['', 'ms', '× the first', 'goal'], lines)}`
}

/** From before the process is started until it has printed something, in ms. */
async function timeOf({ name, command, environment }: Start): Promise<number> {
  const [file = '', ...args] = command
  const start = performance.now()
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'], ...environment },
  })
  let ms: number | undefined
  child.stdout.on('data', () => {
    ms ??= performance.now() - start
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  if (code !== 0 || ms === undefined) throw new Error(`${name} ended with ${code}`)
  return ms
}

async function script(name: string, text: string): Promise<{ path: string; url: string }> {
  const path = join(folder, name)
  await writeFile(path, `${text}\n`)
  return { path, url: pathToFileURL(path).href }
}

/** @param modules the folder above the node_modules that the program needs */
async function bundle(name: string, modules?: string): Promise<string> {
  const extension = modules ? 'cjs' : 'mjs'
  const outfile = join(folder, name.replace(/\.\w+$/, `.bundle.${extension}`))
  await build({
    ...bundleOptions,
    splitting: false,
    outExtension: {},
    entryPoints: [join(source, name)],
    outfile,
    format: modules ? 'cjs' : 'esm',
    ...(modules && { nodePaths: [join(modules, 'node_modules')] }),
  })
  return outfile
}

function frame(code: number, ext: Record<string, string>, body?: Buffer): string {
  return encodeFrame({ code, opaque: 1, ext, body }).toString('base64')
}

/** Of a message of 1 KiB, in base64. */
export function sendFrame(topic: string): string {
  const properties = encodeProperties([
    ['TAGS', 'bench'],
    ['KEYS', 'k-1'],
    ['UNIQ_KEY', '0'.repeat(32)],
    ['WAIT', 'true'],
  ])
  const ext = sendHeader({ group: 'bench', topic, queueId: 0, properties, batch: false })
  return frame(310, ext, Buffer.alloc(1024, 'x'))
}

function pullFrame(topic: string, offset: number, maxMessages: number): string {
  return frame(11, pullHeader({ group: 'bench-cold', topic, queueId: 0, offset: `${offset}`, maxMessages }))
}

function commitFrame(topic: string): string {
  return frame(15, { consumerGroup: 'bench-cold', topic, queueId: '0', commitOffset: '100' })
}
