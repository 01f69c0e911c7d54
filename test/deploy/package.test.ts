/** The package as a stranger gets it: packed, and installed by npm into an empty project. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
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
  let manifest: Record<string, Record<string, string> | undefined>

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-installed-'))
    await run('npm', ['run', 'build'], { cwd: root })
    const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root })
    tarball = join(folder, stdout.trim())
    await writeFile(join(folder, 'package.json'), '{ "name": "shop", "private": true, "type": "module" }')
    await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', tarball], { cwd: folder })
    const path = join(folder, 'node_modules/rocketmq-lambda/package.json')
    manifest = JSON.parse(await readFile(path, 'utf8')) as typeof manifest
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
      `const { createClient } = require('rocketmq-lambda')
const { eventSource } = require('rocketmq-lambda/lambda')
console.log(typeof createClient, typeof eventSource)`,
    )

    assert.deepStrictEqual(await node('consume.cjs'), 'function function\n')
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
