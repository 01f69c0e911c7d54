import { deepStrictEqual } from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { isOwnLine, placeOf } from '../../src/cli/function-lines.ts'

const file = (path: string): string => join(process.cwd(), path)
const urlOf = (path: string): string => pathToFileURL(file(path)).href

describe('the place of an error', () => {
  for (const [what, line, place] of [
    ['a path', `    at bill (${file('src/orders.ts')}:12:3)`, 'src/orders.ts:12:3'],
    ['a URL', `    at async ${urlOf('src/orders.mjs')}:12:3`, 'src/orders.mjs:12:3'],
    [
      'a URL of a folder with a space',
      `    at bill (${urlOf('my shop (1)/a%b.mjs')}:1:9)`,
      'my shop (1)/a%b.mjs:1:9',
    ],
    ['a package only', `    at ${urlOf('node_modules/zod/index.js')}:1:1`, undefined],
    ['Node only', '    at node:internal/process/task_queues:104:5', undefined],
    ['another folder only', `    at ${urlOf('../elsewhere/a.mjs')}:1:1`, undefined],
  ] as const) {
    it(`is taken from ${what}`, () => {
      deepStrictEqual(placeOf(JSON.stringify({ trace: ['TypeError: no table', line] })), place)
    })
  }

  it("is the first that is the project's own", () => {
    const trace = [urlOf('node_modules/zod/index.js'), urlOf('src/a.mjs'), urlOf('src/b.mjs')]
    deepStrictEqual(
      placeOf(JSON.stringify({ trace: trace.map((url) => `    at ${url}:1:2`) })),
      'src/a.mjs:1:2',
    )
  })

  it('is nothing without a stack', () => {
    deepStrictEqual(placeOf('{"errorType":"Sandbox.Timedout"}'), undefined)
  })
})

describe('a line of the log', () => {
  const id = 'b7350500-1e26-4004-ba06-686ba88f08b1'

  for (const line of [
    `START RequestId: ${id} Version: $LATEST`,
    `END RequestId: ${id}`,
    `REPORT RequestId: ${id}\tDuration: 1.00 ms`,
    'INIT_REPORT Init Duration: 80.00 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError',
    `2026-11-26T17:00:00.000Z\t${id}\tERROR\tInvoke Error\t{}`,
    `RequestId: ${id} Error: Runtime exited with error: exit status 3`,
  ])
    it(`is Lambda's: ${line}`, () => deepStrictEqual(isOwnLine(line), false))

  for (const line of ['START of the billing', 'END', 'REPORT for customer-7', 'Error: Runtime exited'])
    it(`is the function's: ${line}`, () => deepStrictEqual(isOwnLine(line), true))
})
