import { deepStrictEqual, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { readVectors } from '../../support/vectors.ts'

const { files, unknown } = readVectors()

test('every golden file is known', () => {
  deepStrictEqual(unknown, [])
  deepStrictEqual(files.length, 15)
})

for (const { name, cases, check } of files) {
  test(`each case of ${name} holds in both directions`, () => {
    const failures = cases.map(check).filter((wrong) => wrong !== undefined)

    ok(cases.length > 0)
    deepStrictEqual(failures, [])
  })
}
