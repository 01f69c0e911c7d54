import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { before, describe, it, type TestContext } from 'node:test'
import { bundleFunction, functionNames } from '../../scripts/bundle.ts'
import { type RunningCommand, runCommand, startCommand } from '../support/command-line.ts'
import { processState, until } from '../support/local-lambda.ts'
import { descendantsOf } from '../support/processes.ts'

const root = join(import.meta.dirname, '../..')
const FREE_PORTS = ['--port', '0', '--http-port', '0', '--lambda-port', '0']

function testFolder(t: TestContext, files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'rocketmq-lambda-cli-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const [path, text] of Object.entries(files)) write(folder, path, text)
  return folder
}

/** In one step, so that nobody sees half of it. */
function write(folder: string, path: string, text: string): void {
  const file = join(folder, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}

/** With free ports; ends with the test. */
function dev(
  t: TestContext,
  cwd: string,
  args: readonly string[] = [],
  temporary = testFolder(t),
): RunningCommand {
  const running = startCommand(['dev', ...FREE_PORTS, ...args], { cwd, environment: { TMPDIR: temporary } })
  t.after(async () => {
    running.child.kill('SIGTERM')
    await running.ended
  })
  return running
}

async function httpUrlOf(running: RunningCommand): Promise<string> {
  const [, url = ''] = await running.printed(/HTTP API +(http:\S+)/)
  await running.printed(/Ctrl-C ends it\.\n/)
  return url
}

const textOf = async (url: string): Promise<string> => await (await fetch(url)).text()

const HELLO = (greeting: string): string => `
  import { name } from './name'
  export const handler = async (): Promise<object> => ({ statusCode: 200, body: \`${greeting} \${name}\` })
`
const HELLO_PROJECT = {
  'serverless.yml': `
service: hello
functions:
  hello:
    handler: src/hello.handler
    timeout: 20
    events:
      - httpApi: GET /hello
`,
  'src/hello.ts': HELLO('hello'),
  'src/name.ts': "export const name = 'world'",
}

describe('rocketmq-lambda dev', () => {
  before(async () => {
    for (const name of functionNames) await bundleFunction(name)
  })

  it('runs the functions of a serverless.yml from their sources, and leaves nothing behind', async (t) => {
    const temporary = testFolder(t)
    const running = dev(t, root, ['--speed', '60'], temporary)

    const [, nameServers] = await running.printed(/name server +(\S+)\n/)
    await running.printed(
      /publish +functions\/publish\.ts +POST \/topics\/\{topic\}\/messages, POST \/topics\/\{topic\}\/transactions\n/,
    )
    await running.printed(/consume +functions\/consume\.ts +rate\(1 minute\)\n/)
    const [curl] = await running.printed(/curl -H .*\/topics\/orders\/messages\n/)
    await running.printed(new RegExp(`export ROCKETMQ_NAMESRV_ADDR=${nameServers}\n`))
    await running.printed(/Ctrl-C ends it\.\n/)
    const published = execFileSync('sh', ['-c', curl], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    deepStrictEqual((JSON.parse(published) as { status: number }).status, 200)
    // The schedule may have been sooner than the answer.
    await Promise.all([
      running.seen(/\d\d:\d\d:\d\d {2}publish +POST \/topics\/orders\/messages → 200 {2}cold /),
      running.seen(/consume +│ .*"tag":"created","bytes":\d+.*\n(.*\n)*.*consume +schedule → handled 1 {2}/),
      running.seen(/lag +billing of orders: 0\n/),
    ])

    const processes = descendantsOf(running.child.pid ?? 0)
    running.child.kill('SIGINT')
    const { code, stderr } = await running.ended

    deepStrictEqual([code, stderr], [0, ''])
    ok(processes.length >= 4, 'two functions, esbuild and the watchdog')
    // esbuild is told to end, and nobody can wait for it.
    await until(() => processes.every((pid) => processState(pid) === undefined))
    deepStrictEqual(readdirSync(temporary), [])
  })

  it('without a serverless.yml runs the functions of the package, and counts what is not consumed yet', async (t) => {
    const running = dev(t, testFolder(t), ['--topic', 'invoices'])

    await running.printed(/topics +orders, invoices\n/)
    await running.printed(/publish +of this package/)
    const [, url = ''] = await running.printed(/(http:\S+)\/topics\/orders\/messages\n/)
    const [invoke] = await running.printed(/curl -d .*\/functions\/consume\/invocations\n/)
    await running.printed(/Ctrl-C ends it\.\n/)
    execFileSync('sh', ['-c', invoke], { stdio: 'ignore' })
    await running.printed(/consume {2}invoke → handled 0 {2}cold /)
    await running.printed(/lag {6}billing of orders: 0\n/)
    for (const topic of ['orders', 'invoices']) {
      const response = await fetch(`${url}/topics/${topic}/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"body":"hello"}',
      })
      deepStrictEqual(response.status, 200)
    }

    await running.printed(/lag {6}billing of orders: 1 \(queue \d: 1\)\n/)
  })

  it('takes over what is changed in a source, and goes on with the old code when it cannot be bundled', async (t) => {
    const folder = testFolder(t, HELLO_PROJECT)
    const running = dev(t, folder)
    const url = `${await httpUrlOf(running)}/hello`
    const texts = [await textOf(url)]

    write(folder, 'src/hello.ts', HELLO('good morning'))
    await running.printed(/hello {2}new code from src\/hello\.ts\n/)
    texts.push(await textOf(url))
    write(folder, 'src/hello.ts', 'export const handler = async () => {{')
    const [, error] = await running.printed(/hello {2}goes on as it was: (.*)\n/)
    texts.push(await textOf(url))
    write(folder, 'src/hello.ts', HELLO('good night'))
    await running.printed(/hello {2}new code from src\/hello\.ts\n/)
    write(folder, 'src/name.ts', "export const name = 'moon'")
    await running.printed(/hello {2}new code from src\/hello\.ts\n/)
    texts.push(await textOf(url))

    match(error ?? '', /^src\/hello\.ts:1:\d+: Unexpected end of file$/)
    deepStrictEqual(texts, ['hello world', 'good morning world', 'good morning world', 'good night moon'])
  })

  it('takes the stage, params and variables that it is given', async (t) => {
    const folder = testFolder(t, {
      'serverless.yml': `
params: { test: { color: blue } }
provider:
  environment: { A: "\${sls:stage} \${opt:stage, 'none'} \${param:color} \${param:size}", B: file }
functions: { hello: { handler: out/hello.handler, events: [httpApi: GET /hello] } }
`,
      'out/hello.mjs':
        'export const handler = async () => ({ statusCode: 200, body: process.env.A + process.env.B })',
    })
    const running = dev(t, folder, ['--stage', 'test', '--param', 'size=l=m', '--env', 'B= mine'])

    deepStrictEqual(await textOf(`${await httpUrlOf(running)}/hello`), 'test test blue l=m mine')
  })

  it('runs a built file, and takes over the next one', async (t) => {
    const built = (text: string): string =>
      `export const handler = async () => ({ statusCode: 200, body: '${text}' })`
    const folder = testFolder(t, { ...HELLO_PROJECT, 'out/hello.mjs': built('one') })
    write(folder, 'serverless.yml', HELLO_PROJECT['serverless.yml'].replace('src/hello', 'out/hello'))
    const running = dev(t, folder)
    await running.printed(/hello +out\/hello\.mjs +GET \/hello\n/)
    const [, url = ''] = await running.printed(/curl (http:\S+\/hello)\n/)
    await running.printed(/Ctrl-C ends it\.\n/)
    const texts = [await textOf(url)]

    write(folder, 'out/hello.mjs', built('two'))
    await running.printed(/hello {2}new code from out\/hello\.mjs\n/)
    texts.push(await textOf(url))

    deepStrictEqual(texts, ['one', 'two'])
  })

  it('shows in one line what a function fails with, and where', async (t) => {
    const folder = testFolder(t, HELLO_PROJECT)
    const running = dev(t, folder)
    const url = `${await httpUrlOf(running)}/hello`

    write(folder, 'src/hello.ts', "\n\nthrow new TypeError('no table')")
    await running.printed(/new code/)
    await textOf(url)
    await running.printed(/hello {2}GET \/hello → TypeError: no table \(src\/hello\.ts:3:7\) {2}/)
    write(
      folder,
      'src/hello.ts',
      "export const handler = async () => {\n  throw new RangeError('no\\nwhere') }",
    )
    await running.printed(/new code/)
    await textOf(url)
    const [line] = await running.printed(/hello {2}GET \/hello → RangeError: .*\n/)
    write(folder, 'src/hello.ts', 'export const handler = async () => ({ statusCode: 200, body: {} })')
    await running.printed(/new code/)
    deepStrictEqual(await textOf(url), '{"message":"Internal Server Error"}')
    await running.printed(/hello {2}GET \/hello → 500: it is no answer to an HTTP request {2}/)

    match(line, /→ RangeError: no \(src\/hello\.ts:2:9\) {2}cold /)
  })

  for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
    it(`ends on ${signal} as on Ctrl-C`, async (t) => {
      const temporary = testFolder(t)
      const running = dev(t, testFolder(t, HELLO_PROJECT), [], temporary)
      await httpUrlOf(running)
      const processes = descendantsOf(running.child.pid ?? 0)

      running.child.kill(signal)
      const { code, stderr } = await running.ended

      deepStrictEqual([code, stderr], [0, ''])
      deepStrictEqual(processes.map(processState).filter(Boolean), [])
      deepStrictEqual(readdirSync(temporary), [])
    })
  }

  it('ends quietly on a signal during the start, when what bundles is gone as well', async (t) => {
    const temporary = testFolder(t)
    const folder = testFolder(t, {
      ...HELLO_PROJECT,
      'node_modules/esbuild/package.json': '{"type":"module","exports":"./index.js"}',
      // On a terminal Ctrl-C reaches esbuild, too.
      'node_modules/esbuild/index.js': `
        export const stop = () => undefined
        export const context = () => new Promise((_, reject) => {
          process.prependListener('SIGINT', () => reject(new Error('The service was stopped')))
          console.log('bundling')
        })`,
    })
    const running = dev(t, folder, [], temporary)
    await running.printed(/bundling\n/)

    running.child.kill('SIGINT')

    const stdout = 'bundling\nEnding; a second time ends at once.\n'
    deepStrictEqual(await running.ended, { code: 0, signal: null, stdout, stderr: '' })
    deepStrictEqual(readdirSync(temporary), [])
  })

  it('ends on a signal while it bundles, when what bundles never answers', async (t) => {
    const temporary = testFolder(t)
    const folder = testFolder(t, {
      ...HELLO_PROJECT,
      'node_modules/esbuild/package.json': '{"type":"module","exports":"./index.js"}',
      'node_modules/esbuild/index.js': `
        export const stop = () => undefined
        const watch = async () => console.log('watching')
        export const context = async () => ({ watch, dispose: async () => undefined })`,
    })
    const running = dev(t, folder, [], temporary)
    await running.printed(/watching\n/)

    running.child.kill('SIGINT')

    const stdout = 'watching\nEnding; a second time ends at once.\n'
    deepStrictEqual(await running.ended, { code: 0, signal: null, stdout, stderr: '' })
    deepStrictEqual(readdirSync(temporary), [])
  })

  it('ends at once on a second signal, and then, too, leaves nothing behind', async (t) => {
    const temporary = testFolder(t)
    const folder = testFolder(t, HELLO_PROJECT)
    const stubborn =
      "process.on('SIGTERM', () => undefined)\nexport const handler = async () => ({ statusCode: 200 })"
    write(folder, 'src/hello.ts', stubborn)
    const running = dev(t, folder, [], temporary)
    await textOf(`${await httpUrlOf(running)}/hello`)
    const processes = descendantsOf(running.child.pid ?? 0)

    running.child.kill('SIGINT')
    await running.printed(/Ending/)
    running.child.kill('SIGINT')
    const { code, stderr } = await running.ended

    deepStrictEqual([code, stderr], [1, ''])
    await until(() => processes.every((pid) => processState(pid) === undefined))
    deepStrictEqual(readdirSync(temporary), [])
  })

  it('names the option of a port that is in use', async (t) => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo
    const folder = testFolder(t, HELLO_PROJECT)

    for (const option of ['--port', '--http-port', '--lambda-port']) {
      const args = ['dev', ...FREE_PORTS, option, String(port)]
      const { code, stdout, stderr } = await runCommand(args, { cwd: folder })
      deepStrictEqual([code, stdout], [2, ''])
      match(
        stderr,
        new RegExp(`^error: ${option}: .*127\\.0\\.0\\.1:${port} is in use; 0 takes a free one\n$`),
      )
    }
  })

  for (const [what, files, args, line] of [
    [
      'a serverless.yml that is not there',
      {},
      ['--config', 'api.yml'],
      '--config: api.yml cannot be read: ENOENT',
    ],
    [
      'a serverless.yml that is no YAML',
      { 'serverless.yml': 'functions:\n  a: [\n' },
      [],
      /^serverless\.yml: Flow sequence .* at line \d+, column \d+$/,
    ],
    [
      'a function without a file',
      { 'serverless.yml': 'functions:\n  a:\n    handler: src/a.handler' },
      [],
      /^functions\.a\.handler: there is no file .*\/src\/a\.mjs, \.js, \.cjs for "src\/a\.handler"; has it been bundled\?$/,
    ],
    [
      'a param without a value',
      { 'serverless.yml': `functions:\n  a:\n    handler: \${param:where}` },
      [],
      /^functions\.a\.handler: \$\{param:where\} has no value here; pass the param where$/,
    ],
    [
      'a source that cannot be bundled',
      { ...HELLO_PROJECT, 'src/hello.ts': "import { x } from './nowhere'\nexport const handler = x" },
      [],
      'functions.hello: src/hello.ts:1:19: Could not resolve "./nowhere"',
    ],
    ['a topic that no broker takes', {}, ['--topic', 'a b'], /^topic "a b": takes only letters, /],
  ] as const) {
    it(`says in one line what is wrong with ${what}`, async (t) => {
      const temporary = testFolder(t)
      const options = { cwd: testFolder(t, files), environment: { TMPDIR: temporary } }

      const { code, stdout, stderr } = await runCommand(['dev', ...FREE_PORTS, ...args], options)

      deepStrictEqual([code, stdout, stderr.split('\n').length], [2, '', 2])
      const [, said = ''] = /^error: (.*)\n$/.exec(stderr) ?? []
      if (typeof line === 'string') deepStrictEqual(said, line)
      else match(said, line)
      deepStrictEqual(readdirSync(temporary), [])
    })
  }
})
