/** The package as a stranger gets it: packed, and installed by npm into an empty project. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync, statSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { build } from 'esbuild'
import { publint } from 'publint'
import { bundleOptions } from '../../scripts/bundle.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')

/** A project's own function: a middy handler over the event source, and a client, by the package's name. */
const CONSUMER = `
import { createClient, createProducer, type ClientOptions, type SendResult } from 'rocketmq-lambda'
import { eventSource, publisher, rocketmq, type RocketMQEvent } from 'rocketmq-lambda/lambda'
import { startBroker } from 'rocketmq-lambda/testing'
import { RocketMQError } from 'rocketmq-lambda/errors'

const broker = await startBroker()
const options: ClientOptions = { nameServers: broker.nameServers }
const client = createClient(options)
const sent: SendResult = await createProducer(client, { producerGroup: 'shop' }).send({ topic: 'orders', body: 'an order' })
const bodies: string[] = []
const consume = eventSource(
  { topic: 'orders', consumerGroup: 'billing', client, logger: { debug() {}, info() {}, warn() {} } },
  async (event: RocketMQEvent) => {
    for (const record of Object.values(event.records).flat()) bodies.push(record.body.toString())
  },
)
const context = { functionName: 'f', awsRequestId: '1', getRemainingTimeInMillis: () => 10_000 }
const { handled } = await consume({}, context as Parameters<typeof consume>[1])
const failure: unknown = await createProducer(client, { producerGroup: 'shop' }).send({ topic: '', body: '' }).catch((error: unknown) => error)
console.log(JSON.stringify([sent.status, handled, bodies, failure instanceof RocketMQError, typeof publisher, typeof rocketmq]))
await client.close()
await broker.close()
`
const SAID = '["SEND_OK",1,["an order"],true,"function","function"]\n'

describe('the package in an empty project', () => {
  let folder: string
  let tarball: string
  let installed: string
  let manifest: Record<string, Record<string, string> | undefined>

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-installed-'))
    await run('npm', ['run', 'build'], { cwd: root })
    const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root })
    tarball = join(folder, stdout.trim())
    await writeFile(join(folder, 'package.json'), '{ "name": "shop", "private": true, "type": "module" }')
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball], { cwd: folder })
    installed = join(folder, 'node_modules/rocketmq-lambda')
    manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as typeof manifest
  })
  after(() => rm(folder, { recursive: true, force: true }))

  const node = async (file: string): Promise<string> =>
    (await run(process.execPath, [file], { cwd: folder })).stdout

  it('is used from TypeScript in ES modules, with its types checked', async () => {
    await writeFile(join(folder, 'consume.ts'), CONSUMER)
    const compilerOptions = {
      module: 'nodenext',
      target: 'es2024',
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      types: ['node'],
      typeRoots: [join(root, 'node_modules/@types')],
    }
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['consume.ts'] }))
    const checked = await run(join(root, 'node_modules/.bin/tsc'), ['-p', folder]).catch(
      (error: { stdout: string }) => error,
    )

    assert.deepStrictEqual([checked.stdout, await node('consume.ts')], ['', SAID])
  })

  it('is used from CommonJS by require', async () => {
    await writeFile(
      join(folder, 'consume.cjs'),
      `const { createClient, createProducer } = require('rocketmq-lambda')
const { eventSource } = require('rocketmq-lambda/lambda')
const { lambdaContext, scheduledEvent, startBroker } = require('rocketmq-lambda/testing')
const { RocketMQError } = require('rocketmq-lambda/errors')
const kinds = [require('rocketmq-lambda/wire').encodeFrame, require('rocketmq-lambda/commands').SendMessage].map((each) => typeof each)
async function main() {
  const broker = await startBroker()
  const client = createClient({ nameServers: broker.nameServers })
  const producer = createProducer(client, { producerGroup: 'shop' })
  await producer.send({ topic: 'orders', body: 'an order' })
  const consume = eventSource({ topic: 'orders', consumerGroup: 'billing', client }, async () => undefined)
  const { handled } = await consume(scheduledEvent(), lambdaContext())
  const failure = await producer.send({ topic: '', body: '' }).catch((error) => error)
  console.log('in all', handled, failure instanceof RocketMQError, ...kinds)
  await client.close()
  await broker.close()
}
main()`,
    )

    assert.equal((await node('consume.cjs')).trimEnd().split('\n').at(-1), 'in all 1 true function object')
  })

  it('is bundled by esbuild into a file that needs nothing else', async () => {
    await writeFile(join(folder, 'consume.ts'), CONSUMER)
    const outfile = join(folder, 'elsewhere.mjs')
    await build({
      ...bundleOptions,
      splitting: false,
      outExtension: {},
      absWorkingDir: folder,
      entryPoints: ['consume.ts'],
      outfile,
      // Optional peers: loaded when they are asked for.
      external: ['@aws-sdk/*', 'yaml'],
    })

    assert.deepStrictEqual(await node(outfile), SAID)
  })

  it('holds what it needs, with the licences of what is bundled in it, and nothing of this machine', async () => {
    const paths = globSync('**', { cwd: installed }).filter((path) =>
      statSync(join(installed, path)).isFile(),
    )
    const texts = await Promise.all(paths.map((path) => readFile(join(installed, path), 'utf8')))
    const licences = texts[paths.indexOf('dist/functions/THIRD-PARTY-LICENSES.txt')] ?? ''
    const versionOf = (name: string): string =>
      (
        JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')) as {
          version: string
        }
      ).version

    const beside = paths.filter(
      (path) => !/^dist\/.+\.(?:js|d\.ts|mjs)$|^dist\/functions\/[\w-]+\/package\.json$/.test(path),
    )
    assert.deepStrictEqual(beside.toSorted(), [
      'CHANGELOG.md',
      'LICENSE',
      'NOTICE',
      'README.md',
      'dist/functions/THIRD-PARTY-LICENSES.txt',
      'package.json',
    ])
    assert.deepStrictEqual(
      paths.filter((_, at) => texts[at]?.includes(root) || /^\/\/# sourceMappingURL/m.test(texts[at] ?? '')),
      [],
    )
    for (const name of ['@middy/core', 'zod', 'bowser', '@smithy/core', '@aws-sdk/client-lambda'])
      assert.match(licences, new RegExp(`^${name} ${versionOf(name)}$`, 'm'))
    assert.match(licences, /^Copyright \(c\) .*Middy/m)
  })

  it('runs no script when it is installed', () => {
    const scripts = Object.keys(manifest['scripts'] ?? {})
    const atInstall = ['preinstall', 'install', 'postinstall', 'prepare']

    assert.deepStrictEqual(
      scripts.filter((name) => atInstall.includes(name)),
      [],
    )
  })

  it('has runtime dependencies that CONTRIBUTING.md gives a reason and a size for', async () => {
    const page = await readFile(join(root, 'CONTRIBUTING.md'), 'utf8')
    const missing = Object.keys(manifest['dependencies'] ?? {}).filter(
      (name) => !new RegExp(`^\\| \`${name}\` .*\\d KB`, 'm').test(page),
    )

    assert.deepStrictEqual(missing, [])
  })

  it('is found without a fault by publint and are-the-types-wrong', async () => {
    const bytes = await readFile(tarball)
    const { messages } = await publint({ pack: { tarball: new Uint8Array(bytes).buffer } })
    const checked = await checkPackage(createPackageFromTarballData(bytes))

    assert.deepStrictEqual(messages, [])
    assert.ok(checked.types, 'it has types')
    // ES modules only: for Node 22.12 and later, which can require them.
    const isExpected = (kind: string, resolution: unknown): boolean =>
      resolution === 'node10' || (kind === 'CJSResolvesToESM' && resolution === 'node16-cjs')
    const problems = checked.problems.map((problem) => ({
      kind: problem.kind,
      resolution: 'resolutionKind' in problem ? problem.resolutionKind : undefined,
    }))
    assert.deepStrictEqual(
      problems.filter(({ kind, resolution }) => !isExpected(kind, resolution)),
      [],
    )
  })
})
