/**
 * The minified size of each entry, and of what functions use of it. A figure is raised only on purpose, with a line in
 * the CHANGELOG that says what was bought for it. The goal for sending is 26,000: what is above it is to be won back.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { build } from 'esbuild'
import { bundleFunction, bundleOptions, functionNames } from '../scripts/bundle.ts'

const root = join(import.meta.dirname, '..')

/** One file that holds all of it, without splitting, and which files went into it. */
async function sizeOf(source: string): Promise<{ bytes: number; text: string; inputs: string[] }> {
  const result = await build({
    ...bundleOptions,
    splitting: false,
    outExtension: {},
    // Optional peers, loaded on demand: by readServerless(), and by what invokes functions.
    external: ['yaml', '@aws-sdk/client-lambda', '@aws-sdk/client-secrets-manager'],
    write: false,
    metafile: true,
    stdin: { contents: source, resolveDir: root, loader: 'ts' },
  })
  const [file] = result.outputFiles
  return {
    bytes: file?.contents.length ?? 0,
    text: file?.text ?? '',
    inputs: Object.keys(result.metafile.inputs),
  }
}

/** A bundle's file with those that it imports; what is loaded on demand (pops, formats, AWS's SDK) is left out. */
async function textAtStart(file: string, seen: Set<string> = new Set()): Promise<string> {
  if (seen.has(file)) return ''
  seen.add(file)
  const text = await readFile(file, 'utf8')
  const imported = [...text.matchAll(/\b(?:from|import)"\.\/([^"]+)"/g)].map(([, name = '']) => name)
  const texts = await Promise.all(imported.map((name) => textAtStart(join(dirname(file), name), seen)))
  return [text, ...texts].join('\n')
}

describe('the minified size', () => {
  for (const [what, source, most] of [
    ['a client that only sends', "export { createClient, createProducer } from './src/index.ts'", 36_400],
    [
      'a client that sends, pulls, commits and locks',
      "export { createClient, createProducer, createPullConsumer } from './src/index.ts'",
      54_600,
    ],
    [
      'a client that creates topics',
      "export { createClient, createTopicAdmin } from './src/index.ts'",
      39_100,
    ],
    ['a client that reads lag', "export { createClient, createGroupAdmin } from './src/index.ts'", 39_200],
    [
      'a client that resets offsets',
      "export { createClient, createOffsetAdmin } from './src/index.ts'",
      43_700,
    ],
    [
      'a client that looks messages up',
      "export { createClient, createMessageQuery } from './src/index.ts'",
      43_400,
    ],
    ['a client that serves', "export { createClient, serve } from './src/index.ts'", 56_200],
    ['the client entry', "export * from './src/index.ts'", 113_600],
    ['the lambda entry', "export * from './src/lambda/index.ts'", 178_600],
    ['the errors entry', "export * from './src/errors.ts'", 2_100],
    ['the wire entry', "export * from './src/wire/index.ts'", 25_500],
    ['the commands entry', "export * from './src/commands/index.ts'", 30_700],
    ['the testing entry', "export * from './src/testing/index.ts'", 144_800],
  ] as const) {
    it(`of ${what} is at most ${most} bytes`, async () => {
      const { bytes } = await sizeOf(source)
      assert.ok(bytes <= most, `${bytes} bytes`)
    })
  }

  it('of an import for nothing is nothing: no module has side effects', async () => {
    for (const entry of [
      'index',
      'errors',
      'wire/index',
      'commands/index',
      'lambda/index',
      'testing/index',
    ]) {
      const { text } = await sizeOf(`import './src/${entry}.ts'`)
      // What stays of an unused import of Node's own modules is their name.
      assert.equal(text.replaceAll(/import\s*"node:[\w/]+";?/g, '').trim(), '', entry)
    }
  })

  it('of the client grows by no dependency: zod, middy and AWS are reached from ./lambda only', async () => {
    const { inputs } = await sizeOf("export * from './src/index.ts'")
    assert.deepStrictEqual(
      inputs.filter((each) => each.includes('node_modules') || each.includes('src/lambda')),
      [],
    )
  })

  it('of what the consume function loads on demand is not in the file that every cold start parses', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-size-'))
    t.after(() => rm(folder, { recursive: true, force: true }))

    const text = await textAtStart(await bundleFunction('consume', folder))

    const foreign = ['SelfManagedKafka', 'aws:sqs', 'does not fit the schema']
    assert.deepStrictEqual(
      foreign.filter((each) => text.includes(each)),
      [],
    )
  })

  for (const [name, most] of [
    ['publish', 50_900],
    ['consume', 111_100],
    ['dispatch', 83_500],
    ['end-transaction', 47_600],
    ['check-transactions', 75_500],
  ] as const) {
    it(`of the ${name} function as deployed is at most ${most} bytes`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-size-'))
      t.after(() => rm(folder, { recursive: true, force: true }))
      assert.ok(functionNames.includes(name))
      const entry = await bundleFunction(name, folder)
      const bytes = Buffer.byteLength(await textAtStart(entry))
      assert.ok(bytes <= most, `${bytes} bytes`)
    })
  }

  it('of the publish function with all that it loads on demand, but AWS’s SDK, is at most 54,300 bytes', async () => {
    const { outputFiles } = await build({
      ...bundleOptions,
      entryPoints: { index: join(root, 'functions', 'publish.ts') },
      external: ['@aws-sdk/client-secrets-manager'],
      outdir: root,
      write: false,
    })
    const bytes = outputFiles.reduce((sum, { contents }) => sum + contents.length, 0)
    assert.ok(bytes <= 54_300, `${bytes} bytes`)
  })
})
