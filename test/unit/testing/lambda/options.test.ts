/** Options that are wrong: one line each, which names the field. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type LambdaOptions, type LocalFunction, startLambda } from '../../../../src/testing/index.ts'

describe('startLambda', () => {
  let folder: string
  let handler: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'local-lambda-test-'))
    handler = join(folder, 'index.mjs')
    await writeFile(handler, 'export const handler = async () => 1')
  })

  after(() => rm(folder, { recursive: true, force: true }))

  const refused = async (options: object): Promise<string> => {
    const error = await startLambda(options as LambdaOptions).then(
      async (lambda) => {
        await lambda.close()
        assert.fail('it started')
      },
      (thrown: Error) => thrown,
    )
    assert.equal(error.name, 'ConfigError')
    assert.equal(error.message.includes('\n'), false, error.message)
    return error.message
  }
  const one = (settings: object): object => ({ functions: { f: { handler, ...settings } } })

  for (const [what, settings, message] of [
    ['an option that is not there', { ports: 1 }, /^ports: is no option; there are functions, port, /],
    ['a port that is none', { port: 70_000 }, /^port: takes an integer from 0 to 65535, got 70000$/],
    ['a region that is no text', { region: 5 }, /^region: takes a name, got 5$/],
    ['freezing that is neither on nor off', { freeze: 'no' }, /^freeze: takes true or false$/],
    ['a clock that is none', { clock: {} }, /^clock: takes what runningClock\(\) gives$/],
    ['a callback that is none', { onLog: 'x' }, /^onLog: takes a function$/],
    ['no functions', { functions: undefined }, /^functions: takes an object of functions by name$/],
    ['a name that Lambda does not take', { functions: { 'a b': {} } }, /^functions\.a b: a name has/],
    ['a function that is none', { functions: { f: 'index.mjs' } }, /^functions\.f: takes \{ handler/],
    [
      'a file that is not there',
      { functions: { f: { handler: '/none/index.mjs' } } },
      /^functions\.f\.handler: there is no file at \/none\/index\.mjs; has it been bundled\?$/,
    ],
    ['no file', { functions: { f: {} } }, /^functions\.f\.handler: takes the path of a bundled file$/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      assert.match(await refused({ functions: {}, ...settings }), message)
    })
  }

  for (const [what, settings, message] of [
    [
      'a setting that is not there',
      { timeout: 3 },
      /^functions\.f\.timeout: is no option; there are handler, /,
    ],
    [
      'a timeout above 15 minutes',
      { timeoutSeconds: 901 },
      /^functions\.f\.timeoutSeconds: takes seconds up to 900/,
    ],
    [
      'too little memory',
      { memorySize: 64 },
      /^functions\.f\.memorySize: takes an integer from 128 to 10240, got 64$/,
    ],
    ['three retries', { maximumRetryAttempts: 3 }, /^functions\.f\.maximumRetryAttempts: .* from 0 to 2/],
    [
      'variables that are none',
      { environment: null },
      /^functions\.f\.environment: takes variables by name$/,
    ],
    ['an export without a name', { exportName: '' }, /^functions\.f\.exportName: takes a name, got $/],
    [
      'one qualifier without a list',
      { qualifiers: 'live' },
      /^functions\.f\.qualifiers: takes a list of names$/,
    ],
    ['events without a list', { events: {} }, /^functions\.f\.events: takes a list$/],
    [
      'an event that is none',
      { events: [{ httpApi: 'GET /' }] },
      /^functions\.f\.events\[0\]: takes \{ schedule/,
    ],
    [
      'a route without a path',
      { events: [{ httpApi: { method: 'GET' } }] },
      /^functions\.f\.events\[0\]\.httpApi: takes \{ method/,
    ],
    ['a variable that is no text', { environment: { A: 1 } }, /^functions\.f\.environment\.A: takes text$/],
    [
      'a wrong schedule',
      { events: [{ schedule: { rate: 'rate(1 minutes)' } }] },
      /^functions\.f\.events\[0\]\.schedule\.rate: "rate\(1 minutes\)" is no schedule: /,
    ],
    [
      'a schedule whose input is too large',
      { events: [{ schedule: { rate: 'rate(1 day)', input: 'x'.repeat(1024 * 1024) } }] },
      /^functions\.f\.events\[0\]\.schedule\.input: is larger than an event may be/,
    ],
    [
      'a wrong path',
      { events: [{ httpApi: { method: 'GET', path: 'orders' } }] },
      /^functions\.f\.events\[0\]\.httpApi\.path: "orders" is no path; /,
    ],
    [
      'a wrong method',
      { events: [{ httpApi: { method: 'SEND', path: '/' } }] },
      /^functions\.f\.events\[0\]\.httpApi\.method: "SEND" is none of /,
    ],
  ] as const satisfies readonly (readonly [
    string,
    Partial<Record<keyof LocalFunction | 'timeout', unknown>>,
    RegExp,
  ])[]) {
    it(`refuses ${what}`, async () => {
      assert.match(await refused(one(settings)), message)
    })
  }

  it('says in one line that Windows will not do', async (t) => {
    const platform = Object.getOwnPropertyDescriptor(process, 'platform') ?? {}
    t.after(() => Object.defineProperty(process, 'platform', platform))
    Object.defineProperty(process, 'platform', { ...platform, value: 'win32' })

    assert.equal(
      await refused(one({})),
      'platform: Windows cannot stop and go on with processes; run it in WSL',
    )
  })

  it('refuses ports that are in use, and leaves nothing open', async (t) => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const { port } = server.address() as AddressInfo
    const route = { events: [{ httpApi: { method: 'GET', path: '/' } }] }

    assert.equal(await refused({ ...one({}), port }), `port: 127.0.0.1:${port} is in use; 0 takes a free one`)
    assert.equal(
      await refused({ ...one(route), httpPort: port }),
      `httpPort: 127.0.0.1:${port} is in use; 0 takes a free one`,
    )
  })
})
