/** The examples that are tests of users' functions are run: bundled against the sources, in a process of their own. */
import { deepStrictEqual } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, it } from 'node:test'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')

describe('the examples of tests', () => {
  for (const path of globSync('examples/test-*.ts', { cwd: root }).sort()) {
    it(`${path} passes`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), 'rocketmq-examples-'))
      t.after(() => rm(folder, { recursive: true, force: true }))
      const file = join(folder, basename(path).replace(/ts$/, 'mjs'))
      await build({
        entryPoints: [join(root, path)],
        outfile: file,
        bundle: true,
        platform: 'node',
        format: 'esm',
        logLevel: 'silent',
        tsconfig: join(root, 'tsconfig.json'),
      })
      const { NODE_TEST_CONTEXT: _, ...environment } = process.env
      const [code, output] = await new Promise<[unknown, string]>((resolve) =>
        execFile(process.execPath, [file], { env: environment, timeout: 60_000 }, (error, stdout, stderr) =>
          resolve([error?.code ?? 0, stdout + stderr]),
        ),
      )
      deepStrictEqual([code, code === 0 ? '' : output], [0, ''])
    })
  }
})
