/** The examples that are tests of users' functions are run, each in a process of its own, on the sources. */
import { deepStrictEqual } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { bundleFunction, functionNames } from '../scripts/bundle.ts'

const root = join(import.meta.dirname, '..')
const sources = pathToFileURL(join(root, 'test/support/resolve-sources.ts')).href

describe('the examples of tests', () => {
  // One of them starts the functions as they are deployed.
  before(async () => {
    for (const name of functionNames) await bundleFunction(name)
  })

  for (const path of globSync('examples/test-*.ts', { cwd: root }).sort()) {
    it(`${path} passes`, async () => {
      const { NODE_TEST_CONTEXT: _, ...env } = process.env
      const args = ['--import', sources, '--test', path]
      const [code, output] = await new Promise<[unknown, string]>((resolve) =>
        execFile(process.execPath, args, { cwd: root, env, timeout: 60_000 }, (error, stdout, stderr) =>
          resolve([error?.code ?? 0, stdout + stderr]),
        ),
      )
      deepStrictEqual([code, code === 0 ? '' : output], [0, ''])
    })
  }
})
