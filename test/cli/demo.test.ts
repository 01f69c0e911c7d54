import { deepStrictEqual, match, ok } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it, type TestContext } from 'node:test'
import { bundleFunction, functionNames } from '../../scripts/bundle.ts'
import { bundledFunctions } from '../../src/cli/bundled-functions.ts'
import { end, type Row, runDemo } from '../../src/cli/demo/run.ts'
import type { StageOptions } from '../../src/cli/demo/stage.ts'
import { steps } from '../../src/cli/demo/steps.ts'
import { type LocalFunction, readServerless } from '../../src/testing/index.ts'
import { runCommand, startCommand } from '../support/command-line.ts'

/** The lines of the closing table, below its head. */
const tableOf = (output: string): string[] =>
  (/^ +step .*\n((?:\d+ .*\n)+)/m.exec(output)?.[1] ?? '').trimEnd().split('\n')

/** In this process; gives what it has printed. */
async function play(options: Omit<StageOptions, 'print'>): Promise<{ isSo: boolean; output: string }> {
  let output = ''
  const print = (line: string): void => {
    output += `${line}\n`
  }
  return { isSo: await runDemo({ print, ...options }), output }
}

/** Bundles of the package, of which some are replaced. */
async function functionsFolder(
  t: TestContext,
  replaced: Readonly<Record<string, string>> = {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rocketmq-lambda-demo-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const name of functionNames) {
    const file = await bundleFunction(name, folder)
    if (replaced[name] !== undefined) await writeFile(file, replaced[name])
  }
  return folder
}

describe('rocketmq-lambda demo', () => {
  before(async () => {
    for (const name of functionNames) await bundleFunction(name)
  })

  it('tells the story, ends with a table in which everything is as expected, and exits 0', async () => {
    const { code, stdout, stderr } = await runCommand(['demo'])

    deepStrictEqual([code, stderr], [0, ''])
    for (const { title } of steps) ok(stdout.includes(`  ${title}\n`), title)
    match(stdout, /consume │ .*"messageId":"[0-9A-F]{32}".*"bytes":\d+/)
    deepStrictEqual(
      tableOf(stdout).map((line) => line.replace(/ +✔ .*/, '').split(/ {2,}/)),
      [
        ['1', 'start of broker and Lambda', 'both listen'],
        ...steps.map(({ name, expected }, at) => [String(at + 2), name, expected]),
      ],
    )
    match(stdout, /\nEverything was as it should be, in [\d.]+ s\.\n$/)
  })

  it('says nothing when its reader has gone', async () => {
    const demo = startCommand(['demo'])
    demo.child.stdout.destroy()

    const { code, stderr } = await demo.ended

    deepStrictEqual([code, stderr], [0, ''])
  })

  it('names the step in which a function fails, and ends the table there', async (t) => {
    const folder = await functionsFolder(t, {
      consume: "export const handler = async () => { throw new TypeError('no such order') }",
    })

    const { isSo, output } = await play({ functionsFolder: folder })

    deepStrictEqual(isSo, false)
    match(output, /^ {3}expected cold, 3 handled, 0 failed; came TypeError: no such order$/m)
    deepStrictEqual(tableOf(output).length, 4)
    match(output, /\nStep 4 was not as it should be\.\n$/)
  })

  it('names the step in which a function cannot be loaded', async (t) => {
    const folder = await functionsFolder(t, { publish: "throw new Error('not configured')" })

    const { isSo, output } = await play({ functionsFolder: folder })

    deepStrictEqual(isSo, false)
    match(output, /^ {3}expected 200, 3 stored; came Error: not configured$/m)
    match(output, /\nStep 2 was not as it should be\.\n$/)
  })

  it('names the step in which the broker fails', async (t) => {
    const refused = { fault: 'refuse', code: [310, 320], responseCode: 1, remark: 'no' } as const

    const { isSo, output } = await play({ functionsFolder: await functionsFolder(t), faults: [refused] })

    deepStrictEqual(isSo, false)
    match(output, /^ {3}expected 200, 3 stored; came \d+, 0 stored$/m)
  })

  it('names the step in which the check leaves the transaction open', async (t) => {
    const folder = await functionsFolder(t, {
      'check-transactions': 'export const handler = async () => ({ committed: 0 })',
    })

    const { isSo, output } = await play({ functionsFolder: folder })

    deepStrictEqual(isSo, false)
    match(output, /^ {3}expected 1 committed, 5 stored; came 0 committed, 4 stored$/m)
    match(output, /\nStep 10 was not as it should be\.\n$/)
  })

  it('is not as it should be when what it has started does not end', async () => {
    const stuck = { [Symbol.asyncDispose]: () => Promise.reject(new Error('the socket is stuck')) }
    const rows: Row[] = []

    const isSo = await end(stuck, rows, true)

    deepStrictEqual(isSo, false)
    deepStrictEqual(
      rows.map(({ name, expected, seen }) => [name, expected, seen]),
      [['end of broker and Lambda', 'both end', 'the socket is stuck']],
    )
  })

  it('names the start when a bundle is missing', async (t) => {
    const folder = await functionsFolder(t)
    await rm(join(folder, 'consume'), { recursive: true })

    const { isSo, output } = await play({ functionsFolder: folder })

    deepStrictEqual(isSo, false)
    match(
      output,
      /came functions\.consume\.handler: there is no file at .*index\.mjs; has it been bundled\?$/m,
    )
    match(output, /\nStep 1 was not as it should be\.\n$/)
  })

  it('runs the functions with the settings of serverless.yml', async () => {
    const nameServers = '127.0.0.1:9876'
    const environment = { ROCKETMQ_NAMESRV_ADDR: nameServers }
    const deployed = await readServerless(join(import.meta.dirname, '../../serverless.yml'), { environment })

    const secret = deployed['publish']?.environment?.['ROCKETMQ_TRANSACTION_SECRET'] ?? ''
    const transactions = { secret, checkWindowMs: 35_000 }
    const here = bundledFunctions({ nameServers, topics: ['orders'], consumerGroup: 'billing', transactions })

    for (const [name, settings] of Object.entries(here))
      deepStrictEqual(common(settings), common(deployed[name] ?? settings), name)
  })
})

/**
 * What both have. TLS, access control and metrics are off here, and said to be in the file only; the window of the check is
 * said here only; and whether a schedule is on, and that of the check at all, is the deployment's.
 */
function common({ environment = {}, events = [], ...settings }: LocalFunction): object {
  const kept = Object.entries(environment).filter(
    ([key]) => !/_(TLS|TLS_CA|ACCESS_KEY|SECRET_KEY|SECRET_ARN|CHECK_WINDOW_MS)$|^POWERTOOLS_/.test(key),
  )
  const routes = events.filter((event) => 'httpApi' in event)
  return { ...settings, environment: Object.fromEntries(kept), routes }
}
