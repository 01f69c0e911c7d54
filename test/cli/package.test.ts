/** The package as it is published, unpacked beside its dependencies and nothing else. */
import { deepStrictEqual, match } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { runCommand } from '../support/command-line.ts'

const root = join(import.meta.dirname, '../..')

describe('the packed package', () => {
  let folder: string
  let main: string

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'rocketmq-lambda-package-'))
    execFileSync('npm', ['run', 'build'], { cwd: root, stdio: 'ignore' })
    execFileSync('npm', ['pack', '--pack-destination', folder], { cwd: root, stdio: 'ignore' })
    const installed = join(folder, 'node_modules/rocketmq-lambda')
    mkdirSync(installed, { recursive: true })
    execFileSync('sh', ['-c', 'tar -xzf "$0"/*.tgz -C "$1" --strip-components=1', folder, installed])
    const manifest = readFileSync(join(installed, 'package.json'), 'utf8')
    const { dependencies, bin } = JSON.parse(manifest) as Record<
      'dependencies' | 'bin',
      Record<string, string>
    >
    for (const name of Object.keys(dependencies)) link(name)
    main = join(installed, bin['rocketmq-lambda'] ?? '')
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  const link = (name: string): void => {
    const path = join(folder, 'node_modules', name)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), path)
  }

  it('runs the demo', async () => {
    const { code, stdout, stderr } = await runCommand(['demo'], { main, cwd: folder })

    deepStrictEqual([code, stderr], [0, ''])
    match(stdout, /\nEverything was as it should be, /)
  })

  it('names the optional package that is missing', async () => {
    const args = ['dev', '--port', '0', '--http-port', '0', '--lambda-port', '0']
    const yml = 'functions:\n  hello:\n    handler: hello.handler\n'
    writeFileSync(join(folder, 'serverless.yml'), yml)
    writeFileSync(join(folder, 'hello.ts'), 'export const handler = async () => 1')
    const answers = [await runCommand(args, { main, cwd: folder })]
    link('yaml')
    answers.push(await runCommand(args, { main, cwd: folder }))

    deepStrictEqual(
      answers.map(({ code, stdout, stderr }) => [code, stdout, stderr.replace(folder, '')]),
      [
        [2, '', 'error: yaml: the package is needed to read serverless.yml: npm install --save-dev yaml\n'],
        [
          2,
          '',
          'error: esbuild: the package is needed to bundle /hello.ts: npm install --save-dev esbuild\n',
        ],
      ],
    )
  })

  it('has the bundles of the functions, to be deployed as they are', () => {
    for (const name of ['publish', 'consume'])
      for (const file of ['index.mjs', 'package.json'])
        deepStrictEqual([file, existsSync(join(dirname(main), '../functions', name, file))], [file, true])
  })
})
