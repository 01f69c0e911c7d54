/** What a function does wrong, and the error bodies by which AWS tells it. */
import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { type FunctionErrorBody, type InvokeResult, startLambda } from '../../../../src/testing/index.ts'
import { localLambda, testFolder } from '../../../support/local-lambda.ts'

const bodyOf = ({ payload }: InvokeResult): FunctionErrorBody => payload as FunctionErrorBody

/** Invokes a handler once; gives back type and message of the error, the log, and what the next invocation answers. */
async function failing(
  t: TestContext,
  source: string,
  timeoutSeconds = 60,
): Promise<{ errorType: string; errorMessage: string; trace: readonly string[]; result: InvokeResult }> {
  const lambda = await localLambda(t, { failing: { source, timeoutSeconds } })
  const result = await lambda.invoke('failing')
  assert.equal(result.functionError, 'Unhandled')
  assert.equal(result.statusCode, 200)
  const { errorType, errorMessage, trace = [] } = bodyOf(result)
  return { errorType, errorMessage, trace, result }
}

describe('a handler that throws', () => {
  it('fails with type, message and trace, and its environment stays warm', async (t) => {
    const source = `let n = 0
      export const handler = async () => { if (++n === 1) throw new RangeError('too far'); return n }`
    const lambda = await localLambda(t, { throws: source })

    const failed = await lambda.invoke('throws')
    const next = await lambda.invoke('throws')

    const { errorType, errorMessage, trace } = bodyOf(failed)
    assert.deepStrictEqual(
      [failed.functionError, errorType, errorMessage],
      ['Unhandled', 'RangeError', 'too far'],
    )
    assert.equal(trace?.[0], 'RangeError: too far')
    assert.match(trace?.[1] ?? '', /throws\.mjs:2/)
    assert.match(failed.log, /ERROR\tInvoke Error\t\{"errorType":"RangeError"/)
    assert.deepStrictEqual([next.functionError, next.payload], [undefined, 2])
  })

  it('fails with the type of the value when it throws none that is an error', async (t) => {
    const { errorType, errorMessage, trace } = await failing(
      t,
      `export const handler = async () => { throw 'text' }`,
    )
    assert.deepStrictEqual([errorType, errorMessage, trace], ['string', 'text', []])
  })

  it('fails when it returns what is no JSON', async (t) => {
    const { errorType, errorMessage } = await failing(t, 'export const handler = async () => 1n')
    assert.deepStrictEqual([errorType, errorMessage], ['Error', 'Unable to stringify response body'])
  })

  it('fails when it returns more than 6 MiB', async (t) => {
    const { errorType, errorMessage } = await failing(
      t,
      `export const handler = async () => 'x'.repeat(7_000_000)`,
    )
    assert.equal(errorType, 'Function.ResponseSizeTooLarge')
    assert.match(errorMessage, /exceeded maximum allowed payload size \(6291556 bytes\)/)
  })
})

describe('a process that ends', () => {
  it('by itself fails the invocation, and the next one starts cold', async (t) => {
    const source = `export const handler = async ({ exit }) => exit ? process.exit(3) : process.pid`
    const lambda = await localLambda(t, { exits: source })

    const before = await lambda.invoke('exits')
    const failed = await lambda.invoke('exits', { exit: true })
    const after = await lambda.invoke('exits')

    assert.deepStrictEqual(failed.payload, {
      errorType: 'Runtime.ExitError',
      errorMessage: `RequestId: ${failed.requestId} Error: Runtime exited with error: exit status 3`,
    })
    assert.equal(failed.functionError, 'Unhandled')
    assert.equal(failed.report?.status, 'error')
    assert.notEqual(before.payload, after.payload)
    assert.ok(after.report?.initMs !== undefined, 'no cold start')
  })

  it('by a signal says so', async (t) => {
    const { errorMessage } = await failing(
      t,
      `export const handler = () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => setInterval(() => {}, 1e6)) }`,
    )
    assert.match(errorMessage, /Runtime exited with error: signal: killed$/)
  })

  it('of an exception that nobody catches fails with that exception', async (t) => {
    const { errorType, errorMessage } = await failing(
      t,
      `export const handler = () => new Promise(() => setTimeout(() => { throw new TypeError('late') }))`,
    )
    assert.deepStrictEqual([errorType, errorMessage], ['TypeError', 'late'])
  })

  it('of a rejection that nobody catches fails with its reason', async (t) => {
    const { errorType, errorMessage } = await failing(
      t,
      `export const handler = () => { Promise.reject(new TypeError('lost')); return new Promise(() => setInterval(() => {}, 1e6)) }`,
    )
    assert.deepStrictEqual(
      [errorType, errorMessage],
      ['Runtime.UnhandledPromiseRejection', 'TypeError: lost'],
    )
  })

  it('because nothing can settle its promise fails, and does not wait for its timeout', async (t) => {
    const { errorType } = await failing(t, 'export const handler = () => new Promise(() => {})')
    assert.equal(errorType, 'Runtime.NodeJsExit')
  })

  it('because its heap is full fails the invocation', async (t) => {
    const { errorType, errorMessage } = await failing(
      t,
      `export const handler = async () => { const all = []; for (;;) all.push(new Array(1e5).fill(all.length)) }`,
    )
    assert.equal(errorType, 'Runtime.ExitError')
    assert.match(errorMessage, /signal: aborted$/)
  })
})

describe('a function that takes longer than its timeout', () => {
  it('is killed, and fails with AWS’s words; the next invocation starts cold', async (t) => {
    const source = `export const handler = ({ hang }) => {
      console.log('begun')
      if (hang) while (true);
      return process.pid
    }`
    const lambda = await localLambda(t, { hangs: { source, timeoutSeconds: 0.25 } })

    const failed = await lambda.invoke('hangs', { hang: true })
    const next = await lambda.invoke('hangs')

    const { errorType, errorMessage } = bodyOf(failed)
    assert.deepStrictEqual([failed.functionError, errorType], ['Unhandled', 'Sandbox.Timedout'])
    const [, id] = /^RequestId: (\S+) Error: Task timed out after 0\.25 seconds$/.exec(errorMessage) ?? []
    assert.equal(id, failed.requestId)
    assert.match(
      failed.log,
      /^START [^\n]+\nbegun\n[\d-]+T[\d:.]+Z \S+ Task timed out after 0\.25 seconds\nEND /,
    )
    assert.match(failed.log, /^REPORT .*\tStatus: timeout/m)
    assert.ok(next.report?.initMs !== undefined, 'no cold start')
    assert.deepStrictEqual(lambda.pids(), { hangs: [next.payload] })
  })
})

describe('a function that cannot be loaded', () => {
  it('fails with what its import has thrown, and what it has printed', async (t) => {
    const { errorType, errorMessage, trace, result } = await failing(
      t,
      `console.log('loading'); throw new RangeError('no configuration')`,
    )
    assert.deepStrictEqual([errorType, errorMessage], ['RangeError', 'no configuration'])
    assert.match(trace[1] ?? '', /failing\.mjs:1/)
    assert.match(result.log, /^loading\n/)
    assert.match(
      result.log,
      /^INIT_REPORT Init Duration: [\d.]+ ms\tPhase: init\tStatus: error\tError Type: RangeError$/m,
    )
  })

  for (const [what, source, errorType, message] of [
    [
      'exports no handler',
      'export const other = 1',
      'Runtime.HandlerNotFound',
      /index\.handler is undefined/,
    ],
    [
      'exports something else',
      'export const handler = 5',
      'Runtime.HandlerNotFound',
      /index\.handler is not a function/,
    ],
    ['is no JavaScript', 'export const = 1', 'Runtime.UserCodeSyntaxError', /^SyntaxError: /],
    ['imports what is not there', `import './none.mjs'`, 'Runtime.ImportModuleError', /Cannot find module/],
    ['ends its process', 'process.exit(4)', 'Runtime.ExitError', /exited with error: exit status 4$/],
  ] as const) {
    it(`because it ${what} fails with ${errorType}`, async (t) => {
      const failed = await failing(t, source)
      assert.equal(failed.errorType, errorType)
      assert.match(failed.errorMessage, message)
    })
  }

  it('unless it is CommonJS, which is loaded as well', async (t) => {
    const handler = join(await testFolder(t), 'index.cjs')
    await writeFile(
      handler,
      `const all = { handler: async () => 1 }; module.exports = Object.assign({}, all)`,
    )
    await using lambda = await startLambda({ functions: { common: { handler, timeoutSeconds: 60 } } })

    assert.equal((await lambda.invoke('common')).payload, 1)
  })

  it('is tried again by the next invocation', async (t) => {
    const folder = await testFolder(t)
    const handler = join(folder, 'index.mjs')
    await writeFile(handler, 'throw new Error()')
    await using lambda = await startLambda({ functions: { late: { handler, timeoutSeconds: 60 } } })

    const first = await lambda.invoke('late')
    await writeFile(handler, 'export const handler = async () => 1')
    const second = await lambda.invoke('late')
    await rm(handler)
    await lambda.replace('late')
    const third = await lambda.invoke('late')

    assert.equal(first.functionError, 'Unhandled')
    assert.equal(second.payload, 1)
    assert.equal(bodyOf(third).errorType, 'Runtime.ImportModuleError')
  })
})
