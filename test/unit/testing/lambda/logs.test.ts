/** What an invocation prints, between Lambda's own lines. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { InvokeCommand } from '@aws-sdk/client-lambda'
import type { LogLine } from '../../../../src/testing/index.ts'
import { InvocationLog } from '../../../../src/testing/lambda/invocation-log.ts'
import { localLambda, sdkClient } from '../../../support/local-lambda.ts'

describe('the log of an invocation', () => {
  it('has what was printed, both outputs in their order, between START and END, then the REPORT', async (t) => {
    const source = `console.log('loaded')
      export const handler = async () => {
        console.log('one'); console.error('two'); process.stdout.write('no line end')
      }`
    const lines: LogLine[] = []
    const onLog = (line: LogLine): void => void lines.push(line)
    const lambda = await localLambda(t, { prints: { source, memorySize: 256 } }, { onLog })

    const cold = await lambda.invoke('prints')
    const warm = await lambda.invoke('prints')

    const report = String.raw`Duration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: \d+ MB\t`
    for (const [{ requestId: id, log }, init] of [
      [cold, String.raw`Init Duration: [\d.]+ ms\t`],
      [warm, ''],
    ] as const)
      assert.match(
        log,
        new RegExp(
          String.raw`^START RequestId: ${id} Version: \$LATEST\none\ntwo\nno line end\nEND RequestId: ${id}\nREPORT RequestId: ${id}\t${report}${init}\n$`,
        ),
      )
    assert.deepStrictEqual(lines[0], { functionName: 'prints', requestId: undefined, line: 'loaded' })
    const text = lines.slice(1).map(({ line }) => `${line}\n`)
    assert.equal(text.join(''), cold.log + warm.log)
    assert.deepStrictEqual(
      new Set(lines.slice(1).map(({ requestId }) => requestId)),
      new Set([cold.requestId, warm.requestId]),
    )
  })

  it('reports durations, what would be billed, and the memory', async (t) => {
    const lambda = await localLambda(t, { pid: 'export const handler = async () => process.pid' })

    const { report } = await lambda.invoke('pid')

    assert.ok(report?.initMs !== undefined)
    assert.equal(report.billedMs, Math.ceil(report.initMs + report.durationMs))
    assert.ok(report.maxMemoryUsed > 10, `${report.maxMemoryUsed} MB`)
    assert.deepStrictEqual([report.status, report.memorySize], ['success', 128])
  })

  it('is answered by its last 4 KiB in base64 when asked for', async (t) => {
    const source = `export const handler = async () => { for (let n = 0; n < 500; n++) console.log('line', n) }`
    const lambda = await localLambda(t, { prints: source })
    const client = sdkClient(t, lambda)

    const asked = await client.send(new InvokeCommand({ FunctionName: 'prints', LogType: 'Tail' }))
    const not = await client.send(new InvokeCommand({ FunctionName: 'prints' }))

    const tail = Buffer.from(asked.LogResult ?? '', 'base64')
    assert.equal(tail.length, 4096)
    assert.match(tail.toString(), /\nline 498\nline 499\nEND RequestId: \S+\nREPORT /)
    assert.equal(not.LogResult, undefined)
  })
})

describe('the output of a process', () => {
  it('is cut into lines and marks, wherever its chunks end', () => {
    const text = 'a\nbc\0init 2048\nd\n\0request-1 4096\ne'
    for (let at = 0; at <= text.length; at++) {
      const seen: string[] = []
      const log = new InvocationLog(
        (line) => void seen.push(line),
        (requestId, kib) => void seen.push(`${requestId} ended, ${kib}`),
      )
      log.push(text.slice(0, at))
      log.push(text.slice(at))
      log.flush()

      assert.deepStrictEqual(
        seen,
        ['a', 'bc', 'init ended, 2048', 'd', 'request-1 ended, 4096', 'e'],
        `cut at ${at}`,
      )
    }
  })
})
