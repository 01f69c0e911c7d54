import { deepStrictEqual, match } from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { runCommand, runOnFullDisk } from '../support/command-line.ts'

const read = (path: string): string => readFileSync(join(import.meta.dirname, '../..', path), 'utf8')

describe('rocketmq-lambda', () => {
  for (const [args, line] of [
    [['demmo'], "error: unknown command 'demmo' (Did you mean demo?)"],
    [['dev', '--prot', '0'], "error: unknown option '--prot' (Did you mean --port?)"],
    [['demo', '--fast'], "error: unknown option '--fast'"],
    [['demo', 'twice'], "error: too many arguments for 'demo'. Expected 0 arguments but got 1: twice."],
    [['dev', '--port'], "error: option '--port <port>' argument missing"],
    [
      ['dev', '--port', '99999'],
      "error: option '--port <port>' argument '99999' is invalid. It takes 0 to 65535.",
    ],
    [
      ['dev', '--speed', 'fast'],
      "error: option '--speed <n>' argument 'fast' is invalid. It takes a number above 0, up to 10000000.",
    ],
    [
      ['dev', '--env', 'DEBUG'],
      "error: option '--env <NAME=value>' argument 'DEBUG' is invalid. It takes a name, = and a value.",
    ],
  ] as const) {
    it(`called with ${args.join(' ')} says in one line what is wrong, and exits with 2`, async () => {
      deepStrictEqual(await runCommand(args), { code: 2, signal: null, stdout: '', stderr: `${line}\n` })
    })
  }

  it('called with nothing shows its help on stderr, and exits with 2', async () => {
    const { code, stdout, stderr } = await runCommand([])
    deepStrictEqual([code, stdout], [2, ''])
    match(stderr, /^Usage: rocketmq-lambda \[options\] \[command\]\n/)
  })

  it('says in one line which Node it needs when it runs on an older one', async () => {
    const versions = "Object.defineProperty(process,'versions',{value:{...process.versions,node:'22.9.0'}})"
    const environment = { NODE_OPTIONS: `--import=data:text/javascript,${versions}` }
    deepStrictEqual(await runCommand(['demo'], { environment }), {
      code: 1,
      signal: null,
      stdout: '',
      stderr: 'error: Node 22.15 or later is needed; this is 22.9.0\n',
    })
  })

  it('has the version of the package', async () => {
    const { version } = JSON.parse(read('package.json')) as { version: string }
    deepStrictEqual(await runCommand(['--version']), {
      code: 0,
      signal: null,
      stdout: `${version}\n`,
      stderr: '',
    })
  })

  it('says in one line that its output cannot be written', {
    skip: process.platform !== 'linux',
  }, async () => {
    const stderr = 'error: the output cannot be written: ENOSPC: no space left on device, write\n'
    deepStrictEqual(await runOnFullDisk(['--help']), { code: 1, stderr })
  })

  it('has in docs/cli.md what --help prints, of every command', async () => {
    const texts = [...read('docs/cli.md').matchAll(/^```text\n(.*?)^```$/gms)].map(([, text = '']) => text)

    const helps = await helpOf([])

    deepStrictEqual(texts.toSorted(), helps.toSorted())
    for (const help of helps) match(help, /\nCommands:\n|\nExamples?:\n/)
  })
})

/** What it prints for a command, and for each below it. */
async function helpOf(command: readonly string[]): Promise<string[]> {
  const { code, stdout, stderr } = await runCommand([...command, '--help'])
  deepStrictEqual([code, stderr], [0, ''])
  const [, list = ''] = /^Commands:\n((?: .*\n)+)/m.exec(stdout) ?? []
  const below = [...list.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = '']) => name)
  const helps = below.filter((name) => name !== 'help').map((name) => helpOf([...command, name]))
  return [stdout, ...(await Promise.all(helps)).flat()]
}
