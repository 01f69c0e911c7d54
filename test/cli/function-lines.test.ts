import { deepStrictEqual } from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { placeOf } from '../../src/cli/function-lines.ts'

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
