/** Processes: frozen between invocations, replaced, ended at the end, and never left behind. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it, type TestContext } from 'node:test'
import { startLambda } from '../../../../src/testing/index.ts'
import { gate, localLambda, processState, testFolder, until } from '../../../support/local-lambda.ts'

const PID = 'export const handler = async () => process.pid'
const isLinux = process.platform === 'linux'

describe('an environment', () => {
  it('is stopped between invocations and goes on with the next', { skip: !isLinux }, async (t) => {
    const door = await gate(t)
    const source = `let late = 0
      export const handler = async ({ gate }) => {
        setInterval(() => late++, 1)
        await fetch(gate)
        return process.pid
      }`
    const lambda = await localLambda(t, { works: source })

    const first = lambda.invoke('works', { gate: door.url })
    await door.arrived(1)
    const [pid = 0] = lambda.pids()['works'] ?? []
    assert.notEqual(processState(pid), 'T')
    door.open()
    await first
    await until(() => processState(pid) === 'T')

    assert.equal((await lambda.invoke('works', { gate: door.url })).payload, pid)
    await until(() => processState(pid) === 'T')
  })

  it('runs on between invocations when freezing is off', async (t) => {
    const door = await gate(t)
    const source = `export const handler = async ({ gate }) => { setTimeout(() => fetch(gate), 5) }`
    const lambda = await localLambda(t, { works: source }, { freeze: false })

    await lambda.invoke('works', { gate: door.url })

    await door.arrived(1)
  })

  it('is stopped with the processes that the function has started', { skip: !isLinux }, async (t) => {
    const source = `import { spawn } from 'node:child_process'
      const child = spawn('sleep', ['1000'])
      export const handler = async () => child.pid`
    const lambda = await localLambda(t, { parent: source })

    const child = Number((await lambda.invoke('parent')).payload)

    await until(() => processState(child) === 'T')
    await lambda.close()
    await until(() => processState(child) === undefined)
  })

  it('is replaced when the code has changed; a busy one ends after its invocation', async (t) => {
    const door = await gate(t)
    const folder = await testFolder(t)
    const [one, two] = [join(folder, 'one.mjs'), join(folder, 'two.mjs')]
    await writeFile(
      one,
      'export const handler = async ({ gate }) => { if (gate) await fetch(gate); return 1 }',
    )
    await writeFile(two, 'export const handler = async () => 2')
    await using lambda = await startLambda({ functions: { changes: { handler: one, timeoutSeconds: 60 } } })

    const busy = lambda.invoke('changes', { gate: door.url })
    await door.arrived(1)
    await lambda.replace('changes', two)
    const after = await lambda.invoke('changes')
    door.open()

    assert.deepStrictEqual(
      [(await busy).payload, after.payload, (await lambda.invoke('changes')).payload],
      [1, 2, 2],
    )
    assert.equal(lambda.pids()['changes']?.length, 1)
    await assert.rejects(lambda.replace('changes', join(folder, 'none.mjs')), {
      name: 'ConfigError',
      field: 'file',
    })
  })
})

describe('an environment that is killed from outside', () => {
  it('while it waits is not used again', { skip: !isLinux }, async (t) => {
    const lambda = await localLambda(t, { pid: PID })
    const first = Number((await lambda.invoke('pid')).payload)

    process.kill(first, 'SIGKILL')
    await until(() => lambda.pids()['pid']?.length === 0)
    const { payload, functionError } = await lambda.invoke('pid')

    assert.equal(functionError, undefined)
    assert.notEqual(payload, first)
  })
})

describe('closing', () => {
  it('ends frozen processes, and those that ignore SIGTERM', async (t) => {
    const stubborn = `process.on('SIGTERM', () => {}); ${PID}`
    const lambda = await localLambda(t, { gentle: PID, stubborn }, { shutdownMs: 10 })
    const pids = [await lambda.invoke('gentle'), await lambda.invoke('stubborn')].map((each) =>
      Number(each.payload),
    )

    await lambda.close()

    for (const pid of pids) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
    assert.deepStrictEqual(lambda.pids(), { gentle: [], stubborn: [] })
  })

  it('lets a process do its last work on SIGTERM', async (t) => {
    const door = await gate(t)
    const source = `let url
      process.on('SIGTERM', async () => { await fetch(url); process.exit() })
      export const handler = async ({ gate }) => { url = gate }`
    const lambda = await localLambda(t, { last: source }, { shutdownMs: 60_000 })
    door.open()

    await lambda.invoke('last', { gate: door.url })
    await lambda.close()

    await door.arrived(1)
  })

  it('answers what runs with an error, refuses what comes later, and may be repeated', async (t) => {
    const door = await gate(t)
    const lambda = await localLambda(t, {
      wait: 'export const handler = async ({ gate }) => { await fetch(gate) }',
    })
    const running = lambda.invoke('wait', { gate: door.url })
    await door.arrived(1)

    await Promise.all([lambda.close(), lambda.close()])

    const { functionError, payload } = await running
    assert.deepStrictEqual(
      [functionError, (payload as { errorType: string }).errorType],
      ['Unhandled', 'Runtime.ExitError'],
    )
    await assert.rejects(lambda.invoke('wait'), { name: 'ServiceException', statusCode: 503 })
    await assert.rejects(fetch(lambda.endpoint))
  })

  it('leaves nothing that keeps the process alive', async (t) => {
    const { output, exit } = await program(
      t,
      `await lambda.invoke('pid')
       await lambda.close()
       console.log('closed')`,
    )

    assert.deepStrictEqual([await exit, await output], [0, ['closed']])
  })
})

describe('a process that dies without closing', () => {
  for (const [what, freeze] of [
    ['stopped', true],
    ['running', false],
  ] as const) {
    it(`leaves no ${what} environment behind`, { skip: !isLinux }, async (t) => {
      const { child, firstLine } = await program(
        t,
        `const { payload } = await lambda.invoke('pid')
         console.log(payload)`,
        `{ functions, freeze: ${freeze} }`,
      )
      const pid = Number(await firstLine)
      if (freeze) await until(() => processState(pid) === 'T')
      assert.notEqual(processState(pid), undefined)

      child.kill('SIGKILL')

      await until(() => processState(pid) === undefined)
    })
  }
})

/** A program of its own that has started a local Lambda with one function, `pid`. */
async function program(
  t: TestContext,
  body: string,
  options = '{ functions }',
): Promise<{
  child: ReturnType<typeof spawn>
  firstLine: Promise<string>
  output: Promise<string[]>
  exit: Promise<number | null>
}> {
  const folder = await testFolder(t)
  const handler = join(folder, 'pid.mjs')
  await writeFile(handler, PID)
  const entry = join(import.meta.dirname, '../../../../src/testing/index.ts')
  await writeFile(
    join(folder, 'main.mjs'),
    `import { startLambda } from ${JSON.stringify(entry)}
     const functions = { pid: { handler: ${JSON.stringify(handler)}, timeoutSeconds: 60 } }
     const lambda = await startLambda(${options})
     ${body}`,
  )
  const child = spawn(process.execPath, [join(folder, 'main.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })
  const exit = once(child, 'exit').then(([code]) => code as number | null)
  const firstLine = once(lines, 'line').then(([line]) => String(line))
  return { child, firstLine, output: collect(lines), exit }
}

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = []
  for await (const line of lines) all.push(line)
  return all
}
