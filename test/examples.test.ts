/** The examples that are tests of users' functions, and those of the example projects, are run in processes of their own, on the sources. */
import { deepStrictEqual } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { bundleFunction, functionNames } from '../scripts/bundle.ts'
import { startBroker } from '../src/testing/index.ts'

const root = join(import.meta.dirname, '..')
const sources = pathToFileURL(join(root, 'test/support/resolve-sources.ts')).href

describe('the examples of tests', () => {
  // One of them starts the functions as they are deployed.
  before(async () => {
    for (const name of functionNames) await bundleFunction(name)
  })

  for (const path of globSync('examples/test-*.ts', { cwd: root }).sort()) {
    it(`${path} passes`, async () => {
      deepStrictEqual(await runTests(root, [path]), PASSED)
    })
  }
})

describe('the examples for administrators', () => {
  it('run on a local broker, one after the other', async () => {
    await using broker = await startBroker({ brokers: 2 })
    for (const path of globSync('examples/admin*.ts', { cwd: root }).sort().reverse()) {
      const env = { ...process.env, ROCKETMQ_NAMESRV_ADDR: broker.nameServers, WINDOW_MS: '50' }
      const { stderr } = await promisify(execFile)(process.execPath, ['--import', sources, path], {
        cwd: root,
        env,
        timeout: 60_000,
      })
      deepStrictEqual([path, stderr], [path, ''])
    }
  })
})

for (const project of ['shop', 'hourly-report', 'orders-dynamodb']) {
  describe(`the example project ${project}`, () => {
    // Node waits for every handle that a test file has left open: a file that does not end is killed by the time limit.
    it('passes its own tests, and its processes end by themselves', async () => {
      deepStrictEqual(await runTests(join(root, 'examples', project)), PASSED)
    })

    it('asks for the versions that this project is tested with', () => {
      const read = (path: string): Manifest => JSON.parse(readFileSync(join(root, path), 'utf8')) as Manifest
      const { version, devDependencies: ours = {} } = read('package.json')
      const { dependencies = {}, devDependencies = {} } = read(`examples/${project}/package.json`)
      const { 'rocketmq-lambda': own, ...others } = dependencies
      const all = Object.entries({ ...others, ...devDependencies })
      const shared = all.filter(([name]) => Object.hasOwn(ours, name))
      deepStrictEqual(own, `^${version}`)
      deepStrictEqual(
        shared,
        shared.map(([name]) => [name, ours[name]]),
      )
    })
  })
}

interface Manifest {
  version: string
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
}

const PASSED = { code: 0, output: '' }

/** `node --test` in a folder; its output only when it fails. */
async function runTests(
  cwd: string,
  files: readonly string[] = [],
): Promise<{ code: unknown; output: string }> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const args = ['--import', sources, '--test', ...files]
  return await new Promise((resolve) =>
    execFile(process.execPath, args, { cwd, env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve(error ? { code: error.code ?? error.signal, output: stdout + stderr } : PASSED),
    ),
  )
}
